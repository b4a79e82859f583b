//! What an acknowledgement promises, and what it leaves at risk.

/// When an append counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// Once it is in the process's queue: an end of the process may lose it.
    None,
    /// Once the system has it: an end of the process loses nothing, a power cut may.
    Buffered,
    /// Once it is on disk.
    #[default]
    Durable,
}

impl Acks {
    /// The mode of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "buffered" => Some(Self::Buffered),
            "durable" => Some(Self::Durable),
            _ => None,
        }
    }
}

/// What was acknowledged and is not on disk yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtRisk {
    /// Messages.
    pub messages: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

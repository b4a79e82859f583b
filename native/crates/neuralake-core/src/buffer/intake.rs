//! The buffer of a job, whatever its messages are.

use super::{Buffer, Flush, Message, PacketBuffer, Waiting};
use crate::CoreError;

/// What a job's messages are gathered in.
#[derive(Debug)]
pub enum Intake {
    /// Rows of a declared table.
    Rows(Box<Buffer>),
    /// Sample packets.
    Packets(Box<PacketBuffer>),
}

impl Intake {
    /// Take one message in. `now_us` is the wall clock in UTC microseconds.
    pub fn push(&mut self, message: &Message<'_>, now_us: i64) {
        match self {
            Self::Rows(buffer) => buffer.push(message, now_us),
            Self::Packets(buffer) => buffer.push(message, now_us),
        }
    }

    /// Rows waiting, rejected ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Rows(buffer) => buffer.len(),
            Self::Packets(buffer) => buffer.len(),
        }
    }

    /// Whether nothing was delivered since the last flush.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Rows(buffer) => buffer.is_empty(),
            Self::Packets(buffer) => buffer.is_empty(),
        }
    }

    /// Bytes waiting.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Rows(buffer) => buffer.bytes(),
            Self::Packets(buffer) => buffer.bytes(),
        }
    }

    /// When the oldest waiting message came in.
    #[must_use]
    pub fn first_at_us(&self) -> Option<i64> {
        match self {
            Self::Rows(buffer) => buffer.first_at_us(),
            Self::Packets(buffer) => buffer.first_at_us(),
        }
    }

    /// What waits, for a live read. Packets are shown once their run is cut, which is at the flush: until then a live
    /// read ends before them.
    ///
    /// # Errors
    /// As `take`.
    pub fn waiting(&mut self) -> Result<Waiting, CoreError> {
        match self {
            Self::Rows(buffer) => buffer.waiting(),
            Self::Packets(_) => Ok(Waiting::default()),
        }
    }

    /// Take everything out as one flush and go on from its end.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses the columns, which no message can cause.
    pub fn take(&mut self) -> Result<Flush, CoreError> {
        match self {
            Self::Rows(buffer) => buffer.take(),
            Self::Packets(buffer) => buffer.take(),
        }
    }
}

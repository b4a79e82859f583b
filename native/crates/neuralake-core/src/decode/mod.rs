//! From the bytes of a message to the rows of a batch.

mod cell;
mod column;
mod flat;
mod json;

pub(crate) use cell::Cell;
pub(crate) use column::{ColumnBuilder, judge};
pub(crate) use json::{Cells, RowReader, lines};

/// Whole-message faults: such a message is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFault {
    /// No value, or nothing but white space.
    Empty,
    /// Larger than the declared size.
    Size,
    /// Not UTF-8.
    Utf8,
    /// Not JSON.
    Json,
    /// JSON, but not an object.
    Object,
}

impl MessageFault {
    /// Rule id of the fault.
    #[must_use]
    pub fn rule_id(self) -> &'static str {
        match self {
            Self::Empty => "message|empty",
            Self::Size => "message|size",
            Self::Utf8 => "message|utf8",
            Self::Json => "message|json",
            Self::Object => "message|object",
        }
    }
}

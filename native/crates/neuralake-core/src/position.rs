//! Where a job stands in its source: partitions, offsets and the half-open spans between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A partition of one of a job's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Which topic, in the order the job names them; where there is one it is 0.
    pub topic: u16,
    /// Number within the topic, from zero.
    pub number: i32,
}

/// An offset within a partition. As a position it names the next message to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Partition {
    /// A partition of the first topic.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Self { topic: 0, number }
    }

    /// The partition of the same number of another topic.
    #[must_use]
    pub const fn of(self, topic: u16) -> Self {
        Self { topic, ..self }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Offset {
    /// The position after this message.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The half-open run `[from, to)` that a flush covers in one partition.
///
/// `from` is where reading resumed, `to` the last delivered offset plus one: gaps left by compaction and
/// transaction markers lie inside and are normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Position the flush resumes from.
    pub from: Offset,
    /// Position after it.
    pub to: Offset,
}

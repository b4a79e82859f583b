//! Where a job stands in its source: partitions, offsets and the half-open spans between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A partition of a topic, numbered from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

/// An offset within a partition. As a position it names the next message to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

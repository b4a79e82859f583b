//! Places that a source does not hold any more, found by asking it.

use std::collections::BTreeMap;

use neuralake_core::position::{Offset, Partition};
use uuid::Uuid;

use super::{Held, Place, Source};
use crate::StreamError;

/// Why reading cannot go on at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The messages from the place on are deleted.
    Deleted,
    /// The log ends before the place.
    PastEnd,
    /// The log was cut below the place, and written again.
    Truncated,
    /// The topic was made anew.
    Replaced,
    /// The broker remembers a place, the table does not.
    Unknown,
}

impl Cause {
    /// As commits and reports name it: the code of its error.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deleted => "position-deleted",
            Self::PastEnd => "position-past-end",
            Self::Truncated => "position-truncated",
            Self::Replaced => "source-replaced",
            Self::Unknown => "position-unknown",
        }
    }

    /// Whether the same offsets name other messages from here on.
    #[must_use]
    pub fn is_another_log(self) -> bool {
        matches!(self, Self::PastEnd | Self::Truncated)
    }
}

/// A place that is not held, and what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Why.
    pub cause: Cause,
    /// Next offset to read, as it was.
    pub position: Offset,
    /// What the partition holds now.
    pub held: Held,
    /// First offset that may be read without reading a message again, as far as that is known.
    pub unread: Offset,
}

impl Missing {
    /// As the error that stops a job.
    #[must_use]
    pub fn error(&self, topic: &str, incarnation: Uuid) -> StreamError {
        let (topic, partition, position) = (topic.to_owned(), self.held.partition.number, self.position.0);
        match self.cause {
            Cause::Deleted => StreamError::PositionDeleted { topic, partition, position, first: self.held.first.0 },
            Cause::PastEnd => StreamError::PositionPastEnd { topic, partition, position, end: self.held.end.0 },
            Cause::Truncated => StreamError::PositionTruncated { topic, partition, position, cut: self.unread.0 },
            Cause::Replaced => StreamError::SourceReplaced { topic, found: incarnation.to_string() },
            Cause::Unknown => StreamError::PositionUnknown { topic, partition, remembered: position },
        }
    }
}

/// Ask a source for each place whether it can go on there.
///
/// # Errors
/// What the source says.
pub fn find_missing(
    source: &mut dyn Source,
    held: &[Held],
    places: &BTreeMap<Partition, Place>,
) -> Result<Vec<Missing>, StreamError> {
    let is_below = |part: &Held, place: &Place| place.offset < part.first;
    let mut asked = places.clone();
    asked.retain(|partition, place| !held.iter().any(|part| part.partition == *partition && is_below(part, place)));
    let cuts = source.cuts(&asked)?;
    let mut missing = Vec::new();
    for part in held {
        let Some(place) = places.get(&part.partition) else { continue };
        let cut = cuts.get(&part.partition).copied();
        let cause = if is_below(part, place) {
            Cause::Deleted
        } else if place.offset > part.end {
            Cause::PastEnd
        } else if cut.is_some() {
            Cause::Truncated
        } else {
            continue;
        };
        let unread = cut.unwrap_or(part.first);
        missing.push(Missing { cause, position: place.offset, held: *part, unread });
    }
    Ok(missing)
}

//! The one error type of a running job.

use neuralake_core::CoreError;
use neuralake_lake::LakeError;
use thiserror::Error;

use crate::journal::JournalError;

/// What can stop a job.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The job's spec cannot be read.
    #[error("cannot read the job's spec: {0}")]
    SpecInvalid(String),
    /// The broker did not answer in time.
    #[error("cannot read topic {topic}: {reason}")]
    SourceUnreachable {
        /// Topic of the job.
        topic: String,
        /// What the client said last.
        reason: String,
    },
    /// The broker answered that this cannot go on.
    #[error("cannot read topic {topic}: {reason}")]
    SourceRefused {
        /// Topic of the job.
        topic: String,
        /// What the client said.
        reason: String,
    },
    /// The broker has no topic of that name.
    #[error("cannot read topic {topic}: the broker has no topic of that name")]
    TopicMissing {
        /// Topic of the job.
        topic: String,
    },
    /// The broker remembers a job of this name, the table does not.
    #[error(
        "partition {partition} of {topic} was read to offset {remembered} by a job of this name, as the broker \
         remembers; the table has no position for the topic: was it deleted, or renamed?"
    )]
    PositionUnknown {
        /// Topic of the job.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset the broker remembers.
        remembered: i64,
    },
    /// The topic was made anew under its old name.
    #[error("topic {topic} is not the one this table was filled from: found incarnation {found}, recorded another")]
    SourceReplaced {
        /// Topic of the job.
        topic: String,
        /// Incarnation found.
        found: String,
    },
    /// Messages the job has not read yet are gone.
    #[error(
        "partition {partition} of {topic} holds messages from offset {first} on; the table continues at {position}: \
         {} messages are gone", first - position
    )]
    PositionDeleted {
        /// Topic of the job.
        topic: String,
        /// Partition.
        partition: i32,
        /// Position of the table.
        position: i64,
        /// First offset held.
        first: i64,
    },
    /// The log ends before the position: it was restored from an older state, or cut.
    #[error("partition {partition} of {topic} ends at offset {end}; the table continues at {position}")]
    PositionPastEnd {
        /// Topic of the job.
        topic: String,
        /// Partition.
        partition: i32,
        /// Position of the table.
        position: i64,
        /// End of the partition.
        end: i64,
    },
    /// The log was cut below the position, and written again.
    #[error(
        "partition {partition} of {topic} was cut at offset {cut} and written again; the table continues at \
         {position}: offsets {cut} to {position} now name messages that it does not hold"
    )]
    PositionTruncated {
        /// Topic of the job.
        topic: String,
        /// Partition.
        partition: i32,
        /// Position of the table.
        position: i64,
        /// First offset that is not what was read.
        cut: i64,
    },
    /// A thread of the job ended without saying why.
    #[error("the {0} thread of the job ended unexpectedly")]
    ThreadLost(&'static str),
    /// Contract or columns.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// Store, table or commit.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl StreamError {
    /// Stable identifier, one entry each in the error reference.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::SpecInvalid(_) => "spec-invalid",
            Self::SourceUnreachable { .. } => "source-unreachable",
            Self::SourceRefused { .. } => "source-refused",
            Self::TopicMissing { .. } => "topic-missing",
            Self::PositionUnknown { .. } => "position-unknown",
            Self::PositionTruncated { .. } => "position-truncated",
            Self::SourceReplaced { .. } => "source-replaced",
            Self::PositionDeleted { .. } => "position-deleted",
            Self::PositionPastEnd { .. } => "position-past-end",
            Self::ThreadLost(_) => "thread-lost",
            Self::Core(e) => e.code(),
            Self::Lake(e) => e.code(),
            Self::Journal(e) => e.code(),
        }
    }

    /// Whether starting again may help without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::SourceUnreachable { .. } | Self::ThreadLost(_) => true,
            Self::Lake(e) => e.is_retryable(),
            // A failed sync ends the process; the next one finds out what the disk holds.
            Self::Journal(e) => e.is_retryable() || e.is_fatal(),
            _ => false,
        }
    }

    /// The next step for the reader.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::SourceUnreachable { .. } => {
                "`neuralake status` shows whether the broker runs; `neuralake up` starts it."
            }
            Self::TopicMissing { .. } => {
                "lab.ingest(…) makes it; a topic that was deleted does not come back by itself."
            }
            Self::PositionUnknown { .. } => {
                "Bring the table back, or choose: lab.ingest(…, on_missing=\"earliest\") reads everything that is held, \
                 on_missing=\"latest\" what comes from now on."
            }
            Self::SourceReplaced { .. } => {
                "Declare a new table for the new topic, or choose: lab.ingest(…, on_missing=\"earliest\") goes on with \
                 everything it holds, on_missing=\"latest\" with what comes from now on; what was read stays."
            }
            Self::PositionDeleted { .. } => {
                "The broker deleted them by its retention. Restore the topic, or choose: \
                 lab.ingest(…, on_missing=\"earliest\") goes on with the first message held, on_missing=\"latest\" with \
                 the next one produced; the table records what was skipped."
            }
            Self::PositionPastEnd { .. } | Self::PositionTruncated { .. } => {
                "The topic lost its tail. Restore it, or choose: lab.ingest(…, on_missing=\"earliest\") goes on where \
                 the log went another way, on_missing=\"latest\" with the next message produced; what was read stays."
            }
            Self::Lake(e) => e.hint(),
            Self::Journal(e) => e.hint(),
            _ => "",
        }
    }
}

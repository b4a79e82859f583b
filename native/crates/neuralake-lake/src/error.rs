//! The one error type of this crate.

use thiserror::Error;

/// What can go wrong between a buffer and a table.
#[derive(Debug, Error)]
pub enum LakeError {
    /// The store's settings cannot be used.
    #[error("cannot use the store {uri}: {reason}")]
    StoreInvalid {
        /// Address of the store.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store did not answer, or answered with an error.
    #[error("cannot {action} {path}: {reason}")]
    StoreUnreachable {
        /// What was tried.
        action: &'static str,
        /// On which object.
        path: String,
        /// What the store said.
        reason: String,
    },
    /// The store does not keep the promises a commit stands on.
    #[error("the store {uri} failed the probe: {reason}")]
    StoreUnfit {
        /// Address of the store.
        uri: String,
        /// Which promise it broke.
        reason: String,
    },
    /// Bytes could not be made durable; the store refuses all further work in this process.
    #[error("cannot make {path} durable: {reason}")]
    Durability {
        /// File or directory.
        path: String,
        /// What the operating system said.
        reason: String,
    },
    /// The lake's disk is full.
    #[error("cannot write {path}: its disk is full")]
    DiskFull {
        /// File that found no room.
        path: String,
    },
    /// The table is not what the job expects.
    #[error("table {table}: {reason}")]
    TableMismatch {
        /// Address of the table.
        table: String,
        /// Difference found.
        reason: String,
    },
    /// A newer worker owns the table.
    #[error("cannot commit to {table}: this worker has epoch {own}, a newer one holds epoch {found}")]
    Fenced {
        /// Address of the table.
        table: String,
        /// Epoch of this worker.
        own: i64,
        /// Epoch in the table.
        found: i64,
    },
    /// A recorded position moved though the epoch is ours: two writers believe to be the same one.
    #[error("cannot commit to {table}: partition {partition} is recorded at {found}, this worker read from {expected}")]
    PositionMoved {
        /// Address of the table.
        table: String,
        /// Partition whose position moved, with its topic where the job has several.
        partition: String,
        /// Position this worker resumed from.
        expected: i64,
        /// Position in the table; -1 for none.
        found: i64,
    },
    /// Whether the commit landed could not be learned before the deadline.
    #[error("cannot tell whether version {version} of {table} landed after {waited_s} s: {reason}")]
    InDoubt {
        /// Address of the table.
        table: String,
        /// Version tried.
        version: u64,
        /// Seconds spent asking.
        waited_s: u64,
        /// Last answer of the store.
        reason: String,
    },
    /// Others kept winning until the deadline.
    #[error("cannot commit to {table}: other writers won every version for {waited_s} s")]
    Contended {
        /// Address of the table.
        table: String,
        /// Seconds spent trying.
        waited_s: u64,
    },
    /// The Delta log cannot be read or written.
    #[error("table {table}: {reason}")]
    Log {
        /// Address of the table.
        table: String,
        /// What the log reader or writer said.
        reason: String,
    },
    /// Rows could not be encoded as Parquet.
    #[error("cannot encode rows as Parquet: {0}")]
    Encode(String),
}

impl LakeError {
    /// Stable identifier, one entry each in the error reference.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::StoreInvalid { .. } => "store-invalid",
            Self::StoreUnreachable { .. } => "store-unreachable",
            Self::StoreUnfit { .. } => "store-unfit",
            Self::Durability { .. } => "durability",
            Self::DiskFull { .. } => "disk-full",
            Self::TableMismatch { .. } => "table-mismatch",
            Self::Fenced { .. } => "fenced",
            Self::PositionMoved { .. } => "position-moved",
            Self::InDoubt { .. } => "commit-in-doubt",
            Self::Contended { .. } => "commit-contended",
            Self::Log { .. } => "log",
            Self::Encode(_) => "encode",
        }
    }

    /// Whether the same work may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::StoreUnreachable { .. }
                | Self::InDoubt { .. }
                | Self::Contended { .. }
                | Self::Durability { .. }
                | Self::DiskFull { .. }
        )
    }

    /// What a disk of ours said, anywhere in a chain of causes, whoever wrapped it: a failed fsync, on which the
    /// process must end, or a full disk.
    pub(crate) fn said_by_disk(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(said) = cause {
            match said.downcast_ref::<Self>() {
                Some(Self::Durability { path, reason }) => {
                    return Some(Self::Durability { path: path.clone(), reason: reason.clone() });
                }
                Some(Self::DiskFull { path }) => return Some(Self::DiskFull { path: path.clone() }),
                _ => {}
            }
            cause = said.source();
        }
        None
    }

    /// The next step for the reader; empty where the message says it all.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::StoreInvalid { .. } => "`neuralake settings` shows where each value comes from.",
            Self::StoreUnreachable { .. } => {
                "`neuralake status` shows whether the store runs; `neuralake up` starts it."
            }
            Self::StoreUnfit { .. } => {
                "Keep the lake on a local disk with hard links, or on a store with conditional puts."
            }
            Self::DiskFull { .. } => "Free some space on that disk; the job goes on by itself.",
            Self::Durability { .. } => "Check the disk; the worker starts again from what is known to be safe.",
            Self::TableMismatch { .. } => "Do what each line says, or declare a table of another name.",
            Self::Fenced { .. } => "Two workbenches open this lake; `neuralake status` names them, stop one.",
            Self::PositionMoved { .. } => "Stop every writer of this table, then start one.",
            Self::InDoubt { .. } => "The worker starts again and reads what the log holds.",
            Self::Contended { .. } => "Another program commits to this table without pause; stop it.",
            Self::Log { .. } | Self::Encode(_) => "",
        }
    }
}

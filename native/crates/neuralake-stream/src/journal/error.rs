//! What can go wrong in a journal, each with a code that never changes.

use std::io;
use std::path::{Path, PathBuf};

/// Result of a journal operation.
pub type Result<T> = std::result::Result<T, JournalError>;

/// Why a journal operation failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The topic name breaks Kafka's rules.
    #[error("topic name {topic:?} is not valid: 1 to 249 of a-z A-Z 0-9 . _ - and neither \".\" nor \"..\"")]
    TopicInvalid {
        /// The name given.
        topic: String,
    },
    /// No topic of that name in this folder.
    #[error("there is no journal topic {topic:?} in {}", directory.display())]
    TopicMissing {
        /// The name given.
        topic: String,
        /// The journal's folder.
        directory: PathBuf,
    },
    /// The topic exists with another number of partitions, or the number asked for is zero.
    #[error("journal topic {topic:?} has {found} partitions, {wanted} were asked for")]
    PartitionsDiffer {
        /// The topic.
        topic: String,
        /// Partitions asked for.
        wanted: u32,
        /// Partitions the topic has; 0 when there is no topic yet.
        found: u32,
    },
    /// The topic has no such partition.
    #[error("journal topic {topic:?} has partitions 0 to {}, there is no {partition}", partitions.saturating_sub(1))]
    PartitionUnknown {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: u32,
        /// How many the topic has.
        partitions: u32,
    },
    /// Nobody of that name is registered.
    #[error("journal topic {topic:?} has no consumer {name:?}; registered: {}", listed(known))]
    ConsumerUnknown {
        /// The topic.
        topic: String,
        /// The name given.
        name: String,
        /// Who is registered.
        known: Vec<String>,
    },
    /// The topic was written by a format this build does not know.
    #[error("{} has journal format {found}, this build reads format {known}", file.display())]
    FormatUnknown {
        /// The topic's `topic.json`.
        file: PathBuf,
        /// Format found.
        found: u32,
        /// Format this build reads and writes.
        known: u32,
    },
    /// Another writer holds the partition.
    #[error("cannot write to journal topic {topic:?} partition {partition}: {holder} holds its lock")]
    Locked {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Who holds it, as far as the lock file tells.
        holder: String,
    },
    /// What was written and synced is not what is there.
    #[error("journal damaged: {} at byte {position}, offset {offset}: {found}", file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Byte position of the first frame that cannot be read.
        position: u64,
        /// Offset of the first message that cannot be read.
        offset: u64,
        /// What was found there.
        found: String,
    },
    /// The offset was held once and is no longer.
    #[error("offset {offset} of {} is below the first offset held, {first}", partition.display())]
    OffsetTrimmed {
        /// The partition's folder.
        partition: PathBuf,
        /// Offset asked for.
        offset: u64,
        /// Lowest offset held.
        first: u64,
    },
    /// The offset is past the end of what is synced.
    #[error("offset {offset} of {} is past the end, {next}", partition.display())]
    OffsetBeyondEnd {
        /// The partition's folder.
        partition: PathBuf,
        /// Offset asked for.
        offset: u64,
        /// The next offset a message will get, the highest one may read from.
        next: u64,
    },
    /// One message is larger than the journal carries.
    #[error("a message of {bytes} bytes is over the journal's limit of {limit}; nothing of its batch was kept")]
    MessageTooLarge {
        /// Bytes of key and value.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// fsync failed: what the disk holds is unknown, and the process must end.
    #[error("fsync of {} failed, what the disk holds is unknown: {source}", file.display())]
    SyncFailed {
        /// File or folder.
        file: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// An earlier failure left this writer without a known state.
    #[error("this writer of {} was stopped by an earlier failure", file.display())]
    WriterStopped {
        /// The segment it wrote to.
        file: PathBuf,
    },
    /// The system refused to read, write, create or lock a file.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        file: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl JournalError {
    /// Stable name of the error, kebab-case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TopicInvalid { .. } => "journal-topic-invalid",
            Self::TopicMissing { .. } => "journal-topic-missing",
            Self::PartitionsDiffer { .. } => "journal-partitions-differ",
            Self::PartitionUnknown { .. } => "journal-partition-unknown",
            Self::ConsumerUnknown { .. } => "journal-consumer-unknown",
            Self::FormatUnknown { .. } => "journal-format-unknown",
            Self::Locked { .. } => "journal-locked",
            Self::Damaged { .. } => "journal-damaged",
            Self::OffsetTrimmed { .. } => "journal-offset-trimmed",
            Self::OffsetBeyondEnd { .. } => "journal-offset-beyond-end",
            Self::MessageTooLarge { .. } => "journal-message-too-large",
            Self::SyncFailed { .. } => "journal-sync-failed",
            Self::WriterStopped { .. } => "journal-writer-stopped",
            Self::Io { .. } => "journal-io",
        }
    }

    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TopicInvalid { .. } => "choose another topic name",
            Self::TopicMissing { .. } => "create the topic first, or check the journal's folder",
            Self::PartitionsDiffer { .. } => "ask for the number it has (at least 1), or use another topic name",
            Self::PartitionUnknown { .. } => "use a partition the topic has",
            Self::ConsumerUnknown { .. } => "use the name of one that is registered",
            Self::FormatUnknown { .. } => "use the release that wrote this journal, or a newer one",
            Self::Locked { .. } => "one writer per partition: stop the other one, or write to another partition",
            Self::Damaged { .. } => "acknowledged messages are damaged: keep the files, check the disk, restore a copy",
            Self::OffsetTrimmed { .. } => {
                "the messages are gone: start from the first offset held if the gap is accepted"
            }
            Self::OffsetBeyondEnd { .. } => {
                "was the journal restored from an older copy? read from its end, or restore it"
            }
            Self::MessageTooLarge { .. } => "send the message in parts",
            Self::SyncFailed { .. } => "end this process, check the disk (dmesg, smartctl), then start again",
            Self::WriterStopped { .. } => "close this writer and open the partition again",
            Self::Io { .. } => "check free space, permissions and the disk",
        }
    }

    /// Whether the same call may succeed later without anybody changing the request.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        use io::ErrorKind::{Interrupted, QuotaExceeded, ResourceBusy, StorageFull, TimedOut, WouldBlock};
        match self {
            Self::Io { source, .. } => matches!(
                source.kind(),
                Interrupted | QuotaExceeded | ResourceBusy | StorageFull | TimedOut | WouldBlock
            ),
            _ => false,
        }
    }

    /// Whether the process must end: no later success could be believed.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::SyncFailed { .. })
    }

    /// The same again, for each of those who waited for what failed.
    pub(super) fn again(&self) -> Self {
        let copy = |source: &io::Error| {
            source
                .raw_os_error()
                .map_or_else(|| io::Error::new(source.kind(), source.to_string()), io::Error::from_raw_os_error)
        };
        match self {
            Self::SyncFailed { file, source } => Self::SyncFailed { file: file.clone(), source: copy(source) },
            Self::Io { action, file, source } => Self::Io { action, file: file.clone(), source: copy(source) },
            Self::Damaged { file, .. } | Self::WriterStopped { file } => Self::WriterStopped { file: file.clone() },
            _ => Self::WriterStopped { file: PathBuf::new() },
        }
    }

    pub(super) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_path_buf();
        move |source| Self::Io { action, file, source }
    }

    pub(super) fn sync(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_path_buf();
        move |source| Self::SyncFailed { file, source }
    }

    pub(super) fn damaged(file: &Path, position: u64, offset: u64, found: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_path_buf(), position, offset, found: found.into() }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

//! The journal: an ordered log of messages per topic and partition, on one machine.
//!
//! It is the broker of the embedded profile and the write-ahead log in front of sources that have none.
//!
//! **Guarantees.** An offset returned by [`Writer::append`] is on disk. A reader sees a message only after that, in any
//! process. Offsets are dense, begin at 0 and never name another message. Of a message that was acknowledged
//! nothing is ever dropped in silence: what does not match its checksum is [`JournalError::Damaged`].
//!
//! **On failure.** A killed writer leaves at most one torn frame, which the next lock holder cuts. A failed fsync is
//! [`JournalError::SyncFailed`]: the caller must end the process, and until it does the partition stays locked.
//!
//! **With a second writer.** One lock holder per partition; the second gets [`JournalError::Locked`].
//!
//! Layout and reasons: `docs/adr/0050-journal-format.md`.

mod disk;
mod error;
mod frame;
mod lock;
mod mark;
mod reader;
mod recovery;
mod segment;
mod topic;
mod writer;

#[cfg(test)]
mod tests;

pub use disk::{Disk, LocalDisk};
pub use error::{JournalError, Result};
pub use reader::{Message, Reader, watermarks};
pub use topic::Topic;
pub use writer::{MESSAGE_BYTES, Writer, WriterOptions};

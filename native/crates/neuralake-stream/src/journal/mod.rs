//! The journal: an ordered log of messages per topic and partition, on one machine.
//!
//! It is the broker of the embedded profile and the write-ahead log in front of sources that have none.
//!
//! **Guarantees.** An offset returned by [`Writer::append`] is on disk, unless the writer was opened to acknowledge
//! earlier ([`Acks`]). A reader sees a message only once it is on disk, in any process. Offsets are dense, begin at 0 and never name another message. Of a message that was acknowledged
//! nothing is ever dropped in silence: what does not match its checksum is [`JournalError::Damaged`].
//!
//! **On failure.** A killed writer leaves a torn frame at most, a power cut any of those not yet synced; the next lock
//! holder cuts from the first of them. A failed fsync is
//! [`JournalError::SyncFailed`]: the caller must end the process, and until it does the partition stays locked.
//!
//! **With a second writer.** One lock holder per partition; the second gets [`JournalError::Locked`].
//!
//! **What is kept.** Everything, until a topic's retention or a person says otherwise ([`trim`]); never less than what a
//! registered consumer has yet to read.
//!
//! Layout and reasons: `docs/adr/0050-journal-format.md` and `0051-journal-acks.md`.

mod acks;
mod background;
mod consumers;
mod disk;
mod error;
mod frame;
mod group;
mod lock;
mod mark;
mod reader;
mod recovery;
mod segment;
mod tail;
mod topic;
mod trim;
mod writer;

#[cfg(test)]
mod tests;

pub use acks::{Acks, AtRisk};
pub use consumers::{Consumer, advance, consumers, drop_consumer, register, retention, set_retention};
pub use disk::{Disk, LocalDisk};
pub use error::{JournalError, Result};
pub use reader::{Message, Reader, watermarks};
pub use topic::Topic;
pub use trim::{Asked, Retention, Trimmed, trim, trim_by_retention};
pub use writer::{MESSAGE_BYTES, Writer, WriterOptions};

//! The one writer of a partition, shared by the threads of its process.
//!
//! An append writes frames behind the end and is acknowledged as its mode says; consumers see what is synced and nothing
//! else, in every mode. (A process killed in an append may leave a part of the batch; it was never acknowledged.)

use std::fmt::{self, Debug, Formatter};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use neuralake_lake::Faults;

use super::acks::{Acks, AtRisk};
use super::background::Background;
use super::disk::{Disk, LocalDisk};
use super::error::{JournalError, Result};
use super::frame::Batch;
use super::group::Group;
use super::lock::{self, Lock};
use super::recovery::{Recovered, recover};
use super::tail::Tail;
use super::topic::Topic;

/// The largest message, key and value together.
pub const MESSAGE_BYTES: usize = 64 << 20;

/// How a writer cuts the log into files, and when it acknowledges.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// When an append counts as done.
    pub acks: Acks,
    /// How often what was acknowledged before its sync is synced.
    pub sync_every: Duration,
    /// Bytes that may wait in the queue of a writer that acknowledges at once; beyond them an append waits.
    pub queue_bytes: u64,
    /// An append that finds the segment this long begins a new one.
    pub segment_bytes: u64,
    /// Most bytes by which a segment's file is made longer ahead of its use; 0: none.
    pub room_bytes: u64,
    /// A batch over this size becomes several frames; readers hold one in memory.
    pub frame_bytes: usize,
    /// What writes and syncs; tests put their faults here.
    pub disk: Arc<dyn Disk>,
    /// Where a test ends the process.
    pub faults: Arc<Faults>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            acks: Acks::Durable,
            sync_every: Duration::from_millis(5),
            queue_bytes: 64 << 20,
            segment_bytes: 64 << 20,
            room_bytes: 16 << 20,
            frame_bytes: 8 << 20,
            disk: Arc::new(LocalDisk),
            faults: Arc::new(Faults::default()),
        }
    }
}

/// What a writer shares with its background thread.
struct Shared {
    tail: Mutex<Tail>,
    group: Group,
    background: Background,
}

/// Holds the lock of a partition and appends to it.
pub struct Writer {
    topic: Topic,
    partition: u32,
    acks: Acks,
    frame_bytes: usize,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Given up with the writer, unless a failed fsync makes it stay until the process ends.
    lock: Option<Lock>,
}

impl Debug for Writer {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let next_offset = self.next_offset();
        write!(formatter, "Writer({} partition {} next offset {next_offset})", self.topic.name(), self.partition)
    }
}

impl Writer {
    /// Take the partition's lock and recover what the last holder left.
    ///
    /// Waits while another process recovers, never for another writer.
    ///
    /// # Errors
    /// [`JournalError::Locked`], [`JournalError::PartitionUnknown`], [`JournalError::Damaged`],
    /// [`JournalError::SyncFailed`] (end the process), [`JournalError::Io`].
    pub fn open(topic: &Topic, partition: u32, options: WriterOptions) -> Result<Self> {
        let folder = topic.partition(partition)?;
        let recovery = Lock::recovery(&folder)?;
        let Some(lock) = Lock::writer(&folder)? else {
            let holder = lock::holder(&folder);
            return Err(JournalError::Locked { topic: topic.name().to_owned(), partition, holder });
        };
        let recovered = recover(topic, partition, options.disk.as_ref());
        drop(recovery);
        let Recovered { segment, path, mark, mark_file } = match recovered {
            Err(error) if error.is_fatal() => {
                lock.keep_until_exit();
                return Err(error);
            }
            recovered => recovered?,
        };
        let segment = (Arc::new(segment), path);
        let disk = Arc::clone(&options.disk);
        let limits = (options.segment_bytes, options.room_bytes);
        let tail = Tail::new(topic, partition, Arc::clone(&disk), limits, segment.clone(), mark);
        let shared = Arc::new(Shared {
            tail: Mutex::new(tail),
            group: Group::new(disk, options.faults, segment, mark_file, mark),
            background: Background::new(mark.next_offset, options.sync_every, options.queue_bytes),
        });
        let thread = (options.acks != Acks::Durable).then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.background.run(&shared.tail, &shared.group))
        });
        Ok(Self {
            topic: topic.clone(),
            partition,
            acks: options.acks,
            // A frame's length is a u32.
            frame_bytes: options.frame_bytes.min(MESSAGE_BYTES),
            shared,
            thread,
            lock: Some(lock),
        })
    }

    /// The offset the next message will get.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        match self.acks {
            Acks::None => self.shared.background.next_offset(),
            Acks::Buffered | Acks::Durable => self.shared.group.written().next_offset,
        }
    }

    /// What was acknowledged and is not on disk yet.
    #[must_use]
    pub fn at_risk(&self) -> AtRisk {
        // In this order: what is accepted meanwhile counts as at risk, and nothing counts below zero.
        let (published, written) = self.shared.group.totals();
        let (next_offset, bytes) = match self.acks {
            Acks::Durable => return AtRisk::default(),
            Acks::Buffered => (written.next_offset, written.bytes),
            Acks::None => (self.next_offset(), self.shared.background.accepted_bytes()),
        };
        AtRisk { messages: next_offset - published.next_offset, bytes: bytes - published.bytes }
    }

    /// Append values without keys; their offsets.
    ///
    /// # Errors
    /// As [`Writer::append_keyed`].
    pub fn append<'a, I>(&self, values: I, timestamp_us: i64) -> Result<Range<u64>>
    where
        I: IntoIterator<Item = &'a [u8]>,
    {
        self.append_keyed(values.into_iter().map(|value| (None, value)), timestamp_us)
    }

    /// Append messages (key, value); their offsets. With [`Acks::Durable`] they are on disk and visible on return.
    ///
    /// # Errors
    /// [`JournalError::MessageTooLarge`] and [`JournalError::Io`]: nothing was kept, the writer goes on unless the
    /// next call says [`JournalError::WriterStopped`]. [`JournalError::SyncFailed`]: end the process. In the modes that
    /// acknowledge early, an error may tell of earlier appends; then the writer has stopped.
    pub fn append_keyed<'a, I>(&self, messages: I, timestamp_us: i64) -> Result<Range<u64>>
    where
        I: IntoIterator<Item = (Option<&'a [u8]>, &'a [u8])>,
    {
        let Shared { group, background, .. } = &*self.shared;
        let mut batch = Batch::encode(messages, timestamp_us, self.frame_bytes, MESSAGE_BYTES)?;
        if self.acks == Acks::None {
            return background.push(batch, group);
        }
        let range = {
            let mut tail = self.tail();
            group.check()?;
            tail.write(&mut batch, group)?
        };
        match self.acks {
            Acks::Durable => group.sync(range.end)?,
            Acks::Buffered | Acks::None => background.ring(),
        }
        Ok(range)
    }

    /// Wait until all that was appended is on disk.
    ///
    /// # Errors
    /// What stopped the writer: [`JournalError::SyncFailed`] (end the process), [`JournalError::Io`].
    pub fn flush(&self) -> Result<()> {
        self.shared.group.sync(self.next_offset())
    }

    /// Flush, and give the lock back.
    ///
    /// # Errors
    /// As [`Writer::flush`]; the lock is given back in any case but a failed fsync.
    pub fn close(self) -> Result<()> {
        self.flush()
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.background.close();
        if let Some(thread) = self.thread.take() {
            // A panic of it has left nothing that a new holder of the lock would not recover.
            let _ = thread.join();
        }
        let Shared { group, .. } = &*self.shared;
        if group.has_failed_sync() {
            if let Some(lock) = self.lock.take() {
                lock.keep_until_exit();
            }
            return;
        }
        let (published, written) = group.totals();
        if published == written {
            // Room that stays behind is cut by the next holder.
            let _ = self.tail().give_back_room();
        }
    }
}

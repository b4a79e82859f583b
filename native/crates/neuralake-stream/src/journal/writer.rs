//! The one writer of a partition.
//!
//! An append writes frames behind the end, syncs each before the next, and publishes the new end last. If a write fails
//! before that, the log is cut back to where the append began: all of a batch is kept or nothing. (A process killed
//! in an append may leave a part of the batch; it was never acknowledged.)

use std::fmt::{self, Debug, Formatter};
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{Disk, LocalDisk};
use super::error::{JournalError, Result};
use super::frame::{FrameBuilder, Seed};
use super::lock::{self, Lock};
use super::mark::{Mark, MarkFile};
use super::recovery::{Recovered, create_segment, recover};
use super::topic::Topic;

/// The largest message, key and value together.
pub const MESSAGE_BYTES: usize = 64 << 20;

/// How a writer cuts the log into files.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// An append that finds the segment this long begins a new one.
    pub segment_bytes: u64,
    /// A batch over this size becomes several frames, each with its own fdatasync; readers hold one in memory.
    pub frame_bytes: usize,
    /// What writes and syncs; tests put their faults here.
    pub disk: Arc<dyn Disk>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, frame_bytes: 8 << 20, disk: Arc::new(LocalDisk) }
    }
}

/// Holds the lock of a partition and appends to it.
pub struct Writer {
    topic: Topic,
    partition: u32,
    options: WriterOptions,
    /// Given up with the writer; `None` once a failed fsync made it stay until the process ends.
    lock: Option<Lock>,
    is_stopped: bool,
    segment: File,
    path: PathBuf,
    seed: Seed,
    mark_file: MarkFile,
    /// What consumers see.
    published: Mark,
    /// The end of what is synced; ahead of `published` within an append only.
    synced: Mark,
    frame: FrameBuilder,
}

impl Debug for Writer {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let next_offset = self.published.next_offset;
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
    pub fn open(topic: &Topic, partition: u32, mut options: WriterOptions) -> Result<Self> {
        // A frame's length is a u32.
        options.frame_bytes = options.frame_bytes.min(MESSAGE_BYTES);
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
        Ok(Self {
            seed: Seed::new(topic.incarnation(), partition, mark.segment),
            topic: topic.clone(),
            partition,
            options,
            lock: Some(lock),
            is_stopped: false,
            segment,
            path,
            mark_file,
            published: mark,
            synced: mark,
            frame: FrameBuilder::new(),
        })
    }

    /// The offset the next message will get.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.published.next_offset
    }

    /// Append values without keys; their offsets. Durable, and visible to readers, on return.
    ///
    /// # Errors
    /// As [`Writer::append_keyed`].
    pub fn append<'a, I>(&mut self, values: I, timestamp_us: i64) -> Result<Range<u64>>
    where
        I: IntoIterator<Item = &'a [u8]>,
    {
        self.append_keyed(values.into_iter().map(|value| (None, value)), timestamp_us)
    }

    /// Append messages (key, value); their offsets. Durable, and visible to readers, on return.
    ///
    /// # Errors
    /// [`JournalError::MessageTooLarge`] and [`JournalError::Io`]: nothing was kept, the writer goes on unless the
    /// next call says [`JournalError::WriterStopped`]. [`JournalError::SyncFailed`]: end the process.
    pub fn append_keyed<'a, I>(&mut self, messages: I, timestamp_us: i64) -> Result<Range<u64>>
    where
        I: IntoIterator<Item = (Option<&'a [u8]>, &'a [u8])>,
    {
        if self.is_stopped {
            return Err(JournalError::WriterStopped { file: self.path.clone() });
        }
        let first = self.published.next_offset;
        match self.write_messages(messages, timestamp_us) {
            Ok(()) => self.publish()?,
            Err(error) => return Err(self.roll_back(error)),
        }
        Ok(first..self.published.next_offset)
    }

    /// Give the lock back.
    pub fn close(self) {}

    fn write_messages<'a, I>(&mut self, messages: I, timestamp_us: i64) -> Result<()>
    where
        I: IntoIterator<Item = (Option<&'a [u8]>, &'a [u8])>,
    {
        for (key, value) in messages {
            let bytes = key.map_or(0, <[u8]>::len).saturating_add(value.len());
            if bytes > MESSAGE_BYTES {
                return Err(JournalError::MessageTooLarge { bytes, limit: MESSAGE_BYTES });
            }
            if !self.frame.is_empty() && self.frame.bytes_with(bytes) > self.options.frame_bytes {
                self.write_frame(timestamp_us)?;
            }
            self.frame.push(key, value);
        }
        if self.frame.is_empty() { Ok(()) } else { self.write_frame(timestamp_us) }
    }

    fn write_frame(&mut self, timestamp_us: i64) -> Result<()> {
        // Between appends only: a batch that is cut back must not leave a segment behind.
        if self.synced == self.published && self.synced.position >= self.options.segment_bytes {
            self.roll()?;
        }
        let Mark { position, next_offset, .. } = self.synced;
        let messages = self.frame.messages();
        let bytes = self.frame.seal(self.seed, position, next_offset, timestamp_us);
        let end = position + bytes.len() as u64;
        self.options.disk.write_at(&self.segment, bytes, position).map_err(JournalError::io("write", &self.path))?;
        self.options.disk.sync_data(&self.segment).map_err(JournalError::sync(&self.path))?;
        self.synced.position = end;
        self.synced.next_offset = next_offset + u64::from(messages);
        self.frame.clear();
        Ok(())
    }

    fn roll(&mut self) -> Result<()> {
        let base = self.synced.next_offset;
        let folder = self.topic.partition_directory(self.partition);
        let (segment, path) = create_segment(&folder, base, self.options.disk.as_ref())?;
        self.segment = segment;
        self.path = path;
        self.seed = Seed::new(self.topic.incarnation(), self.partition, base);
        self.synced = Mark { segment: base, position: 0, next_offset: base };
        self.publish()?;
        self.mark_file.sync(self.options.disk.as_ref())
    }

    fn publish(&mut self) -> Result<()> {
        if self.synced != self.published {
            if let Err(error) = self.mark_file.write(self.synced, self.options.disk.as_ref()) {
                // What is synced cannot be taken back by halves; the next lock holder publishes it.
                self.is_stopped = true;
                return Err(error);
            }
            self.published = self.synced;
        }
        Ok(())
    }

    /// Take back what the failed append wrote; the error to report.
    fn roll_back(&mut self, error: JournalError) -> JournalError {
        self.frame.clear();
        if error.is_fatal() {
            return self.stop(error);
        }
        if self.is_stopped {
            return error;
        }
        let position = self.published.position;
        if self.segment.set_len(position).is_err() {
            self.is_stopped = true;
            return error;
        }
        // Durable, so that no frame taken back can come to light behind a later one.
        match self.options.disk.sync_all(&self.segment) {
            Ok(()) => {
                self.synced = self.published;
                error
            }
            Err(source) => self.stop(JournalError::sync(&self.path)(source)),
        }
    }

    fn stop(&mut self, error: JournalError) -> JournalError {
        self.is_stopped = true;
        if let Some(lock) = self.lock.take() {
            lock.keep_until_exit();
        }
        error
    }
}

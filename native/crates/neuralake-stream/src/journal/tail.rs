//! The end of a partition, where batches are written one after the other.
//!
//! All of a batch is kept or nothing: if a write fails, the file is cut back to where the batch began, durably, so that
//! no frame taken back can come to light behind a later one.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::Disk;
use super::error::{JournalError, Result};
use super::frame::{Batch, Seed};
use super::group::Group;
use super::mark::Mark;
use super::recovery::create_segment;
use super::topic::Topic;

/// The first room taken in a segment; each later one as much as is in use, up to the option's limit.
const FIRST_ROOM_BYTES: u64 = 1 << 20;

/// Writes to the last segment; whoever holds it is the only one.
#[derive(Debug)]
pub(super) struct Tail {
    topic: Topic,
    partition: u32,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    /// Most bytes of room taken ahead of the end at a time; 0 where that does not pay or is not possible.
    room_bytes: u64,
    segment: Arc<File>,
    path: PathBuf,
    seed: Seed,
    end: Mark,
    /// Length of the file.
    file_bytes: u64,
}

impl Tail {
    pub(super) fn new(
        topic: &Topic,
        partition: u32,
        disk: Arc<dyn Disk>,
        limits: (u64, u64),
        segment: (Arc<File>, PathBuf),
        end: Mark,
    ) -> Self {
        let (segment, path) = segment;
        let (segment_bytes, room_bytes) = limits;
        let seed = Seed::new(topic.incarnation(), partition, end.segment);
        let topic = topic.clone();
        Self { topic, partition, disk, segment_bytes, room_bytes, segment, path, seed, end, file_bytes: end.position }
    }

    /// Write a batch behind the end; its offsets. The system has it then, nobody sees it yet.
    pub(super) fn write(&mut self, batch: &mut Batch, group: &Group) -> Result<Range<u64>> {
        let first = self.end.next_offset;
        if batch.messages == 0 {
            return Ok(first..first);
        }
        // Between batches only: one that is cut back must not leave a segment behind.
        if self.end.position >= self.segment_bytes {
            self.roll(group)?;
        }
        let start = self.end;
        self.take_room(batch.bytes);
        let synced_to = group.published().position;
        for frame in &mut batch.frames {
            let Mark { position, next_offset, .. } = self.end;
            let bytes = frame.seal(self.seed, position, next_offset, synced_to);
            let length = bytes.len() as u64;
            if let Err(source) = self.disk.write_at(&self.segment, bytes, position) {
                let error = JournalError::io("write", &self.path)(source);
                return Err(self.cut_back(start, error, group));
            }
            self.end.position += length;
            self.end.next_offset += u64::from(frame.messages());
        }
        self.file_bytes = self.file_bytes.max(self.end.position);
        group.note_written(self.end, batch.bytes);
        Ok(first..self.end.next_offset)
    }

    /// Give back the room that was not used; what is written must be synced.
    pub(super) fn give_back_room(&mut self) -> Result<()> {
        if self.file_bytes > self.end.position {
            self.segment.set_len(self.end.position).map_err(JournalError::io("cut", &self.path))?;
            self.file_bytes = self.end.position;
        }
        Ok(())
    }

    /// Have room for a batch: zeros that are the file's already cost its sync no change of length.
    fn take_room(&mut self, bytes: u64) {
        let needed = self.end.position + bytes;
        if self.room_bytes == 0 || needed <= self.file_bytes {
            return;
        }
        let ahead = self.end.position.clamp(FIRST_ROOM_BYTES.min(self.room_bytes), self.room_bytes);
        let room = self.file_bytes..needed.saturating_add(ahead);
        match self.disk.allocate(&self.segment, room.clone()) {
            Ok(()) => self.file_bytes = room.end,
            // A file system that cannot, or a full disk, on which the write itself shall speak.
            Err(_) => self.room_bytes = 0,
        }
    }

    /// Begin a new segment; the old one is whole on disk before that, and has its exact length.
    fn roll(&mut self, group: &Group) -> Result<()> {
        group.sync(self.end.next_offset)?;
        let base = self.end.next_offset;
        let folder = self.topic.partition_directory(self.partition);
        let rolled = group.alone(|| {
            if self.file_bytes > self.end.position {
                self.give_back_room()?;
                self.disk.sync_all(&self.segment).map_err(JournalError::sync(&self.path))?;
            }
            create_segment(&folder, base, self.disk.as_ref())
        });
        let (segment, path) = rolled.map_err(|error| self.judge(error, group))?;
        self.segment = Arc::new(segment);
        self.path = path;
        self.seed = Seed::new(self.topic.incarnation(), self.partition, base);
        self.end = Mark { segment: base, position: 0, next_offset: base };
        self.file_bytes = 0;
        let followed = group.follow(Arc::clone(&self.segment), self.path.clone(), self.end);
        followed.map_err(|error| group.fail(error, true))
    }

    /// Take back what a failed batch wrote; the error to report.
    fn cut_back(&mut self, start: Mark, error: JournalError, group: &Group) -> JournalError {
        let cut = group.alone(|| {
            self.segment.set_len(start.position).map_err(JournalError::io("cut", &self.path))?;
            self.disk.sync_all(&self.segment).map_err(JournalError::sync(&self.path))
        });
        self.end = start;
        self.file_bytes = start.position;
        match cut {
            Ok(()) => error,
            Err(failed) if failed.is_fatal() => group.fail(failed, true),
            Err(_) => {
                group.fail(error.again(), true);
                error
            }
        }
    }

    /// A failed sync stops the writer; another failure is this batch's only.
    fn judge(&self, error: JournalError, group: &Group) -> JournalError {
        if error.is_fatal() { group.fail(error, true) } else { error }
    }
}

//! Readers of a partition: any number, in any process, none of which holds anything up.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::{JournalError, Result};
use super::frame::take_message;
use super::mark::{Mark, MarkFile};
use super::recovery::recover_if_abandoned;
use super::segment::{Frame, SegmentCursor, Step, list_segments, segment_path};
use super::topic::Topic;

/// One message, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its place in the partition.
    pub offset: u64,
    /// What the producer said, microseconds since 1970, UTC.
    pub timestamp_us: i64,
    /// Key, if it was given one.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: &'a [u8],
}

/// Reads a partition in order, as far as it is synced.
#[derive(Debug)]
pub struct Reader {
    topic: Topic,
    partition: u32,
    folder: PathBuf,
    mark_file: MarkFile,
    mark: Mark,
    cursor: SegmentCursor,
    /// Length of the cursor's segment, once the writer has gone on to another.
    sealed_bytes: Option<u64>,
    frame: Option<OpenFrame>,
    position: u64,
}

/// The frame being delivered.
#[derive(Debug)]
struct OpenFrame {
    /// Where it begins in the file.
    start: u64,
    timestamp_us: i64,
    next_offset: u64,
    /// What is left of its body in the cursor's buffer.
    rest: Range<usize>,
}

/// First offset held and next offset synced of a partition.
///
/// # Errors
/// [`JournalError::PartitionUnknown`], [`JournalError::Damaged`], [`JournalError::SyncFailed`],
/// [`JournalError::Io`].
pub fn watermarks(topic: &Topic, partition: u32) -> Result<(u64, u64)> {
    let folder = topic.partition(partition)?;
    recover_if_abandoned(topic, partition)?;
    let mark = read_mark(&mut open_mark(topic, partition)?, &folder)?;
    let first = list_segments(&folder)?.first().copied().unwrap_or(mark.segment);
    Ok((first, mark.next_offset))
}

impl Reader {
    /// Read from `from_offset` on; the end itself is allowed.
    ///
    /// What a dead writer left is recovered first, unless another one has done so.
    ///
    /// # Errors
    /// [`JournalError::OffsetTrimmed`], [`JournalError::OffsetBeyondEnd`], [`JournalError::PartitionUnknown`],
    /// [`JournalError::Damaged`], [`JournalError::SyncFailed`] (end the process), [`JournalError::Io`].
    pub fn open(topic: &Topic, partition: u32, from_offset: u64) -> Result<Self> {
        let folder = topic.partition(partition)?;
        recover_if_abandoned(topic, partition)?;
        let mut mark_file = open_mark(topic, partition)?;
        let mark = read_mark(&mut mark_file, &folder)?;
        let bases = list_segments(&folder)?;
        let first = bases.first().copied().unwrap_or(mark.segment);
        if from_offset < first {
            return Err(JournalError::OffsetTrimmed { partition: folder, offset: from_offset, first });
        }
        if from_offset > mark.next_offset {
            let next = mark.next_offset;
            return Err(JournalError::OffsetBeyondEnd { partition: folder, offset: from_offset, next });
        }
        let base = bases.into_iter().rev().find(|base| *base <= from_offset.min(mark.segment)).unwrap_or(first);
        let cursor = SegmentCursor::open(topic, partition, base)?;
        let topic = topic.clone();
        let mut reader =
            Self { topic, partition, folder, mark_file, mark, cursor, sealed_bytes: None, frame: None, position: 0 };
        reader.seek(from_offset)?;
        Ok(reader)
    }

    /// The offset of the next message to be delivered.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next offset synced, as of now.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], [`JournalError::Io`].
    pub fn end_offset(&mut self) -> Result<u64> {
        self.refresh()?;
        Ok(self.mark.next_offset)
    }

    /// Deliver what is synced, at most `max_messages` and (after the first) `max_bytes` of keys and values; how many.
    ///
    /// Returns at once; 0 means the end is reached. A message in front of an error is delivered, and the error comes
    /// with the next call.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], [`JournalError::OffsetTrimmed`], [`JournalError::Io`].
    pub fn poll<F>(&mut self, max_messages: usize, max_bytes: usize, deliver: &mut F) -> Result<usize>
    where
        F: FnMut(Message<'_>),
    {
        let mut left = Left { messages: max_messages, bytes: max_bytes, is_first: true };
        let mut delivered = 0;
        while left.messages > 0 {
            if self.frame.is_none() {
                match self.open_frame() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) if delivered > 0 => break,
                    Err(error) => return Err(error),
                }
            }
            match self.deliver_frame(&mut left, deliver) {
                Ok(0) => break,
                Ok(count) => delivered += count,
                Err(_) if delivered > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(delivered)
    }

    /// Deliver of the open frame what `left` allows; how many.
    fn deliver_frame<F>(&mut self, left: &mut Left, deliver: &mut F) -> Result<usize>
    where
        F: FnMut(Message<'_>),
    {
        let Some(frame) = &mut self.frame else { return Ok(0) };
        let mut body = self.cursor.bytes(frame.rest.clone());
        let mut position = self.position;
        let mut is_broken = false;
        while left.messages > 0 && position < frame.next_offset {
            let mut rest = body;
            let Some((key, value)) = take_message(&mut rest) else {
                is_broken = true;
                break;
            };
            if !left.take(key.map_or(0, <[u8]>::len) + value.len()) {
                break;
            }
            body = rest;
            deliver(Message { offset: position, timestamp_us: frame.timestamp_us, key, value });
            position += 1;
        }
        let count = (position - self.position) as usize;
        frame.rest.start = frame.rest.end - body.len();
        self.position = position;
        if position == frame.next_offset && frame.rest.is_empty() {
            self.frame = None;
        } else if (is_broken || position == frame.next_offset) && count == 0 {
            let found = "the messages do not fill the frame";
            return Err(JournalError::damaged(self.cursor.path(), frame.start, position, found));
        }
        Ok(count)
    }

    /// Have a frame to deliver; false at the end.
    fn open_frame(&mut self) -> Result<bool> {
        loop {
            let Some(bound) = self.bound()? else { return Ok(false) };
            match self.cursor.next_frame(bound)? {
                Step::Frame(Frame { header, position, body }) => {
                    let (timestamp_us, next_offset) = (header.timestamp_us, header.next_offset());
                    self.frame = Some(OpenFrame { start: position, timestamp_us, next_offset, rest: body });
                    return Ok(true);
                }
                Step::Invalid(found) => return Err(self.cursor.damaged(found)),
                Step::End => {}
            }
        }
    }

    /// Up to where the cursor's segment may be read, more than the cursor has read; `None` at the end of the log.
    fn bound(&mut self) -> Result<Option<u64>> {
        loop {
            let is_sealed = self.cursor.base() < self.mark.segment;
            // Sealed: the writer has gone on, so every byte of the file was synced.
            let bound = match self.sealed_bytes {
                Some(bytes) => bytes,
                None if is_sealed => *self.sealed_bytes.insert(self.cursor.file_bytes()?),
                None => self.mark.position,
            };
            if self.cursor.position() < bound {
                return Ok(Some(bound));
            }
            if is_sealed {
                self.next_segment()?;
                continue;
            }
            let before = self.mark;
            self.refresh()?;
            if self.mark == before {
                return Ok(None);
            }
        }
    }

    fn next_segment(&mut self) -> Result<()> {
        let base = self.cursor.next_offset();
        let path = segment_path(&self.folder, base);
        if base == self.cursor.base() || !path.exists() {
            let first = list_segments(&self.folder)?.first().copied().unwrap_or(self.mark.segment);
            return Err(if first > base {
                JournalError::OffsetTrimmed { partition: self.folder.clone(), offset: base, first }
            } else {
                JournalError::damaged(&path, 0, base, "the segment is missing")
            });
        }
        self.sealed_bytes = None;
        self.cursor.follow(SegmentCursor::open(&self.topic, self.partition, base)?);
        Ok(())
    }

    fn refresh(&mut self) -> Result<()> {
        let mark = read_mark(&mut self.mark_file, &self.folder)?;
        if mark.next_offset < self.mark.next_offset {
            let found = format!("it names offset {}, below {}", mark.next_offset, self.mark.next_offset);
            return Err(JournalError::damaged(self.mark_file.path(), 0, mark.next_offset, found));
        }
        self.mark = mark;
        Ok(())
    }

    /// Go to `offset`, which lies in the cursor's segment or at the end.
    fn seek(&mut self, offset: u64) -> Result<()> {
        let is_last = self.cursor.base() == self.mark.segment;
        let bound = if is_last { self.mark.position } else { self.cursor.file_bytes()? };
        if let Some(found) = self.cursor.skip_to(offset, bound)? {
            return Err(self.cursor.damaged(found));
        }
        self.position = self.cursor.next_offset();
        while self.position < offset {
            let mut left = Left { messages: (offset - self.position) as usize, bytes: usize::MAX, is_first: true };
            if self.frame.is_none() && !self.open_frame()? {
                return Err(self.cursor.damaged("the synced frames end before the offset"));
            }
            self.deliver_frame(&mut left, &mut |_| {})?;
        }
        Ok(())
    }
}

/// What a poll may still deliver.
struct Left {
    messages: usize,
    bytes: usize,
    is_first: bool,
}

impl Left {
    #[inline]
    fn take(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes && !self.is_first {
            return false;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.messages -= 1;
        self.is_first = false;
        true
    }
}

fn open_mark(topic: &Topic, partition: u32) -> Result<MarkFile> {
    let folder = topic.partition_directory(partition);
    MarkFile::open(topic, partition)?.ok_or_else(|| JournalError::damaged(&folder, 0, 0, "the synced mark is missing"))
}

/// The mark of a partition that was recovered, so there is one.
fn read_mark(mark_file: &mut MarkFile, folder: &Path) -> Result<Mark> {
    mark_file.read()?.ok_or_else(|| JournalError::damaged(folder, 0, 0, "the synced mark does not match its checksum"))
}

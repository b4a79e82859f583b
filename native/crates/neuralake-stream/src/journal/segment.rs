//! One segment file: its name, and a cursor that walks its frames and believes none without its checksum.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{JournalError, Result};
use super::frame::{HEADER_BYTES, Header, MAGIC, Seed};
use super::topic::Topic;

/// One read takes this much if the file has it, so that small frames cost no system call each.
const READ_BYTES: usize = 1 << 20;
const EXTENSION: &str = "seg";
const NAME_DIGITS: usize = 20;

/// The path of the segment that begins at offset `base`.
pub(super) fn segment_path(partition: &Path, base: u64) -> PathBuf {
    partition.join(format!("{base:0width$}.{EXTENSION}", width = NAME_DIGITS))
}

/// Base offsets of the segments of a partition, ascending.
pub(super) fn list_segments(partition: &Path) -> Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(partition).map_err(JournalError::io("list", partition))? {
        let name = entry.map_err(JournalError::io("list", partition))?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(EXTENSION)?.strip_suffix('.'));
        bases.extend(base.filter(|digits| digits.len() == NAME_DIGITS).and_then(|digits| digits.parse::<u64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// A frame in the cursor's buffer.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) header: Header,
    /// Where it begins in the file.
    pub(super) position: u64,
    /// Where its body stands in the buffer, until the next step.
    pub(super) body: Range<usize>,
}

/// One step of a cursor.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame that matches its checksums and follows the one before.
    Frame(Frame),
    /// The bound is reached, exactly between two frames.
    End,
    /// No such frame here; the cursor stays.
    Invalid(&'static str),
}

/// Walks the frames of one segment.
#[derive(Debug)]
pub(super) struct SegmentCursor {
    file: File,
    path: PathBuf,
    seed: Seed,
    base: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that holds unread bytes of the file; its start stands at `position`.
    unread: Range<usize>,
    position: u64,
    next_offset: u64,
}

impl SegmentCursor {
    pub(super) fn open(topic: &Topic, partition: u32, base: u64) -> Result<Self> {
        let path = segment_path(&topic.partition_directory(partition), base);
        let file = File::open(&path).map_err(JournalError::io("open", &path))?;
        let seed = Seed::new(topic.incarnation(), partition, base);
        Ok(Self { file, path, seed, base, buffer: Vec::new(), unread: 0..0, position: 0, next_offset: base })
    }

    /// Go on in the segment that begins where this one ended, with the same memory.
    pub(super) fn follow(&mut self, next: Self) {
        let buffer = std::mem::take(&mut self.buffer);
        *self = Self { buffer, ..next };
    }

    pub(super) fn base(&self) -> u64 {
        self.base
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The offset the next frame must begin with.
    pub(super) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    pub(super) fn file_bytes(&self) -> Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(JournalError::io("stat", &self.path))
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// The error that says the frame at the cursor cannot be read.
    pub(super) fn damaged(&self, found: impl Into<String>) -> JournalError {
        JournalError::damaged(&self.path, self.position, self.next_offset, found)
    }

    /// The next frame that ends at or before `bound`.
    pub(super) fn next_frame(&mut self, bound: u64) -> Result<Step> {
        let header = match self.header(bound)? {
            Ok(header) => header,
            Err(step) => return Ok(step),
        };
        let frame_bytes = header.frame_bytes() as usize;
        if !self.fill(frame_bytes, bound)? {
            return Ok(Step::Invalid("the file ends inside a frame"));
        }
        let body = self.unread.start + HEADER_BYTES..self.unread.start + frame_bytes;
        if !header.matches(&self.buffer[body.clone()]) {
            return Ok(Step::Invalid("the messages do not match their checksum"));
        }
        let position = self.position;
        self.step_over(&header);
        Ok(Step::Frame(Frame { header, position, body }))
    }

    /// Walk by headers alone to the frame that holds `offset`; `Some` if a frame on the way is not valid.
    pub(super) fn skip_to(&mut self, offset: u64, bound: u64) -> Result<Option<&'static str>> {
        while self.next_offset < offset {
            match self.header(bound)? {
                Ok(header) if header.next_offset() > offset => break,
                Ok(header) => self.step_over(&header),
                Err(Step::Invalid(found)) => return Ok(Some(found)),
                Err(_) => return Ok(Some("the synced frames end before the offset")),
            }
        }
        Ok(None)
    }

    /// Whether a frame behind the cursor and before `bound` was written when the bytes at the cursor were on disk.
    ///
    /// A header alone proves it: its checksum covers its place, and it says how far the file was synced then.
    pub(super) fn was_synced_here(&self, bound: u64) -> Result<bool> {
        let mut window = vec![0; READ_BYTES];
        let mut position = self.position + 1;
        while position < bound {
            let wanted = window.len().min((bound - position) as usize);
            let count = self.read_at(&mut window[..wanted], position)?;
            let bytes = &window[..count];
            for (index, _) in bytes.windows(MAGIC.len()).enumerate().filter(|(_, word)| *word == MAGIC) {
                let header = Header::decode(&bytes[index..], self.seed, position + index as u64);
                if header.is_some_and(|header| header.synced_to > self.position) {
                    return Ok(true);
                }
            }
            if count < HEADER_BYTES || position + count as u64 >= bound {
                break;
            }
            position += (count - HEADER_BYTES + 1) as u64;
        }
        Ok(false)
    }

    /// The bytes of the file in `range`.
    pub(super) fn read_range(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let count = self.read_at(&mut bytes, range.start)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn header(&mut self, bound: u64) -> Result<std::result::Result<Header, Step>> {
        let left = bound.saturating_sub(self.position);
        if left == 0 {
            return Ok(Err(Step::End));
        }
        if left < HEADER_BYTES as u64 || !self.fill(HEADER_BYTES, bound)? {
            return Ok(Err(Step::Invalid("the file ends inside a frame's header")));
        }
        let Some(header) = Header::decode(&self.buffer[self.unread.clone()], self.seed, self.position) else {
            return Ok(Err(Step::Invalid("no frame's header begins here")));
        };
        if header.first_offset != self.next_offset || header.messages == 0 {
            return Ok(Err(Step::Invalid("the frame does not follow the one before it")));
        }
        if header.frame_bytes() > left {
            return Ok(Err(Step::Invalid("the frame reaches past the end")));
        }
        Ok(Ok(header))
    }

    fn step_over(&mut self, header: &Header) {
        let frame_bytes = header.frame_bytes();
        self.position += frame_bytes;
        self.next_offset = header.next_offset();
        self.unread.start = self.unread.end.min(self.unread.start + frame_bytes as usize);
    }

    /// Have at least `need` unread bytes in the buffer; false if the file ends before.
    fn fill(&mut self, need: usize, bound: u64) -> Result<bool> {
        if self.unread.len() >= need {
            return Ok(true);
        }
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let wanted = need.max(READ_BYTES).min((bound - self.position) as usize);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let held = self.unread.end;
        let mut buffer = std::mem::take(&mut self.buffer);
        let count = self.read_at(&mut buffer[held..wanted], self.position + held as u64);
        self.buffer = buffer;
        self.unread.end += count?;
        Ok(self.unread.len() >= need)
    }

    /// Read until `bytes` is full or the file ends.
    fn read_at(&self, bytes: &mut [u8], position: u64) -> Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(JournalError::io("read", &self.path)(error)),
            }
        }
        Ok(filled)
    }
}

//! The `synced` file: how far consumers may read.
//!
//! The lock holder writes it after the fdatasync of what it names, so it never runs ahead of the disk. It need not be
//! durable itself: after a kill it is exact, after a power loss it may be old, and recovery moves it forward.
//!
//! Two slots are written in turn, each with its checksum and a sequence number: a reader that meets a half-written
//! slot takes the other. They stand in different sectors, so a power loss tears one at most.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::{JournalError, Result};
use super::frame::Seed;
use super::topic::Topic;

const NAME: &str = "synced";
const SLOT_BYTES: usize = 40;
const SLOT_STRIDE: usize = 512;
const FILE_BYTES: usize = SLOT_STRIDE + SLOT_BYTES;
const MAGIC: [u8; 4] = *b"NLS1";
/// Both slots can be in motion only when two appends end within one read; a few tries are plenty.
const READ_TRIES: usize = 16;
/// No segment has this base, so no frame shares a seed with the mark.
const SEED_FILE: u64 = u64::MAX;

/// The end of what is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Base offset of the last segment.
    pub(super) segment: u64,
    /// Synced bytes in it.
    pub(super) position: u64,
    /// Offset of the next message.
    pub(super) next_offset: u64,
}

/// The file that holds the mark of one partition.
#[derive(Debug)]
pub(super) struct MarkFile {
    file: File,
    path: PathBuf,
    seed: Seed,
    sequence: u64,
}

impl MarkFile {
    /// Open for reading; `None` if there is no mark yet.
    pub(super) fn open(topic: &Topic, partition: u32) -> Result<Option<Self>> {
        let path = topic.partition_directory(partition).join(NAME);
        match File::open(&path) {
            Ok(file) => Ok(Some(Self::new(file, path, topic, partition))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(JournalError::io("open", &path)(error)),
        }
    }

    /// Open for writing, by the lock holder; made if absent.
    pub(super) fn create(topic: &Topic, partition: u32) -> Result<Self> {
        let path = topic.partition_directory(partition).join(NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(JournalError::io("open", &path))?;
        Ok(Self::new(file, path, topic, partition))
    }

    fn new(file: File, path: PathBuf, topic: &Topic, partition: u32) -> Self {
        let seed = Seed::new(topic.incarnation(), partition, SEED_FILE);
        Self { file, path, seed, sequence: 0 }
    }

    /// The newest mark; `None` if no slot matches its checksum.
    pub(super) fn read(&mut self) -> Result<Option<Mark>> {
        for _ in 0..READ_TRIES {
            let mut bytes = [0; FILE_BYTES];
            self.read_into(&mut bytes)?;
            let slots = [self.decode(&bytes[..SLOT_BYTES], 0), self.decode(&bytes[SLOT_STRIDE..], 1)];
            if let Some((sequence, mark)) = slots.into_iter().flatten().max_by_key(|(sequence, _)| *sequence) {
                self.sequence = sequence;
                return Ok(Some(mark));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    /// Publish a mark, whose bytes are synced.
    pub(super) fn write(&mut self, mark: Mark, disk: &dyn Disk) -> Result<()> {
        let sequence = self.sequence + 1;
        let slot = sequence % 2;
        let mut bytes = [0; SLOT_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&mark.segment.to_le_bytes());
        bytes[24..32].copy_from_slice(&mark.position.to_le_bytes());
        bytes[32..40].copy_from_slice(&mark.next_offset.to_le_bytes());
        let crc = self.seed.checksum(slot, &bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        disk.write_at(&self.file, &bytes, slot * SLOT_STRIDE as u64).map_err(JournalError::io("write", &self.path))?;
        self.sequence = sequence;
        Ok(())
    }

    /// Make the mark itself durable: a floor below which recovery cuts nothing.
    pub(super) fn sync(&self, disk: &dyn Disk) -> Result<()> {
        disk.sync_data(&self.file).map_err(JournalError::sync(&self.path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn decode(&self, slot: &[u8], index: u64) -> Option<(u64, Mark)> {
        let number = |at: usize| slot.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        let crc = u32::from_le_bytes(*slot.get(4..)?.first_chunk::<4>()?);
        if slot.get(..4)? != MAGIC || crc != self.seed.checksum(index, slot.get(8..)?) {
            return None;
        }
        let mark = Mark { segment: number(16)?, position: number(24)?, next_offset: number(32)? };
        Some((number(8)?, mark))
    }

    /// Read as much as the file has; the rest stays zero.
    fn read_into(&self, bytes: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(JournalError::io("read", &self.path)(error)),
            }
        }
        Ok(())
    }
}

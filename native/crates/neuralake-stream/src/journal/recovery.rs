//! What a lock holder does before anything is written or served: find the end of the log and make it durable.
//!
//! Frames may wait for their sync together, so a power cut may leave any of those torn or missing, in any order. Each
//! frame says how far its file was synced when it was written; nothing below that, or below the mark, was in doubt.
//! Hence:
//!
//! - The log is walked from the segment that the mark names; without a mark, from its beginning.
//! - A place without a valid frame is cut off only if it is in the last segment, at or behind the mark, and no frame
//!   behind it says that it was synced. Anywhere else it is damage, an error, and nothing is changed.
//! - What is kept and was in doubt is written once more before the fsync: after an earlier fsync failed the system may
//!   hold its pages as clean, and a second fsync would say yes without writing them.
//! - Files and folders are fsynced, then the mark is published.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::disk::{Disk, LocalDisk, sync_directory};
use super::error::{JournalError, Result};
use super::lock::Lock;
use super::mark::{Mark, MarkFile};
use super::segment::{SegmentCursor, Step, list_segments, segment_path};
use super::topic::Topic;

/// A partition whose every byte is synced, ready to be written to.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segment: File,
    pub(super) path: PathBuf,
    pub(super) mark: Mark,
    pub(super) mark_file: MarkFile,
}

/// Create the file of a new segment, its name durable; an empty one left by a failed attempt is taken.
pub(super) fn create_segment(partition: &Path, base: u64, disk: &dyn Disk) -> Result<(File, PathBuf)> {
    let path = segment_path(partition, base);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(JournalError::io("create", &path))?;
    disk.sync_all(&file).map_err(JournalError::sync(&path))?;
    sync_directory(partition)?;
    Ok((file, path))
}

/// Recover a partition, as the holder of its lock. A second run changes nothing.
pub(super) fn recover(topic: &Topic, partition: u32, disk: &dyn Disk) -> Result<Recovered> {
    let folder = topic.partition_directory(partition);
    let mut mark_file = MarkFile::create(topic, partition)?;
    let floor = mark_file.read()?;
    let mut bases = list_segments(&folder)?;
    if bases.is_empty() && floor.is_none() {
        create_segment(&folder, 0, disk)?;
        bases.push(0);
    }
    let end = walk(topic, partition, &bases, floor)?;

    let path = end.path;
    let segment = OpenOptions::new().read(true).write(true).open(&path).map_err(JournalError::io("open", &path))?;
    if end.mark.position < end.file_bytes {
        segment.set_len(end.mark.position).map_err(JournalError::io("cut", &path))?;
    }
    if let Some((position, bytes)) = end.unconfirmed {
        disk.write_at(&segment, &bytes, position).map_err(JournalError::io("write", &path))?;
    }
    disk.sync_all(&segment).map_err(JournalError::sync(&path))?;
    topic.sync_directories()?;
    mark_file.write(end.mark, disk)?;
    mark_file.sync(disk)?;
    Ok(Recovered { segment, path, mark: end.mark, mark_file })
}

/// Recover if a lock holder died and nobody holds the lock now; called before a reader believes the mark.
pub(super) fn recover_if_abandoned(topic: &Topic, partition: u32) -> Result<()> {
    if is_mark_at_the_end(topic, partition)? {
        return Ok(());
    }
    let folder = topic.partition_directory(partition);
    let _recovery = Lock::recovery(&folder)?;
    // A live writer has recovered before it let go of the recovery lock, and publishes what it syncs.
    let Some(lock) = Lock::writer(&folder)? else { return Ok(()) };
    match recover(topic, partition, &LocalDisk) {
        Err(error) if error.is_fatal() => {
            lock.keep_until_exit();
            Err(error)
        }
        recovered => recovered.map(drop),
    }
}

fn is_mark_at_the_end(topic: &Topic, partition: u32) -> Result<bool> {
    let Some(mut mark_file) = MarkFile::open(topic, partition)? else { return Ok(false) };
    let Some(mark) = mark_file.read()? else { return Ok(false) };
    let folder = topic.partition_directory(partition);
    if list_segments(&folder)?.last() != Some(&mark.segment) {
        return Ok(false);
    }
    let path = segment_path(&folder, mark.segment);
    let metadata = path.metadata().map_err(JournalError::io("stat", &path))?;
    Ok(metadata.len() == mark.position)
}

/// Where the log ends.
struct End {
    mark: Mark,
    path: PathBuf,
    file_bytes: u64,
    /// The frames of which nothing says that their fsync succeeded, and their position.
    unconfirmed: Option<(u64, Vec<u8>)>,
}

fn walk(topic: &Topic, partition: u32, bases: &[u64], floor: Option<Mark>) -> Result<End> {
    let folder = topic.partition_directory(partition);
    let first = floor.map(|mark| mark.segment).or(bases.first().copied()).unwrap_or(0);
    let bases: Vec<u64> = bases.iter().copied().filter(|base| *base >= first).collect();
    let mut expected = first;
    let mut end = None;
    for (index, base) in bases.iter().enumerate() {
        if *base != expected {
            break;
        }
        let floor = floor.filter(|mark| mark.segment == *base);
        let found = walk_segment(SegmentCursor::open(topic, partition, *base)?, floor, index + 1 == bases.len())?;
        expected = found.mark.next_offset;
        end = Some((index, found));
    }
    match end {
        Some((index, end)) if index + 1 == bases.len() => Ok(end),
        _ => Err(JournalError::damaged(&segment_path(&folder, expected), 0, expected, "the segment is missing")),
    }
}

fn walk_segment(mut cursor: SegmentCursor, floor: Option<Mark>, is_last: bool) -> Result<End> {
    let file_bytes = cursor.file_bytes()?;
    let floor_position = floor.map_or(0, |mark| mark.position);
    if file_bytes < floor_position {
        let found = format!("the file has {file_bytes} bytes, {floor_position} were synced");
        return Err(JournalError::damaged(cursor.path(), file_bytes, cursor.next_offset(), found));
    }
    let mut confirmed = floor_position;
    let mut is_floor_met = floor.is_none_or(|mark| mark.position == 0 && mark.next_offset == cursor.base());
    let tail = loop {
        match cursor.next_frame(file_bytes)? {
            Step::Frame(frame) => confirmed = confirmed.max(frame.header.synced_to),
            Step::End => break None,
            Step::Invalid(found) => break Some(found),
        }
        is_floor_met |=
            floor.is_some_and(|mark| mark.position == cursor.position() && mark.next_offset == cursor.next_offset());
    };
    if let Some(found) = tail {
        let is_synced = cursor.position() < floor_position;
        if !is_last || is_synced || cursor.was_synced_here(file_bytes)? {
            return Err(cursor.damaged(found));
        }
    }
    if !is_floor_met {
        return Err(cursor.damaged("the synced mark names no boundary between two frames"));
    }
    let doubtful = confirmed..cursor.position();
    let unconfirmed = if doubtful.is_empty() { None } else { Some((confirmed, cursor.read_range(doubtful)?)) };
    let mark = Mark { segment: cursor.base(), position: cursor.position(), next_offset: cursor.next_offset() };
    Ok(End { mark, path: cursor.path().to_path_buf(), file_bytes, unconfirmed })
}

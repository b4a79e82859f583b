//! Whole segments deleted from the front of a partition, once nobody needs them.
//!
//! Never the last segment, and never one that holds a message at or above the lowest registered position. The oldest
//! goes first and its absence is durable before the next one goes, so a kill or a power cut leaves a log that begins
//! later, and no hole. The topic's incarnation and the offsets of what stays do not change.

use std::fs;
use std::time::UNIX_EPOCH;

use neuralake_lake::Faults;
use serde::{Deserialize, Serialize};

use super::consumers::OpenBook;
use super::disk::sync_directory;
use super::error::{JournalError, Result};
use super::mark::MarkFile;
use super::recovery::recover_if_abandoned;
use super::segment::{list_segments, segment_path};
use super::topic::Topic;

/// What may go. A segment goes when any of these says so; nothing that a registered consumer has yet to read ever does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// What every registered consumer has committed.
    #[serde(default)]
    pub committed: bool,
    /// What lies further back than this many bytes of the partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What was written longer ago than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
}

/// Who wants it trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A person, by the topic's name: also where nobody is registered.
    ByName,
    /// The topic's own retention.
    ByRetention,
}

/// What goes, or went, of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// Partition.
    pub partition: u32,
    /// Number of segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// First offset held before.
    pub first_before: u64,
    /// First offset held after.
    pub first_after: u64,
    bases: Vec<u64>,
}

/// Delete what the retention lets go; returns what went, partition by partition. With `is_dry` only says it.
///
/// # Errors
/// [`JournalError::Damaged`], [`JournalError::SyncFailed`] (end the process), [`JournalError::Io`].
pub fn trim(
    topic: &Topic,
    retention: Retention,
    asked: Asked,
    now_us: i64,
    is_dry: bool,
    faults: &Faults,
) -> Result<Vec<Trimmed>> {
    let open = OpenBook::open(topic)?;
    let mut done = Vec::new();
    for partition in 0..topic.partitions() {
        let lowest = match (open.book.lowest(partition), asked) {
            (Some(lowest), _) => lowest,
            (None, Asked::ByName) => u64::MAX,
            (None, Asked::ByRetention) => 0,
        };
        let has_consumer = !open.book.consumers.is_empty();
        let retention = Retention { committed: retention.committed && has_consumer, ..retention };
        let trimmed = plan(topic, partition, retention, lowest, now_us)?;
        if !is_dry {
            delete(topic, &trimmed, faults)?;
        }
        done.push(trimmed);
    }
    Ok(done)
}

/// Do what the topic's own retention says, if it says anything.
///
/// # Errors
/// As [`trim`].
pub fn trim_by_retention(topic: &Topic, now_us: i64, faults: &Faults) -> Result<Vec<Trimmed>> {
    match super::consumers::retention(topic)? {
        Some(retention) => trim(topic, retention, Asked::ByRetention, now_us, false, faults),
        None => Ok(Vec::new()),
    }
}

fn plan(topic: &Topic, partition: u32, retention: Retention, lowest: u64, now_us: i64) -> Result<Trimmed> {
    recover_if_abandoned(topic, partition)?;
    let folder = topic.partition(partition)?;
    let bases = list_segments(&folder)?;
    let last = match MarkFile::open(topic, partition)? {
        Some(mut file) => file.read()?.map(|mark| mark.segment),
        None => None,
    };
    let sizes = bases
        .iter()
        .map(|base| {
            let path = segment_path(&folder, *base);
            path.metadata().map_err(JournalError::io("stat", &path))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut behind: u64 = sizes.iter().map(fs::Metadata::len).sum();
    let first_before = bases.first().copied().unwrap_or(0);
    let mut trimmed =
        Trimmed { partition, segments: 0, bytes: 0, first_before, first_after: first_before, bases: Vec::new() };
    for (base, (metadata, next)) in bases.iter().zip(sizes.iter().zip(bases.iter().skip(1))) {
        let bytes = metadata.len();
        behind -= bytes;
        let written_us = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(i64::MAX, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let age_us = now_us.saturating_sub(written_us);
        let is_old = retention
            .age_s
            .is_some_and(|age| age_us > i64::try_from(age).unwrap_or(i64::MAX).saturating_mul(1_000_000));
        let is_far_back = retention.bytes.is_some_and(|kept| behind >= kept);
        let may_go = retention.committed || is_old || is_far_back;
        // Sealed: the mark has gone on, so nobody writes or recovers it any more.
        if !may_go || *next > lowest || last.is_none_or(|last| *base >= last) {
            break;
        }
        trimmed.segments += 1;
        trimmed.bytes += bytes;
        trimmed.first_after = *next;
        trimmed.bases.push(*base);
    }
    Ok(trimmed)
}

fn delete(topic: &Topic, trimmed: &Trimmed, faults: &Faults) -> Result<()> {
    let folder = topic.partition(trimmed.partition)?;
    for base in &trimmed.bases {
        let path = segment_path(&folder, *base);
        fs::remove_file(&path).map_err(JournalError::io("remove", &path))?;
        faults.pass("inside_journal_trim");
        sync_directory(&folder)?;
    }
    Ok(())
}

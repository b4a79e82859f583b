//! Rows on their way: flushes under way to the store and what waits behind them, with the version they stand on.
//!
//! A row is in the buffers, under way, or in a version at or below the one that stands here: it moves on under the
//! lock of the ring, so that a live read that holds the lock misses none. A row may be in the table already and under
//! way still; readers take each offset once, by position.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use neuralake_core::CoreError;
use neuralake_core::buffer::Waiting;

use super::reader::Basin;

/// Landed flushes that are kept for readers who have not opened the newest version yet.
const KEPT: usize = 2;
/// They are kept so long after the last live read.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// What is under way, oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    under_way: Mutex<UnderWay>,
}

#[derive(Debug)]
pub(super) struct UnderWay {
    /// Version that `landed` and what follows continues.
    floor: u64,
    landed: VecDeque<Landed>,
    flushes: VecDeque<Waiting>,
    asked_at: Option<Instant>,
    /// Most bytes that `landed` may hold.
    keep_bytes: usize,
}

/// A flush that is in the table, and the version that made it so.
#[derive(Debug)]
struct Landed {
    version: u64,
    flush: Waiting,
    bytes: usize,
}

/// What a live read gets.
pub(super) struct Tail {
    /// Version of the table that `waiting` continues; a reader needs that one or a later one.
    pub(super) version: u64,
    /// Newest version of the table that the worker knows of.
    pub(super) newest: u64,
    /// Rows beyond `version`.
    pub(super) waiting: Waiting,
}

impl Ring {
    /// Nothing under way beyond a version; at most `keep_bytes` of what lands are kept for readers.
    pub(super) fn new(version: u64, keep_bytes: usize) -> Self {
        let (landed, flushes) = (VecDeque::new(), VecDeque::new());
        Self { under_way: Mutex::new(UnderWay { floor: version, landed, flushes, asked_at: None, keep_bytes }) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything beyond the version that the reader has, if so much is kept, else beyond the newest one.
    pub(super) fn tail(&self, basins: &[Basin], has: Option<u64>) -> Result<Tail, CoreError> {
        let mut under_way = self.lock();
        under_way.asked_at = Some(Instant::now());
        let newest = under_way.newest();
        let version = has.filter(|has| (under_way.floor..newest).contains(has)).unwrap_or(newest);
        let mut waiting = Waiting::default();
        for landed in under_way.landed.iter().filter(|landed| landed.version > version) {
            waiting.extend(landed.flush.clone());
        }
        for flush in &under_way.flushes {
            waiting.extend(flush.clone());
        }
        for basin in basins {
            waiting.extend(basin.lock().buffer.waiting()?);
        }
        Ok(Tail { version, newest, waiting })
    }
}

impl UnderWay {
    /// A flush has left the buffers.
    pub(super) fn depart(&mut self, flush: Waiting) {
        self.flushes.push_back(flush);
    }

    /// The oldest flush is in the table. Returns the bytes that are free by it: a flush that readers may still want
    /// is not.
    pub(super) fn land(&mut self, version: u64, bytes: usize) -> usize {
        if let Some(flush) = self.flushes.pop_front() {
            self.landed.push_back(Landed { version, flush, bytes });
        }
        let is_read = self.asked_at.is_some_and(|asked_at| asked_at.elapsed() < ASKED_WITHIN);
        let mut freed = 0;
        while let Some(oldest) = self.landed.front() {
            let held: usize = self.landed.iter().map(|landed| landed.bytes).sum();
            if is_read && self.landed.len() <= KEPT && held <= self.keep_bytes {
                break;
            }
            (self.floor, freed) = (oldest.version, freed + oldest.bytes);
            self.landed.pop_front();
        }
        freed
    }

    fn newest(&self) -> u64 {
        self.landed.back().map_or(self.floor, |landed| landed.version)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use neuralake_core::position::{Offset, Partition, Span};

    use super::*;

    /// A flush of partition 0, from an offset to another.
    fn flush(from: i64, to: i64) -> Waiting {
        let span = Span { from: Offset(from), to: Offset(to) };
        Waiting { spans: BTreeMap::from([(Partition::new(0), span)]), ..Waiting::default() }
    }

    /// Version that an answer continues, and the offsets it covers.
    fn seen(ring: &Ring, has: Option<u64>) -> (u64, Option<(i64, i64)>) {
        let tail = ring.tail(&[], has).unwrap();
        (tail.version, tail.waiting.spans.get(&Partition::new(0)).map(|span| (span.from.0, span.to.0)))
    }

    /// Three flushes in versions 5, 6 and 8, of ten messages and ten bytes each, and a fourth under way.
    fn filled(keep_bytes: usize) -> (Ring, Vec<usize>) {
        let ring = Ring::new(4, keep_bytes);
        assert_eq!(seen(&ring, None), (4, None), "asked once, so that what lands is kept");
        let freed = [(0, 5), (10, 6), (20, 8)].map(|(from, version)| {
            ring.lock().depart(flush(from, from + 10));
            ring.lock().land(version, 10)
        });
        ring.lock().depart(flush(30, 40));
        (ring, freed.to_vec())
    }

    #[test]
    fn a_reader_gets_everything_beyond_the_version_it_has() {
        let (ring, freed) = filled(100);
        assert_eq!(seen(&ring, Some(5)), (5, Some((10, 40))));
        assert_eq!(seen(&ring, Some(6)), (6, Some((20, 40))));
        assert_eq!(seen(&ring, Some(7)), (7, Some((20, 40))), "a version that another wrote");
        assert_eq!(seen(&ring, Some(8)), (8, Some((30, 40))));
        assert_eq!(freed, [0, 0, 10]);
    }

    #[test]
    fn a_reader_too_far_behind_is_told_of_the_newest_version() {
        let (ring, _) = filled(100);
        assert_eq!(seen(&ring, Some(4)), (8, Some((30, 40))), "the flush of version 5 is no longer kept");
        assert_eq!(seen(&ring, None), (8, Some((30, 40))));
    }

    #[test]
    fn what_is_kept_stays_within_its_bytes() {
        let (ring, freed) = filled(15);
        assert_eq!(freed, [0, 10, 10]);
        assert_eq!(seen(&ring, Some(5)), (8, Some((30, 40))));
    }

    #[test]
    fn nothing_is_kept_where_nobody_reads() {
        let ring = Ring::new(4, 100);
        ring.lock().depart(flush(0, 10));
        assert_eq!(ring.lock().land(5, 10), 10);
        assert_eq!(seen(&ring, Some(4)), (5, None));
    }
}

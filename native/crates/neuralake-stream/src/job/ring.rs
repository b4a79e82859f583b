//! Rows on their way: flushes under way to the store and what waits behind them, with the version they stand on.
//!
//! A row is in the buffers, under way, or in a version at or below the one that stands here: it moves on under the
//! lock of the ring, so that a live read that holds the lock misses none. A row may be in the table already and under
//! way still; readers take each offset once, by position.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use neuralake_core::CoreError;
use neuralake_core::buffer::Waiting;

use super::reader::Basin;

/// What is under way, oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    under_way: Mutex<UnderWay>,
}

#[derive(Debug)]
pub(super) struct UnderWay {
    version: u64,
    flushes: VecDeque<Waiting>,
}

/// What a live read gets.
pub(super) struct Tail {
    /// Version of the table that `waiting` continues; a reader needs that one or a later one.
    pub(super) version: u64,
    /// Rows beyond it.
    pub(super) waiting: Waiting,
}

impl Ring {
    pub(super) fn new(version: u64) -> Self {
        Self { under_way: Mutex::new(UnderWay { version, flushes: VecDeque::new() }) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything beyond the version that has landed.
    pub(super) fn tail(&self, basins: &[Basin]) -> Result<Tail, CoreError> {
        let under_way = self.lock();
        let mut waiting = Waiting::default();
        for flush in &under_way.flushes {
            waiting.extend(flush.clone());
        }
        for basin in basins {
            waiting.extend(basin.lock().buffer.waiting()?);
        }
        Ok(Tail { version: under_way.version, waiting })
    }
}

impl UnderWay {
    /// A flush has left the buffers.
    pub(super) fn depart(&mut self, flush: Waiting) {
        self.flushes.push_back(flush);
    }

    /// The oldest flush is in the table.
    pub(super) fn land(&mut self, version: u64) {
        self.flushes.pop_front();
        self.version = version;
    }
}

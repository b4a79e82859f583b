//! The reading threads of a job: each polls its lane and fills its own buffer.
//!
//! A reader whose job is full waits, and so stops asking its source for more: the source keeps what it has, within
//! its own bounds, and the poll for events goes on elsewhere.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use neuralake_core::CoreError;
use neuralake_core::buffer::{Flush, Intake};

use super::handle::Shared;
use super::spec::FlushPolicy;
use crate::StreamError;
use crate::source::Lane;

/// Longest wait for a message, so that a stop is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Messages taken between two looks at the clock.
const TURN_MESSAGES: usize = 4096;

/// What the readers of a job share: rows and bytes that wait, bytes under way to the store or kept for live reads, and
/// whether to go on.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) rows: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    pub(super) under_way_bytes: AtomicUsize,
    /// Whether readers are to end: the job stops, fails, or begins anew with other partitions.
    pub(super) is_closed: AtomicBool,
}

impl Level {
    /// Whether a flush is due for its size.
    pub(super) fn is_full(&self, policy: &FlushPolicy) -> bool {
        self.rows.load(Ordering::SeqCst) >= policy.max_rows || self.bytes.load(Ordering::SeqCst) >= policy.max_bytes
    }

    /// Whether nothing more may be taken in.
    fn is_over(&self, policy: &FlushPolicy) -> bool {
        let held = self.bytes.load(Ordering::SeqCst) + self.under_way_bytes.load(Ordering::SeqCst);
        self.is_full(policy) || held >= policy.budget_bytes
    }
}

/// A buffer between the reader that fills it and the job that takes it.
pub(super) struct Basin {
    filled: Mutex<Filled>,
}

/// What a reader has delivered since the last flush, and how its lane stands.
pub(super) struct Filled {
    pub(super) buffer: Intake,
    pub(super) is_at_end: bool,
    pub(super) lag: u64,
    rows: usize,
    bytes: usize,
}

impl Basin {
    pub(super) fn new(buffer: Intake) -> Self {
        Self { filled: Mutex::new(Filled { buffer, is_at_end: false, lag: 0, rows: 0, bytes: 0 }) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Filled> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filled {
    /// Take everything out as one flush.
    pub(super) fn take(&mut self, level: &Level) -> Result<Flush, CoreError> {
        let flush = self.buffer.take();
        self.tell(level);
        flush
    }

    /// Bring the job's level up to what this buffer holds now.
    fn tell(&mut self, level: &Level) {
        let (rows, bytes) = (self.buffer.len(), self.buffer.bytes());
        // Sums wrap as one: what is taken away was added before.
        level.rows.fetch_add(rows.wrapping_sub(self.rows), Ordering::SeqCst);
        level.bytes.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::SeqCst);
        (self.rows, self.bytes) = (rows, bytes);
    }
}

/// One reading thread.
pub(super) struct Reader<'a> {
    pub(super) shared: &'a Shared,
    pub(super) policy: FlushPolicy,
    pub(super) level: &'a Level,
    pub(super) basin: &'a Basin,
    pub(super) lane: Box<dyn Lane>,
    pub(super) waker: Thread,
}

impl Reader<'_> {
    /// Read until the job stops or the lane fails; the job is woken when there is something to do for it.
    pub(super) fn read(mut self) -> Result<(), StreamError> {
        let result = self.read_on();
        self.waker.unpark();
        result
    }

    fn read_on(&mut self) -> Result<(), StreamError> {
        while !self.level.is_closed.load(Ordering::SeqCst) {
            if self.level.is_over(&self.policy) || self.shared.is_disk_full.load(Ordering::SeqCst) {
                self.waker.unpark();
                std::thread::park_timeout(LOOK_EVERY);
                continue;
            }
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), StreamError> {
        let (mut arrived, mut bytes) = (None, 0);
        let delivered = self.lane.poll(LOOK_EVERY, TURN_MESSAGES, &mut |message| {
            // Both are had with the first message: the wait for it must hold up nobody, nor make it older.
            let (filled, now_us) = arrived.get_or_insert_with(|| (self.basin.lock(), self.shared.clock.now_us()));
            bytes += message.value.len() as u64;
            filled.buffer.push(message, *now_us);
        })?;
        let mut filled = arrived.map_or_else(|| self.basin.lock(), |(filled, _)| filled);
        filled.is_at_end = self.lane.is_at_end();
        filled.lag = self.lane.lag();
        if delivered == 0 {
            return Ok(());
        }
        filled.tell(self.level);
        self.shared.read_cpu.count_this_thread();
        {
            // Before anybody can take them: what is offered is waiting, decoded or a dead letter at every moment.
            let mut report = self.shared.report();
            report.offered += delivered as u64;
            report.offered_bytes += bytes;
            report.buffered_messages += delivered as u64;
        }
        drop(filled);
        if self.level.is_full(&self.policy) {
            self.waker.unpark();
        }
        Ok(())
    }
}

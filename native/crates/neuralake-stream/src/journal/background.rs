//! What is acknowledged before it is on disk: the queue of a writer, and the thread that writes and syncs for it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::Result;
use super::frame::Batch;
use super::group::Group;
use super::tail::Tail;

#[derive(Debug)]
struct Desk {
    queue: VecDeque<Batch>,
    /// In the queue or being written.
    queued_bytes: u64,
    /// All that was ever accepted.
    accepted_bytes: u64,
    /// The offset the next message of the queue will get.
    next_offset: u64,
    has_written: bool,
    is_closing: bool,
}

/// Batches on their way, and the bell for the thread that sends them on.
#[derive(Debug)]
pub(super) struct Background {
    desk: Mutex<Desk>,
    bell: Condvar,
    room: Condvar,
    every: Duration,
    most_bytes: u64,
}

impl Background {
    pub(super) fn new(next_offset: u64, every: Duration, most_bytes: u64) -> Self {
        let desk = Desk {
            queue: VecDeque::new(),
            queued_bytes: 0,
            accepted_bytes: 0,
            next_offset,
            has_written: false,
            is_closing: false,
        };
        Self { desk: Mutex::new(desk), bell: Condvar::new(), room: Condvar::new(), every, most_bytes }
    }

    /// The offset the next message will get.
    pub(super) fn next_offset(&self) -> u64 {
        self.desk().next_offset
    }

    /// Bytes of all that was ever put into the queue.
    pub(super) fn accepted_bytes(&self) -> u64 {
        self.desk().accepted_bytes
    }

    /// Put a batch into the queue, waiting for room; its offsets.
    pub(super) fn push(&self, batch: Batch, group: &Group) -> Result<std::ops::Range<u64>> {
        let mut desk = self.desk();
        while desk.queued_bytes > self.most_bytes && !group.has_failed() {
            desk = self.room.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
        group.check()?;
        let first = desk.next_offset;
        desk.next_offset += batch.messages;
        desk.queued_bytes += batch.bytes;
        desk.accepted_bytes += batch.bytes;
        let range = first..desk.next_offset;
        desk.queue.push_back(batch);
        drop(desk);
        self.bell.notify_one();
        Ok(range)
    }

    /// There is something to sync.
    pub(super) fn ring(&self) {
        let mut desk = self.desk();
        if !desk.has_written {
            desk.has_written = true;
            drop(desk);
            self.bell.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.desk().is_closing = true;
        self.bell.notify_one();
    }

    /// The thread: write and sync what comes, at most once in `every`, until closed and empty or failed.
    pub(super) fn run(&self, tail: &Mutex<Tail>, group: &Group) {
        loop {
            let (batches, is_last) = self.wait_for_work();
            let started = Instant::now();
            if self.write(batches, tail, group).and_then(|()| group.sync(group.written().next_offset)).is_err()
                || is_last
            {
                // Whoever waits for room finds the failure.
                self.room.notify_all();
                return;
            }
            let left = self.every.saturating_sub(started.elapsed());
            let desk = self.desk();
            let _rested = self.bell.wait_timeout_while(desk, left, |desk| !desk.is_closing);
        }
    }

    fn wait_for_work(&self) -> (VecDeque<Batch>, bool) {
        let mut desk = self.desk();
        while desk.queue.is_empty() && !desk.has_written && !desk.is_closing {
            desk = self.bell.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
        desk.has_written = false;
        let batches = std::mem::take(&mut desk.queue);
        let is_last = desk.is_closing;
        (batches, is_last)
    }

    fn write(&self, batches: VecDeque<Batch>, tail: &Mutex<Tail>, group: &Group) -> Result<()> {
        for mut batch in batches {
            let written = tail.lock().unwrap_or_else(PoisonError::into_inner).write(&mut batch, group);
            if let Err(error) = written {
                // Its offsets were promised, and so were those behind it.
                return Err(group.fail(error, false));
            }
            self.desk().queued_bytes -= batch.bytes;
            self.room.notify_all();
        }
        Ok(())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The committing thread: flush after flush into files and commits, so that decoding goes on while the store answers.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::Thread;
use std::time::Instant;

use neuralake_core::position::{Offset, Partition};
use neuralake_lake::{LakeError, TableView as _, cpu};

use super::begin::Begun;
use super::flush::{Work, checkpoint, land};
use super::handle::Shared;
use super::memory::give_back;
use super::report::{State, note_positions, note_tables, seconds};
use super::ring::Ring;
use super::spec::JobSpec;
use crate::StreamError;

/// Where a landed flush has brought its partitions, and how many bytes are free by it.
pub(super) struct Landing {
    pub(super) positions: BTreeMap<Partition, Offset>,
    pub(super) freed: usize,
}

pub(super) type Answer = Result<Landing, StreamError>;

/// Lands flushes until the other side hangs up or one fails; `waker` is unparked after each.
pub(super) struct Committer<'a> {
    spec: &'a JobSpec,
    shared: &'a Shared,
    ring: &'a Ring,
    begun: Begun,
    waker: Thread,
    since_checkpoint: u64,
}

impl<'a> Committer<'a> {
    pub(super) fn new(spec: &'a JobSpec, shared: &'a Shared, ring: &'a Ring, begun: Begun, waker: Thread) -> Self {
        Self { spec, shared, ring, begun, waker, since_checkpoint: 0 }
    }

    /// Returns what it was given, for whoever goes on.
    pub(super) fn commit_all(mut self, work: &Receiver<Work>, answers: &SyncSender<Answer>) -> Begun {
        for work in work {
            let answer = self.commit(&work);
            let has_failed = answer.is_err();
            // The other side may be gone; then nobody asks.
            let _ = answers.send(answer);
            self.waker.unpark();
            if has_failed {
                break;
            }
        }
        self.begun
    }

    fn commit(&mut self, work: &Work) -> Answer {
        let (started, cpu_before, flush) = (Instant::now(), cpu::of_this_thread(), &work.flush);
        let landed = land(self.spec, &mut self.begun, work, &mut |trouble| {
            let mut report = self.shared.report();
            report.state = State::Paused;
            report.error = Some(trouble);
            !self.shared.is_stopping()
        })?;
        let freed = self.ring.lock().land(self.begun.main.version(), flush.bytes);
        let positions: BTreeMap<_, _> = flush.spans.iter().map(|(partition, span)| (*partition, span.to)).collect();
        {
            let mut report = self.shared.report();
            report.state = State::Running;
            report.error = None;
            report.commits += 1;
            report.files += landed.files;
            report.bytes += landed.bytes;
            report.committed_rows += flush.row_count() as u64;
            report.committed_messages += flush.messages;
            let now_us = self.shared.clock.now_us();
            report.last_commit_at = Some(seconds(now_us));
            report.ages.measure(&flush.rows, now_us);
            let used = cpu::of_this_thread().saturating_sub(cpu_before);
            report.cpu.encode_s += landed.encode_cpu.as_secs_f64();
            report.cpu.commit_s += used.saturating_sub(landed.encode_cpu).as_secs_f64();
            report.time_commit(started.elapsed());
            note_tables(&mut report, &self.begun);
            note_positions(&mut report, self.spec, &positions);
        }
        self.checkpoint_if_due()?;
        Ok(Landing { positions, freed })
    }

    fn checkpoint_if_due(&mut self) -> Result<(), StreamError> {
        self.since_checkpoint += 1;
        if self.since_checkpoint < self.spec.checkpoint_every {
            return Ok(());
        }
        match checkpoint(self.spec, &mut self.begun) {
            Ok(()) => {
                self.since_checkpoint = 0;
                // Nothing else takes as much for as short a time.
                give_back();
            }
            // The flush has landed; the next one tries again.
            Err(StreamError::Lake(LakeError::StoreUnreachable { .. } | LakeError::DiskFull { .. })) => {}
            Err(error) => return Err(error),
        }
        note_tables(&mut self.shared.report(), &self.begun);
        Ok(())
    }
}

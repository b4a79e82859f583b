//! The handle of a running job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use neuralake_lake::LakeError;
use neuralake_lake::cpu::CpuMeter;
use neuralake_lake::store::Gates;

use super::disk::DiskWatch;
use super::report::{Report, State, Trouble};
use super::run::run;
use super::spec::JobSpec;
use crate::StreamError;
use crate::clock::Clock;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As asked; everything delivered is committed.
    Stopped,
    /// A newer worker owns the table: do not start again.
    Fenced,
    /// An error that starting again will not mend.
    Fatal,
    /// An error that starting again may mend.
    Crashed,
}

/// What all threads of a job see.
pub(super) struct Shared {
    report: Mutex<Report>,
    is_stopping: AtomicBool,
    pub(super) clock: Arc<dyn Clock>,
    /// CPU time of the threads that read and decode.
    pub(super) read_cpu: CpuMeter,
    /// Whether a disk is so full that nothing more may be read.
    pub(super) is_disk_full: AtomicBool,
    gates: Arc<Gates>,
}

impl Shared {
    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Look at the disks, if it is time, and say what is found.
    pub(super) fn look_at(&self, disks: &mut DiskWatch) {
        if let Some(found) = disks.look(self.clock.now_us()) {
            self.is_disk_full.store(found.is_full, Ordering::SeqCst);
            self.report().disk = Some(found);
        }
    }

    /// Ask every thread to end; what is delivered is still committed.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }
}

/// A running job.
pub struct Job {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Job {
    /// Start a job; it takes its epoch in the background.
    #[must_use]
    pub fn start(spec: JobSpec, clock: Arc<dyn Clock>) -> Self {
        let report = Mutex::new(Report::new(&spec.job, &spec.topics, clock.now_us()));
        let shared = Arc::new(Shared {
            report,
            is_stopping: AtomicBool::new(false),
            clock,
            read_cpu: CpuMeter::default(),
            is_disk_full: AtomicBool::new(false),
            gates: Arc::clone(&spec.store.gates),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let result = run(&spec, &own);
            let mut report = own.report();
            report.state = match &result {
                Ok(()) => State::Stopped,
                Err(StreamError::Lake(LakeError::Fenced { .. })) => State::Fenced,
                Err(_) => State::Failed,
            };
            report.error = result.as_ref().err().map(Trouble::from);
        });
        Self { shared, thread: Mutex::new(Some(thread)) }
    }

    /// What it has done so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.shared.report().clone();
        report.cpu.read_s = self.shared.read_cpu.total().as_secs_f64();
        report.finished(self.shared.clock.now_us(), &self.shared.gates)
    }

    /// Ask it to commit what it has and end. May be called twice.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// How it ended, or `None` while it runs.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        let mut slot = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return None;
        }
        let has_panicked = slot.take().is_some_and(|thread| thread.join().is_err());
        if has_panicked {
            let mut report = self.shared.report();
            report.state = State::Failed;
            report.error = Some(Trouble::from(&StreamError::ThreadLost("main")));
        }
        let report = self.shared.report();
        Some(match (report.state, &report.error) {
            (State::Stopped, _) => Ending::Stopped,
            (State::Fenced, _) => Ending::Fenced,
            (_, Some(trouble)) if !trouble.retryable => Ending::Fatal,
            _ => Ending::Crashed,
        })
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.stop();
    }
}

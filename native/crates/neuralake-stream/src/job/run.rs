//! The two threads of a job and the handle that holds them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use neuralake_core::buffer::{Buffer, Flush};
use neuralake_core::position::{Offset, Partition};
use neuralake_lake::{Faults, LakeError};

use super::begin::{Begun, begin};
use super::flush::{checkpoint, land};
use super::report::{Report, State, Trouble, seconds};
use super::spec::JobSpec;
use crate::StreamError;
use crate::clock::Clock;
use crate::source::{self, Source};

/// Longest wait for a message, so that a stop and the age of a buffer are noticed.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Messages taken between two looks at the clock.
const TURN_MESSAGES: usize = 4096;

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

struct Shared {
    report: Mutex<Report>,
    is_stopping: AtomicBool,
    clock: Arc<dyn Clock>,
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
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
        let report = Mutex::new(Report::new(&spec.job, &spec.topic, clock.now_us()));
        let shared = Arc::new(Shared { report, is_stopping: AtomicBool::new(false), clock });
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
        let report = self.shared.report().clone();
        report.finished(self.shared.clock.now_us())
    }

    /// Ask it to commit what it has and end. May be called twice.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
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

type Answer = Result<BTreeMap<Partition, Offset>, StreamError>;

fn run(spec: &JobSpec, shared: &Arc<Shared>) -> Result<(), StreamError> {
    let faults = Arc::new(Faults::from_plan(spec.kill_plan.as_deref()));
    let opened = source::open(&spec.source, &spec.topic, &spec.job)?;
    let (mut source, incarnation) = (opened.source, opened.incarnation);
    let begun = begin(spec, source.as_mut(), &incarnation, &faults)?;
    source.start(&begun.positions)?;
    let buffer = Buffer::new(
        Arc::new(spec.contract.clone()),
        format!("{}@{incarnation}", spec.topic),
        spec.max_message_bytes,
        begun.positions.clone(),
    );
    {
        let mut report = shared.report();
        report.epoch = begun.epoch;
        report.state = State::Running;
        note_tables(&mut report, &begun);
        note_positions(&mut report, &begun.positions);
    }
    // One flush under way and one waiting: decoding never waits for the store longer than that, and memory is bounded.
    let (flushes, work) = sync_channel::<Flush>(1);
    let (answer, answers) = sync_channel::<Answer>(4);
    std::thread::scope(|scope| {
        scope.spawn(move || commit_all(spec, shared, begun, &work, &answer));
        Reader { spec, shared, source: source.as_mut(), buffer, flushes, answers, in_flight: 0 }.read()
    })
}

/// The committer: lands flushes until the reader hangs up or one fails.
fn commit_all(
    spec: &JobSpec,
    shared: &Arc<Shared>,
    mut begun: Begun,
    work: &Receiver<Flush>,
    answer: &SyncSender<Answer>,
) {
    let mut since_checkpoint = 0;
    for flush in work {
        let result = commit_one(spec, shared, &mut begun, &flush, &mut since_checkpoint);
        let has_failed = result.is_err();
        // The reader may be gone; then nobody asks.
        let _ = answer.send(result);
        if has_failed {
            return;
        }
    }
}

fn commit_one(
    spec: &JobSpec,
    shared: &Arc<Shared>,
    begun: &mut Begun,
    flush: &Flush,
    since_checkpoint: &mut u64,
) -> Answer {
    let started = Instant::now();
    let landed = land(spec, begun, flush, &mut |error| {
        let mut report = shared.report();
        report.state = State::Paused;
        report.error = Some(Trouble::from(error));
    })?;
    let positions: BTreeMap<_, _> = flush.spans.iter().map(|(partition, span)| (*partition, span.to)).collect();
    {
        let mut report = shared.report();
        report.state = State::Running;
        report.error = None;
        report.commits += 1;
        report.files += landed.files;
        report.bytes += landed.bytes;
        report.committed_rows += flush.row_count() as u64;
        report.committed_messages += flush.messages;
        report.last_commit_at = Some(seconds(shared.clock.now_us()));
        report.time_commit(started.elapsed());
        note_tables(&mut report, begun);
        note_positions(&mut report, &positions);
    }
    *since_checkpoint += 1;
    if *since_checkpoint >= spec.checkpoint_every {
        match checkpoint(spec, begun) {
            Ok(()) => *since_checkpoint = 0,
            // The flush has landed; the next one tries again.
            Err(StreamError::Lake(LakeError::StoreUnreachable { .. })) => {}
            Err(error) => return Err(error),
        }
        note_tables(&mut shared.report(), begun);
    }
    Ok(positions)
}

/// The reader's side of a job.
struct Reader<'a> {
    spec: &'a JobSpec,
    shared: &'a Arc<Shared>,
    source: &'a mut dyn Source,
    buffer: Buffer,
    flushes: SyncSender<Flush>,
    answers: Receiver<Answer>,
    in_flight: usize,
}

impl Reader<'_> {
    fn read(mut self) -> Result<(), StreamError> {
        while !self.shared.is_stopping() {
            let now_us = self.shared.clock.now_us();
            let wait = LOOK_EVERY.min(self.max_age());
            let (buffer, mut bytes) = (&mut self.buffer, 0);
            let delivered = self.source.poll(wait, TURN_MESSAGES, &mut |message| {
                bytes += message.value.len() as u64;
                buffer.push(message, now_us);
            })?;
            self.note_read(delivered as u64, bytes);
            self.take_answers()?;
            self.flush_if_due()?;
        }
        self.finish()
    }

    fn max_age(&self) -> Duration {
        Duration::from_millis(self.spec.flush.max_age_ms.max(1))
    }

    /// A full buffer waits for the committer; an old one only offers itself, and grows if the committer is busy.
    fn flush_if_due(&mut self) -> Result<(), StreamError> {
        let policy = &self.spec.flush;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let is_full = self.buffer.len() >= policy.max_rows || self.buffer.bytes() >= policy.max_bytes;
        let age_us = self.buffer.first_at_us().map_or(0, |first| self.shared.clock.now_us() - first);
        let limit_us = i64::try_from(policy.max_age_ms).unwrap_or(i64::MAX).saturating_mul(1000);
        // A clock that was set back makes the age negative: flush, rather than wait for it to catch up.
        let is_old = !(0..limit_us).contains(&age_us);
        if !is_full && (!is_old || self.in_flight > 0) {
            return Ok(());
        }
        self.send()
    }

    fn send(&mut self) -> Result<(), StreamError> {
        let mut flush = self.buffer.take()?;
        self.in_flight += 1;
        {
            let mut report = self.shared.report();
            report.rows += flush.row_count() as u64;
            report.quarantined_rows += flush.rejects.num_rows() as u64;
            report.dead_letters += flush.dead_letters;
            for (reason, count) in &flush.reasons {
                *report.reasons.entry(reason.clone()).or_default() += count;
            }
        }
        loop {
            match self.flushes.try_send(flush) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => flush = back,
                Err(TrySendError::Disconnected(_)) => return self.wait_answer(),
            }
            self.wait_answer()?;
        }
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        while self.in_flight > 0 {
            self.wait_answer()?;
        }
        self.note_read(0, 0);
        Ok(())
    }

    fn wait_answer(&mut self) -> Result<(), StreamError> {
        match self.answers.recv() {
            Ok(answer) => self.settle(answer),
            Err(_) => Err(StreamError::ThreadLost("committer")),
        }
    }

    fn take_answers(&mut self) -> Result<(), StreamError> {
        loop {
            match self.answers.try_recv() {
                Ok(answer) => self.settle(answer)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(StreamError::ThreadLost("committer")),
            }
        }
    }

    fn settle(&mut self, answer: Answer) -> Result<(), StreamError> {
        let positions = answer?;
        self.in_flight -= 1;
        self.source.note_committed(&positions);
        Ok(())
    }

    fn note_read(&mut self, delivered: u64, bytes: u64) {
        let trouble = if delivered == 0 { self.source.trouble() } else { None };
        let mut report = self.shared.report();
        report.offered += delivered;
        report.offered_bytes += bytes;
        report.buffered_rows = self.buffer.len() as u64;
        report.buffered_bytes = self.buffer.bytes() as u64;
        report.lag = self.source.lag();
        report.caught_up = self.source.is_at_end() && self.buffer.is_empty() && self.in_flight == 0;
        if self.in_flight == 0 {
            match trouble {
                Some(message) => {
                    report.caught_up = false;
                    report.state = State::Paused;
                    report.error = Some(Trouble {
                        code: "source-unreachable".to_owned(),
                        message: format!("waiting for topic {}: {message}", self.spec.topic),
                        hint: "`neuralake status` shows whether the broker runs.".to_owned(),
                        retryable: true,
                    });
                }
                _ => {
                    report.state = State::Running;
                    report.error = None;
                }
            }
        }
    }
}

fn note_tables(report: &mut Report, begun: &Begun) {
    use neuralake_lake::TableView as _;
    report.table_version = begun.main.version();
    report.quarantine_version = begun.quarantine.version();
}

fn note_positions(report: &mut Report, positions: &BTreeMap<Partition, Offset>) {
    report.positions.extend(positions.iter().map(|(partition, next)| (partition.to_string(), next.0)));
}

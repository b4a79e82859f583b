//! The course of a job: begin, let readers fill their buffers, send flushes to the committer, end in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

use neuralake_core::buffer::{Buffer, Flush, Homes, Intake, PacketBuffer, PacketSpec};
use neuralake_core::position::{Offset, Partition};
use neuralake_lake::{Faults, TableView as _};

use super::begin::{Begun, begin, columns};
use super::committer::{Answer, Committer};
use super::disk::{DiskWatch, LocalDisks};
use super::flush::Work;
use super::handle::Shared;
use super::live::{self, Live};
use super::reader::{Basin, Level, Reader};
use super::report::{State, Trouble, note_positions, note_tables};
use super::ring::Ring;
use super::spec::JobSpec;
use crate::StreamError;
use crate::source::{TopicLane, Topics};

/// Longest pause of the control loop: ages, events of the source and stops are noticed this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Landed flushes take at most this share of the budget, for readers one version behind.
const KEPT_SHARE: usize = 8;
/// Pause between two reports of what waits.
const NOTE_EVERY: Duration = Duration::from_millis(50);

pub(super) fn run(spec: &JobSpec, shared: &Shared) -> Result<(), StreamError> {
    let mut disks = DiskWatch::new(&spec.disk, Box::new(LocalDisks));
    shared.look_at(&mut disks);
    // Nothing is begun on a full disk: even an epoch is a file.
    while shared.is_disk_full.load(Ordering::SeqCst) {
        if shared.is_stopping() {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
        shared.look_at(&mut disks);
    }
    let faults = Arc::new(Faults::from_plan(spec.kill_plan.as_deref()));
    let mut topics = Topics::open(&spec.source, &spec.topics, &spec.job)?;
    let mut begun = begin(spec, &mut topics, &faults)?;
    shared.report().added_columns = begun.main.added().to_vec();
    while let (kept, Next::Grown) = read(spec, shared, &mut topics, &mut disks, begun)? {
        // All that was delivered is committed; fresh clients read on, at the positions of the table.
        topics = Topics::open(&spec.source, &spec.topics, &spec.job)?;
        begun = kept;
        begun.take_partitions(spec, &mut topics)?;
    }
    Ok(())
}

/// What follows when everything delivered is committed.
enum Next {
    /// The end, as asked.
    Stop,
    /// A topic has partitions that nobody reads yet.
    Grown,
}

/// Read from the places of `begun` until the job is stopped, fails, or a topic grows.
fn read(
    spec: &JobSpec,
    shared: &Shared,
    topics: &mut Topics,
    disks: &mut DiskWatch,
    begun: Begun,
) -> Result<(Begun, Next), StreamError> {
    let lanes = topics.start(&begun.places.places, spec.readers.max(1))?;
    let positions = begun.places.positions();
    let basins = basins(spec, &begun, &positions, lanes.iter().map(|lane| lane.topic))?;
    {
        let mut report = shared.report();
        report.epoch = begun.epoch;
        report.state = State::Running;
        note_tables(&mut report, &begun);
        note_positions(&mut report, spec, &positions);
        report.jumps.extend_from_slice(&begun.places.jumps);
    }
    let level = Level::default();
    let ring = Ring::new(begun.main.version(), spec.flush.budget_bytes / KEPT_SHARE);
    let live = Live {
        epoch: begun.epoch,
        topics: &spec.topics,
        ring: &ring,
        basins: &basins,
        schema: columns(spec).0,
        is_over: &|| level.is_closed.load(Ordering::SeqCst),
    };
    // Live reads are a service beside the job's work: it goes on without them, and its report names no socket then.
    let listener = spec.live_socket.as_deref().and_then(|path| live::listen(path).ok());
    shared.report().live_socket = listener.as_ref().and(spec.live_socket.clone());
    // One flush under way and one waiting: decoding never waits for the store longer than that, and memory is bounded.
    let (flushes, work) = sync_channel::<Work>(1);
    let (answer, answers) = sync_channel::<Answer>(4);
    let waker = std::thread::current();
    scope(|scope| {
        let committer = Committer::new(spec, shared, &ring, begun, waker.clone());
        let committing = scope.spawn(move || committer.commit_all(&work, &answer));
        let spawn = |(TopicLane { lane, .. }, basin): (TopicLane, _)| {
            let reader = Reader { shared, policy: spec.flush, level: &level, basin, lane, waker: waker.clone() };
            scope.spawn(move || reader.read())
        };
        let readers = lanes.into_iter().zip(&basins).map(spawn).collect();
        if let Some(listener) = &listener {
            scope.spawn(|| live.serve(listener));
        }
        let mut control = Control {
            spec,
            shared,
            topics,
            basins: &basins,
            ring: &ring,
            level: &level,
            disks,
            flushes,
            answers,
            in_flight: 0,
        };
        let result = control.steer(readers).map_err(|error| control.topics.explain(error));
        if result.is_err() {
            // A commit that waits for its source would hold up the end.
            shared.stop();
        }
        // Whatever ended it, readers and live reads end too, then the committer, for nobody sends any more.
        level.is_closed.store(true, Ordering::SeqCst);
        drop(control);
        if let (Some(path), Some(_)) = (&spec.live_socket, &listener) {
            live::wake(path);
        }
        let begun = committing.join().map_err(|_| StreamError::ThreadLost("committer"))?;
        result.map(|next| (begun, next))
    })
}

fn basins(
    spec: &JobSpec,
    begun: &Begun,
    positions: &BTreeMap<Partition, Offset>,
    topics: impl Iterator<Item = u16>,
) -> Result<Vec<Basin>, StreamError> {
    let contract = Arc::new(spec.contract.clone());
    let homes = begun.signals.as_ref().map(|signals| Arc::new(Homes::of(&signals.known))).unwrap_or_default();
    let intake = |topic: u16| -> Result<Intake, StreamError> {
        let (contract, source) = (Arc::clone(&contract), begun.places.sources[usize::from(topic)].clone());
        let most = spec.max_message_bytes;
        Ok(match spec.encoding.rows() {
            Some(encoding) => Intake::Rows(Box::new(Buffer::new(contract, encoding, source, most, positions.clone())?)),
            None => {
                let packets = PacketSpec {
                    table: spec.job.clone(),
                    topic: spec.topic(topic).to_owned(),
                    source,
                    max_message_bytes: most,
                    known: begun.signals.as_ref().map(|signals| signals.known.clone()).unwrap_or_default(),
                    homes: Arc::clone(&homes),
                };
                Intake::Packets(Box::new(PacketBuffer::new(packets, contract, positions.clone())))
            }
        })
    };
    topics.map(|topic| intake(topic).map(Basin::new)).collect()
}

/// Decides when to flush, and carries what the committer answers.
struct Control<'a> {
    spec: &'a JobSpec,
    shared: &'a Shared,
    topics: &'a mut Topics,
    basins: &'a [Basin],
    ring: &'a Ring,
    level: &'a Level,
    disks: &'a mut DiskWatch,
    flushes: SyncSender<Work>,
    answers: Receiver<Answer>,
    in_flight: usize,
}

type Readers<'scope> = Vec<ScopedJoinHandle<'scope, Result<(), StreamError>>>;

impl Control<'_> {
    fn steer(&mut self, readers: Readers<'_>) -> Result<Next, StreamError> {
        let mut noted = Instant::now();
        let mut next = Next::Stop;
        while !self.shared.is_stopping() && !readers.iter().any(ScopedJoinHandle::is_finished) {
            self.topics.listen()?;
            if self.topics.has_grown()? {
                next = Next::Grown;
                break;
            }
            self.take_answers()?;
            // Readers are woken only when there is room again: woken for nothing, they would wake this thread for nothing.
            if self.is_due() && self.flush()? {
                readers.iter().for_each(|reader| reader.thread().unpark());
            }
            if noted.elapsed() >= NOTE_EVERY {
                noted = Instant::now();
                self.note();
                self.shared.look_at(self.disks);
            }
            std::thread::park_timeout(LOOK_EVERY.min(Duration::from_millis(self.spec.flush.max_age_ms.max(1))));
        }
        self.level.is_closed.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.thread().unpark();
            reader.join().map_err(|_| StreamError::ThreadLost("reader"))??;
        }
        self.finish()?;
        Ok(next)
    }

    /// A full buffer waits for the committer; an old one only offers itself, and grows if the committer is busy.
    fn is_due(&self) -> bool {
        let policy = &self.spec.flush;
        if self.level.is_full(policy) {
            return true;
        }
        let Some(first_us) = self.basins.iter().filter_map(|basin| basin.lock().buffer.first_at_us()).min() else {
            return false;
        };
        let age_us = self.shared.clock.now_us() - first_us;
        let limit_us = i64::try_from(policy.max_age_ms).unwrap_or(i64::MAX).saturating_mul(1000);
        // A clock that was set back makes the age negative: flush, rather than wait for it to catch up.
        !(0..limit_us).contains(&age_us) && self.in_flight == 0
    }

    /// Send what waits to the committer, if it has room for it. Tells whether it had.
    fn flush(&mut self) -> Result<bool, StreamError> {
        if self.in_flight > 1 {
            return Ok(false);
        }
        let mut flush: Option<Flush> = None;
        let mut leader_epochs = BTreeMap::new();
        // Held until what leaves the buffers is under way: a live read sees it in one place or the other.
        let mut under_way = self.ring.lock();
        for basin in self.basins {
            let mut filled = basin.lock();
            if filled.buffer.is_empty() {
                continue;
            }
            let mut taken = filled.take(self.level)?;
            // While the buffer is held its lane delivers nothing: these are the epochs of the last messages in it.
            let mut epochs = self.topics.leader_epochs();
            drop(filled);
            epochs.retain(|partition, _| taken.spans.contains_key(partition));
            leader_epochs.extend(epochs);
            self.note_judged(&mut taken);
            flush = Some(match flush {
                Some(flush) => flush.join(taken)?,
                None => taken,
            });
        }
        let Some(flush) = flush else { return Ok(true) };
        under_way.depart(flush.waiting()?);
        drop(under_way);
        self.level.under_way_bytes.fetch_add(flush.bytes, Ordering::SeqCst);
        self.in_flight += 1;
        if self.flushes.send(Work { flush, leader_epochs }).is_err() {
            // The committer has ended; its last answer says why.
            self.wait_answer()?;
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        while self.in_flight > 1 {
            self.wait_answer()?;
        }
        self.flush()?;
        while self.in_flight > 0 {
            self.wait_answer()?;
        }
        self.note();
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
        let landing = answer?;
        self.in_flight -= 1;
        self.level.under_way_bytes.fetch_sub(landing.freed, Ordering::SeqCst);
        self.topics.note_committed(&landing.positions);
        Ok(())
    }

    fn note_judged(&self, flush: &mut Flush) {
        let mut report = self.shared.report();
        report.decoded += flush.messages - flush.dead_letters;
        report.buffered_messages -= flush.messages;
        report.rows += flush.row_count() as u64;
        report.quarantined_rows += flush.rejects.num_rows() as u64;
        report.dead_letters += flush.dead_letters;
        for (reason, count) in &flush.reasons {
            *report.reasons.entry(reason.clone()).or_default() += count;
        }
        for (rule, count) in &flush.warnings {
            *report.warnings.entry(rule.clone()).or_default() += count;
        }
        report.unknown_fields.merge(std::mem::take(&mut flush.unknown));
    }

    fn note(&self) {
        let (mut is_at_end, mut lag, mut is_empty) = (true, 0, true);
        for basin in self.basins {
            let filled = basin.lock();
            is_at_end &= filled.is_at_end;
            lag += filled.lag;
            is_empty &= filled.buffer.is_empty();
        }
        self.shared.read_cpu.count_this_thread();
        let trouble = self.topics.trouble();
        let mut report = self.shared.report();
        report.buffered_rows = self.level.rows.load(Ordering::SeqCst) as u64;
        report.buffered_bytes = self.level.bytes.load(Ordering::SeqCst) as u64;
        report.lag = if is_at_end { 0 } else { lag + self.topics.lag() };
        report.caught_up = is_at_end && is_empty && self.in_flight == 0 && trouble.is_none();
        if self.in_flight == 0 {
            report.state = if trouble.is_some() { State::Paused } else { State::Running };
            report.error = trouble.map(|(topic, message)| Trouble {
                code: "source-unreachable".to_owned(),
                message: format!("waiting for topic {}: {message}", self.spec.topic(topic)),
                hint: "`neuralake status` shows whether the broker runs.".to_owned(),
                retryable: true,
            });
        }
    }
}

//! What a job has done so far, as its handle and its views read it.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use neuralake_core::decode::UnknownFields;
use neuralake_core::position::{Offset, Partition};
use neuralake_lake::columns::AddedColumn;
use neuralake_lake::log::Jump;
use neuralake_lake::store::{Gates, OperationReport};
use neuralake_lake::{LakeError, TableView as _};
use serde::Serialize;

use super::begin::Begun;
use super::disk::DiskReport;
use super::metrics::{CpuReport, Freshness, FreshnessReport};
use super::spec::JobSpec;
use crate::StreamError;

/// Commits whose times are kept for the percentiles.
const KEPT_TIMES: usize = 512;

/// What a job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Taking its epoch and its positions.
    Starting,
    /// Reading and committing.
    Running,
    /// Waiting for a source or a store that is away.
    Paused,
    /// Stopped as asked, everything delivered is committed.
    Stopped,
    /// A newer worker owns the table.
    Fenced,
    /// Ended by an error.
    Failed,
}

/// An error, as far as it goes to people.
#[derive(Debug, Clone, Serialize)]
pub struct Trouble {
    /// Stable identifier.
    pub code: String,
    /// What was tried, found and expected.
    pub message: String,
    /// The next step.
    pub hint: String,
    /// Whether starting again may help.
    pub retryable: bool,
}

impl From<&StreamError> for Trouble {
    fn from(error: &StreamError) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            hint: error.hint().to_owned(),
            retryable: error.is_retryable(),
        }
    }
}

impl From<&LakeError> for Trouble {
    fn from(error: &LakeError) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            hint: error.hint().to_owned(),
            retryable: error.is_retryable(),
        }
    }
}

/// Counters of one life of a worker; positions and versions are those of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name of the job and of its table.
    pub job: String,
    /// Topics it reads.
    pub topics: Vec<String>,
    /// Epoch it committed at start; 0 before that.
    pub epoch: i64,
    /// What it is about.
    pub state: State,
    /// Messages delivered to it.
    pub offered: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Messages decoded into rows, up to the last flush taken.
    pub decoded: u64,
    /// Rows that held the contract, up to the last flush taken.
    pub rows: u64,
    /// Whole messages rejected.
    pub dead_letters: u64,
    /// Rows rejected, whole messages included.
    pub quarantined_rows: u64,
    /// How often each rule was broken.
    pub reasons: BTreeMap<String, u64>,
    /// How often rows in the table broke a rule that only warns.
    pub warnings: BTreeMap<String, u64>,
    /// Fields of its messages that no column takes.
    pub unknown_fields: UnknownFields,
    /// Messages waiting for their flush.
    pub buffered_messages: u64,
    /// Rows waiting for their flush.
    pub buffered_rows: u64,
    /// Bytes waiting for their flush.
    pub buffered_bytes: u64,
    /// Rows in the table by this worker.
    pub committed_rows: u64,
    /// Messages settled by this worker.
    pub committed_messages: u64,
    /// Commits it made.
    pub commits: u64,
    /// Data files it added.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Version of the table after its last commit.
    pub table_version: u64,
    /// Version of the quarantine after its last commit.
    pub quarantine_version: u64,
    /// Next offset of each partition, as committed; where there are several topics a partition is `topic/number`.
    pub positions: BTreeMap<String, i64>,
    /// Where this worker went on elsewhere than the table had stopped, by choice.
    pub jumps: Vec<Jump>,
    /// Columns that this worker added to its table when it began.
    pub added_columns: Vec<AddedColumn>,
    /// Whether the end was reached, with nothing left to commit.
    pub caught_up: bool,
    /// Messages known to wait in the source.
    pub lag: u64,
    /// Median time of a commit, files included, in ms.
    pub commit_p50_ms: Option<f64>,
    /// 99th percentile of the same.
    pub commit_p99_ms: Option<f64>,
    /// How old rows were when they became visible.
    pub freshness: FreshnessReport,
    /// What the work cost.
    pub cpu: CpuReport,
    /// What was asked of the store, by kind of operation.
    pub store: BTreeMap<&'static str, OperationReport>,
    /// The disk of this machine that will be full first, where one is watched.
    pub disk: Option<DiskReport>,
    /// When this worker began, in seconds since 1970, UTC.
    pub started_at: f64,
    /// When it committed last.
    pub last_commit_at: Option<f64>,
    /// When this report was made.
    pub updated_at: f64,
    /// Where it answers live reads.
    pub live_socket: Option<PathBuf>,
    /// Why it is paused, or what ended it.
    pub error: Option<Trouble>,
    #[serde(skip)]
    times: VecDeque<Duration>,
    #[serde(skip)]
    pub(super) ages: Freshness,
}

impl Report {
    pub(super) fn new(job: &str, topics: &[String], now_us: i64) -> Self {
        Self {
            job: job.to_owned(),
            topics: topics.to_vec(),
            epoch: 0,
            state: State::Starting,
            offered: 0,
            offered_bytes: 0,
            decoded: 0,
            rows: 0,
            dead_letters: 0,
            quarantined_rows: 0,
            reasons: BTreeMap::new(),
            warnings: BTreeMap::new(),
            unknown_fields: UnknownFields::default(),
            buffered_messages: 0,
            buffered_rows: 0,
            buffered_bytes: 0,
            committed_rows: 0,
            committed_messages: 0,
            commits: 0,
            files: 0,
            bytes: 0,
            table_version: 0,
            quarantine_version: 0,
            positions: BTreeMap::new(),
            jumps: Vec::new(),
            added_columns: Vec::new(),
            caught_up: false,
            lag: 0,
            commit_p50_ms: None,
            commit_p99_ms: None,
            freshness: FreshnessReport::default(),
            cpu: CpuReport::default(),
            store: BTreeMap::new(),
            disk: None,
            started_at: seconds(now_us),
            last_commit_at: None,
            updated_at: seconds(now_us),
            live_socket: None,
            error: None,
            times: VecDeque::new(),
            ages: Freshness::default(),
        }
    }

    pub(super) fn time_commit(&mut self, took: Duration) {
        if self.times.len() == KEPT_TIMES {
            self.times.pop_front();
        }
        self.times.push_back(took);
    }

    /// Whether the worker is at its work, so that a store away is a pause of it.
    fn is_at_work(&self) -> bool {
        matches!(self.state, State::Starting | State::Running | State::Paused)
    }

    /// The report with its percentiles worked out, and with what the store does to the worker right now: whichever
    /// operation it is that waits, the job is paused while it does.
    #[must_use]
    pub(super) fn finished(mut self, now_us: i64, gates: &Gates) -> Self {
        // A full disk is the cause where the store fails for it, and is told instead.
        let is_disk_full = self.error.as_ref().is_some_and(|trouble| trouble.code == "disk-full");
        if let Some(trouble) = gates.trouble().filter(|_| self.is_at_work() && !is_disk_full) {
            self.state = State::Paused;
            self.error = Some(Trouble::from(&trouble));
        }
        if self.is_at_work()
            && let Some(disk) = self.disk.as_ref().filter(|disk| disk.is_full)
        {
            self.state = State::Paused;
            self.error = Some(disk.trouble());
        }
        self.store = gates.report();
        self.cpu = self.cpu.now(gates.cpu.total());
        self.freshness = self.ages.report(seconds(now_us), self.last_commit_at);
        let mut times: Vec<Duration> = self.times.drain(..).collect();
        times.sort_unstable();
        let at = |share: usize| {
            let index = (times.len().saturating_sub(1)) * share / 100;
            times.get(index).map(|took| took.as_secs_f64() * 1e3)
        };
        self.commit_p50_ms = at(50);
        self.commit_p99_ms = at(99);
        self.updated_at = seconds(now_us);
        self
    }
}

/// UTC microseconds as seconds; a double keeps them apart until the year 2255.
#[allow(clippy::cast_precision_loss)]
pub(super) fn seconds(at_us: i64) -> f64 {
    at_us as f64 / 1e6
}

pub(super) fn note_tables(report: &mut Report, begun: &Begun) {
    report.table_version = begun.main.version();
    report.quarantine_version = begun.quarantine.version();
}

pub(super) fn note_positions(report: &mut Report, spec: &JobSpec, positions: &BTreeMap<Partition, Offset>) {
    report.positions.extend(positions.iter().map(|(partition, next)| (spec.partition_name(*partition), next.0)));
}

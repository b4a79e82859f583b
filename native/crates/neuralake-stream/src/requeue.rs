//! Rejects that hold the contract by now move to the table, each once.
//!
//! One commit of the main table decides: it adds the rows, names the file of their attempt rows, and counts itself in
//! `<job>/requeue`, whose former count is its precondition. Of two requeues at once one lands and the other looks anew, so
//! neither needs the job's epoch and a running worker goes on. Roll-forward adds the attempt rows, as it adds rejects;
//! whoever runs it next does so where this process died.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use neuralake_core::buffer::{Buffer, Message, Origin, attempts, origins};
use neuralake_core::contract::Contract;
use neuralake_core::decode::RowEncoding;
use neuralake_core::position::{Offset, Partition};
use neuralake_lake::log::Provenance;
use neuralake_lake::quarantine::roll_forward;
use neuralake_lake::{Draft, Faults, LakeError, StoreSpec, Table, TableView, store};
use serde::{Deserialize, Serialize};

use crate::StreamError;
use crate::job::Encoding;

/// Bytes of moved rows after which they are committed and the next round begins.
const ROUND_BYTES: usize = 64 << 20;

/// What to try again, and under which contract.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequeueSpec {
    /// Name of the job, which is the name of its table.
    pub job: String,
    /// Store of the lake.
    pub store: StoreSpec,
    /// What a row must be by now.
    pub contract: Contract,
    /// How rows are written by now.
    #[serde(default)]
    pub encoding: Encoding,
    /// A larger message stays a dead letter.
    pub max_message_bytes: usize,
    /// How long a commit may stay in doubt.
    pub deadline_s: u64,
    /// Plan of deaths for fault tests.
    #[serde(default)]
    pub kill_plan: Option<PathBuf>,
}

/// What has moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Requeued {
    /// Rows now in the table.
    pub rows: u64,
    /// Dead letters among their messages, which became rows.
    pub dead_letters: u64,
    /// Rows of those messages that break the contract, and are rejects of their own now.
    pub rejected_rows: u64,
    /// Commits it took.
    pub commits: u64,
    /// Version of the table afterwards; 0 without one.
    pub table_version: u64,
}

impl RequeueSpec {
    /// Read a spec.
    ///
    /// # Errors
    /// `SpecInvalid` when it is no spec, or the contract contradicts itself.
    pub fn from_json(text: &str) -> Result<Self, StreamError> {
        let spec: Self = serde_json::from_str(text).map_err(|e| StreamError::SpecInvalid(e.to_string()))?;
        spec.contract.validate()?;
        Ok(spec)
    }

    fn key(&self) -> String {
        format!("{}/requeue", self.job)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s)
    }
}

/// Move every reject that holds the contract by now. `go_on` is asked between batches; what has landed stays.
///
/// # Errors
/// `Lake` with what the store or the log say; what was committed before it has moved.
pub fn requeue(spec: &RequeueSpec, now_us: i64, go_on: &dyn Fn() -> bool) -> Result<Requeued, StreamError> {
    let faults = Arc::new(Faults::from_plan(spec.kill_plan.as_deref()));
    let store = store::open(&spec.store)?;
    let mut done = Requeued::default();
    let quarantine = format!("{}__quarantine", spec.job);
    let Some(mut main) = Table::open(&store, &spec.job, &faults)? else { return Ok(done) };
    let Some(mut quarantine) = Table::open(&store, &quarantine, &faults)? else { return Ok(done) };
    loop {
        main.refresh()?;
        let count = main.txn(&spec.key())?.unwrap_or(0);
        quarantine.refresh()?;
        roll_forward(&main, &mut quarantine, spec.deadline(), true)?;
        let Some(moving) = Moving::collect(spec, &quarantine, now_us, go_on)? else {
            done.table_version = main.version();
            return Ok(done);
        };
        main.evolve(&Buffer::rows_schema(&spec.contract), &Buffer::rows_statistics(&spec.contract))?;
        if moving.land(spec, &mut main, &mut quarantine, count, now_us)? {
            done.commits += 1;
            done.rows += moving.row_count();
            done.dead_letters += moving.moved().filter(|origin| origin.row.is_none()).count() as u64;
            done.rejected_rows += moving.rejects.iter().map(|rejects| rejects.num_rows() as u64).sum::<u64>();
        }
    }
}

/// What one commit is to move.
#[derive(Default)]
struct Moving {
    rows: Vec<RecordBatch>,
    bytes: usize,
    /// By source, what the rows were until now.
    origins: BTreeMap<String, Vec<Origin>>,
    /// Rows of revived dead letters that break the contract.
    rejects: Vec<RecordBatch>,
}

impl Moving {
    /// Try the rejects of the snapshot at hand; `None` when none can move, or it is to stop.
    fn collect(
        spec: &RequeueSpec,
        quarantine: &Table,
        now_us: i64,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Self>, StreamError> {
        let superseded = superseded(quarantine)?;
        let mut trials: BTreeMap<String, Trial> = BTreeMap::new();
        let mut moving = Self::default();
        quarantine.read(&mut |batch| {
            for (index, (source, origin)) in places(batch).into_iter().enumerate() {
                let Some(raw) = raw(batch, index) else { continue };
                if superseded.contains(&(source, origin)) {
                    continue;
                }
                if !trials.contains_key(source) {
                    trials.insert(source.to_owned(), Trial::new(spec, source)?);
                }
                if let Some(trial) = trials.get_mut(source) {
                    trial.push(origin, raw, now_us, &mut moving)?;
                }
            }
            let is_enough = moving.bytes >= ROUND_BYTES || !go_on();
            Ok::<_, StreamError>(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        for trial in trials.values_mut() {
            trial.settle(&mut moving)?;
        }
        Ok((!moving.rows.is_empty() && go_on()).then_some(moving))
    }

    /// Upload and commit; false when another requeue was faster and everything is to be looked at anew.
    fn land(
        &self,
        spec: &RequeueSpec,
        main: &mut Table,
        quarantine: &mut Table,
        count: i64,
        now_us: i64,
    ) -> Result<bool, StreamError> {
        main.pass("before_upload");
        let mut beside = Vec::new();
        for (source, origins) in &self.origins {
            beside.push(attempts(&spec.contract, source, origins.iter().copied(), now_us)?);
        }
        beside.extend(self.rejects.iter().filter(|rejects| rejects.num_rows() > 0).cloned());
        let named = quarantine.stage(&beside)?.named;
        main.pass("after_reject_upload");
        let file = main.stage(&self.rows)?;
        main.pass("after_upload");
        let provenance = Provenance { job: Some(spec.job.clone()), quarantine: vec![named], ..Provenance::default() };
        let has_landed = main.commit(spec.deadline(), &mut |view: &mut dyn TableView| {
            if view.txn(&spec.key())?.unwrap_or(0) != count {
                return Ok(None);
            }
            let txns = vec![(spec.key(), count + 1)];
            Ok(Some(Draft { files: vec![file.clone()], txns, provenance: provenance.clone(), ..Draft::default() }))
        })?;
        if has_landed {
            roll_forward(main, quarantine, spec.deadline(), true)?;
        }
        Ok(has_landed)
    }

    fn moved(&self) -> impl Iterator<Item = &Origin> {
        self.origins.values().flatten()
    }

    fn row_count(&self) -> u64 {
        self.rows.iter().map(|batch| batch.num_rows() as u64).sum()
    }

    fn keep(&mut self, source: &str, rows: Vec<RecordBatch>, bytes: usize, origins: Vec<Origin>) {
        self.bytes += bytes;
        self.rows.extend(rows);
        self.origins.entry(source.to_owned()).or_default().extend(origins);
    }
}

/// Rejects of one source, tried again.
struct Trial {
    source: String,
    /// Rows of messages whose other rows have their place already.
    rows: Buffer,
    /// One whole message at a time.
    letter: Buffer,
}

impl Trial {
    fn new(spec: &RequeueSpec, source: &str) -> Result<Self, StreamError> {
        let contract = Arc::new(spec.contract.clone());
        // Packets are no rows: `from_json` refuses a contract without columns.
        let encoding = spec.encoding.rows().unwrap_or(RowEncoding::Json);
        let most = spec.max_message_bytes;
        let buffer = || Buffer::new(Arc::clone(&contract), encoding, source.to_owned(), most, BTreeMap::new());
        Ok(Self { source: source.to_owned(), rows: buffer()?, letter: buffer()? })
    }

    fn push(&mut self, origin: Origin, raw: &[u8], now_us: i64, moving: &mut Moving) -> Result<(), StreamError> {
        let message =
            Message { partition: Partition::new(origin.partition), offset: Offset(origin.offset), value: raw };
        if let Some(row) = origin.row {
            self.rows.push_row(&message, row, now_us);
            return if self.rows.bytes() >= ROUND_BYTES { self.settle(moving) } else { Ok(()) };
        }
        self.letter.push(&message, now_us);
        let flush = self.letter.take()?;
        // A message moves as a whole once one of its rows can: what is left of it are rejects of rows.
        if !flush.rows.is_empty() {
            moving.keep(&self.source, flush.rows, flush.bytes, vec![origin]);
            moving.rejects.push(flush.rejects);
        }
        Ok(())
    }

    /// Judge the rows that wait. Those that still break the contract stay what they are.
    fn settle(&mut self, moving: &mut Moving) -> Result<(), StreamError> {
        let flush = self.rows.take()?;
        let kept: Vec<Origin> = flush.rows.iter().flat_map(origins).collect();
        if !kept.is_empty() {
            moving.keep(&self.source, flush.rows, flush.bytes, kept);
        }
        Ok(())
    }
}

/// Places whose reject has moved already.
fn superseded(quarantine: &Table) -> Result<Superseded, LakeError> {
    let mut found = Superseded::default();
    quarantine.read(&mut |batch| {
        for (index, (source, origin)) in places(batch).into_iter().enumerate() {
            if raw(batch, index).is_none() {
                found.insert(source, origin);
            }
        }
        Ok::<_, LakeError>(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

#[derive(Default)]
struct Superseded(BTreeMap<String, HashSet<Origin>>);

impl Superseded {
    fn insert(&mut self, source: &str, origin: Origin) {
        if !self.0.contains_key(source) {
            self.0.insert(source.to_owned(), HashSet::new());
        }
        if let Some(origins) = self.0.get_mut(source) {
            origins.insert(origin);
        }
    }

    fn contains(&self, &(source, origin): &(&str, Origin)) -> bool {
        self.0.get(source).is_some_and(|origins| origins.contains(&origin))
    }
}

/// Source and place of every row of a quarantine's batch.
fn places(batch: &RecordBatch) -> Vec<(&str, Origin)> {
    let sources = batch.column_by_name("_source").and_then(|column| column.as_string_opt::<i32>());
    let Some(sources) = sources else { return Vec::new() };
    sources.iter().map(Option::unwrap_or_default).zip(origins(batch)).collect()
}

/// Bytes of a reject; none for an attempt row.
fn raw(batch: &RecordBatch, row: usize) -> Option<&[u8]> {
    let raw = batch.column_by_name("raw").and_then(|column| column.as_binary_opt::<i32>())?;
    raw.is_valid(row).then(|| raw.value(row))
}

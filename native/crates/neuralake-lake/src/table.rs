//! A Delta table under our hand: look up positions, stage files, commit, checkpoint.
//!
//! A commit is a function of the very snapshot it is built on: `commit` takes a closure that is asked again, with
//! the new snapshot, after every lost race. Nothing is listed or replayed between two commits of a lone writer: the
//! snapshot after a commit is made from the commit itself, and what it recorded is remembered.

mod open;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field};
use bytes::Bytes;
use delta_kernel::engine::arrow_conversion::TryIntoKernel;
use delta_kernel::engine::arrow_data::{ArrowEngineData, EngineDataArrowExt};
use delta_kernel::schema::{SchemaRef, StructType};
use delta_kernel::transaction::{BoundWriteContext, CommitResult, UpdateTableOperation};
use delta_kernel::{Engine, FileMeta, KernelError, SnapshotRef};
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::parquet::DataFileMetadata;
use delta_kernel_default_engine::stats::FileStatsAccumulator;
use delta_kernel_default_engine::{DefaultEngine, build_add_file_metadata};
use url::Url;
use uuid::Uuid;

use self::open::{read_snapshot, write_context};
use crate::columns::{self, AddedColumn, NewColumn};
use crate::commit::{ConditionalPut, Outcome, jittered};
use crate::log::{NamedFile, Provenance};
use crate::signal::SignalFile;
use crate::store::Store;
use crate::{Faults, LakeError, cpu, parquet};

/// What reads and writes the files of a log.
type TableEngine = DefaultEngine<TokioMultiThreadExecutor>;

const ENGINE_INFO: &str = concat!("neuralake/", env!("CARGO_PKG_VERSION"));
/// A snapshot confirmed longer ago than this is listed anew before anything is uploaded.
const RELIST_AFTER_S: u64 = 300;
/// Past this age of the snapshot a commit concludes nothing: clean-up may have passed it by.
const CONCLUDE_WITHIN_S: u64 = 600;

/// A data file that is uploaded and waits for its commit.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// What the log will say of it.
    pub named: NamedFile,
    /// CPU time that its encoding took.
    pub encode_cpu: Duration,
    stats: StructArray,
}

impl DataFile {
    /// A file known by name only, as roll-forward meets it.
    #[must_use]
    pub fn from_named(named: NamedFile) -> Self {
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![named.rows]));
        let stats = StructArray::from(vec![(Arc::new(Field::new("numRecords", DataType::Int64, true)), rows)]);
        Self { named, encode_cpu: Duration::ZERO, stats }
    }
}

/// What one commit is to hold.
#[derive(Debug, Default)]
pub struct Draft {
    /// Files to add.
    pub files: Vec<DataFile>,
    /// Application transactions to record.
    pub txns: Vec<(String, i64)>,
    /// Columns to add; such a commit holds no files.
    pub columns: Vec<NewColumn>,
    /// Who commits, and the rejects named beside the rows.
    pub provenance: Provenance,
}

/// The snapshot a commit is built on, as a precondition sees it.
pub trait TableView {
    /// Version of the snapshot.
    fn version(&self) -> u64;

    /// Columns of the table.
    fn columns(&self) -> SchemaRef;

    /// Version recorded for an application id.
    ///
    /// # Errors
    /// `Log` when the log cannot be read.
    fn txn(&mut self, application: &str) -> Result<Option<i64>, LakeError>;
}

/// Drafts a commit for the snapshot at hand, after asking its preconditions of it; `None` when nothing is left to do.
pub type Build<'a> = dyn FnMut(&mut dyn TableView) -> Result<Option<Draft>, LakeError> + 'a;

/// One open table.
pub struct Table {
    store: Arc<dyn Store>,
    engine: Arc<TableEngine>,
    root: Url,
    log: Url,
    faults: Arc<Faults>,
    snapshot: SnapshotRef,
    txns: HashMap<String, Option<i64>>,
    context: BoundWriteContext,
    confirmed_at_s: u64,
    /// Columns of what this handle writes, where it was told.
    declared: Option<StructType>,
    added: Vec<AddedColumn>,
}

impl TableView for Table {
    fn version(&self) -> u64 {
        self.snapshot.version()
    }

    fn columns(&self) -> SchemaRef {
        self.snapshot.schema()
    }

    fn txn(&mut self, application: &str) -> Result<Option<i64>, LakeError> {
        if let Some(known) = self.txns.get(application) {
            return Ok(*known);
        }
        let found = self
            .snapshot
            .get_app_id_version(application, self.engine.as_ref())
            .map_err(|e| log_error(&self.root, &e))?;
        self.txns.insert(application.to_owned(), found);
        Ok(found)
    }
}

impl Table {
    /// Address of the table.
    #[must_use]
    pub fn root(&self) -> &Url {
        &self.root
    }

    /// Identity of the table, given at its creation.
    #[must_use]
    pub fn id(&self) -> String {
        self.snapshot.table_configuration().metadata().id().to_owned()
    }

    /// Columns that this handle has added to the table.
    #[must_use]
    pub fn added(&self) -> &[AddedColumn] {
        &self.added
    }

    /// Read the newest snapshot from the store.
    ///
    /// # Errors
    /// `TableMismatch` when another program has changed the columns so that what is written does not fit any more, else
    /// what the store or the log say.
    pub fn refresh(&mut self) -> Result<(), LakeError> {
        let asked_at_s = self.store.now_s();
        let snapshot = read_snapshot(&self.root, &self.engine)?
            .ok_or_else(|| LakeError::Log { table: self.root.to_string(), reason: "the table is gone".to_owned() })?;
        self.store.confirm(&self.log)?;
        if snapshot.version() != self.snapshot.version() {
            self.txns.clear();
        }
        let has_other_columns = snapshot.schema() != self.snapshot.schema();
        self.adopt(snapshot, asked_at_s);
        if has_other_columns { self.follow_columns() } else { Ok(()) }
    }

    /// Files that wait keep their columns: the table must still have them, and need no other.
    fn follow_columns(&mut self) -> Result<(), LakeError> {
        self.context = write_context(&self.store, &self.root, &self.engine, &self.snapshot, &self.faults)?;
        let Some(declared) = &self.declared else { return Ok(()) };
        match columns::lacking(self.root.as_str(), &self.columns(), declared)?.first() {
            None => Ok(()),
            Some(field) => Err(LakeError::TableMismatch {
                table: self.root.to_string(),
                reason: format!("another program took the column {} away while it was written to", field.name()),
            }),
        }
    }

    /// List anew when the snapshot is old, before files are uploaded for a commit.
    ///
    /// # Errors
    /// As `refresh`.
    pub fn ensure_fresh(&mut self) -> Result<(), LakeError> {
        if self.age_s() > RELIST_AFTER_S { self.refresh() } else { Ok(()) }
    }

    /// Encode batches as one file and upload it under a fresh name. It joins the table only by a commit.
    ///
    /// # Errors
    /// `Encode`, or what the store says.
    pub fn stage(&self, batches: &[RecordBatch]) -> Result<DataFile, LakeError> {
        let refused = |e: KernelError| LakeError::Encode(e.to_string());
        let cpu_before = cpu::of_this_thread();
        let mut stats = self.statistics();
        for batch in batches {
            stats.merge(batch).map_err(refused)?;
        }
        let stats = stats
            .finish()
            .map_err(refused)?
            .ok_or_else(|| LakeError::Encode("a file needs at least one batch".to_owned()))?;
        let bytes = parquet::encode(batches)?;
        let encode_cpu = cpu::of_this_thread().saturating_sub(cpu_before);
        let file = self.upload(bytes, batches.iter().map(RecordBatch::num_rows).sum(), stats)?;
        Ok(DataFile { encode_cpu, ..file })
    }

    /// Begin a file of blocks, of this table's columns.
    ///
    /// # Errors
    /// `Encode` when the columns cannot be stored.
    pub fn new_file(&self, columns: arrow::datatypes::SchemaRef) -> Result<SignalFile, LakeError> {
        SignalFile::new(columns, self.statistics())
    }

    /// Upload a file of blocks under a fresh name. It joins the table only by a commit.
    ///
    /// # Errors
    /// `Encode`, or what the store says.
    pub fn stage_file(&self, file: SignalFile) -> Result<DataFile, LakeError> {
        let rows = file.rows();
        let (bytes, stats) = file.finish()?;
        self.upload(bytes, rows, stats)
    }

    /// Encode batches of blocks as one file and upload it under a fresh name.
    ///
    /// # Errors
    /// `Encode`, or what the store says.
    pub fn stage_blocks(&self, batches: &[RecordBatch]) -> Result<DataFile, LakeError> {
        let cpu_before = cpu::of_this_thread();
        let columns = batches.first().ok_or_else(|| LakeError::Encode("a file needs at least one batch".to_owned()))?;
        let mut file = self.new_file(columns.schema())?;
        for batch in batches {
            file.write(batch, batch.get_array_memory_size())?;
        }
        let rows = file.rows();
        let (bytes, stats) = file.finish()?;
        let encode_cpu = cpu::of_this_thread().saturating_sub(cpu_before);
        Ok(DataFile { encode_cpu, ..self.upload(bytes, rows, stats)? })
    }

    /// Rows of the snapshot at hand, all of them: for the small tables alone.
    ///
    /// # Errors
    /// `Log`, or what the store says.
    pub fn rows(&self) -> Result<Vec<RecordBatch>, LakeError> {
        let failed = |e: KernelError| log_error(&self.root, &e);
        let scan = Arc::clone(&self.snapshot).scan_builder().build().map_err(failed)?;
        let engine: Arc<dyn Engine> = Arc::clone(&self.engine) as _;
        scan.execute(engine)
            .map_err(failed)?
            .map(|data| data.and_then(EngineDataArrowExt::try_into_record_batch).map_err(failed))
            .collect()
    }

    fn statistics(&self) -> FileStatsAccumulator {
        FileStatsAccumulator::new(self.context.stats_columns(), self.context.physical_data_schema())
    }

    fn upload(&self, bytes: Bytes, rows: usize, stats: StructArray) -> Result<DataFile, LakeError> {
        let path = fresh_name();
        let size = bytes.len() as u64;
        self.store.put(&self.join(&path)?, bytes)?;
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        Ok(DataFile {
            named: NamedFile { path, size, rows, modified_ms: unix_ms() },
            encode_cpu: Duration::ZERO,
            stats,
        })
    }

    /// Show every row of the snapshot at hand, batch by batch, until `visit` has seen enough.
    ///
    /// # Errors
    /// What the store, the log or `visit` say.
    pub fn read<E: From<LakeError>>(
        &self,
        visit: &mut dyn FnMut(&RecordBatch) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let failed = |e: KernelError| E::from(log_error(&self.root, &e));
        let scan = Arc::clone(&self.snapshot).scan_builder().build().map_err(failed)?;
        for data in scan.execute(self.engine.clone()).map_err(failed)? {
            let data = data.and_then(ArrowEngineData::try_from_engine_data).map_err(failed)?;
            if visit(data.record_batch())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Commit what `build` drafts for the snapshot at hand, and ask it again after every lost race.
    ///
    /// `build` checks its preconditions and returns `None` when nothing is left to do. Returns whether a commit was
    /// made.
    ///
    /// # Errors
    /// What `build` says; `InDoubt` when it cannot be learned whether the commit landed; `Contended` when others
    /// keep winning until the deadline.
    pub fn commit(&mut self, deadline: Duration, build: &mut Build<'_>) -> Result<bool, LakeError> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(2);
        loop {
            let Some(draft) = build(self)? else { return Ok(false) };
            if self.attempt(draft, deadline)? {
                return Ok(true);
            }
            if started.elapsed() > deadline {
                return Err(LakeError::Contended {
                    table: self.root.to_string(),
                    waited_s: started.elapsed().as_secs(),
                });
            }
            // The pause comes first: a snapshot that waits is stale again, and a start would never win against a
            // worker that commits more often than it pauses.
            std::thread::sleep(jittered(pause));
            pause = (pause * 2).min(Duration::from_millis(500));
            self.refresh()?;
        }
    }

    /// What the commit of one version says about itself; `None` when another program made it.
    ///
    /// # Errors
    /// `Log` when the version is not there any more.
    pub fn provenance(&self, version: u64) -> Result<Option<Provenance>, LakeError> {
        let commit = self.store.get(&self.log_file(version)?)?.ok_or_else(|| LakeError::Log {
            table: self.root.to_string(),
            reason: format!("version {version} was cleaned from the log before its rejects were rolled forward"),
        })?;
        Ok(Provenance::find(&commit))
    }

    /// Write a checkpoint of the snapshot at hand and read it back, so that opening stays fast.
    ///
    /// # Errors
    /// `Log` when it cannot be written, or when what was written does not open.
    pub fn checkpoint(&mut self) -> Result<(), LakeError> {
        self.faults.pass("before_checkpoint");
        let version = self.snapshot.version();
        self.snapshot.checkpoint(self.engine.as_ref(), None).map_err(|e| log_error(&self.root, &e))?;
        // Reading it back also drops the long tail of commits that the held snapshot carries.
        self.refresh()?;
        if self.snapshot.version() < version {
            return Err(LakeError::Log {
                table: self.root.to_string(),
                reason: format!("the checkpoint of version {version} reads back as {}", self.snapshot.version()),
            });
        }
        Ok(())
    }

    /// Passes a named fault point of this table's process.
    pub fn pass(&self, point: &str) {
        self.faults.pass(point);
    }

    /// One attempt; true when the version is ours, false when another's commit stands there.
    fn attempt(&mut self, mut draft: Draft, deadline: Duration) -> Result<bool, LakeError> {
        if self.age_s() > CONCLUDE_WITHIN_S {
            return Err(self.too_old());
        }
        draft.provenance.commit_id = Uuid::new_v4().to_string();
        draft.provenance.added_columns = draft.columns.iter().map(AddedColumn::from).collect();
        let outcome = Arc::new(Mutex::new(Outcome::Open));
        let committer = committer(&self.store, &self.root, &draft, deadline, &self.faults, &outcome);
        let (info, info_schema) = commit_info(&draft.provenance)?;
        let failed = |e: KernelError| log_error(&self.root, &e);
        let (operation, has_data) = match draft.columns.as_slice() {
            [] => (UpdateTableOperation::StreamingUpdate, true),
            _ => (UpdateTableOperation::AlterTable, false),
        };
        let builder = Arc::clone(&self.snapshot)
            .update_table(operation, ENGINE_INFO, has_data)
            .with_commit_info(info, info_schema);
        let mut transaction = draft
            .columns
            .iter()
            .fold(builder, |builder, column| builder.add_column(column.field.clone()))
            .build(self.engine.as_ref(), committer)
            .map_err(failed)?;
        for (application, version) in &draft.txns {
            transaction = transaction.with_transaction_id(application.clone(), *version);
        }
        for file in &draft.files {
            let meta = FileMeta::new(self.join(&file.named.path)?, file.named.modified_ms, file.named.size);
            let add = build_add_file_metadata(DataFileMetadata::new(meta, file.stats.clone()), &self.context)
                .map_err(failed)?;
            transaction.add_files(add);
        }
        let asked_at_s = self.store.now_s();
        let result = transaction.commit(self.engine.as_ref());
        if self.age_s() > CONCLUDE_WITHIN_S {
            return Err(self.too_old());
        }
        let outcome = outcome.lock().map(|mut slot| std::mem::take(&mut *slot)).unwrap_or_default();
        match (outcome, result) {
            (Outcome::Failed(error), _) => Err(error),
            // New columns are read back: the put has amended what the transaction knows of the table.
            (Outcome::Landed, Ok(CommitResult::Committed(done)))
                if draft.columns.is_empty() && done.post_commit_snapshot().is_some() =>
            {
                if let Some(snapshot) = done.post_commit_snapshot() {
                    self.adopt(Arc::clone(snapshot), asked_at_s);
                }
                self.txns.extend(draft.txns.into_iter().map(|(application, version)| (application, Some(version))));
                Ok(true)
            }
            // Landed, but the reader could not go on from the commit: what landed stays landed.
            (Outcome::Landed, _) => self.refresh().map(|()| true),
            (Outcome::Open, Ok(CommitResult::Conflicted(_))) => Ok(false),
            (Outcome::Open, Ok(_)) => {
                Err(LakeError::Log { table: self.root.to_string(), reason: "the commit was never tried".to_owned() })
            }
            (Outcome::Open, Err(e)) => Err(log_error(&self.root, &e)),
        }
    }

    /// How long ago the snapshot was confirmed.
    fn age_s(&self) -> u64 {
        self.store.now_s().saturating_sub(self.confirmed_at_s)
    }

    fn too_old(&self) -> LakeError {
        LakeError::InDoubt {
            table: self.root.to_string(),
            version: self.snapshot.version() + 1,
            waited_s: self.age_s(),
            reason: "the snapshot is too old to conclude anything from it (was the machine asleep?)".to_owned(),
        }
    }

    /// `asked_at_s` is from before the question: a machine that slept over the answer must not think it fresh.
    fn adopt(&mut self, snapshot: SnapshotRef, asked_at_s: u64) {
        self.snapshot = snapshot;
        self.confirmed_at_s = asked_at_s;
    }

    fn join(&self, path: &str) -> Result<Url, LakeError> {
        self.root.join(path).map_err(|e| LakeError::Log { table: self.root.to_string(), reason: e.to_string() })
    }

    fn log_file(&self, version: u64) -> Result<Url, LakeError> {
        self.join(&format!("_delta_log/{version:020}.json"))
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("root", &self.root.as_str())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// What a commit says about itself, as the kernel takes it.
fn commit_info(provenance: &Provenance) -> Result<(Box<ArrowEngineData>, SchemaRef), LakeError> {
    let batch = provenance.to_batch()?;
    let schema: StructType = batch
        .schema()
        .as_ref()
        .try_into_kernel()
        .map_err(|e: arrow::error::ArrowError| LakeError::Encode(e.to_string()))?;
    Ok((Box::new(ArrowEngineData::new(batch)), Arc::new(schema)))
}

fn committer(
    store: &Arc<dyn Store>,
    root: &Url,
    draft: &Draft,
    deadline: Duration,
    faults: &Arc<Faults>,
    outcome: &Arc<Mutex<Outcome>>,
) -> Box<ConditionalPut> {
    let measured = draft.columns.iter().filter(|column| column.has_statistics);
    Box::new(ConditionalPut {
        store: Arc::clone(store),
        table: root.to_string(),
        commit_id: draft.provenance.commit_id.clone(),
        deadline,
        faults: Arc::clone(faults),
        outcome: Arc::clone(outcome),
        new_statistics: measured.map(|column| column.field.name().clone()).collect(),
    })
}

/// The reader wraps what a store said in errors of its own: a store that is away, or a disk that failed, is told apart
/// from a log that is ill.
fn log_error(root: &Url, error: &KernelError) -> LakeError {
    if let Some(ours) = LakeError::said_by_disk(error) {
        return ours;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(said) = cause {
        if said.is::<object_store::Error>() || said.is::<std::io::Error>() {
            return LakeError::StoreUnreachable {
                action: "read or write the log of",
                path: root.to_string(),
                reason: error.to_string(),
            };
        }
        cause = said.source();
    }
    LakeError::Log { table: root.to_string(), reason: error.to_string() }
}

/// A name that no file had before, below one of 256 prefixes: a store that keeps prefixes apart spreads the load, and
/// no folder grows large. The prefix is of the random end, for the ids of one moment begin alike.
fn fresh_name() -> String {
    let id = Uuid::now_v7();
    let [.., last] = *id.as_bytes();
    format!("{last:02x}/{id}.parquet")
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

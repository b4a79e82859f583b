//! A recording on its way into the signal tables.
//!
//! Blocks are staged as they come; nothing joins a table before `publish`, which commits the row of `recordings` last,
//! with the version of each table it stands on. Readers hide what no such row names, so a recording is there whole or
//! not at all. A content is published once: `txn(recording/<content hash>)` of `recordings` says so, and every rebuild
//! of the last commit asks it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use neuralake_core::signal::{BlockPlan, Blocks, Run, Sample, SignalTable, cut};

use super::file::SignalFile;
use crate::store::Store;
use crate::table::DataFile;
use crate::{Draft, Faults, LakeError, Table, TableView};

/// Encoded bytes at which a file is closed and uploaded: what a publication holds in memory, beside one tile.
const FILE_BYTES: usize = 64 << 20;

/// One row of `recordings`, and what its recording says in the other tables.
#[derive(Debug)]
pub struct Row {
    /// Hash of the recording's content.
    pub content_hash: String,
    /// Batches by table; that of `recordings` has one row, whose versions are filled in here.
    pub tables: BTreeMap<SignalTable, RecordBatch>,
}

/// One recording between its first block and its last commit.
#[derive(Debug)]
pub struct Publication {
    tables: BTreeMap<SignalTable, Table>,
    faults: Arc<Faults>,
    blocks: Blocks,
    file: Option<SignalFile>,
    files: Vec<DataFile>,
}

impl Publication {
    /// Open the signal tables of a lake; those that are not there are made.
    ///
    /// # Errors
    /// `TableMismatch` when one has other columns, else what the store or a log say.
    pub fn open(store: &Arc<dyn Store>, faults: &Arc<Faults>) -> Result<Self, LakeError> {
        let mut tables = BTreeMap::new();
        // What says which rows are published is made first: there is never a row whose readers could not tell.
        let owners = [SignalTable::Recordings, SignalTable::Streams];
        let others = SignalTable::ALL.into_iter().filter(|table| !owners.contains(table));
        for table in owners.into_iter().chain(others) {
            let opened = Table::open_or_create(store, table.name(), &table.schema(), &table.statistics(), faults)?;
            tables.insert(table, opened);
        }
        Ok(Self { tables, faults: Arc::clone(faults), blocks: Blocks::default(), file: None, files: Vec::new() })
    }

    /// Whether the content is published already.
    ///
    /// # Errors
    /// What the log says.
    pub fn is_published(&mut self, content_hash: &str) -> Result<bool, LakeError> {
        Ok(self.table(SignalTable::Recordings)?.txn(&application(content_hash))?.is_some())
    }

    /// Take a gap-free run in, all channels of a moment together.
    ///
    /// # Errors
    /// `Encode`, or what the store says when a full file is uploaded.
    pub fn push<T: Sample>(&mut self, run: &Run<'_>, samples: &[T], plan: BlockPlan) -> Result<(), LakeError> {
        cut(run, samples, plan, &mut self.blocks);
        let bytes = self.blocks.bytes();
        let batch = self.blocks.finish().map_err(|e| LakeError::Encode(e.to_string()))?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.table(SignalTable::Signals)?.new_file(SignalTable::Signals.schema())?,
        };
        file.write(&batch, bytes)?;
        if file.bytes() >= FILE_BYTES {
            return self.stage(file);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Commit everything, `recordings` last. False when the content was published meanwhile by another.
    ///
    /// # Errors
    /// What a commit says. Nothing is published then.
    pub fn publish(mut self, row: &Row, deadline: Duration) -> Result<bool, LakeError> {
        if let Some(file) = self.file.take()
            && file.rows() > 0
        {
            self.stage(file)?;
        }
        self.faults.pass("before_add_commits");
        let mut versions = BTreeMap::new();
        for (name, table) in &mut self.tables {
            if *name == SignalTable::Recordings {
                continue;
            }
            let files = match name {
                SignalTable::Signals => std::mem::take(&mut self.files),
                _ => stage_rows(table, row.tables.get(name))?,
            };
            append(table, files, deadline)?;
            versions.insert(*name, i64::try_from(table.version()).unwrap_or(i64::MAX));
        }
        self.faults.pass("before_publication");
        let is_ours = publish_row(self.table(SignalTable::Recordings)?, row, &versions, deadline)?;
        self.faults.pass("after_publication");
        Ok(is_ours)
    }

    fn stage(&mut self, file: SignalFile) -> Result<(), LakeError> {
        let staged = self.table(SignalTable::Signals)?.stage_file(file)?;
        self.files.push(staged);
        Ok(())
    }

    fn table(&mut self, table: SignalTable) -> Result<&mut Table, LakeError> {
        self.tables.get_mut(&table).ok_or_else(|| LakeError::Encode(format!("the table {} is not open", table.name())))
    }
}

fn application(content_hash: &str) -> String {
    format!("recording/{content_hash}")
}

fn stage_rows(table: &mut Table, rows: Option<&RecordBatch>) -> Result<Vec<DataFile>, LakeError> {
    match rows {
        Some(rows) if rows.num_rows() > 0 => Ok(vec![table.stage(std::slice::from_ref(rows))?]),
        _ => Ok(Vec::new()),
    }
}

/// Append files. Nothing that others commit meanwhile is in the way of them.
fn append(table: &mut Table, files: Vec<DataFile>, deadline: Duration) -> Result<(), LakeError> {
    if files.is_empty() {
        return Ok(());
    }
    table.ensure_fresh()?;
    table.commit(deadline, &mut |_view: &mut dyn TableView| {
        Ok(Some(Draft { files: files.clone(), ..Draft::default() }))
    })?;
    Ok(())
}

fn publish_row(
    table: &mut Table,
    row: &Row,
    versions: &BTreeMap<SignalTable, i64>,
    deadline: Duration,
) -> Result<bool, LakeError> {
    let missing = || LakeError::Encode("a publication without a row of recordings".to_owned());
    let filled = with_versions(row.tables.get(&SignalTable::Recordings).ok_or_else(missing)?, versions)?;
    let files = vec![table.stage(&[filled])?];
    let application = application(&row.content_hash);
    table.ensure_fresh()?;
    table.commit(deadline, &mut |view: &mut dyn TableView| {
        if view.txn(&application)?.is_some() {
            return Ok(None);
        }
        let txns = vec![(application.clone(), 1)];
        Ok(Some(Draft { files: files.clone(), txns, ..Draft::default() }))
    })
}

/// Fill in the version of each table that the row stands on.
fn with_versions(row: &RecordBatch, versions: &BTreeMap<SignalTable, i64>) -> Result<RecordBatch, LakeError> {
    let mut columns: Vec<ArrayRef> = row.columns().to_vec();
    for (table, version) in versions {
        let name = format!("{}_version", table.name());
        let place = row.schema().index_of(&name).map_err(|e| LakeError::Encode(e.to_string()))?;
        columns[place] = Arc::new(Int64Array::from(vec![*version; row.num_rows()]));
    }
    RecordBatch::try_new(SignalTable::Recordings.schema(), columns).map_err(|e| LakeError::Encode(e.to_string()))
}

//! How a table comes to hand: created, opened, and brought to the columns its writer declares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::datatypes::Schema;
use delta_kernel::engine::arrow_conversion::TryIntoKernel;
use delta_kernel::schema::StructType;
use delta_kernel::transaction::create_table::create_table;
use delta_kernel::transaction::{BoundWriteContext, UpdateTableOperation};
use delta_kernel::{KernelError, Snapshot, SnapshotRef};
use delta_kernel_default_engine::DefaultEngineBuilder;
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use url::Url;
use uuid::Uuid;

use super::{Draft, ENGINE_INFO, Table, TableEngine, TableView, commit_info, committer, log_error};
use crate::columns::{self, AddedColumn, NewColumn};
use crate::commit::Outcome;
use crate::log::Provenance;
use crate::store::Store;
use crate::{Faults, LakeError};

/// How long the commits of an opening may stay in doubt.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

impl Table {
    /// Open the table `name`, or create it with these columns. Nullable ones that it lacks are added.
    ///
    /// # Errors
    /// `TableMismatch` when its columns differ in anything else, else what the store or the log say.
    pub fn open_or_create(
        store: &Arc<dyn Store>,
        name: &str,
        schema: &Schema,
        statistics: &[String],
        faults: &Arc<Faults>,
    ) -> Result<Self, LakeError> {
        let asked_at_s = store.now_s();
        let (root, engine) = Self::parts(store, name)?;
        let declared = declared(schema)?;
        let snapshot = match read_snapshot(&root, &engine)? {
            Some(snapshot) => snapshot,
            None => {
                Self::create(store, &root, &engine, &declared, statistics, faults)?;
                read_snapshot(&root, &engine)?.ok_or_else(|| LakeError::Log {
                    table: root.to_string(),
                    reason: "its first version is there, but no snapshot can be read".to_owned(),
                })?
            }
        };
        let mut table = Self::from_snapshot(store, root, engine, (snapshot, asked_at_s), faults)?;
        table.grow(declared, statistics)?;
        Ok(table)
    }

    /// Open the table `name` if it exists.
    ///
    /// # Errors
    /// What the store or the log say.
    pub fn open(store: &Arc<dyn Store>, name: &str, faults: &Arc<Faults>) -> Result<Option<Self>, LakeError> {
        let asked_at_s = store.now_s();
        let (root, engine) = Self::parts(store, name)?;
        match read_snapshot(&root, &engine)? {
            Some(snapshot) => Self::from_snapshot(store, root, engine, (snapshot, asked_at_s), faults).map(Some),
            None => Ok(None),
        }
    }

    /// Bring the table to the columns of what is to be written: those it lacks are added by a commit of their own.
    ///
    /// The writer holds the table to them from now on: a snapshot with which its files do not fit stops it.
    ///
    /// # Errors
    /// `TableMismatch` when more than new nullable columns differ, else what a commit says.
    pub fn evolve(&mut self, schema: &Schema, statistics: &[String]) -> Result<(), LakeError> {
        self.grow(declared(schema)?, statistics)
    }

    fn grow(&mut self, declared: StructType, statistics: &[String]) -> Result<(), LakeError> {
        let root = self.root.to_string();
        let mut added = Vec::new();
        let has_grown = self.commit(OPEN_WITHIN, &mut |view: &mut dyn TableView| {
            let fields = columns::lacking(&root, &view.columns(), &declared)?;
            let columns: Vec<NewColumn> = fields
                .into_iter()
                .map(|field| NewColumn { has_statistics: statistics.contains(field.name()), field })
                .collect();
            added = columns.iter().map(AddedColumn::from).collect();
            Ok((!columns.is_empty()).then(|| Draft { columns, ..Draft::default() }))
        })?;
        if has_grown {
            self.added = added;
            self.faults.pass("after_evolution");
        }
        self.declared = Some(declared);
        Ok(())
    }

    fn parts(store: &Arc<dyn Store>, name: &str) -> Result<(Url, Arc<TableEngine>), LakeError> {
        let root = store
            .root()
            .join(&format!("{name}/"))
            .map_err(|e| LakeError::StoreInvalid { uri: store.root().to_string(), reason: e.to_string() })?;
        let executor = TokioMultiThreadExecutor::new(store.runtime().handle().clone());
        let engine = DefaultEngineBuilder::new(store.objects()).with_task_executor(Arc::new(executor)).build();
        Ok((root, Arc::new(engine)))
    }

    fn create(
        store: &Arc<dyn Store>,
        root: &Url,
        engine: &Arc<TableEngine>,
        schema: &StructType,
        statistics: &[String],
        faults: &Arc<Faults>,
    ) -> Result<(), LakeError> {
        store.make_root(root)?;
        let outcome = Arc::new(Mutex::new(Outcome::Open));
        let provenance = Provenance { commit_id: Uuid::new_v4().to_string(), ..Provenance::default() };
        let draft = Draft { provenance, ..Draft::default() };
        let committer = committer(store, root, &draft, OPEN_WITHIN, faults, &outcome);
        let (info, info_schema) = commit_info(&draft.provenance)?;
        let columns = statistics.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(",");
        let created = create_table(root.as_str(), Arc::new(schema.clone()), ENGINE_INFO, false)
            .with_table_properties([
                ("delta.enableExpiredLogCleanup", "false"),
                ("delta.dataSkippingStatsColumns", columns.as_str()),
            ])
            .with_commit_info(info, info_schema)
            .build(engine.as_ref(), committer)
            .and_then(|transaction| transaction.commit(engine.as_ref()));
        match (outcome.lock().map(|mut slot| std::mem::take(&mut *slot)).unwrap_or_default(), created) {
            (Outcome::Failed(error), _) => Err(error),
            // Created by us, or by another who was faster: the columns are compared next.
            (Outcome::Landed, _) | (_, Ok(_) | Err(KernelError::TableAlreadyExistsAtPath(_))) => Ok(()),
            (_, Err(e)) => Err(log_error(root, &e)),
        }
    }

    fn from_snapshot(
        store: &Arc<dyn Store>,
        root: Url,
        engine: Arc<TableEngine>,
        (snapshot, confirmed_at_s): (SnapshotRef, u64),
        faults: &Arc<Faults>,
    ) -> Result<Self, LakeError> {
        let log =
            root.join("_delta_log/").map_err(|e| LakeError::Log { table: root.to_string(), reason: e.to_string() })?;
        store.confirm(&log)?;
        let context = write_context(store, &root, &engine, &snapshot, faults)?;
        Ok(Self {
            store: Arc::clone(store),
            engine,
            root,
            log,
            faults: Arc::clone(faults),
            snapshot,
            txns: HashMap::new(),
            context,
            confirmed_at_s,
            declared: None,
            added: Vec::new(),
        })
    }
}

/// How files of this snapshot's columns are named and measured.
pub(super) fn write_context(
    store: &Arc<dyn Store>,
    root: &Url,
    engine: &Arc<TableEngine>,
    snapshot: &SnapshotRef,
    faults: &Arc<Faults>,
) -> Result<BoundWriteContext, LakeError> {
    let outcome = Arc::new(Mutex::new(Outcome::Open));
    let never = committer(store, root, &Draft::default(), Duration::ZERO, faults, &outcome);
    Arc::clone(snapshot)
        .update_table(UpdateTableOperation::StreamingUpdate, ENGINE_INFO, true)
        .build(engine.as_ref(), never)
        .and_then(|transaction| transaction.write_state())
        .and_then(|state| state.write_context_builder().build())
        .map_err(|e| log_error(root, &e))
}

fn declared(schema: &Schema) -> Result<StructType, LakeError> {
    schema.try_into_kernel().map_err(|e: arrow::error::ArrowError| LakeError::Encode(e.to_string()))
}

pub(super) fn read_snapshot(root: &Url, engine: &Arc<TableEngine>) -> Result<Option<SnapshotRef>, LakeError> {
    match Snapshot::builder_for(root.as_str()).build(engine.as_ref()) {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(log_error(root, &e)),
    }
}

/// Whether the error says that there is no table, as the reader words it for each kind of store.
fn is_absent(error: &KernelError) -> bool {
    match error {
        KernelError::FileNotFound(_) | KernelError::MissingVersion(_) | KernelError::EmptyLog => true,
        KernelError::Backtraced { source, .. } => is_absent(source),
        KernelError::InvalidTableLocation(_) => true,
        _ => false,
    }
}

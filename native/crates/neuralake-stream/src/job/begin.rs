//! The start of a job: columns, epoch, roll-forward, positions, in this order.
//!
//! New columns come first: a declaration that does not fit the table stops here, before it fences anybody. The epoch commit fences every older worker, and the snapshot it makes is the one the positions are taken from.
//! The quarantine is rolled forward right after it and before anything is read, so that nothing is judged twice.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use neuralake_core::buffer::Buffer;
use neuralake_core::signal::SignalTable;
use neuralake_lake::log::Provenance;
use neuralake_lake::quarantine::roll_forward;
use neuralake_lake::{Draft, Faults, LakeError, Store, Table, TableView, store};
use uuid::Uuid;

use super::places::{Places, open_choice, short_id, take_places};
use super::signals::Signals;
use super::spec::{Encoding, JobSpec};
use crate::StreamError;
use crate::source::{Guard, Topics};

/// A job that owns its table and knows where to read on.
pub(super) struct Begun {
    pub(super) main: Table,
    pub(super) quarantine: Table,
    pub(super) signals: Option<Signals>,
    pub(super) epoch: i64,
    pub(super) places: Places,
    pub(super) guard: Box<dyn Guard>,
}

impl Begun {
    /// Take the partitions that appeared since: positions for them by a commit of their own, under the same epoch.
    pub(super) fn take_partitions(&mut self, spec: &JobSpec, topics: &mut Topics) -> Result<(), StreamError> {
        self.places = take_places(spec, &mut self.main, self.epoch, topics)?;
        self.guard = topics.guard();
        self.main.pass("after_partition_added");
        match &mut self.signals {
            // What was read until now has moved them.
            Some(signals) => signals.know_streams(spec, &mut self.main),
            None => Ok(()),
        }
    }
}

pub(super) fn begin(spec: &JobSpec, topics: &mut Topics, faults: &Arc<Faults>) -> Result<Begun, StreamError> {
    let store = store::open(&spec.store)?;
    store::probe(&store)?;
    let (mut main, mut quarantine) = open_tables(spec, &store, faults)?;
    let epoch = take_epoch(spec, &mut main, &topics.incarnations())?;
    faults.pass("after_epoch_commit");
    roll_forward(&main, &mut quarantine, spec.deadline(), false)?;
    let signals = match spec.encoding {
        Encoding::Json | Encoding::Arrow => None,
        Encoding::Packets => Some(Signals::begin(spec, &store, &mut main, faults)?),
    };
    let places = take_places(spec, &mut main, epoch, topics)?;
    faults.pass("after_first_positions");
    Ok(Begun { main, quarantine, signals, epoch, places, guard: topics.guard() })
}

fn open_tables(spec: &JobSpec, store: &Arc<dyn Store>, faults: &Arc<Faults>) -> Result<(Table, Table), StreamError> {
    let (schema, statistics) = columns(spec);
    let main = Table::open_or_create(store, &spec.job, &schema, &statistics, faults)?;
    let place = ["_partition", "_offset", "_ingest_time"].map(str::to_owned);
    let quarantine = Table::open_or_create(store, &spec.quarantine(), &Buffer::rejects_schema(), &place, faults)?;
    Ok((main, quarantine))
}

/// Columns of the table, and those with statistics.
pub(super) fn columns(spec: &JobSpec) -> (SchemaRef, Vec<String>) {
    match spec.encoding {
        Encoding::Json | Encoding::Arrow => {
            (Buffer::rows_schema(&spec.contract), Buffer::rows_statistics(&spec.contract))
        }
        Encoding::Packets => (SignalTable::Signals.schema(), SignalTable::Signals.statistics()),
    }
}

/// Commit the epoch after the newest one. Another incarnation of a topic stops here, before it fences anybody, unless
/// this start may go on with it.
fn take_epoch(spec: &JobSpec, main: &mut Table, incarnations: &[Uuid]) -> Result<i64, StreamError> {
    let mut epoch = 0;
    let mut replaced = None;
    main.commit(spec.deadline(), &mut |view: &mut dyn TableView| {
        let mut txns = Vec::new();
        let may_go_on = open_choice(spec, view)?.is_some();
        for (topic, incarnation) in (0..).zip(incarnations) {
            let (key, id) = (spec.incarnation_key(topic), short_id(*incarnation));
            match view.txn(&key)? {
                Some(recorded) if recorded != id && !may_go_on => {
                    replaced = Some((topic, *incarnation));
                    return Ok(None);
                }
                Some(_) => {}
                None => txns.push((key, id)),
            }
        }
        epoch = view.txn(&spec.epoch_key())?.unwrap_or(0) + 1;
        txns.push((spec.epoch_key(), epoch));
        let provenance = Provenance { topics: spec.topics.clone(), ..provenance(spec, epoch) };
        Ok(Some(Draft { txns, provenance, ..Draft::default() }))
    })?;
    match replaced {
        Some((topic, found)) => {
            Err(StreamError::SourceReplaced { topic: spec.topic(topic).to_owned(), found: found.to_string() })
        }
        None => Ok(epoch),
    }
}

/// The precondition of every commit of a worker: its epoch is the newest.
pub(super) fn check_epoch(spec: &JobSpec, view: &mut dyn TableView, own: i64) -> Result<(), LakeError> {
    let found = view.txn(&spec.epoch_key())?.unwrap_or(0);
    if found == own { Ok(()) } else { Err(LakeError::Fenced { table: spec.job.clone(), own, found }) }
}

pub(super) fn provenance(spec: &JobSpec, epoch: i64) -> Provenance {
    Provenance { job: Some(spec.job.clone()), epoch: Some(epoch), ..Provenance::default() }
}

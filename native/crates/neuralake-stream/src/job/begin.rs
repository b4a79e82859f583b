//! The start of a job: epoch, roll-forward, positions, in this order.
//!
//! The epoch commit fences every older worker, and the snapshot it makes is the one the positions are taken from.
//! The quarantine is rolled forward right after it and before anything is read, so that nothing is judged twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use neuralake_core::buffer::Buffer;
use neuralake_core::position::{Offset, Partition};
use neuralake_lake::log::Provenance;
use neuralake_lake::quarantine::roll_forward;
use neuralake_lake::{Draft, Faults, LakeError, Store, Table, TableView, store};

use super::spec::{JobSpec, StartAt};
use crate::StreamError;
use crate::source::{Held, Source};

/// A job that owns its table and knows where to read on.
pub(super) struct Begun {
    pub(super) main: Table,
    pub(super) quarantine: Table,
    pub(super) epoch: i64,
    pub(super) positions: BTreeMap<Partition, Offset>,
}

pub(super) fn begin(
    spec: &JobSpec,
    source: &mut dyn Source,
    incarnation: &str,
    faults: &Arc<Faults>,
) -> Result<Begun, StreamError> {
    let store = store::open(&spec.store)?;
    store::probe(&store)?;
    let (mut main, mut quarantine) = open_tables(spec, &store, faults)?;
    let epoch = take_epoch(spec, &mut main, incarnation)?;
    faults.pass("after_epoch_commit");
    roll_forward(&main, &mut quarantine, spec.deadline(), false)?;
    let held = source.held()?;
    let positions = take_positions(spec, &mut main, epoch, &held)?;
    faults.pass("after_first_positions");
    check_held(spec, &held, &positions)?;
    Ok(Begun { main, quarantine, epoch, positions })
}

fn open_tables(spec: &JobSpec, store: &Arc<dyn Store>, faults: &Arc<Faults>) -> Result<(Table, Table), StreamError> {
    // Statistics on what a reader prunes by: declared numbers, times and short texts, and the place in the source.
    let mut statistics: Vec<String> = spec.contract.columns.iter().map(|c| c.name.clone()).collect();
    statistics.extend(["_partition", "_offset", "_ingest_time"].map(str::to_owned));
    let schema = Buffer::rows_schema(&spec.contract);
    let main = Table::open_or_create(store, &spec.job, &schema, &statistics, faults)?;
    let place = ["_partition", "_offset", "_ingest_time"].map(str::to_owned);
    let quarantine = Table::open_or_create(store, &spec.quarantine(), &Buffer::rejects_schema(), &place, faults)?;
    Ok((main, quarantine))
}

/// Commit the epoch after the newest one. Another incarnation of the topic stops here, before it fences anybody.
fn take_epoch(spec: &JobSpec, main: &mut Table, incarnation: &str) -> Result<i64, StreamError> {
    let id = short_id(incarnation)?;
    let mut epoch = 0;
    let mut is_replaced = false;
    main.commit(spec.deadline(), &mut |view: &mut dyn TableView| {
        let mut txns = Vec::new();
        match view.txn(&spec.incarnation_key())? {
            Some(recorded) if recorded != id => {
                is_replaced = true;
                return Ok(None);
            }
            Some(_) => {}
            None => txns.push((spec.incarnation_key(), id)),
        }
        epoch = view.txn(&spec.epoch_key())?.unwrap_or(0) + 1;
        txns.push((spec.epoch_key(), epoch));
        Ok(Some(Draft { txns, provenance: provenance(spec, epoch), ..Draft::default() }))
    })?;
    if is_replaced {
        return Err(StreamError::SourceReplaced { topic: spec.topic.clone(), found: incarnation.to_owned() });
    }
    Ok(epoch)
}

/// Positions of the snapshot; a partition without one gets it by a commit of its own, before the first read.
fn take_positions(
    spec: &JobSpec,
    main: &mut Table,
    epoch: i64,
    held: &[Held],
) -> Result<BTreeMap<Partition, Offset>, StreamError> {
    let mut positions = BTreeMap::new();
    main.commit(spec.deadline(), &mut |view: &mut dyn TableView| {
        check_epoch(spec, view, epoch)?;
        positions.clear();
        let mut txns = Vec::new();
        let mut is_known = false;
        for part in held {
            is_known |= view.txn(&spec.position_key(part.partition.0))?.is_some();
        }
        for part in held {
            let key = spec.position_key(part.partition.0);
            let position = match view.txn(&key)? {
                Some(position) => Offset(position),
                None => {
                    let chosen = match spec.start {
                        // The choice is about the topic: a partition added to one under reading begins with its first.
                        StartAt::Latest if !is_known => part.end,
                        StartAt::Latest | StartAt::Earliest => part.first,
                    };
                    txns.push((key, chosen.0));
                    chosen
                }
            };
            positions.insert(part.partition, position);
        }
        if txns.is_empty() {
            return Ok(None);
        }
        Ok(Some(Draft { txns, provenance: provenance(spec, epoch), ..Draft::default() }))
    })?;
    Ok(positions)
}

fn check_held(spec: &JobSpec, held: &[Held], positions: &BTreeMap<Partition, Offset>) -> Result<(), StreamError> {
    for part in held {
        let Some(position) = positions.get(&part.partition) else { continue };
        let (topic, partition, position) = (spec.topic.clone(), part.partition.0, position.0);
        if position < part.first.0 {
            return Err(StreamError::PositionDeleted { topic, partition, position, first: part.first.0 });
        }
        if position > part.end.0 {
            return Err(StreamError::PositionPastEnd { topic, partition, position, end: part.end.0 });
        }
    }
    Ok(())
}

/// The precondition of every commit of a worker: its epoch is the newest.
pub(super) fn check_epoch(spec: &JobSpec, view: &mut dyn TableView, own: i64) -> Result<(), LakeError> {
    let found = view.txn(&spec.epoch_key())?.unwrap_or(0);
    if found == own { Ok(()) } else { Err(LakeError::Fenced { table: spec.job.clone(), own, found }) }
}

pub(super) fn provenance(spec: &JobSpec, epoch: i64) -> Provenance {
    Provenance { job: Some(spec.job.clone()), epoch: Some(epoch), ..Provenance::default() }
}

/// 63 bits of an incarnation, as a Delta transaction can hold them.
fn short_id(incarnation: &str) -> Result<i64, StreamError> {
    let id = uuid::Uuid::parse_str(incarnation)
        .map_err(|e| StreamError::SpecInvalid(format!("incarnation {incarnation:?}: {e}")))?;
    let (high, _) = id.as_u64_pair();
    Ok(i64::try_from(high >> 1).unwrap_or(i64::MAX))
}

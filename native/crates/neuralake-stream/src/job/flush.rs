//! One flush into one commit: rejects first, then rows, then the decision, then the quarantine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use neuralake_core::buffer::Flush;
use neuralake_core::position::Partition;
use neuralake_core::signal::SignalTable;
use neuralake_lake::quarantine::roll_forward;
use neuralake_lake::table::DataFile;
use neuralake_lake::{Draft, LakeError, Table, TableView};

use super::begin::{Begun, check_epoch, provenance};
use super::report::Trouble;
use super::spec::JobSpec;
use crate::StreamError;

/// First pause before an upload is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two tries.
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// A flush on its way to the committer.
pub(super) struct Work {
    pub(super) flush: Flush,
    /// What proves the log before each position, where the source tells.
    pub(super) leader_epochs: BTreeMap<Partition, i32>,
}

/// What a flush left behind.
pub(super) struct Landed {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) encode_cpu: Duration,
}

/// Land one flush. `paused` hears why store or source keep the job waiting, and says whether it may still wait.
pub(super) fn land(
    spec: &JobSpec,
    begun: &mut Begun,
    work: &Work,
    paused: &mut dyn FnMut(Trouble) -> bool,
) -> Result<Landed, StreamError> {
    let flush = &work.flush;
    let started = Instant::now();
    begun.guard.ask();
    begun.main.ensure_fresh()?;
    begun.main.pass("before_upload");
    let mut landed = Landed { files: 0, bytes: 0, encode_cpu: Duration::ZERO };
    let mut decided = provenance(spec, begun.epoch);
    if flush.rejects.num_rows() > 0 {
        let file = upload(spec, &begun.quarantine, std::slice::from_ref(&flush.rejects), started, paused)?;
        landed.encode_cpu += file.encode_cpu;
        decided.quarantine.push(file.named);
        begun.main.pass("after_reject_upload");
    }
    if let Some(signals) = &begun.signals {
        decided.beside = signals.stage(&flush.beside, &mut |table, rows| upload(spec, table, rows, started, paused))?;
    }
    let mut files = Vec::new();
    if !flush.rows.is_empty() {
        let file = upload(spec, &begun.main, &flush.rows, started, paused)?;
        landed.files += 1;
        landed.bytes += file.named.size;
        landed.encode_cpu += file.encode_cpu;
        files.push(file);
    }
    begun.main.pass("after_upload");
    let has_rejects = !decided.quarantine.is_empty();
    confirm_source(spec, begun, started, paused)?;
    let (epoch, table) = (begun.epoch, begun.main.root().to_string());
    begun.main.commit(spec.deadline(), &mut |view: &mut dyn TableView| {
        check_epoch(spec, view, epoch)?;
        let mut txns = Vec::with_capacity(flush.spans.len());
        for (partition, span) in &flush.spans {
            let key = spec.position_key(*partition);
            let found = view.txn(&key)?.unwrap_or(-1);
            if found != span.from.0 {
                let (table, partition, expected) = (table.clone(), spec.partition_name(*partition), span.from.0);
                return Err(LakeError::PositionMoved { table, partition, expected, found });
            }
            txns.push((key, span.to.0));
            let key = spec.leader_epoch_key(*partition);
            let proven = work.leader_epochs.get(partition).map(|epoch| i64::from(*epoch));
            if view.txn(&key)? != proven {
                txns.push((key, proven.unwrap_or(-1)));
            }
        }
        txns.extend(flush.marks.iter().map(|(key, value)| (spec.mark_key(key), *value)));
        Ok(Some(Draft { files: files.clone(), txns, provenance: decided.clone(), ..Draft::default() }))
    })?;
    if has_rejects {
        roll_forward(&begun.main, &mut begun.quarantine, spec.deadline(), true)?;
    }
    if let Some(signals) = &mut begun.signals
        && !decided.beside.is_empty()
    {
        signals.roll_forward(spec, &begun.main, true)?;
    }
    Ok(landed)
}

/// Nothing of a topic that was made anew may land: the source answers first, however long it is away.
fn confirm_source(
    spec: &JobSpec,
    begun: &mut Begun,
    started: Instant,
    paused: &mut dyn FnMut(Trouble) -> bool,
) -> Result<(), StreamError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match begun.guard.confirm() {
            Err(error @ StreamError::SourceUnreachable { .. })
                if started.elapsed() < spec.deadline() && paused(Trouble::from(&error)) =>
            {
                std::thread::sleep(pause);
                pause = (pause * 2).min(LAST_PAUSE);
            }
            answer => return answer,
        }
    }
}

/// Checkpoint both tables, with the quarantine brought up first so that its next roll-forward reads little.
pub(super) fn checkpoint(spec: &JobSpec, begun: &mut Begun) -> Result<(), StreamError> {
    roll_forward(&begun.main, &mut begun.quarantine, spec.deadline(), false)?;
    if let Some(signals) = &mut begun.signals {
        signals.roll_forward(spec, &begun.main, false)?;
    }
    begun.main.checkpoint()?;
    begun.quarantine.checkpoint()?;
    Ok(())
}

/// Upload until it works or the deadline passes. Every try takes a fresh name: no name is ever written twice.
fn upload(
    spec: &JobSpec,
    table: &Table,
    batches: &[arrow::array::RecordBatch],
    started: Instant,
    paused: &mut dyn FnMut(Trouble) -> bool,
) -> Result<DataFile, StreamError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let staged = match batches.first() {
            Some(batch) if batch.schema() == SignalTable::Signals.schema() => table.stage_blocks(batches),
            _ => table.stage(batches),
        };
        match staged {
            Ok(file) => return Ok(file),
            Err(error @ (LakeError::StoreUnreachable { .. } | LakeError::DiskFull { .. })) => {
                let may_wait = paused(Trouble::from(&error));
                // A full disk is waited out: it is known that nothing landed, and starting again would not help.
                let is_waited_out = matches!(error, LakeError::DiskFull { .. }) && may_wait;
                if !is_waited_out && started.elapsed() >= spec.deadline() {
                    return Err(error.into());
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(LAST_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

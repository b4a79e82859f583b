//! Consumers and retention of the journal for Python.

use std::path::PathBuf;

use neuralake_lake::Faults;
use neuralake_stream::clock::{Clock, SystemClock};
use neuralake_stream::journal::{self, Asked, JournalError, Retention, Topic, watermarks};
use pyo3::prelude::*;

use crate::errors::journal_error;

/// Whether what all have committed goes, bytes kept, seconds kept.
type Kept = (bool, Option<u64>, Option<u64>);
/// Name, when it last moved, and (partition, position, end) of each partition.
type Told = (String, i64, Vec<(u32, u64, u64)>);
/// Partition, segments, bytes, first offset before and after.
type Gone = (u32, u64, u64, u64, u64);

/// Who is registered on a topic, and how far each has come.
#[pyfunction]
pub(crate) fn journal_consumers(py: Python<'_>, directory: PathBuf, topic: &str) -> PyResult<Vec<Told>> {
    let told = || -> Result<Vec<Told>, JournalError> {
        let topic = Topic::open(&directory, topic)?;
        let ends = (0..topic.partitions())
            .map(|partition| Ok((partition, watermarks(&topic, partition)?.1)))
            .collect::<Result<Vec<_>, JournalError>>()?;
        let consumers = journal::consumers(&topic)?;
        Ok(consumers
            .into_iter()
            .map(|(name, consumer)| {
                let place = |partition| consumer.positions.get(partition).copied().unwrap_or(0);
                let places = ends.iter().map(|(partition, end)| (*partition, place(partition), *end)).collect();
                (name, consumer.moved_at_us, places)
            })
            .collect())
    };
    py.detach(told).map_err(|e| journal_error(&e))
}

/// Register a consumer at positions (partition, offset), or move it on with `advance`.
#[pyfunction]
pub(crate) fn journal_register(
    py: Python<'_>,
    directory: PathBuf,
    topic: &str,
    name: &str,
    positions: std::collections::BTreeMap<u32, u64>,
    advance: bool,
) -> PyResult<()> {
    let note = if advance { journal::advance } else { journal::register };
    py.detach(|| note(&Topic::open(&directory, topic)?, name, &positions, SystemClock.now_us()))
        .map_err(|e| journal_error(&e))
}

/// Forget a consumer.
#[pyfunction]
pub(crate) fn journal_drop_consumer(py: Python<'_>, directory: PathBuf, topic: &str, name: &str) -> PyResult<()> {
    py.detach(|| journal::drop_consumer(&Topic::open(&directory, topic)?, name).map(drop))
        .map_err(|e| journal_error(&e))
}

/// What a topic keeps of its own accord; None: everything.
#[pyfunction]
pub(crate) fn journal_retention(py: Python<'_>, directory: PathBuf, topic: &str) -> PyResult<Option<Kept>> {
    let found = py.detach(|| journal::retention(&Topic::open(&directory, topic)?)).map_err(|e| journal_error(&e))?;
    Ok(found.map(|kept| (kept.committed, kept.bytes, kept.age_s)))
}

/// Say what a topic keeps of its own accord; None: everything.
#[pyfunction]
pub(crate) fn journal_set_retention(
    py: Python<'_>,
    directory: PathBuf,
    topic: &str,
    kept: Option<Kept>,
) -> PyResult<()> {
    py.detach(|| journal::set_retention(&Topic::open(&directory, topic)?, kept.map(plain)))
        .map_err(|e| journal_error(&e))
}

/// Delete, as asked by name, what a retention lets go; with `is_dry` only say it.
#[pyfunction]
#[pyo3(signature = (directory, topic, kept, is_dry, faults = None))]
pub(crate) fn journal_trim(
    py: Python<'_>,
    directory: PathBuf,
    topic: &str,
    kept: Kept,
    is_dry: bool,
    faults: Option<PathBuf>,
) -> PyResult<Vec<Gone>> {
    let faults = Faults::from_plan(faults.as_deref());
    let gone = py
        .detach(|| {
            let topic = Topic::open(&directory, topic)?;
            journal::trim(&topic, plain(kept), Asked::ByName, SystemClock.now_us(), is_dry, &faults)
        })
        .map_err(|e| journal_error(&e))?;
    Ok(gone
        .into_iter()
        .map(|part| (part.partition, part.segments, part.bytes, part.first_before, part.first_after))
        .collect())
}

fn plain((committed, bytes, age_s): Kept) -> Retention {
    Retention { committed, bytes, age_s }
}

//! A recording on its way into the signal tables, for Python.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int16Type, Int32Type};
use neuralake_core::signal::{BlockPlan, Run, SignalTable};
use neuralake_lake::signal::{Publication as Lake, Row};
use neuralake_lake::{Faults, LakeError, StoreSpec, store};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::capsules::{ArrowBatch, array_of};
use crate::errors::lake_error;

/// Columns of a signal table, as an empty batch.
#[pyfunction]
pub(crate) fn signal_columns(table: &str) -> PyResult<ArrowBatch> {
    Ok(ArrowBatch::new(RecordBatch::new_empty(named(table)?.schema())))
}

/// One recording between its first block and its last commit.
#[pyclass(frozen, module = "neuralake_kernel._native")]
pub(crate) struct Publication {
    inner: Mutex<Option<Lake>>,
    owner: u32,
}

#[pymethods]
impl Publication {
    /// Open the signal tables of a lake; those that are not there are made.
    #[new]
    #[pyo3(signature = (store, kill_plan=None))]
    fn new(py: Python<'_>, store: &str, kill_plan: Option<PathBuf>) -> PyResult<Self> {
        let spec: StoreSpec = serde_json::from_str(store).map_err(|e| PyValueError::new_err(e.to_string()))?;
        let opened = py.detach(|| {
            let faults = Arc::new(Faults::from_plan(kill_plan.as_deref()));
            Lake::open(&store::open(&spec)?, &faults)
        });
        let inner = Mutex::new(Some(opened.map_err(|e| lake_error(&e))?));
        Ok(Self { inner, owner: std::process::id() })
    }

    /// An id that sorts by the time it was made.
    #[staticmethod]
    fn new_id() -> String {
        neuralake_lake::signal::new_id()
    }

    /// Whether the content is published already.
    fn is_published(&self, py: Python<'_>, content_hash: &str) -> PyResult<bool> {
        self.with(py, |lake| lake.is_published(content_hash))
    }

    /// Take a gap-free run in: samples of all channels, moment after moment.
    #[pyo3(signature = (samples, *, stream_id, channels, rate_hz, sample_start, start_us, block_samples, tile_samples))]
    #[expect(clippy::too_many_arguments, reason = "each is named by the caller")]
    fn push(
        &self,
        py: Python<'_>,
        samples: &Bound<'_, PyAny>,
        stream_id: &str,
        channels: usize,
        rate_hz: f64,
        sample_start: i64,
        start_us: Option<i64>,
        block_samples: usize,
        tile_samples: usize,
    ) -> PyResult<()> {
        let array = array_of(samples)?;
        let is_whole = channels > 0 && array.len().is_multiple_of(channels) && array.null_count() == 0;
        if !is_whole || rate_hz <= 0.0 || block_samples == 0 || tile_samples == 0 {
            return Err(PyValueError::new_err("expected whole moments without nulls, and lengths above 0"));
        }
        let run = Run { stream_id, channels, rate_hz, sample_start, start_us };
        let plan = BlockPlan { block_samples, tile_samples };
        match array.data_type() {
            DataType::Int16 => self.with(py, |lake| lake.push(&run, array.as_primitive::<Int16Type>().values(), plan)),
            DataType::Int32 => self.with(py, |lake| lake.push(&run, array.as_primitive::<Int32Type>().values(), plan)),
            DataType::Float32 => {
                self.with(py, |lake| lake.push(&run, array.as_primitive::<Float32Type>().values(), plan))
            }
            DataType::Float64 => {
                self.with(py, |lake| lake.push(&run, array.as_primitive::<Float64Type>().values(), plan))
            }
            other => Err(PyTypeError::new_err(format!("found samples of {other}, expected int16, int32 or floats"))),
        }
    }

    /// Commit everything, `recordings` last. False when the content was published meanwhile by another.
    fn publish(
        &self,
        py: Python<'_>,
        content_hash: String,
        tables: BTreeMap<String, Bound<'_, PyAny>>,
        deadline_s: u64,
    ) -> PyResult<bool> {
        let mut batches = BTreeMap::new();
        for (name, rows) in tables {
            let table = named(&name)?;
            batches.insert(table, rows_of(table, &array_of(&rows)?)?);
        }
        let row = Row { content_hash, tables: batches };
        self.check_owner()?;
        let done = py.detach(|| {
            let lake = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
            lake.map(|lake| lake.publish(&row, Duration::from_secs(deadline_s)))
        });
        done.ok_or_else(ended)?.map_err(|e| lake_error(&e))
    }
}

impl Publication {
    fn with<T: Send>(&self, py: Python<'_>, act: impl Send + FnOnce(&mut Lake) -> Result<T, LakeError>) -> PyResult<T> {
        self.check_owner()?;
        // Errors become Python's outside: a thread that waits for the interpreter must not hold the publication.
        let done = py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act));
        done.ok_or_else(ended)?.map_err(|e| lake_error(&e))
    }

    /// A child must not run the threads of its parent's store.
    fn check_owner(&self) -> PyResult<()> {
        if self.owner == std::process::id() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err("this publication belongs to the process that opened it, before a fork"))
    }
}

fn ended() -> PyErr {
    PyValueError::new_err("this publication is over")
}

fn named(table: &str) -> PyResult<SignalTable> {
    SignalTable::named(table).ok_or_else(|| PyValueError::new_err(format!("{table} is no signal table")))
}

/// Rows of a table out of a struct array, its columns checked against the table's.
fn rows_of(table: SignalTable, array: &ArrayRef) -> PyResult<RecordBatch> {
    let found: &StructArray =
        array.as_struct_opt().ok_or_else(|| PyTypeError::new_err("expected a record batch or a struct array"))?;
    RecordBatch::try_new(table.schema(), found.columns().to_vec()).map_err(|e| PyValueError::new_err(e.to_string()))
}

//! The journal for Python: topics, a durable writer, a batch reader.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, Int64Builder, RecordBatch, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use neuralake_lake::Faults;
use neuralake_stream::clock::{Clock, SystemClock};
use neuralake_stream::journal::{Acks, JournalError, Reader, Topic, Writer, WriterOptions, watermarks};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::capsules::{ArrowBatch, array_of};
use crate::errors::journal_error;

/// Incarnation of a topic, and (partition, first offset, next synced offset) of each partition.
type Description = (String, Vec<(u32, u64, u64)>);

/// Create a topic, or find it if it has as many partitions. Returns its incarnation.
#[pyfunction]
pub(crate) fn journal_create_topic(
    py: Python<'_>,
    directory: PathBuf,
    topic: &str,
    partitions: u32,
) -> PyResult<String> {
    py.detach(|| Topic::create(&directory, topic, partitions))
        .map(|topic| topic.incarnation().to_string())
        .map_err(|e| journal_error(&e))
}

/// Incarnation of a topic and what its partitions hold.
#[pyfunction]
pub(crate) fn journal_describe(py: Python<'_>, directory: PathBuf, topic: &str) -> PyResult<Description> {
    py.detach(|| describe(&directory, topic)).map_err(|e| journal_error(&e))
}

fn describe(directory: &Path, topic: &str) -> Result<Description, JournalError> {
    let topic = Topic::open(directory, topic)?;
    let partitions = (0..topic.partitions())
        .map(|partition| watermarks(&topic, partition).map(|(first, next)| (partition, first, next)))
        .collect::<Result<_, _>>()?;
    Ok((topic.incarnation().to_string(), partitions))
}

/// Synced messages of one partition as a record batch of offset, timestamp, value and key.
#[pyfunction]
#[pyo3(signature = (directory, topic, partition, from_offset, max_messages, max_bytes = usize::MAX))]
pub(crate) fn journal_read(
    py: Python<'_>,
    directory: PathBuf,
    topic: &str,
    partition: u32,
    from_offset: u64,
    max_messages: usize,
    max_bytes: usize,
) -> PyResult<ArrowBatch> {
    let batch = py
        .detach(|| read(&directory, topic, partition, from_offset, (max_messages, max_bytes)))
        .map_err(|e| journal_error(&e))?
        .map_err(|e| PyValueError::new_err(e.to_string()))?;
    Ok(ArrowBatch::new(batch))
}

fn read(
    directory: &Path,
    topic: &str,
    partition: u32,
    from_offset: u64,
    (max_messages, max_bytes): (usize, usize),
) -> Result<Result<RecordBatch, arrow::error::ArrowError>, JournalError> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let mut offsets = Int64Builder::new();
    let mut times = TimestampMicrosecondBuilder::new().with_data_type(utc.clone());
    let mut values = BinaryBuilder::new();
    let mut keys = BinaryBuilder::new();
    let mut reader = Reader::open(&Topic::open(directory, topic)?, partition, from_offset)?;
    reader.poll(max_messages, max_bytes, &mut |message| {
        offsets.append_value(i64::try_from(message.offset).unwrap_or(i64::MAX));
        times.append_value(message.timestamp_us);
        values.append_value(message.value);
        keys.append_option(message.key);
    })?;
    let schema = Schema::new(vec![
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp", utc, false),
        Field::new("value", DataType::Binary, false),
        Field::new("key", DataType::Binary, true),
    ]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(offsets.finish()), Arc::new(times.finish()), Arc::new(values.finish()), Arc::new(keys.finish())];
    Ok(RecordBatch::try_new(Arc::new(schema), columns))
}

/// The one writer of a journal partition; threads may share it.
#[pyclass(frozen, module = "neuralake_kernel._native")]
pub(crate) struct JournalWriter {
    inner: Mutex<Option<Arc<Writer>>>,
    owner: u32,
}

#[pymethods]
impl JournalWriter {
    #[new]
    #[pyo3(signature = (directory, topic, partition, *, acks = "durable", faults = None))]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        topic: &str,
        partition: u32,
        acks: &str,
        faults: Option<PathBuf>,
    ) -> PyResult<Self> {
        let acks = Acks::named(acks).ok_or_else(|| PyValueError::new_err(format!("there is no ack mode {acks:?}")))?;
        let faults = Arc::new(Faults::from_plan(faults.as_deref()));
        let options = WriterOptions { acks, faults, ..WriterOptions::default() };
        let writer = py
            .detach(|| Writer::open(&Topic::open(&directory, topic)?, partition, options))
            .map_err(|e| journal_error(&e))?;
        Ok(Self { inner: Mutex::new(Some(Arc::new(writer))), owner: std::process::id() })
    }

    /// Append binary values, with a binary key each if any; returns (first, next) offset once they are acked.
    #[pyo3(signature = (values, keys = None))]
    fn append(
        &self,
        py: Python<'_>,
        values: &Bound<'_, PyAny>,
        keys: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(u64, u64)> {
        let writer = self.writer()?;
        let array = array_of(values)?;
        let slices = slices(&array)?;
        let key_array = keys.map(array_of).transpose()?;
        let keys = match &key_array {
            Some(array) => self::slices(array)?.into_iter().map(Some).collect(),
            None => vec![None; slices.len()],
        };
        if keys.len() != slices.len() {
            return Err(PyValueError::new_err(format!("found {} keys for {} values", keys.len(), slices.len())));
        }
        // Errors become Python's outside: a thread that waits for the interpreter must not hold the writer.
        let done = py.detach(move || writer.append_keyed(keys.into_iter().zip(slices), SystemClock.now_us()));
        let range = done.map_err(|e| journal_error(&e))?;
        Ok((range.start, range.end))
    }

    /// Wait until all that was appended is on disk.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let writer = self.writer()?;
        py.detach(move || writer.flush()).map_err(|e| journal_error(&e))
    }

    /// (messages, bytes) acked and not yet on disk.
    fn at_risk(&self) -> PyResult<(u64, u64)> {
        let at_risk = self.writer()?.at_risk();
        Ok((at_risk.messages, at_risk.bytes))
    }

    /// Bring everything to disk and release the partition. May be called twice.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.owner != std::process::id() {
            return Ok(());
        }
        let Some(writer) = self.slot().take() else { return Ok(()) };
        // The last thread that still appends lets go of it.
        py.detach(move || writer.flush()).map_err(|e| journal_error(&e))
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, py: Python<'_>, _args: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<()> {
        self.close(py)
    }
}

impl JournalWriter {
    fn slot(&self) -> MutexGuard<'_, Option<Arc<Writer>>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child shares the lock of its parent and would write over what the parent has acknowledged.
    fn writer(&self) -> PyResult<Arc<Writer>> {
        if self.owner != std::process::id() {
            return Err(PyRuntimeError::new_err("this writer belongs to the process that opened it, before a fork"));
        }
        self.slot().clone().ok_or_else(|| PyValueError::new_err("this writer is closed"))
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            // The parent's file and lock: nothing of them is the child's to close.
            std::mem::forget(self.slot().take());
        }
    }
}

fn slices(array: &ArrayRef) -> PyResult<Vec<&[u8]>> {
    if array.null_count() > 0 {
        return Err(PyValueError::new_err("values of messages cannot be null"));
    }
    match array.data_type() {
        DataType::Binary => Ok(array.as_binary::<i32>().iter().flatten().collect()),
        DataType::LargeBinary => Ok(array.as_binary::<i64>().iter().flatten().collect()),
        DataType::BinaryView => Ok(array.as_binary_view().iter().flatten().collect()),
        other => Err(PyTypeError::new_err(format!("found an array of {other}, expected binary values"))),
    }
}

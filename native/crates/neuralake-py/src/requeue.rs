//! Requeue for Python: a long call that the stop button ends between two commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use neuralake_stream::StreamError;
use neuralake_stream::clock::{Clock, SystemClock};
use neuralake_stream::requeue::{RequeueSpec, requeue as run};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::stream_error;

/// How often a waiting call looks for signals, so that the stop button works.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// Move rejects that hold their contract by now; what has moved, as JSON text.
#[pyfunction]
pub(crate) fn requeue(py: Python<'_>, spec: &str) -> PyResult<String> {
    let spec = RequeueSpec::from_json(spec).map_err(|e| stream_error(&e))?;
    let stopping = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopping);
    let work = std::thread::spawn(move || run(&spec, SystemClock.now_us(), &|| !asked.load(Ordering::Relaxed)));
    let mut interrupted = Ok(());
    while !work.is_finished() {
        py.detach(|| std::thread::sleep(SIGNALS_EVERY));
        if interrupted.is_ok() {
            interrupted = py.check_signals();
            stopping.store(interrupted.is_err(), Ordering::Relaxed);
        }
    }
    let done = work.join().map_err(|_| stream_error(&StreamError::ThreadLost("requeue")))?;
    interrupted?;
    let done = done.map_err(|e| stream_error(&e))?;
    serde_json::to_string(&done).map_err(|e| PyValueError::new_err(e.to_string()))
}

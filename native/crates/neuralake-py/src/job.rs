//! The handle of a running job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use neuralake_stream::clock::SystemClock;
use neuralake_stream::job::{Ending, Job as RunningJob, JobSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::stream_error;

/// How often a waiting call looks for signals, so that the stop button works.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// A job running inside this process.
#[pyclass(frozen, module = "neuralake_kernel._native")]
pub(crate) struct Job {
    inner: RunningJob,
    owner: u32,
}

#[pymethods]
impl Job {
    /// Start the job a JSON spec describes.
    #[staticmethod]
    fn start(spec: &str) -> PyResult<Self> {
        let spec = JobSpec::from_json(spec).map_err(|e| stream_error(&e))?;
        Ok(Self { inner: RunningJob::start(spec, Arc::new(SystemClock)), owner: std::process::id() })
    }

    /// What it has done so far, as JSON text.
    fn report(&self) -> PyResult<String> {
        self.check_owner()?;
        serde_json::to_string(&self.inner.report()).map_err(|e| PyValueError::new_err(e.to_string()))
    }

    /// Ask it to commit what it has and end.
    fn stop(&self) -> PyResult<()> {
        self.check_owner()?;
        self.inner.stop();
        Ok(())
    }

    /// Wait for its end; `None` when the time is up first.
    #[pyo3(signature = (timeout_s=None))]
    fn wait(&self, py: Python<'_>, timeout_s: Option<f64>) -> PyResult<Option<&'static str>> {
        self.check_owner()?;
        let started = Instant::now();
        loop {
            if let Some(ending) = self.inner.ending() {
                return Ok(Some(name(ending)));
            }
            let left = timeout_s.map_or(SIGNALS_EVERY.as_secs_f64(), |limit| limit - started.elapsed().as_secs_f64());
            if left <= 0.0 {
                return Ok(None);
            }
            let pause = Duration::try_from_secs_f64(left).map_or(SIGNALS_EVERY, |left| left.min(SIGNALS_EVERY));
            py.detach(|| std::thread::sleep(pause));
            py.check_signals()?;
        }
    }

    fn __repr__(&self) -> String {
        let report = self.inner.report();
        format!("Job({:?}, epoch={})", report.job, report.epoch)
    }
}

impl Job {
    /// Threads do not survive a fork: the child's copy would wait for ever.
    fn check_owner(&self) -> PyResult<()> {
        if self.owner == std::process::id() {
            return Ok(());
        }
        Err(pyo3::exceptions::PyRuntimeError::new_err("this job belongs to the process that started it, before a fork"))
    }
}

fn name(ending: Ending) -> &'static str {
    match ending {
        Ending::Stopped => "stopped",
        Ending::Fenced => "fenced",
        Ending::Fatal => "fatal",
        Ending::Crashed => "crashed",
    }
}

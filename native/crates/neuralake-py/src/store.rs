//! The store probe.

use neuralake_lake::{StoreSpec, store};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::lake_error;

/// Ask a store whether it keeps the promises a commit stands on; raise if not.
#[pyfunction]
pub(crate) fn probe_store(py: Python<'_>, spec: &str) -> PyResult<()> {
    let spec: StoreSpec = serde_json::from_str(spec).map_err(|e| PyValueError::new_err(e.to_string()))?;
    py.detach(|| store::open(&spec).and_then(|store| store::probe(&store))).map_err(|e| lake_error(&e))
}

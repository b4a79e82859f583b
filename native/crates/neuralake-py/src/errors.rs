//! Rust errors as the classes of `neuralake_kernel.errors`, with their code, hint and retryability.

use neuralake_core::CoreError;
use neuralake_lake::LakeError;
use neuralake_stream::StreamError;
use neuralake_stream::journal::JournalError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What every error of ours tells.
struct Told {
    class: &'static str,
    code: &'static str,
    message: String,
    hint: &'static str,
    retryable: bool,
}

fn raise(told: &Told) -> PyErr {
    Python::attach(|py| {
        let build = || -> PyResult<PyErr> {
            let class = py.import("neuralake_kernel.errors")?.getattr(told.class)?;
            let fields = PyDict::new(py);
            fields.set_item("code", told.code)?;
            fields.set_item("hint", told.hint)?;
            fields.set_item("retryable", told.retryable)?;
            Ok(PyErr::from_value(class.call((told.message.as_str(),), Some(&fields))?))
        };
        build().unwrap_or_else(|e| e)
    })
}

pub(crate) fn core_error(error: CoreError) -> PyErr {
    stream_error(&StreamError::Core(error))
}

pub(crate) fn lake_error(error: &LakeError) -> PyErr {
    let class = match error {
        LakeError::Fenced { .. } => "FencedError",
        LakeError::StoreInvalid { .. } | LakeError::StoreUnreachable { .. } | LakeError::StoreUnfit { .. } => {
            "StackError"
        }
        _ => "CommitError",
    };
    let retryable = error.is_retryable();
    raise(&Told { class, code: error.code(), message: error.to_string(), hint: error.hint(), retryable })
}

pub(crate) fn journal_error(error: &JournalError) -> PyErr {
    let retryable = error.is_retryable();
    raise(&Told { class: "SourceError", code: error.code(), message: error.to_string(), hint: error.hint(), retryable })
}

pub(crate) fn stream_error(error: &StreamError) -> PyErr {
    match error {
        StreamError::Lake(error) => lake_error(error),
        StreamError::Journal(error) => journal_error(error),
        other => {
            let class = match other {
                StreamError::Core(_) => "ContractError",
                StreamError::SpecInvalid(_) => "UsageError",
                StreamError::ThreadLost(_) => "NativeError",
                _ => "SourceError",
            };
            let retryable = other.is_retryable();
            raise(&Told { class, code: other.code(), message: other.to_string(), hint: other.hint(), retryable })
        }
    }
}

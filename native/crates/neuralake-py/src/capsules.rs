//! Arrow data across the boundary by the PyCapsule interface, without a copy.
//!
//! <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>

use std::ffi::CStr;

use arrow::array::{Array, ArrayRef, RecordBatch, StructArray, make_array};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

const ARRAY: &CStr = c"arrow_array";
const SCHEMA: &CStr = c"arrow_schema";
const STREAM: &CStr = c"arrow_array_stream";

/// A record batch for anybody who reads the Arrow C data interface (pyarrow, Polars, DuckDB …).
#[pyclass(frozen, module = "neuralake_kernel._native")]
pub(crate) struct ArrowBatch {
    batch: RecordBatch,
}

impl ArrowBatch {
    pub(crate) fn new(batch: RecordBatch) -> Self {
        Self { batch }
    }
}

#[pymethods]
impl ArrowBatch {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        // Another schema may be asked for, and need not be given.
        drop(requested_schema);
        let data = StructArray::from(self.batch.clone()).into_data();
        let (array, schema) = to_ffi(&data).map_err(|e| PyValueError::new_err(e.to_string()))?;
        Ok((PyCapsule::new_with_value(py, schema, SCHEMA)?, PyCapsule::new_with_value(py, array, ARRAY)?))
    }

    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }
}

/// The array behind any object with `__arrow_c_array__`.
pub(crate) fn array_of(object: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    if !object.hasattr("__arrow_c_array__")? {
        let found = object.get_type().name()?.to_string();
        return Err(PyTypeError::new_err(format!("found {found}, expected an object with __arrow_c_array__")));
    }
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) =
        object.call_method0("__arrow_c_array__")?.extract()?;
    take(&schema, &array)
}

/// The batches behind any object with `__arrow_c_stream__`.
#[allow(unsafe_code)] // the interface passes a pointer; its name is checked before it is believed
pub(crate) fn batches_of(object: &Bound<'_, PyAny>) -> PyResult<ArrowArrayStreamReader> {
    if !object.hasattr("__arrow_c_stream__")? {
        let found = object.get_type().name()?.to_string();
        return Err(PyTypeError::new_err(format!("found {found}, expected an object with __arrow_c_stream__")));
    }
    let stream: Bound<'_, PyCapsule> = object.call_method0("__arrow_c_stream__")?.extract()?;
    let stream = stream.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: as in `take`: a valid struct of this type, moved out and left behind released.
    let reader = unsafe { ArrowArrayStreamReader::from_raw(stream.as_ptr()) };
    reader.map_err(|e| PyValueError::new_err(e.to_string()))
}

/// Move the array out of its capsules, as the interface has a consumer do: what is left behind is marked released.
#[allow(unsafe_code)] // the interface passes pointers; names are checked before they are believed
fn take(schema: &Bound<'_, PyCapsule>, array: &Bound<'_, PyCapsule>) -> PyResult<ArrayRef> {
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: a capsule of this name holds a valid struct of this type for as long as the capsule lives, and both
    // capsules outlive this call. Replacing it by an empty one makes its destructor a no-op, so it is freed once.
    let data = unsafe {
        let schema = FFI_ArrowSchema::from_raw(schema.as_ptr());
        let array = FFI_ArrowArray::from_raw(array.as_ptr());
        from_ffi(array, &schema)
    };
    Ok(make_array(data.map_err(|e| PyValueError::new_err(e.to_string()))?))
}

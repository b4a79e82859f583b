//! A column that somebody else made, brought to its declared type where no digit is lost.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, Schema, TimeUnit};
use arrow::error::ArrowError;

use super::{CellFault, Column};

/// Nanoseconds of a microsecond.
const NS: i64 = 1_000;

/// A column of the declared type, and which of its values were given.
pub(super) struct Conformed {
    pub(super) values: ArrayRef,
    given: Option<NullBuffer>,
    was_given: bool,
}

impl Conformed {
    /// What keeps values out, by row; nothing is looked at where nothing is missing.
    pub(super) fn faults(&self) -> impl Iterator<Item = (usize, CellFault)> + '_ {
        let rows = if self.values.null_count() == 0 { 0..0 } else { 0..self.values.len() };
        rows.filter(|row| self.values.is_null(*row)).map(|row| {
            let was_given = self.was_given && self.given.as_ref().is_none_or(|given| given.is_valid(row));
            (row, if was_given { CellFault::Type } else { CellFault::Null })
        })
    }
}

/// Bring a column to its declared type; a value that does not fit becomes null, and a fault.
pub(super) fn conform(given: Option<&ArrayRef>, column: &Column, rows: usize) -> Result<Conformed, ArrowError> {
    let declared = column.column_type.arrow();
    let values = match given {
        Some(given) if given.data_type() == &declared => ArrayRef::clone(given),
        Some(given) if is_widening(given.data_type(), &declared) => widened(given, &declared)?,
        _ => new_null_array(&declared, rows),
    };
    let given = given.filter(|given| given.data_type() != &DataType::Null);
    Ok(Conformed { values, was_given: given.is_some(), given: given.and_then(|given| given.logical_nulls()) })
}

/// What a schema says of a column before any row is looked at; `None` where rows are to be asked.
pub(super) fn schema_fault(schema: &Schema, column: &Column) -> Option<CellFault> {
    let mut found = schema.fields().iter().filter(|field| field.name() == &column.name);
    let Some(field) = found.next() else { return (!column.nullable).then_some(CellFault::Null) };
    let (given, declared) = (field.data_type(), column.column_type.arrow());
    if found.next().is_some() {
        Some(CellFault::Duplicate)
    } else if given == &DataType::Null || given == &declared || is_widening(given, &declared) {
        None
    } else {
        Some(CellFault::Type)
    }
}

/// Cast, and take back what the cast lost.
fn widened(given: &ArrayRef, declared: &DataType) -> Result<ArrayRef, ArrowError> {
    let values = cast(given, declared)?;
    let lost = match (value_type(given.data_type()), declared) {
        (DataType::Float64, DataType::Float32) => {
            let (wide, single) = (cast(given, &DataType::Float64)?, values.as_primitive::<Float32Type>());
            let is_lost = |wide: f64, single: f32| wide.is_finite() && !single.is_finite();
            BooleanArray::from_binary(wide.as_primitive::<Float64Type>(), single, is_lost)
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, _), _) => {
            let ns = cast(given, &DataType::Int64)?;
            BooleanArray::from_unary(ns.as_primitive::<Int64Type>(), |ns| ns % NS != 0)
        }
        _ => return Ok(values),
    };
    nullif(&values, &lost)
}

/// Type of the values, where they stand in a dictionary.
fn value_type(given: &DataType) -> &DataType {
    match given {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

/// Whether values of one type are values of the other, single ones out of range aside.
fn is_widening(given: &DataType, declared: &DataType) -> bool {
    let given = value_type(given);
    match declared {
        DataType::Float32 | DataType::Float64 => given.is_numeric() && !given.is_decimal(),
        _ if declared.is_integer() => given.is_integer(),
        DataType::Utf8 => matches!(given, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        DataType::Binary => matches!(
            given,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
        ),
        DataType::Timestamp(..) => {
            matches!(given, DataType::Timestamp(_, Some(zone)) if matches!(zone.as_ref(), "UTC" | "+00:00"))
        }
        _ => false,
    }
}

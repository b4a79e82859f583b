//! A column that somebody else made, brought to its declared type where no digit is lost.

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;

use super::{CellFault, Column};

/// A column of the declared type, beside the one it was made from.
pub(super) struct Conformed {
    pub(super) values: ArrayRef,
    given: Option<ArrayRef>,
}

impl Conformed {
    /// What keeps the value of this row out, if anything.
    pub(super) fn fault(&self, row: usize) -> Option<CellFault> {
        if self.values.is_valid(row) {
            return None;
        }
        let was_given = self.given.as_ref().is_some_and(|given| given.is_valid(row));
        Some(if was_given { CellFault::Type } else { CellFault::Null })
    }
}

/// Bring a column to its declared type; a value that does not fit becomes null, and a fault.
pub(super) fn conform(given: Option<&ArrayRef>, column: &Column, rows: usize) -> Result<Conformed, ArrowError> {
    let declared = column.column_type.arrow();
    let values = match given {
        Some(given) if given.data_type() == &declared => ArrayRef::clone(given),
        Some(given) if is_widening(given.data_type(), &declared) => cast(given, &declared)?,
        _ => new_null_array(&declared, rows),
    };
    let given = given.filter(|given| given.data_type() != &DataType::Null).cloned();
    Ok(Conformed { values, given })
}

/// Whether values of one type are values of the other, single ones out of range aside.
fn is_widening(given: &DataType, declared: &DataType) -> bool {
    let given = match given {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
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
            matches!(given, DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, Some(zone))
                if matches!(zone.as_ref(), "UTC" | "+00:00"))
        }
        _ => false,
    }
}

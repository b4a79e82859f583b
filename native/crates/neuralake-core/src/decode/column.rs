//! Typed columns under construction, and the verdict on each cell that wants in.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, ArrowPrimitiveType, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder,
    Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, PrimitiveBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use chrono::{DateTime, NaiveDate};

use super::Cell;
use crate::contract::{CellFault, Column, ColumnType};

/// Arrow builder of one column.
#[derive(Debug)]
pub(crate) enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    String(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    TimestampUs(TimestampMicrosecondBuilder),
}

/// Evaluate `$body` with `$b` bound to whichever builder this column has.
macro_rules! each {
    ($self:expr, $b:ident => $body:expr) => {
        match $self {
            Self::Bool($b) => $body,
            Self::Int8($b) => $body,
            Self::Int16($b) => $body,
            Self::Int32($b) => $body,
            Self::Int64($b) => $body,
            Self::Float32($b) => $body,
            Self::Float64($b) => $body,
            Self::String($b) => $body,
            Self::Binary($b) => $body,
            Self::Date($b) => $body,
            Self::TimestampUs($b) => $body,
        }
    };
}

impl ColumnBuilder {
    /// An empty column with room for `rows` values and `text_bytes` of text.
    pub(crate) fn with_capacity(column_type: ColumnType, rows: usize, text_bytes: usize) -> Self {
        match column_type {
            ColumnType::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            ColumnType::Int8 => Self::Int8(Int8Builder::with_capacity(rows)),
            ColumnType::Int16 => Self::Int16(Int16Builder::with_capacity(rows)),
            ColumnType::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            ColumnType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            ColumnType::Float32 => Self::Float32(Float32Builder::with_capacity(rows)),
            ColumnType::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            ColumnType::String => Self::String(StringBuilder::with_capacity(rows, text_bytes)),
            ColumnType::Binary => Self::Binary(BinaryBuilder::with_capacity(rows, text_bytes)),
            ColumnType::Date => Self::Date(Date32Builder::with_capacity(rows)),
            ColumnType::TimestampUs => {
                Self::TimestampUs(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(column_type.arrow()))
            }
        }
    }

    pub(crate) fn append_null(&mut self) {
        each!(self, b => b.append_null());
    }

    /// Append a cell that holds a value; false, and nothing appended, where it is of another type. No digit is dropped
    /// silently: a real number is no integer, and a number too large for its column is of another type.
    fn append(&mut self, cell: &Cell<'_>) -> bool {
        match (self, cell) {
            (Self::Bool(b), Cell::Bool(v)) => b.append_value(*v),
            (Self::Int8(b), Cell::Integer(v)) => return append_narrow(b, *v),
            (Self::Int16(b), Cell::Integer(v)) => return append_narrow(b, *v),
            (Self::Int32(b), Cell::Integer(v)) => return append_narrow(b, *v),
            (Self::Int64(b), Cell::Integer(v)) => b.append_value(*v),
            (Self::TimestampUs(b), Cell::Integer(v)) => b.append_value(*v),
            #[allow(clippy::cast_precision_loss)]
            (Self::Float32(b), Cell::Integer(v)) => b.append_value(*v as f32),
            #[allow(clippy::cast_precision_loss)]
            (Self::Float64(b), Cell::Integer(v)) => b.append_value(*v as f64),
            #[allow(clippy::cast_possible_truncation)]
            (Self::Float32(b), Cell::Real(v)) if (*v as f32).is_finite() => b.append_value(*v as f32),
            (Self::Float64(b), Cell::Real(v)) => b.append_value(*v),
            (Self::String(b), Cell::Text(v)) => b.append_value(v),
            (Self::Binary(b), Cell::Text(v)) => b.append_value(v.as_bytes()),
            (Self::Date(b), Cell::Text(v)) => return append_found(b, days(v)),
            (Self::TimestampUs(b), Cell::Text(v)) => {
                return append_found(b, DateTime::parse_from_rfc3339(v).ok().map(|t| t.timestamp_micros()));
            }
            _ => return false,
        }
        true
    }

    /// Bytes of its values so far.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::String(b) => b.values_slice().len() + 4 * b.len(),
            Self::Binary(b) => b.values_slice().len() + 4 * b.len(),
            Self::Bool(b) => b.len() / 8,
            Self::Int8(b) => b.len(),
            Self::Int16(b) => 2 * b.len(),
            Self::Int32(b) => 4 * b.len(),
            Self::Float32(b) => 4 * b.len(),
            Self::Date(b) => 4 * b.len(),
            Self::Int64(b) => 8 * b.len(),
            Self::Float64(b) => 8 * b.len(),
            Self::TimestampUs(b) => 8 * b.len(),
        }
    }

    /// The column so far. What comes next finds room for as much again.
    pub(crate) fn finish(&mut self, column_type: ColumnType) -> ArrayRef {
        let text_bytes = match self {
            Self::String(b) => b.values_slice().len(),
            Self::Binary(b) => b.values_slice().len(),
            _ => 0,
        };
        let column: ArrayRef = each!(self, b => Arc::new(b.finish()));
        *self = Self::with_capacity(column_type, column.len(), text_bytes);
        column
    }
}

/// Append one cell to its column: its value, or null and the fault that keeps its row out.
pub(crate) fn judge(column: &Column, cell: &Cell<'_>, builder: &mut ColumnBuilder) -> Option<CellFault> {
    let fault = match cell {
        Cell::Missing | Cell::Null => (!column.nullable).then_some(CellFault::Null),
        Cell::Duplicate => Some(CellFault::Duplicate),
        cell if builder.append(cell) => return None,
        _ => Some(CellFault::Type),
    };
    builder.append_null();
    fault
}

fn append_narrow<T: ArrowPrimitiveType<Native: TryFrom<i64>>>(builder: &mut PrimitiveBuilder<T>, value: i64) -> bool {
    append_found(builder, T::Native::try_from(value).ok())
}

fn append_found<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>, value: Option<T::Native>) -> bool {
    if let Some(value) = value {
        builder.append_value(value);
    }
    value.is_some()
}

pub(super) fn days(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

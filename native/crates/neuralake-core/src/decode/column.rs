//! Typed columns under construction, and the verdict on each value that wants in.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int8Builder, Int16Builder,
    Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use chrono::{DateTime, NaiveDate};

use super::Cell;
use crate::contract::{Bound, Column, ColumnType, rule_id};

/// A value that passed its column's rules and waits for the rest of its row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Single(f32),
    Real(f64),
    Text(std::borrow::Cow<'a, str>),
}

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

impl ColumnBuilder {
    pub(crate) fn new(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int8 => Self::Int8(Int8Builder::new()),
            ColumnType::Int16 => Self::Int16(Int16Builder::new()),
            ColumnType::Int32 => Self::Int32(Int32Builder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Float32 => Self::Float32(Float32Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::String => Self::String(StringBuilder::new()),
            ColumnType::Binary => Self::Binary(BinaryBuilder::new()),
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::TimestampUs => {
                Self::TimestampUs(TimestampMicrosecondBuilder::new().with_data_type(column_type.arrow()))
            }
        }
    }

    /// Append a value that `judge` made for a column of this type; anything else becomes null.
    #[allow(clippy::cast_possible_truncation)] // `judge` has checked the range of the type
    pub(crate) fn append(&mut self, value: &Value<'_>) -> usize {
        match (self, value) {
            (Self::Bool(b), Value::Bool(v)) => b.append_value(*v),
            (Self::Int8(b), Value::Integer(v)) => b.append_value(*v as i8),
            (Self::Int16(b), Value::Integer(v)) => b.append_value(*v as i16),
            (Self::Int32(b), Value::Integer(v)) => b.append_value(*v as i32),
            (Self::Int64(b), Value::Integer(v)) => b.append_value(*v),
            (Self::Float32(b), Value::Single(v)) => b.append_value(*v),
            (Self::Float64(b), Value::Real(v)) => b.append_value(*v),
            (Self::String(b), Value::Text(v)) => {
                b.append_value(v);
                return v.len() + 4;
            }
            (Self::Binary(b), Value::Text(v)) => {
                b.append_value(v.as_bytes());
                return v.len() + 4;
            }
            (Self::Date(b), Value::Integer(v)) => b.append_value(*v as i32),
            (Self::TimestampUs(b), Value::Integer(v)) => b.append_value(*v),
            (Self::Bool(b), _) => b.append_null(),
            (Self::Int8(b), _) => b.append_null(),
            (Self::Int16(b), _) => b.append_null(),
            (Self::Int32(b), _) => b.append_null(),
            (Self::Int64(b), _) => b.append_null(),
            (Self::Float32(b), _) => b.append_null(),
            (Self::Float64(b), _) => b.append_null(),
            (Self::String(b), _) => b.append_null(),
            (Self::Binary(b), _) => b.append_null(),
            (Self::Date(b), _) => b.append_null(),
            (Self::TimestampUs(b), _) => b.append_null(),
        }
        8
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Int8(b) => Arc::new(b.finish()),
            Self::Int16(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::String(b) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::TimestampUs(b) => Arc::new(b.finish()),
        }
    }
}

/// Judge one cell by its column: the value to append, or the ids of the rules it breaks in `reasons`.
pub(crate) fn judge<'a>(column: &Column, cell: Cell<'a>, reasons: &mut Vec<String>) -> Value<'a> {
    let value = match cell {
        Cell::Missing | Cell::Null => {
            if !column.nullable {
                reasons.push(rule_id(&column.name, "nullability"));
            }
            return Value::Null;
        }
        Cell::Duplicate => {
            reasons.push(rule_id(&column.name, "duplicate"));
            return Value::Null;
        }
        cell => typed(column.column_type, cell),
    };
    match value {
        None => {
            reasons.push(rule_id(&column.name, "dtype"));
            Value::Null
        }
        Some(value) => {
            for (rule, bound) in column.bounds() {
                if bound.is_some_and(|bound| !holds(rule, bound, &value)) {
                    reasons.push(rule_id(&column.name, rule));
                }
            }
            value
        }
    }
}

fn holds(rule: &str, bound: Bound, value: &Value<'_>) -> bool {
    let order = match value {
        Value::Integer(v) => bound.order_of_integer(*v),
        Value::Single(v) => bound.order_of_single(*v),
        Value::Real(v) => bound.order_of_real(*v),
        _ => return true,
    };
    order.is_some_and(|order| match rule {
        "min" => order.is_ge(),
        "max" => order.is_le(),
        "min_exclusive" => order.is_gt(),
        _ => order.is_lt(),
    })
}

/// The cell as a value of the type, or `None` where it is of another one. No digit is dropped silently: a real
/// number is no integer, and a number too large for its column is of another type.
fn typed(column_type: ColumnType, cell: Cell<'_>) -> Option<Value<'_>> {
    let integer_in = |v: i64, low: i64, high: i64| (low..=high).contains(&v).then_some(Value::Integer(v));
    match (column_type, cell) {
        (ColumnType::Bool, Cell::Bool(v)) => Some(Value::Bool(v)),
        (ColumnType::Int8, Cell::Integer(v)) => integer_in(v, i8::MIN.into(), i8::MAX.into()),
        (ColumnType::Int16, Cell::Integer(v)) => integer_in(v, i16::MIN.into(), i16::MAX.into()),
        (ColumnType::Int32, Cell::Integer(v)) => integer_in(v, i32::MIN.into(), i32::MAX.into()),
        (ColumnType::Int64 | ColumnType::TimestampUs, Cell::Integer(v)) => Some(Value::Integer(v)),
        #[allow(clippy::cast_precision_loss)]
        (ColumnType::Float32, Cell::Integer(v)) => Some(Value::Single(v as f32)),
        #[allow(clippy::cast_precision_loss)]
        (ColumnType::Float64, Cell::Integer(v)) => Some(Value::Real(v as f64)),
        #[allow(clippy::cast_possible_truncation)]
        (ColumnType::Float32, Cell::Real(v)) => (v as f32).is_finite().then_some(Value::Single(v as f32)),
        (ColumnType::Float64, Cell::Real(v)) => Some(Value::Real(v)),
        (ColumnType::String | ColumnType::Binary, Cell::Text(v)) => Some(Value::Text(v)),
        (ColumnType::Date, Cell::Text(v)) => days(&v).map(Value::Integer),
        (ColumnType::TimestampUs, Cell::Text(v)) => {
            DateTime::parse_from_rfc3339(&v).ok().map(|t| Value::Integer(t.timestamp_micros()))
        }
        _ => None,
    }
}

fn days(text: &str) -> Option<i64> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.signed_duration_since(NaiveDate::default()).num_days())
}

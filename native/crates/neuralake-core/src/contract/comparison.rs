//! Two values of one row in an order: columns, lengths of texts, and constants.
//!
//! Integers are compared as such; an integer meets a real number as a double. NaN equals itself and lies above every
//! other number, and the two zeros are one, as in Polars.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Datum, Float64Array, Int64Array, Scalar, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::compute::kernels::cmp;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use serde::Deserialize;

use super::ColumnType;

/// How two values must stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparator {
    /// Equal.
    Eq,
    /// Not equal.
    NotEq,
    /// Left below right.
    Lt,
    /// Left not above right.
    LtEq,
    /// Left above right.
    Gt,
    /// Left not below right.
    GtEq,
}

/// A value of a row, or one for all rows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Term {
    /// That of a column.
    Column(String),
    /// Bytes of a column's text.
    Length(String),
    /// An integer.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// A text.
    Text(String),
    /// A truth value.
    Flag(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// UTC microseconds since then.
    TimestampUs(i64),
}

/// What can be compared with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Real,
    Text,
    Flag,
    Date,
    Timestamp,
}

#[derive(Debug)]
enum Operand {
    Column(usize),
    Length(usize),
    Constant(ArrayRef),
}

/// A compiled comparison.
#[derive(Debug)]
pub(super) struct Comparison {
    op: Comparator,
    left: Operand,
    right: Operand,
    kind: Kind,
}

/// Number and type of a column by its name, or why there is none.
pub(super) type Find<'a> = dyn Fn(&str) -> Result<(usize, ColumnType), String> + 'a;

impl Comparison {
    pub(super) fn compile(op: Comparator, left: &Term, right: &Term, find: &Find<'_>) -> Result<Self, String> {
        let ((left, left_kind), (right, right_kind)) = (operand(left, find)?, operand(right, find)?);
        if matches!((&left, &right), (Operand::Constant(_), Operand::Constant(_))) {
            return Err("it compares two constants".to_owned());
        }
        let kind = match (left_kind, right_kind) {
            (a, b) if a == b => a,
            (Kind::Integer, Kind::Real) | (Kind::Real, Kind::Integer) => Kind::Real,
            (a, b) => return Err(format!("it compares {a:?} with {b:?}")),
        };
        Ok(Self { op, left, right, kind })
    }

    pub(super) fn columns(&self) -> Vec<usize> {
        let number = |operand: &Operand| match operand {
            Operand::Column(column) | Operand::Length(column) => Some(*column),
            Operand::Constant(_) => None,
        };
        [&self.left, &self.right].into_iter().filter_map(number).collect()
    }

    pub(super) fn holds(&self, columns: &[ArrayRef]) -> Result<BooleanArray, ArrowError> {
        let (left, right) = (self.datum(&self.left, columns)?, self.datum(&self.right, columns)?);
        let compare = match self.op {
            Comparator::Eq => cmp::eq,
            Comparator::NotEq => cmp::neq,
            Comparator::Lt => cmp::lt,
            Comparator::LtEq => cmp::lt_eq,
            Comparator::Gt => cmp::gt,
            Comparator::GtEq => cmp::gt_eq,
        };
        compare(left.as_ref(), right.as_ref())
    }

    fn datum(&self, operand: &Operand, columns: &[ArrayRef]) -> Result<Box<dyn Datum>, ArrowError> {
        Ok(match operand {
            Operand::Column(column) => Box::new(self.widened(&columns[*column])?),
            Operand::Length(column) => Box::new(self.widened(&length(&columns[*column])?)?),
            Operand::Constant(value) => Box::new(Scalar::new(self.widened(value)?)),
        })
    }

    fn widened(&self, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match self.kind {
            Kind::Integer => cast(values, &DataType::Int64),
            Kind::Real => {
                let values = cast(values, &DataType::Float64)?;
                // Arrow orders the bits, in which -0.0 lies below 0.0 and every NaN has a place of its own.
                let one = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
                Ok(Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(one)))
            }
            _ => Ok(Arc::clone(values)),
        }
    }
}

fn operand(term: &Term, find: &Find<'_>) -> Result<(Operand, Kind), String> {
    let constant = |value: ArrayRef, kind| Ok((Operand::Constant(value), kind));
    match term {
        Term::Column(name) => {
            let (index, column_type) = find(name)?;
            Ok((Operand::Column(index), kind_of(column_type).ok_or_else(|| format!("column {name} has no order"))?))
        }
        Term::Length(name) => match find(name)? {
            (index, ColumnType::String) => Ok((Operand::Length(index), Kind::Integer)),
            _ => Err(format!("column {name} is no text")),
        },
        Term::Integer(value) => constant(Arc::new(Int64Array::from(vec![*value])), Kind::Integer),
        Term::Real(value) => constant(Arc::new(Float64Array::from(vec![*value])), Kind::Real),
        Term::Text(value) => constant(Arc::new(StringArray::from(vec![value.as_str()])), Kind::Text),
        Term::Flag(value) => constant(Arc::new(BooleanArray::from(vec![*value])), Kind::Flag),
        Term::Date(value) => constant(Arc::new(Date32Array::from(vec![*value])), Kind::Date),
        Term::TimestampUs(value) => {
            constant(Arc::new(TimestampMicrosecondArray::from(vec![*value]).with_timezone("UTC")), Kind::Timestamp)
        }
    }
}

fn kind_of(column_type: ColumnType) -> Option<Kind> {
    Some(match column_type {
        ColumnType::Int8 | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => Kind::Integer,
        ColumnType::Float32 | ColumnType::Float64 => Kind::Real,
        ColumnType::String => Kind::Text,
        ColumnType::Bool => Kind::Flag,
        ColumnType::Date => Kind::Date,
        ColumnType::TimestampUs => Kind::Timestamp,
        ColumnType::Binary => return None,
    })
}

//! A bound of a number, compared without losing digits, over a whole column.

use arrow::array::{Array, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use serde::Deserialize;

/// An integer or a real bound, as the declaration wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// Exact for every integer column, dates (days) and timestamps (microseconds).
    Integer(i64),
    /// For columns of real numbers.
    Real(f64),
}

/// On which side of the bound values must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// At it or above.
    Min,
    /// At it or below.
    Max,
    /// Above it.
    MinExclusive,
    /// Below it.
    MaxExclusive,
}

impl Side {
    /// Name of the rule, as dataframely writes it.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::MinExclusive => "min_exclusive",
            Self::MaxExclusive => "max_exclusive",
        }
    }
}

impl Bound {
    /// Which values of the column hold the bound; null where there is no value, `None` where the type has no order.
    #[must_use]
    pub(crate) fn holds(self, side: Side, column: &dyn Array) -> Option<BooleanArray> {
        Some(match column.data_type() {
            DataType::Int8 => self.integers::<Int8Type>(side, column),
            DataType::Int16 => self.integers::<Int16Type>(side, column),
            DataType::Int32 => self.integers::<Int32Type>(side, column),
            DataType::Int64 => self.integers::<Int64Type>(side, column),
            DataType::Date32 => self.integers::<Date32Type>(side, column),
            DataType::Timestamp(..) => self.integers::<TimestampMicrosecondType>(side, column),
            // Rounded to the precision of the column, as Polars does.
            #[allow(clippy::cast_possible_truncation)]
            DataType::Float32 => compare(column.as_primitive::<Float32Type>(), side, self.as_real() as f32, |v| v),
            DataType::Float64 => compare(column.as_primitive::<Float64Type>(), side, self.as_real(), |v| v),
            _ => return None,
        })
    }

    fn integers<T: ArrowPrimitiveType<Native: Into<i64>>>(self, side: Side, column: &dyn Array) -> BooleanArray {
        let column = column.as_primitive::<T>();
        match self {
            Self::Integer(bound) => compare(column, side, bound, Into::into),
            // Integers beyond 2^53 lose digits here; a declaration with such a bound writes an integer.
            #[allow(clippy::cast_precision_loss)]
            Self::Real(bound) => compare(column, side, bound, |v| v.into() as f64),
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn as_real(self) -> f64 {
        match self {
            Self::Integer(bound) => bound as f64,
            Self::Real(bound) => bound,
        }
    }
}

/// One tight loop for each side. NaN lies above every number, as in Polars, hence the negations.
#[allow(clippy::neg_cmp_op_on_partial_ord)]
fn compare<T: ArrowPrimitiveType, V: PartialOrd + Copy>(
    column: &PrimitiveArray<T>,
    side: Side,
    bound: V,
    widen: impl Fn(T::Native) -> V,
) -> BooleanArray {
    match side {
        Side::Min => BooleanArray::from_unary(column, |v| !(widen(v) < bound)),
        Side::Max => BooleanArray::from_unary(column, |v| widen(v) <= bound),
        Side::MinExclusive => BooleanArray::from_unary(column, |v| !(widen(v) <= bound)),
        Side::MaxExclusive => BooleanArray::from_unary(column, |v| widen(v) < bound),
    }
}

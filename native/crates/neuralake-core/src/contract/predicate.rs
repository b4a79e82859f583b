//! A test with its names resolved, judged on whole columns.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{and_kleene, is_null, not, or_kleene};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;

use super::comparison::Comparison;
use super::pattern::Pattern;
use super::set::Set;

/// A compiled test; columns go by their number.
#[derive(Debug)]
pub(super) enum Predicate {
    Compare(Comparison),
    IsNull(usize),
    IsNan(usize),
    IsInfinite(usize),
    IsTrue(usize),
    IsIn(usize, Set),
    Matches(usize, Pattern),
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
}

impl Predicate {
    /// For each row true, false, or null where it cannot be told.
    pub(super) fn holds(&self, columns: &[ArrayRef]) -> Result<BooleanArray, ArrowError> {
        match self {
            Self::Compare(comparison) => comparison.holds(columns),
            Self::IsNull(column) => is_null(&columns[*column]),
            Self::IsNan(column) => Ok(reals(&columns[*column], f32::is_nan, f64::is_nan)),
            Self::IsInfinite(column) => Ok(reals(&columns[*column], f32::is_infinite, f64::is_infinite)),
            Self::IsTrue(column) => Ok(columns[*column].as_boolean().clone()),
            Self::IsIn(column, set) => set.holds(&columns[*column]),
            Self::Matches(column, pattern) => Ok(pattern.holds(columns[*column].as_string())),
            Self::All(tests) => joined(tests, columns, and_kleene),
            Self::Any(tests) => joined(tests, columns, or_kleene),
            Self::Not(test) => not(&test.holds(columns)?),
        }
    }

    /// Numbers of the columns it looks at.
    pub(super) fn columns(&self) -> Vec<usize> {
        match self {
            Self::Compare(comparison) => comparison.columns(),
            Self::IsNull(column)
            | Self::IsNan(column)
            | Self::IsInfinite(column)
            | Self::IsTrue(column)
            | Self::IsIn(column, _)
            | Self::Matches(column, _) => vec![*column],
            Self::All(tests) | Self::Any(tests) => tests.iter().flat_map(Self::columns).collect(),
            Self::Not(test) => test.columns(),
        }
    }
}

fn joined(
    tests: &[Predicate],
    columns: &[ArrayRef],
    join: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, ArrowError>,
) -> Result<BooleanArray, ArrowError> {
    let mut parts = tests.iter().map(|test| test.holds(columns));
    let first = parts.next().unwrap_or_else(|| Err(ArrowError::ComputeError("it joins no tests".to_owned())))?;
    parts.try_fold(first, |joined, part| join(&joined, &part?))
}

fn reals(column: &ArrayRef, single: fn(f32) -> bool, double: fn(f64) -> bool) -> BooleanArray {
    match column.data_type() {
        DataType::Float32 => BooleanArray::from_unary(column.as_primitive::<Float32Type>(), single),
        _ => BooleanArray::from_unary(column.as_primitive::<Float64Type>(), double),
    }
}

//! Whether values are among a few named ones.

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use serde::Deserialize;

use super::ColumnType;

/// One value of a set, as the declaration wrote it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Member {
    /// Of a set of integers.
    Integer(i64),
    /// Of a set of texts.
    Text(String),
}

/// A sorted set.
#[derive(Debug)]
pub(super) enum Set {
    Integers(Vec<i64>),
    Texts(Vec<String>),
}

impl Set {
    pub(super) fn compile(column_type: ColumnType, values: &[Member]) -> Result<Self, String> {
        let mut integers = Vec::new();
        let mut texts = Vec::new();
        for value in values {
            match (column_type, value) {
                (ColumnType::Int8 | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64, Member::Integer(v)) => {
                    integers.push(*v);
                }
                (ColumnType::String, Member::Text(v)) => texts.push(v.clone()),
                _ => return Err(format!("{value:?} can be no member of a set of {column_type:?}")),
            }
        }
        Ok(if column_type == ColumnType::String { Self::texts(texts) } else { Self::Integers(sorted(integers)) })
    }

    pub(super) fn texts(texts: Vec<String>) -> Self {
        Self::Texts(sorted(texts))
    }

    pub(super) fn holds(&self, column: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        Ok(match self {
            Self::Integers(set) => {
                let column = cast(column, &DataType::Int64)?;
                BooleanArray::from_unary(column.as_primitive::<Int64Type>(), |v| set.binary_search(&v).is_ok())
            }
            Self::Texts(set) => {
                let column = column.as_string::<i32>();
                BooleanArray::from_unary(column, |v| set.binary_search_by(|member| member.as_str().cmp(v)).is_ok())
            }
        })
    }
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

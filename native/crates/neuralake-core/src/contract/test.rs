//! What a rule says of a row: a small language over the row's own columns, with Polars' three truth values.
//!
//! Nothing in it can look at another row, so a verdict never depends on how a stream is cut.

use serde::Deserialize;

use super::comparison::{Comparator, Comparison, Term};
use super::pattern::Pattern;
use super::predicate::Predicate;
use super::set::{Member, Set};
use super::{ColumnType, Contract};

/// A test of one row: true, false, or null where a null keeps it from being told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Test {
    /// Two values stand in this order.
    Compare {
        /// Which order.
        op: Comparator,
        /// Value on its left.
        left: Term,
        /// Value on its right.
        right: Term,
    },
    /// The column is null.
    IsNull(String),
    /// The number is none.
    IsNan(String),
    /// The number is infinite.
    IsInfinite(String),
    /// The column, of truth values, is true.
    IsTrue(String),
    /// The value is one of these.
    IsIn {
        /// Whose value.
        column: String,
        /// All integers or all texts.
        values: Vec<Member>,
    },
    /// The pattern occurs in the text.
    Matches {
        /// Whose text.
        column: String,
        /// In the syntax of the `regex` crate, which is that of Polars.
        pattern: String,
    },
    /// Every one holds.
    All(Vec<Test>),
    /// At least one holds.
    Any(Vec<Test>),
    /// It does not hold.
    Not(Box<Test>),
}

impl Test {
    /// Resolve names, types and patterns, or say what does not fit.
    pub(super) fn compile(&self, contract: &Contract) -> Result<Predicate, String> {
        Ok(match self {
            Self::Compare { op, left, right } => {
                Predicate::Compare(Comparison::compile(*op, left, right, &|name| find(contract, name))?)
            }
            Self::IsNull(column) => Predicate::IsNull(find(contract, column)?.0),
            Self::IsNan(column) => Predicate::IsNan(real(contract, column)?),
            Self::IsInfinite(column) => Predicate::IsInfinite(real(contract, column)?),
            Self::IsTrue(column) => match find(contract, column)? {
                (index, ColumnType::Bool) => Predicate::IsTrue(index),
                _ => return Err(format!("column {column} is no truth value")),
            },
            Self::IsIn { column, values } => {
                let (index, column_type) = find(contract, column)?;
                Predicate::IsIn(index, Set::compile(column_type, values)?)
            }
            Self::Matches { column, pattern } => match find(contract, column)? {
                (index, ColumnType::String) => Predicate::Matches(index, Pattern::compile(pattern)?),
                _ => return Err(format!("column {column} is no text")),
            },
            Self::All(tests) => Predicate::All(several(tests, contract)?),
            Self::Any(tests) => Predicate::Any(several(tests, contract)?),
            Self::Not(test) => Predicate::Not(Box::new(test.compile(contract)?)),
        })
    }
}

fn several(tests: &[Test], contract: &Contract) -> Result<Vec<Predicate>, String> {
    if tests.is_empty() {
        return Err("it joins no tests".to_owned());
    }
    tests.iter().map(|test| test.compile(contract)).collect()
}

fn find(contract: &Contract, name: &str) -> Result<(usize, ColumnType), String> {
    let found = contract.columns.iter().enumerate().find(|(_, column)| column.name == name);
    found.map(|(index, column)| (index, column.column_type)).ok_or_else(|| format!("there is no column {name}"))
}

fn real(contract: &Contract, name: &str) -> Result<usize, String> {
    match find(contract, name)? {
        (index, ColumnType::Float32 | ColumnType::Float64) => Ok(index),
        _ => Err(format!("column {name} is no real number")),
    }
}

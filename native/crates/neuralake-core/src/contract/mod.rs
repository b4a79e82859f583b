//! The contract of a table: which columns a row has, of what type, and within which bounds.
//!
//! Rules are local to one row, so a verdict never depends on how a stream is cut into batches. Rule ids are
//! those of dataframely (`column|rule`), so that Python and Rust name a violation alike.

mod bound;
mod column_type;
mod comparison;
mod conform;
mod pattern;
mod plan;
mod predicate;
mod set;
mod test;

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::Deserialize;

pub use bound::{Bound, Side};
pub use column_type::ColumnType;
pub use comparison::{Comparator, Term};
pub use plan::{Breach, CellFault, Plan, Verdict};
pub use set::Member;
pub use test::Test;

use crate::CoreError;

/// One declared column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name, unique in its contract; never begins with `_`.
    pub name: String,
    /// Type of its values.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether a row may leave it out or say null.
    pub nullable: bool,
    /// Smallest value allowed.
    #[serde(default)]
    pub min: Option<Bound>,
    /// Largest value allowed.
    #[serde(default)]
    pub max: Option<Bound>,
    /// Values must lie above this one.
    #[serde(default)]
    pub min_exclusive: Option<Bound>,
    /// Values must lie below this one.
    #[serde(default)]
    pub max_exclusive: Option<Bound>,
    /// The only texts a row may hold, where the type is a set of them.
    #[serde(default)]
    pub categories: Option<Vec<String>>,
    /// Whether a real number may be none.
    #[serde(default)]
    pub allow_nan: bool,
    /// Whether a real number may be infinite.
    #[serde(default)]
    pub allow_inf: bool,
    /// For people; no rule.
    #[serde(default)]
    pub description: Option<String>,
    /// Physical unit of the values, for people; no rule.
    #[serde(default)]
    pub physical_unit: Option<String>,
}

/// A rule beyond types and bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `column|rule` for one of a column, else a name of its own.
    pub id: String,
    /// What a row must hold; a row for which that cannot be told holds it.
    pub test: Test,
}

/// The columns and rules of one table, under an identity that changes with them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Digest of the rules, kept beside every quarantined row.
    pub id: String,
    /// Version of the declaration, counted by its author.
    pub version: i32,
    /// Columns in the order of the table.
    pub columns: Vec<Column>,
    /// Rules beyond those of the columns.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Ids of the rules whose breach is counted and keeps no row out.
    #[serde(default)]
    pub warn: Vec<String>,
}

impl Contract {
    /// Read a contract as the Python side writes it.
    ///
    /// # Errors
    /// `ContractUnreadable` when the text is no contract, `ContractInvalid` when it contradicts itself.
    pub fn from_json(text: &str) -> Result<Self, CoreError> {
        let contract: Self = serde_json::from_str(text).map_err(|e| CoreError::ContractUnreadable(e.to_string()))?;
        contract.validate()?;
        Ok(contract)
    }

    /// Check what a type cannot say: names are unique and ours to use, bounds and rules fit their columns.
    ///
    /// # Errors
    /// `ContractInvalid` naming the first column at fault.
    pub fn validate(&self) -> Result<(), CoreError> {
        let fault = |column: &str, reason: &str| CoreError::ContractInvalid {
            id: self.id.clone(),
            column: column.to_owned(),
            reason: reason.to_owned(),
        };
        if self.columns.is_empty() {
            return Err(fault("-", "a table needs at least one column"));
        }
        for (index, column) in self.columns.iter().enumerate() {
            let name = column.name.as_str();
            if name.is_empty() || name.starts_with('_') {
                return Err(fault(name, "names are not empty and leave the leading `_` to the identity of a row"));
            }
            if self.columns[..index].iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
                return Err(fault(name, "the name occurs twice (upper and lower case are one)"));
            }
            if column.bounds().next().is_some() && !column.column_type.is_ordered_number() {
                return Err(fault(name, "only numbers, dates and timestamps have bounds"));
            }
            if column.categories.is_some() && column.column_type != ColumnType::String {
                return Err(fault(name, "only texts have categories"));
            }
        }
        Plan::new(self).map(drop)
    }

    /// Arrow schema of the declared columns, without the identity of a row.
    #[must_use]
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            self.columns.iter().map(|c| Field::new(&c.name, c.column_type.arrow(), c.nullable)).collect::<Vec<_>>(),
        ))
    }
}

impl Column {
    /// The bounds it has, each with its side.
    pub fn bounds(&self) -> impl Iterator<Item = (Side, Bound)> {
        [
            (Side::Min, self.min),
            (Side::Max, self.max),
            (Side::MinExclusive, self.min_exclusive),
            (Side::MaxExclusive, self.max_exclusive),
        ]
        .into_iter()
        .filter_map(|(side, bound)| Some((side, bound?)))
    }

    /// Whether a rule of this id is one of this column.
    fn owns(&self, rule: &str) -> bool {
        rule.strip_prefix(self.name.as_str()).is_some_and(|rest| rest.starts_with('|'))
    }
}

/// Identifier of the rule `rule` of `column`, as dataframely writes it.
#[must_use]
pub fn rule_id(column: &str, rule: &str) -> String {
    format!("{column}|{rule}")
}

//! The rules of a contract in the order their breaches are listed, judged on whole columns.
//!
//! What only the source of a value can tell (its type, whether it was named twice, whether it was there) is noted while
//! rows are decoded; every other rule looks at the finished column once. A rule says nothing about a null.

use arrow::array::{Array, ArrayRef};

use super::bound::{Bound, Side};
use super::{Contract, rule_id};

/// One rule broken by one row. Sorted, breaches stand by row, and within a row in the order of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// Row of the block.
    pub row: usize,
    /// Number of the rule, as `Plan::id` takes it.
    pub rule: usize,
}

/// Why a value cannot stand in its column, known before there is a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellFault {
    /// Not of the column's type.
    Type,
    /// Named more than once in its row.
    Duplicate,
    /// Null or missing in a column that has neither.
    Null,
}

/// A contract, compiled.
#[derive(Debug)]
pub struct Plan {
    ids: Vec<String>,
    /// Number of each column's first rule, from which its faults are counted.
    first: Vec<usize>,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Check {
    rule: usize,
    column: usize,
    side: Side,
    bound: Bound,
}

impl Plan {
    /// Compile the rules of a contract.
    #[must_use]
    pub fn new(contract: &Contract) -> Self {
        let mut plan = Self { ids: Vec::new(), first: Vec::new(), checks: Vec::new() };
        for (index, column) in contract.columns.iter().enumerate() {
            plan.first.push(plan.ids.len());
            plan.ids.extend(["dtype", "duplicate", "nullability"].map(|fault| rule_id(&column.name, fault)));
            for (side, bound) in column.bounds() {
                plan.checks.push(Check { rule: plan.ids.len(), column: index, side, bound });
                plan.ids.push(rule_id(&column.name, side.rule()));
            }
        }
        plan
    }

    /// Identifier of a rule.
    #[must_use]
    pub fn id(&self, rule: usize) -> &str {
        self.ids.get(rule).map_or("", String::as_str)
    }

    /// Number of the rule that a fault of a column breaks.
    #[must_use]
    pub fn fault(&self, column: usize, fault: CellFault) -> usize {
        let within = match fault {
            CellFault::Type => 0,
            CellFault::Duplicate => 1,
            CellFault::Null => 2,
        };
        self.first.get(column).map_or(usize::MAX, |first| first + within)
    }

    /// Every breach of these columns, sorted, with those that were `noted` while the rows were decoded.
    #[must_use]
    pub fn judge(&self, columns: &[ArrayRef], noted: Vec<Breach>) -> Vec<Breach> {
        let mut breaches = noted;
        for check in &self.checks {
            let Some(held) = columns.get(check.column).and_then(|column| check.bound.holds(check.side, column)) else {
                continue;
            };
            if held.has_false() {
                let broken = (0..held.len()).filter(|row| held.is_valid(*row) && !held.value(*row));
                breaches.extend(broken.map(|row| Breach { row, rule: check.rule }));
            }
        }
        breaches.sort_unstable();
        breaches
    }
}

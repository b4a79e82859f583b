//! The rules of a contract in the order their breaches are listed, judged on whole columns.
//!
//! What only the source of a value can tell (its type, whether it was named twice, whether it was there) is noted while
//! rows are decoded; every other rule looks at the finished columns once. A rule that cannot be told holds, as in
//! dataframely, and no rule is asked of a value that could not be read.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

use super::bound::{Bound, Side};
use super::conform::{conform, schema_fault};
use super::predicate::Predicate;
use super::set::Set;
use super::{Column, ColumnType, Contract, rule_id};
use crate::CoreError;

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

/// What the rules say of some rows; both lists are sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Breaches that keep a row out.
    pub breaches: Vec<Breach>,
    /// Breaches that rows may stay with, of rows that stay.
    pub warnings: Vec<Breach>,
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
    columns: Vec<usize>,
    test: Tested,
    warns: bool,
}

#[derive(Debug)]
enum Tested {
    Bound(Side, Bound),
    Predicate(Predicate),
}

impl Plan {
    /// Compile the rules of a contract.
    ///
    /// # Errors
    /// `ContractInvalid` when a rule does not fit its columns, or one may not be a warning.
    pub fn new(contract: &Contract) -> Result<Self, CoreError> {
        let mut plan = Self { ids: Vec::new(), first: Vec::new(), checks: Vec::new() };
        for (index, column) in contract.columns.iter().enumerate() {
            plan.add_column(contract, index, column)?;
        }
        for rule in contract.rules.iter().filter(|rule| !contract.columns.iter().any(|c| c.owns(&rule.id))) {
            plan.add_declared(contract, rule)?;
        }
        for id in &contract.warn {
            let found = plan.ids.iter().position(|known| known == id);
            let mut checks = plan.checks.iter_mut().filter(|check| Some(check.rule) == found);
            match checks.next() {
                Some(check) if !id.ends_with("|dtype") => check.warns = true,
                _ => return Err(invalid(contract, id, "no rule of this name can be a warning")),
            }
        }
        Ok(plan)
    }

    /// Identifier of a rule.
    #[must_use]
    pub fn id(&self, rule: usize) -> &str {
        self.ids.get(rule).map_or("", String::as_str)
    }

    /// Number of the rule that a fault of a column breaks.
    #[must_use]
    pub fn fault(&self, column: usize, fault: CellFault) -> usize {
        self.first.get(column).map_or(usize::MAX, |first| first + fault.place())
    }

    /// Judge columns in the order of the contract, with the breaches that were `noted` while rows were decoded.
    ///
    /// # Errors
    /// `Batch` when the columns are not those of the contract.
    pub fn judge(&self, columns: &[ArrayRef], noted: Vec<Breach>) -> Result<Verdict, CoreError> {
        let unread = self.unread(&noted);
        let mut verdict = Verdict { breaches: noted, warnings: Vec::new() };
        for check in &self.checks {
            let held = check.holds(columns)?;
            if !held.has_false() {
                continue;
            }
            let is_told = |row: &usize| {
                held.is_valid(*row)
                    && !held.value(*row)
                    && !unread.get(row).is_some_and(|unread| check.columns.iter().any(|c| unread.contains(c)))
            };
            let list = if check.warns { &mut verdict.warnings } else { &mut verdict.breaches };
            list.extend((0..held.len()).filter(is_told).map(|row| Breach { row, rule: check.rule }));
        }
        verdict.breaches.sort_unstable();
        verdict.warnings.sort_unstable();
        let breaches = &verdict.breaches;
        verdict.warnings.retain(|warning| breaches.binary_search_by_key(&warning.row, |breach| breach.row).is_err());
        Ok(verdict)
    }

    /// Judge a batch that somebody else made: columns are found by name, and brought to the declared types where that
    /// loses nothing.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses a column.
    pub fn judge_batch(&self, contract: &Contract, batch: &RecordBatch) -> Result<Verdict, CoreError> {
        let mut noted = Vec::new();
        let columns = self.conform(contract, batch, 0, &mut noted)?;
        self.judge(&columns, noted)
    }

    /// Bring a batch to the columns of the contract, in their order, where that loses nothing. What does not fit is null
    /// and noted; rows are numbered from `first`.
    ///
    /// # Errors
    /// When Arrow refuses a column.
    pub(crate) fn conform(
        &self,
        contract: &Contract,
        batch: &RecordBatch,
        first: usize,
        noted: &mut Vec<Breach>,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut columns = Vec::with_capacity(contract.columns.len());
        for (index, column) in contract.columns.iter().enumerate() {
            let found = conform(batch.column_by_name(&column.name), column, batch.num_rows())?;
            let faults = found.faults().filter(|(_, fault)| !(column.nullable && *fault == CellFault::Null));
            noted.extend(faults.map(|(row, fault)| Breach { row: first + row, rule: self.fault(index, fault) }));
            columns.push(found.values);
        }
        Ok(columns)
    }

    /// Rules that no row of such a schema can hold.
    pub(crate) fn schema_faults(&self, contract: &Contract, schema: &Schema) -> Vec<usize> {
        let columns = contract.columns.iter().enumerate();
        columns.filter_map(|(index, column)| Some(self.fault(index, schema_fault(schema, column)?))).collect()
    }

    fn add_column(&mut self, contract: &Contract, index: usize, column: &Column) -> Result<(), CoreError> {
        self.first.push(self.ids.len());
        let first = self.ids.len();
        self.ids.extend(["dtype", "duplicate", "nullability"].map(|fault| rule_id(&column.name, fault)));
        if let Some(categories) = &column.categories {
            // What is none of the categories is not of the type.
            let test = Tested::Predicate(Predicate::IsIn(index, Set::texts(categories.clone())));
            self.checks.push(Check { rule: first, columns: vec![index], test, warns: false });
        }
        for (side, bound) in column.bounds() {
            self.add(rule_id(&column.name, side.rule()), vec![index], Tested::Bound(side, bound));
        }
        if matches!(column.column_type, ColumnType::Float32 | ColumnType::Float64) {
            for (name, is_allowed, test) in [
                ("inf", column.allow_inf, Predicate::IsInfinite(index)),
                ("nan", column.allow_nan, Predicate::IsNan(index)),
            ] {
                if !is_allowed {
                    let test = Tested::Predicate(Predicate::Not(Box::new(test)));
                    self.add(rule_id(&column.name, name), vec![index], test);
                }
            }
        }
        for rule in contract.rules.iter().filter(|rule| column.owns(&rule.id)) {
            self.add_declared(contract, rule)?;
        }
        Ok(())
    }

    fn add_declared(&mut self, contract: &Contract, rule: &super::Rule) -> Result<(), CoreError> {
        if self.ids.contains(&rule.id) {
            return Err(invalid(contract, &rule.id, "the rule is there twice"));
        }
        let test = rule.test.compile(contract).map_err(|reason| invalid(contract, &rule.id, &reason))?;
        self.add(rule.id.clone(), test.columns(), Tested::Predicate(test));
        Ok(())
    }

    fn add(&mut self, id: String, columns: Vec<usize>, test: Tested) {
        self.checks.push(Check { rule: self.ids.len(), columns, test, warns: false });
        self.ids.push(id);
    }

    /// Columns of each row whose value could not be read.
    fn unread(&self, noted: &[Breach]) -> HashMap<usize, Vec<usize>> {
        let mut unread: HashMap<usize, Vec<usize>> = HashMap::new();
        for breach in noted {
            let column = self.first.partition_point(|first| *first <= breach.rule).saturating_sub(1);
            if breach.rule != self.fault(column, CellFault::Null) {
                unread.entry(breach.row).or_default().push(column);
            }
        }
        unread
    }
}

impl CellFault {
    fn place(self) -> usize {
        match self {
            Self::Type => 0,
            Self::Duplicate => 1,
            Self::Null => 2,
        }
    }
}

impl Check {
    fn holds(&self, columns: &[ArrayRef]) -> Result<BooleanArray, ArrowError> {
        match (&self.test, self.columns.as_slice()) {
            (Tested::Predicate(predicate), _) => predicate.holds(columns),
            (Tested::Bound(side, bound), [column]) => bound
                .holds(*side, &columns[*column])
                .ok_or_else(|| ArrowError::ComputeError("a bound of a type without order".to_owned())),
            (Tested::Bound(..), _) => Err(ArrowError::ComputeError("a bound is of one column".to_owned())),
        }
    }
}

fn invalid(contract: &Contract, rule: &str, reason: &str) -> CoreError {
    CoreError::ContractInvalid { id: contract.id.clone(), column: rule.to_owned(), reason: reason.to_owned() }
}

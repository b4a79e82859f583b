//! The open end of a buffer: decoded rows that no rule has looked at yet, with their texts in case one says no.
//!
//! A row costs appends to columns that have room and one copy of its text; the rules run when the block is sealed, on
//! whole columns.

use std::mem::take;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::FilterBuilder;
use arrow::datatypes::SchemaRef;

use super::identity::{IDENTITY_BYTES, Identities, Place, Source};
use super::rejects::Rejects;
use crate::CoreError;
use crate::contract::{Breach, Contract, Plan};
use crate::decode::{Cell, ColumnBuilder, judge};

/// Rows after which a block is due: enough for a rule to run in a tight loop, few enough to stay in the cache.
const BLOCK_ROWS: usize = 8_192;
/// Bytes of texts after which it is due.
const BLOCK_BYTES: usize = 1 << 20;

/// Rows between two seals.
#[derive(Debug)]
pub(super) struct Block {
    columns: Vec<ColumnBuilder>,
    identities: Identities,
    texts: Texts,
    noted: Vec<Breach>,
    letters: Vec<DeadLetter>,
}

/// What a block leaves when it is sealed.
pub(super) struct Sealed {
    /// Rows that hold the contract, if there is one.
    pub(super) rows: Option<RecordBatch>,
    /// Rules they break and stay with.
    pub(super) warnings: Vec<Breach>,
}

/// A whole message that cannot become rows.
#[derive(Debug)]
struct DeadLetter {
    /// Rows of the block that came before it.
    after_rows: usize,
    place: Place,
    reason: &'static str,
    raw: Vec<u8>,
}

/// Texts one after another, without an allocation each.
#[derive(Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        // One huge message must not hold its room for ever.
        self.bytes.shrink_to(2 * BLOCK_BYTES);
    }
}

impl Block {
    pub(super) fn new(contract: &Contract) -> Self {
        Self {
            columns: contract.columns.iter().map(|c| ColumnBuilder::with_capacity(c.column_type, 0, 0)).collect(),
            identities: Identities::default(),
            texts: Texts::default(),
            noted: Vec::new(),
            letters: Vec::new(),
        }
    }

    /// Rows and dead letters in it.
    pub(super) fn len(&self) -> usize {
        self.identities.len() + self.letters.len()
    }

    /// Bytes it will hand on when no rule is broken.
    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::bytes).sum::<usize>()
            + self.identities.len() * IDENTITY_BYTES
            + self.letters.iter().map(|letter| letter.raw.len() + 64).sum::<usize>()
    }

    pub(super) fn is_due(&self) -> bool {
        self.len() >= BLOCK_ROWS || self.texts.bytes.len() >= BLOCK_BYTES
    }

    /// Take in a row of `place`: its cells in the order of the contract, and its text.
    pub(super) fn push_row<'a>(
        &mut self,
        contract: &Contract,
        plan: &Plan,
        (place, row): (Place, i32),
        cells: impl Iterator<Item = Cell<'a>>,
        text: &[u8],
    ) {
        let number = self.identities.len();
        for (index, ((column, builder), cell)) in contract.columns.iter().zip(&mut self.columns).zip(cells).enumerate()
        {
            if let Some(fault) = judge(column, &cell, builder) {
                self.noted.push(Breach { row: number, rule: plan.fault(index, fault) });
            }
        }
        self.identities.push(place, row);
        self.texts.push(text);
    }

    /// Take in a message that is one reject.
    pub(super) fn push_letter(&mut self, place: Place, reason: &'static str, raw: &[u8]) {
        self.letters.push(DeadLetter { after_rows: self.identities.len(), place, reason, raw: raw.to_owned() });
    }

    /// Judge the rows and empty the block: those that hold the contract are returned, the others join `rejects`.
    pub(super) fn seal(
        &mut self,
        contract: &Contract,
        plan: &Plan,
        schema: &SchemaRef,
        source: &mut Source,
        rejects: &mut Rejects,
    ) -> Result<Sealed, CoreError> {
        let rows = self.identities.len();
        let mut columns: Vec<ArrayRef> =
            self.columns.iter_mut().zip(&contract.columns).map(|(b, c)| b.finish(c.column_type)).collect();
        let verdict = plan.judge(&columns, take(&mut self.noted))?;
        let warnings = verdict.warnings;
        let kept = self.reject(plan, &verdict.breaches, rejects);
        columns.extend(self.identities.finish());
        self.texts.clear();
        let count = match kept {
            None => rows,
            Some(kept) => {
                let filter = FilterBuilder::new(&kept).optimize().build();
                columns = columns.iter().map(|column| filter.filter(column)).collect::<Result<_, _>>()?;
                filter.count()
            }
        };
        if count == 0 {
            return Ok(Sealed { rows: None, warnings });
        }
        columns.insert(contract.columns.len(), source.column(count));
        Ok(Sealed { rows: Some(RecordBatch::try_new(SchemaRef::clone(schema), columns)?), warnings })
    }

    /// Hand over the rows that broke a rule and the dead letters, as they came; which rows are left, `None` for all.
    fn reject(&mut self, plan: &Plan, breaches: &[Breach], rejects: &mut Rejects) -> Option<BooleanArray> {
        let mut letters = take(&mut self.letters).into_iter().peekable();
        let mut kept = (!breaches.is_empty()).then(|| {
            let mut kept = BooleanBufferBuilder::new(self.identities.len());
            kept.append_n(self.identities.len(), true);
            kept
        });
        for broken in breaches.chunk_by(|a, b| a.row == b.row) {
            let row = broken[0].row;
            while let Some(letter) = letters.next_if(|letter| letter.after_rows <= row) {
                rejects.push(letter.place, None, Some(&letter.raw), std::iter::once(letter.reason));
            }
            let (place, number) = self.identities.get(row);
            let reasons = broken.iter().map(|breach| plan.id(breach.rule));
            rejects.push(place, Some(number), Some(self.texts.get(row)), reasons);
            if let Some(kept) = &mut kept {
                kept.set_bit(row, false);
            }
        }
        for letter in letters {
            rejects.push(letter.place, None, Some(&letter.raw), std::iter::once(letter.reason));
        }
        kept.map(|mut kept| BooleanArray::from(kept.finish()))
    }
}

//! The open end of a buffer: decoded rows that no rule has looked at yet, and what they came as, in case one says no.
//!
//! The rules run when the block is sealed, on whole columns.

use std::borrow::Cow;
use std::mem::take;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::FilterBuilder;
use arrow::datatypes::SchemaRef;

use super::arrow_rows::ArrowRows;
use super::identity::{IDENTITY_BYTES, Identities, Place, Source};
use super::rejects::Rejects;
use super::text_rows::TextRows;
use crate::CoreError;
use crate::contract::{Breach, Contract, Plan};
use crate::decode::{Cell, IpcStream, Refusal, RowEncoding};

/// Rows after which a block is due: enough for a rule to run in a tight loop, few enough to stay in the cache.
const BLOCK_ROWS: usize = 8_192;
/// Bytes of messages after which it is due.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// Rows between two seals.
#[derive(Debug)]
pub(super) struct Block {
    rows: Rows,
    identities: Identities,
    noted: Vec<Breach>,
    letters: Vec<DeadLetter>,
}

/// Rows by how they came.
#[derive(Debug)]
enum Rows {
    Text(TextRows),
    Arrow(ArrowRows),
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
    refusal: Refusal,
    raw: Vec<u8>,
}

impl Rows {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(rows) => rows.bytes(),
            Self::Arrow(rows) => rows.bytes(),
        }
    }

    fn message_bytes(&self) -> usize {
        match self {
            Self::Text(rows) => rows.message_bytes(),
            Self::Arrow(rows) => rows.message_bytes(),
        }
    }

    fn columns(&mut self, contract: &Contract) -> Result<Vec<ArrayRef>, CoreError> {
        match self {
            Self::Text(rows) => Ok(rows.columns(contract)),
            Self::Arrow(rows) => rows.columns(contract),
        }
    }

    /// One row as it came, for the quarantine.
    fn raw(&mut self, row: usize) -> Result<Cow<'_, [u8]>, CoreError> {
        match self {
            Self::Text(rows) => Ok(Cow::Borrowed(rows.raw(row))),
            Self::Arrow(rows) => rows.raw(row),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Text(rows) => rows.clear(),
            Self::Arrow(rows) => rows.clear(),
        }
    }
}

impl Block {
    pub(super) fn new(contract: &Contract, encoding: RowEncoding) -> Self {
        let rows = match encoding {
            RowEncoding::Json => Rows::Text(TextRows::new(contract)),
            RowEncoding::Arrow => Rows::Arrow(ArrowRows::default()),
        };
        Self { rows, identities: Identities::default(), noted: Vec::new(), letters: Vec::new() }
    }

    /// Rows and dead letters in it.
    pub(super) fn len(&self) -> usize {
        self.identities.len() + self.letters.len()
    }

    /// Bytes it will hand on when no rule is broken.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes()
            + self.identities.len() * IDENTITY_BYTES
            + self.letters.iter().map(|letter| letter.raw.len() + 64).sum::<usize>()
    }

    pub(super) fn is_due(&self) -> bool {
        self.len() >= BLOCK_ROWS || self.rows.message_bytes() >= BLOCK_BYTES
    }

    /// Take in a row of `place`: its cells in the order of the contract, and its text.
    pub(super) fn push_row<'a>(
        &mut self,
        rules: (&Contract, &Plan),
        (place, row): (Place, i32),
        cells: impl Iterator<Item = Cell<'a>>,
        text: &[u8],
    ) {
        if let Rows::Text(rows) = &mut self.rows {
            rows.push(rules, self.identities.len(), cells, text, &mut self.noted);
            self.identities.push(place, row);
        }
    }

    /// Take in the batches of a message of so many bytes, its rows counted from `first`; none of them when it is refused.
    pub(super) fn push_stream(
        &mut self,
        rules: (&Contract, &Plan),
        (place, first): (Place, i32),
        stream: IpcStream,
        bytes: (usize, usize),
    ) -> Result<(), Refusal> {
        if let Rows::Arrow(rows) = &mut self.rows {
            let count = rows.push(rules, stream, bytes, &mut self.noted)?;
            (first..).take(count).for_each(|row| self.identities.push(place, row));
        }
        Ok(())
    }

    /// Take in a message that is one reject.
    pub(super) fn push_letter(&mut self, place: Place, refusal: Refusal, raw: &[u8]) {
        self.letters.push(DeadLetter { after_rows: self.identities.len(), place, refusal, raw: raw.to_owned() });
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
        let mut columns = self.rows.columns(contract)?;
        let verdict = plan.judge(&columns, take(&mut self.noted))?;
        let warnings = verdict.warnings;
        let kept = self.reject(plan, &verdict.breaches, rejects)?;
        columns.extend(self.identities.finish());
        self.rows.clear();
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
    fn reject(
        &mut self,
        plan: &Plan,
        breaches: &[Breach],
        rejects: &mut Rejects,
    ) -> Result<Option<BooleanArray>, CoreError> {
        let mut letters = take(&mut self.letters).into_iter().peekable();
        let mut kept = (!breaches.is_empty()).then(|| {
            let mut kept = BooleanBufferBuilder::new(self.identities.len());
            kept.append_n(self.identities.len(), true);
            kept
        });
        for broken in breaches.chunk_by(|a, b| a.row == b.row) {
            let row = broken[0].row;
            while let Some(letter) = letters.next_if(|letter| letter.after_rows <= row) {
                letter.reject(plan, rejects);
            }
            let (place, number) = self.identities.get(row);
            let reasons = broken.iter().map(|breach| plan.id(breach.rule));
            rejects.push(place, Some(number), Some(&self.rows.raw(row)?), reasons);
            if let Some(kept) = &mut kept {
                kept.set_bit(row, false);
            }
        }
        letters.for_each(|letter| letter.reject(plan, rejects));
        Ok(kept.map(|mut kept| BooleanArray::from(kept.finish())))
    }
}

impl DeadLetter {
    fn reject(&self, plan: &Plan, rejects: &mut Rejects) {
        let rules = self.refusal.rules.iter().map(|rule| plan.id(*rule));
        let reasons = std::iter::once(self.refusal.fault.rule_id()).chain(rules);
        rejects.push(self.place, None, Some(&self.raw), reasons);
    }
}

//! Rows that came as texts: cells in columns under construction, and the texts in case a rule says no.

use arrow::array::ArrayRef;

use super::block::BLOCK_BYTES;
use crate::contract::{Breach, Contract, Plan};
use crate::decode::{Cell, ColumnBuilder, judge};

/// Texts of rows, decoded.
#[derive(Debug)]
pub(super) struct TextRows {
    columns: Vec<ColumnBuilder>,
    texts: Texts,
}

/// Texts one after another, without an allocation each.
#[derive(Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl TextRows {
    pub(super) fn new(contract: &Contract) -> Self {
        let columns = contract.columns.iter().map(|column| ColumnBuilder::with_capacity(column.column_type, 0, 0));
        Self { columns: columns.collect(), texts: Texts::default() }
    }

    /// Take in a row: its cells in the order of the contract, and its text. What its columns cannot take is noted.
    pub(super) fn push<'a>(
        &mut self,
        (contract, plan): (&Contract, &Plan),
        row: usize,
        cells: impl Iterator<Item = Cell<'a>>,
        text: &[u8],
        noted: &mut Vec<Breach>,
    ) {
        for (index, ((column, builder), cell)) in contract.columns.iter().zip(&mut self.columns).zip(cells).enumerate()
        {
            if let Some(fault) = judge(column, &cell, builder) {
                noted.push(Breach { row, rule: plan.fault(index, fault) });
            }
        }
        self.texts.bytes.extend_from_slice(text);
        self.texts.ends.push(self.texts.bytes.len());
    }

    /// Bytes of the values so far.
    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::bytes).sum()
    }

    /// Bytes of the texts so far.
    pub(super) fn message_bytes(&self) -> usize {
        self.texts.bytes.len()
    }

    /// The columns so far; the texts stay until `clear`.
    pub(super) fn columns(&mut self, contract: &Contract) -> Vec<ArrayRef> {
        self.columns.iter_mut().zip(&contract.columns).map(|(b, c)| b.finish(c.column_type)).collect()
    }

    /// Text of a row.
    pub(super) fn raw(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.texts.ends[row - 1] };
        &self.texts.bytes[start..self.texts.ends[row]]
    }

    pub(super) fn clear(&mut self) {
        self.texts.bytes.clear();
        self.texts.ends.clear();
        // One huge message must not hold its room for ever.
        self.texts.bytes.shrink_to(2 * BLOCK_BYTES);
    }
}

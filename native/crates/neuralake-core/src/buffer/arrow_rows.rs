//! Rows that came as Arrow batches: slices of their messages, until a seal copies them into columns of its own.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, RecordBatch, new_empty_array};
use arrow::compute::concat;
use arrow::error::ArrowError;

use crate::CoreError;
use crate::contract::{Breach, Contract, Plan};
use crate::decode::{IpcStream, MessageFault, Refusal, RowWriter, check_text_bytes};

/// Batches of several messages.
#[derive(Debug, Default)]
pub(super) struct ArrowRows {
    parts: Vec<Part>,
    rows: usize,
    bytes: usize,
    message_bytes: usize,
}

/// One batch as it was given, and its columns as the contract has them.
#[derive(Debug)]
struct Part {
    given: RecordBatch,
    columns: Vec<ArrayRef>,
    /// Rows up to its end.
    end: usize,
    /// There once a row of it was rejected.
    writer: Option<RowWriter>,
}

impl ArrowRows {
    /// Take in all rows of a message of so many bytes, or none and say why; gives their number.
    pub(super) fn push(
        &mut self,
        (contract, plan): (&Contract, &Plan),
        stream: IpcStream,
        (message_bytes, max_bytes): (usize, usize),
        noted: &mut Vec<Breach>,
    ) -> Result<usize, Refusal> {
        let rules = plan.schema_faults(contract, &stream.schema);
        if !rules.is_empty() {
            return Err(Refusal { fault: MessageFault::ArrowSchema, rules });
        }
        let batches: Vec<RecordBatch> = stream.batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        if batches.is_empty() {
            return Err(MessageFault::Empty.into());
        }
        let declared = |batch| contract.columns.iter().filter_map(move |c| RecordBatch::column_by_name(batch, &c.name));
        check_text_bytes(batches.iter().flat_map(declared), max_bytes)?;
        let (mut parts, mut faults, mut end) = (Vec::with_capacity(batches.len()), Vec::new(), self.rows);
        for given in batches {
            let columns = plan.conform(contract, &given, end, &mut faults).map_err(|_| MessageFault::ArrowBatch)?;
            end += given.num_rows();
            parts.push(Part { given, columns, end, writer: None });
        }
        let rows = end - self.rows;
        self.rows = end;
        self.message_bytes += message_bytes;
        self.bytes += parts.iter().flat_map(|part| &part.columns).map(slice_bytes).sum::<usize>();
        self.parts.extend(parts);
        noted.append(&mut faults);
        Ok(rows)
    }

    /// Bytes of the values so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the messages so far.
    pub(super) fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// The columns so far; the batches stay until `clear`.
    pub(super) fn columns(&self, contract: &Contract) -> Result<Vec<ArrayRef>, CoreError> {
        let joined = contract.columns.iter().enumerate().map(|(index, column)| {
            // A single batch would be shared, and hold its whole message as long as the rows wait.
            let nothing = new_empty_array(&column.column_type.arrow());
            let parts = self.parts.iter().map(|part| part.columns[index].as_ref());
            concat(&parts.chain([nothing.as_ref()]).collect::<Vec<_>>())
        });
        Ok(joined.collect::<Result<_, ArrowError>>()?)
    }

    /// A row as a message of its own.
    pub(super) fn raw(&mut self, row: usize) -> Result<Cow<'_, [u8]>, CoreError> {
        let index = self.parts.partition_point(|part| part.end <= row);
        let Some(part) = self.parts.get_mut(index) else { return Ok(Cow::Borrowed(&[])) };
        let writer = match part.writer.take() {
            Some(writer) => writer,
            None => RowWriter::new(&part.given)?,
        };
        let place = row + part.given.num_rows() - part.end;
        let bytes = writer.write(&part.given, place)?;
        part.writer = Some(writer);
        Ok(Cow::Owned(bytes))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Bytes of a column's own values.
pub(super) fn slice_bytes(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or(0)
}

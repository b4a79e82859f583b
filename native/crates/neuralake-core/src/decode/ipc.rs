//! An Arrow IPC stream in a message: a schema, its dictionaries and batches, and the mark that ends it.
//!
//! The message is copied once, to where Arrow wants its buffers; columns are slices of that copy. What it tells of its
//! lengths is held against the message before any of it is believed. The decoder behind that answers some lies by a
//! panic, which is caught: they are refused like any other.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::kernels::length::length;
use arrow::compute::{cast, sum};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};
use arrow_ipc::{Endianness, Message, MessageHeader, root_as_message};

use super::MessageFault;
use super::json::MAX_ROWS;

/// What stands before the metadata of every message of a stream, and alone at its end.
const CONTINUATION: [u8; 4] = [0xff; 4];
const PREFIX_BYTES: usize = 8;
/// Every row that breaks a rule repeats the schema; those of one message fit a batch with this.
const MAX_REPEATED_BYTES: usize = 256 << 20;

/// What a message holds.
#[derive(Debug)]
pub(crate) struct IpcStream {
    /// All columns, as the message declares them.
    pub(crate) schema: SchemaRef,
    /// Rows of the columns that are not nested; no declared column is.
    pub(crate) batches: Vec<RecordBatch>,
}

/// Read a message.
pub(crate) fn read(value: &[u8]) -> Result<IpcStream, MessageFault> {
    if value.is_empty() {
        return Err(MessageFault::Empty);
    }
    let copy = Buffer::from(value);
    catch_unwind(AssertUnwindSafe(|| decode(&copy))).unwrap_or(Err(MessageFault::ArrowBatch))
}

fn decode(bytes: &Buffer) -> Result<IpcStream, MessageFault> {
    let mut parts = Parts { bytes, at: 0 };
    let Some((first, _)) = parts.next()? else { return Err(MessageFault::Empty) };
    let declared = first.header_as_schema().ok_or(MessageFault::ArrowHeader)?;
    if declared.endianness() != Endianness::Little {
        return Err(MessageFault::ArrowByteOrder);
    }
    let (schema, repeated_bytes) = (Arc::new(fb_to_schema(declared)), parts.at);
    let flat: Vec<usize> = (0..schema.fields().len()).filter(|i| !schema.field(*i).data_type().is_nested()).collect();
    let mut dictionaries: HashMap<i64, ArrayRef> = HashMap::new();
    let mut batches = Vec::new();
    let mut rows = 0;
    while let Some((message, body)) = parts.next()? {
        let version = message.version();
        match message.header_type() {
            MessageHeader::DictionaryBatch => {
                let batch = message.header_as_dictionary_batch().ok_or(MessageFault::ArrowBatch)?;
                check_lengths(&batch.data().ok_or(MessageFault::ArrowBatch)?, body.len())?;
                read_dictionary(&body, batch, &schema, &mut dictionaries, &version)
                    .map_err(|_| MessageFault::ArrowBatch)?;
            }
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or(MessageFault::ArrowBatch)?;
                rows += check_lengths(&batch, body.len())?;
                if rows > MAX_ROWS || rows.saturating_mul(repeated_bytes) > MAX_REPEATED_BYTES {
                    return Err(MessageFault::Size);
                }
                let batch = read_record_batch(&body, batch, Arc::clone(&schema), &dictionaries, Some(&flat), &version)
                    .map_err(|_| MessageFault::ArrowBatch)?;
                batches.push(batch);
            }
            _ => return Err(MessageFault::ArrowBatch),
        }
    }
    Ok(IpcStream { schema, batches })
}

/// The messages of a stream, one after another.
struct Parts<'a> {
    bytes: &'a Buffer,
    at: usize,
}

impl<'a> Parts<'a> {
    /// Metadata and body of the next one; `None` at the mark that ends the stream.
    fn next(&mut self) -> Result<Option<(Message<'a>, Buffer)>, MessageFault> {
        let rest = self.bytes.as_slice().split_at_checked(self.at).map_or(&[][..], |(_, rest)| rest);
        let is_marked = rest.get(..4).map(|mark| mark == CONTINUATION);
        let (length, rest) = match (is_marked, rest.split_at_checked(PREFIX_BYTES)) {
            (Some(false), _) if self.at == 0 => return Err(MessageFault::ArrowHeader),
            (Some(false), _) => return Err(MessageFault::ArrowBatch),
            (_, None) => return Err(MessageFault::ArrowTruncated),
            (_, Some((prefix, rest))) => (u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]), rest),
        };
        if length == 0 {
            return if rest.is_empty() { Ok(None) } else { Err(MessageFault::ArrowTrailing) };
        }
        let metadata = rest.get(..length as usize).ok_or(MessageFault::ArrowTruncated)?;
        let message = root_as_message(metadata).map_err(|_| MessageFault::ArrowBatch)?;
        let body_bytes = usize::try_from(message.bodyLength()).map_err(|_| MessageFault::ArrowLength)?;
        if body_bytes > rest.len() - metadata.len() {
            return Err(MessageFault::ArrowTruncated);
        }
        let start = self.at + PREFIX_BYTES + metadata.len();
        self.at = start + body_bytes;
        Ok(Some((message, self.bytes.slice_with_length(start, body_bytes))))
    }
}

/// Hold what a batch tells of its buffers and rows against its body; gives its rows.
fn check_lengths(batch: &arrow_ipc::RecordBatch<'_>, body_bytes: usize) -> Result<usize, MessageFault> {
    if batch.compression().is_some() {
        return Err(MessageFault::ArrowCompressed);
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let (start, length) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
        let end = start.ok().zip(length.ok()).and_then(|(start, length)| start.checked_add(length));
        if end.is_none_or(|end| end > body_bytes) {
            return Err(MessageFault::ArrowLength);
        }
    }
    let is_told = |node: &arrow_ipc::FieldNode| (0..=node.length()).contains(&node.null_count());
    if !batch.nodes().into_iter().flatten().all(is_told) {
        return Err(MessageFault::ArrowLength);
    }
    usize::try_from(batch.length()).map_err(|_| MessageFault::ArrowLength)
}

/// Refuse columns whose texts take more room than the message may: values that share their bytes do not share them in
/// the table.
pub(crate) fn check_text_bytes<'a>(
    columns: impl Iterator<Item = &'a ArrayRef>,
    max_bytes: usize,
) -> Result<(), MessageFault> {
    let mut left = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    for column in columns {
        left = left.saturating_sub(text_bytes(column).map_err(|_| MessageFault::ArrowBatch)?);
    }
    if left < 0 { Err(MessageFault::Size) } else { Ok(()) }
}

fn text_bytes(column: &ArrayRef) -> Result<i64, ArrowError> {
    let plain = match column.data_type() {
        DataType::Dictionary(_, values) => values.as_ref(),
        plain => plain,
    };
    if !(plain.is_string() || plain.is_binary()) {
        return Ok(0);
    }
    let lengths = cast(&length(column)?, &DataType::Int64)?;
    Ok(sum(lengths.as_primitive::<Int64Type>()).unwrap_or(0))
}

/// Writes rows of one batch, each as a stream of its own, which says what the row said.
#[derive(Debug)]
pub(crate) struct RowWriter {
    schema: SchemaRef,
    /// The schema as it stands at the head of each stream.
    head: Vec<u8>,
}

impl RowWriter {
    pub(crate) fn new(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let fields = batch.schema();
        let fields = fields
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_data_type(plain(field.data_type())).with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = IpcWriteOptions::default();
        let mut dictionaries = DictionaryTracker::new(true);
        let told = IpcDataGenerator {}.schema_to_bytes_with_dictionary_tracker(&schema, &mut dictionaries, &options);
        let mut head = Vec::new();
        write_message(&mut head, told, &options)?;
        Ok(Self { schema, head })
    }

    /// One row of the batch.
    pub(crate) fn write(&self, batch: &RecordBatch, row: usize) -> Result<Vec<u8>, ArrowError> {
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| cast(&column.slice(row, 1), field.data_type()));
        let one = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?)?;
        let (options, mut context) = (IpcWriteOptions::default(), IpcWriteContext::default());
        let mut dictionaries = DictionaryTracker::new(true);
        let (_, told) = IpcDataGenerator {}.encode(&one, &mut dictionaries, &options, &mut context)?;
        let mut bytes = self.head.clone();
        write_message(&mut bytes, told, &options)?;
        bytes.extend(CONTINUATION);
        bytes.extend([0; PREFIX_BYTES - CONTINUATION.len()]);
        Ok(bytes)
    }
}

/// A type whose values hold what they are themselves: one row of it does not bring along those of others.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

//! Rows and rejects that wait for their flush, with the span of offsets they cover.
//!
//! A message enters whole: its rows are split between the rows and the rejects of the same flush, or it is one
//! whole-message reject. A flush therefore never splits a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Array, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use smallvec::SmallVec;

use crate::CoreError;
use crate::contract::{ColumnType, Contract};
use crate::decode::{Cells, ColumnBuilder, MessageFault, RowReader, Value, judge, lines};
use crate::position::{Offset, Partition, Span};

/// Bytes of identity that each row keeps beside its own values.
const IDENTITY_BYTES: usize = 24;

/// One delivered message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Partition it came on.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
    /// Its value; empty for a tombstone.
    pub value: &'a [u8],
}

/// What one flush carries to the table and to its quarantine.
#[derive(Debug, Clone)]
pub struct Flush {
    /// Rows that hold the contract.
    pub rows: RecordBatch,
    /// Rows and whole messages that do not.
    pub rejects: RecordBatch,
    /// Half-open run of offsets covered, per partition.
    pub spans: BTreeMap<Partition, Span>,
    /// Messages delivered.
    pub messages: u64,
    /// Whole messages among the rejects.
    pub dead_letters: u64,
    /// How often each rule was broken.
    pub reasons: BTreeMap<String, u64>,
    /// Size of the buffer when it was taken.
    pub bytes: usize,
}

/// Collects messages of one job until its policy asks for a flush.
#[derive(Debug)]
pub struct Buffer {
    contract: Arc<Contract>,
    source: String,
    max_message_bytes: usize,
    reader: RowReader,
    columns: Vec<ColumnBuilder>,
    partitions: Int32Builder,
    offsets: Int64Builder,
    rows: Int32Builder,
    ingest_times: TimestampMicrosecondBuilder,
    rejects: Rejects,
    resumed: BTreeMap<Partition, Offset>,
    spans: BTreeMap<Partition, Span>,
    messages: u64,
    bytes: usize,
    first_at_us: Option<i64>,
}

impl Buffer {
    /// A buffer for one job reading `source` (`topic@incarnation`) from the given positions.
    #[must_use]
    pub fn new(
        contract: Arc<Contract>,
        source: String,
        max_message_bytes: usize,
        positions: BTreeMap<Partition, Offset>,
    ) -> Self {
        Self {
            reader: RowReader::new(&contract),
            columns: contract.columns.iter().map(|c| ColumnBuilder::new(c.column_type)).collect(),
            contract,
            source,
            max_message_bytes,
            partitions: Int32Builder::new(),
            offsets: Int64Builder::new(),
            rows: Int32Builder::new(),
            ingest_times: TimestampMicrosecondBuilder::new().with_data_type(ColumnType::TimestampUs.arrow()),
            rejects: Rejects::default(),
            resumed: positions,
            spans: BTreeMap::new(),
            messages: 0,
            bytes: 0,
            first_at_us: None,
        }
    }

    /// Schema of the rows: the declared columns, then the identity of a row.
    #[must_use]
    pub fn rows_schema(contract: &Contract) -> SchemaRef {
        let mut fields: Vec<_> = contract.arrow_schema().fields().iter().cloned().collect();
        fields.extend(identity_fields(false).into_iter().map(Arc::new));
        Arc::new(Schema::new(fields))
    }

    /// Schema of every quarantine.
    #[must_use]
    pub fn rejects_schema() -> SchemaRef {
        let mut fields = vec![
            Field::new("raw", DataType::Binary, true),
            Field::new("reasons", DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))), false),
            Field::new("contract_id", DataType::Utf8, false),
            Field::new("contract_version", DataType::Int32, false),
        ];
        fields.extend(identity_fields(true));
        Arc::new(Schema::new(fields))
    }

    /// Take one message in. `now_us` is the wall clock in UTC microseconds.
    pub fn push(&mut self, message: &Message<'_>, now_us: i64) {
        self.first_at_us.get_or_insert(now_us);
        self.messages += 1;
        self.cover(message);
        if message.value.len() > self.max_message_bytes {
            self.reject(message, None, message.value, &[MessageFault::Size.rule_id().to_owned()], now_us);
            return;
        }
        let texts = match lines(message.value, &self.reader) {
            Ok(texts) => texts,
            Err(fault) => return self.reject_whole(message, fault, now_us),
        };
        let mut cells = Cells::new();
        for (row, text) in texts.iter().enumerate() {
            if let Err(fault) = self.reader.read(text, &mut cells) {
                // `lines` has proven every line of a longer message, so this is its only one.
                return self.reject_whole(message, fault, now_us);
            }
            self.push_row(message, i32::try_from(row).unwrap_or(i32::MAX), text, &mut cells, now_us);
        }
    }

    /// Rows waiting, rejected ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        arrow::array::ArrayBuilder::len(&self.offsets) + self.rejects.len()
    }

    /// Whether nothing was delivered since the last flush.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Bytes waiting, estimated as the columns hold them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest waiting message came in.
    #[must_use]
    pub fn first_at_us(&self) -> Option<i64> {
        self.first_at_us
    }

    /// Take everything out as one flush and go on from its end.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses the columns, which no message can cause.
    pub fn take(&mut self) -> Result<Flush, CoreError> {
        let count = arrow::array::ArrayBuilder::len(&self.offsets);
        let mut columns: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        columns.push(repeated(&self.source, count));
        columns.push(Arc::new(self.partitions.finish()));
        columns.push(Arc::new(self.offsets.finish()));
        columns.push(Arc::new(self.rows.finish()));
        columns.push(Arc::new(self.ingest_times.finish()));
        let rows = RecordBatch::try_new(Self::rows_schema(&self.contract), columns)?;
        let dead_letters = self.rejects.dead_letters;
        let reasons = std::mem::take(&mut self.rejects.counts);
        let rejects = self.rejects.take(&self.contract, &self.source)?;
        let spans = std::mem::take(&mut self.spans);
        self.resumed.extend(spans.iter().map(|(partition, span)| (*partition, span.to)));
        self.first_at_us = None;
        Ok(Flush {
            rows,
            rejects,
            spans,
            messages: std::mem::take(&mut self.messages),
            dead_letters,
            reasons,
            bytes: std::mem::take(&mut self.bytes),
        })
    }

    /// Extend the span of the message's partition up to it.
    fn cover(&mut self, message: &Message<'_>) {
        let to = message.offset.next();
        if let Some(span) = self.spans.get_mut(&message.partition) {
            span.to = to;
            return;
        }
        let from = self.resumed.get(&message.partition).copied().unwrap_or(message.offset);
        self.spans.insert(message.partition, Span { from, to });
    }

    fn push_row<'a>(&mut self, message: &Message<'_>, row: i32, text: &'a str, cells: &mut Cells<'a>, now_us: i64) {
        let mut reasons = Vec::new();
        let values: SmallVec<[Value<'_>; 16]> = self
            .contract
            .columns
            .iter()
            .zip(cells.drain(..))
            .map(|(column, cell)| judge(column, cell, &mut reasons))
            .collect();
        if !reasons.is_empty() {
            self.reject(message, Some(row), text.as_bytes(), &reasons, now_us);
            return;
        }
        for (column, value) in self.columns.iter_mut().zip(&values) {
            self.bytes += column.append(value);
        }
        self.partitions.append_value(message.partition.0);
        self.offsets.append_value(message.offset.0);
        self.rows.append_value(row);
        self.ingest_times.append_value(now_us);
        self.bytes += IDENTITY_BYTES;
    }

    fn reject_whole(&mut self, message: &Message<'_>, fault: MessageFault, now_us: i64) {
        self.reject(message, None, message.value, &[fault.rule_id().to_owned()], now_us);
    }

    fn reject(&mut self, message: &Message<'_>, row: Option<i32>, raw: &[u8], reasons: &[String], now_us: i64) {
        self.rejects.push(message, row, raw, reasons, now_us);
        self.bytes += raw.len() + 64 + reasons.iter().map(|reason| reason.len() + 4).sum::<usize>();
    }
}

/// Columns of the quarantine under construction.
#[derive(Debug)]
struct Rejects {
    raw: BinaryBuilder,
    reasons: ListBuilder<StringBuilder>,
    partitions: Int32Builder,
    offsets: Int64Builder,
    rows: Int32Builder,
    ingest_times: TimestampMicrosecondBuilder,
    dead_letters: u64,
    counts: BTreeMap<String, u64>,
}

impl Default for Rejects {
    fn default() -> Self {
        Self {
            raw: BinaryBuilder::new(),
            reasons: ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true)),
            partitions: Int32Builder::new(),
            offsets: Int64Builder::new(),
            rows: Int32Builder::new(),
            ingest_times: TimestampMicrosecondBuilder::new().with_data_type(ColumnType::TimestampUs.arrow()),
            dead_letters: 0,
            counts: BTreeMap::new(),
        }
    }
}

impl Rejects {
    fn len(&self) -> usize {
        arrow::array::ArrayBuilder::len(&self.offsets)
    }

    fn push(&mut self, message: &Message<'_>, row: Option<i32>, raw: &[u8], reasons: &[String], now_us: i64) {
        self.raw.append_value(raw);
        for reason in reasons {
            self.reasons.values().append_value(reason);
            *self.counts.entry(reason.clone()).or_default() += 1;
        }
        self.reasons.append(true);
        self.partitions.append_value(message.partition.0);
        self.offsets.append_value(message.offset.0);
        self.rows.append_option(row);
        self.ingest_times.append_value(now_us);
        self.dead_letters += u64::from(row.is_none());
    }

    fn take(&mut self, contract: &Contract, source: &str) -> Result<RecordBatch, CoreError> {
        let count = self.len();
        self.dead_letters = 0;
        Ok(RecordBatch::try_new(
            Buffer::rejects_schema(),
            vec![
                Arc::new(self.raw.finish()),
                Arc::new(self.reasons.finish()),
                repeated(&contract.id, count),
                Arc::new(Int32Array::from(vec![contract.version; count])),
                repeated(source, count),
                Arc::new(self.partitions.finish()),
                Arc::new(self.offsets.finish()),
                Arc::new(self.rows.finish()),
                Arc::new(self.ingest_times.finish()),
            ],
        )?)
    }
}

fn identity_fields(is_quarantine: bool) -> Vec<Field> {
    vec![
        Field::new("_source", DataType::Utf8, false),
        Field::new("_partition", DataType::Int32, false),
        Field::new("_offset", DataType::Int64, false),
        Field::new("_row", DataType::Int32, is_quarantine),
        Field::new("_ingest_time", ColumnType::TimestampUs.arrow(), false),
    ]
}

fn repeated(text: &str, count: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count)))
}

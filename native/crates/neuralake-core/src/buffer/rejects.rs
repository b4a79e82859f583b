//! Rows and whole messages that break the contract, on their way to the quarantine.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, Int32Array, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    StringArray, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::count;
use super::identity::{Place, Source, identity_fields};
use crate::CoreError;
use crate::contract::{ColumnType, Contract};

/// Columns of the quarantine under construction.
#[derive(Debug)]
pub(super) struct Rejects {
    raw: BinaryBuilder,
    reasons: ListBuilder<StringBuilder>,
    partitions: Int32Builder,
    offsets: Int64Builder,
    rows: Int32Builder,
    ingest_times: TimestampMicrosecondBuilder,
    pub(super) dead_letters: u64,
    pub(super) counts: BTreeMap<String, u64>,
    bytes: usize,
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
            bytes: 0,
        }
    }
}

impl Rejects {
    pub(super) fn schema() -> SchemaRef {
        let mut fields = vec![
            Field::new("raw", DataType::Binary, true),
            Field::new("reasons", DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))), false),
            Field::new("contract_id", DataType::Utf8, false),
            Field::new("contract_version", DataType::Int32, false),
        ];
        fields.extend(identity_fields(true));
        Arc::new(Schema::new(fields))
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Take one in; without a `row` it is a whole message, without `raw` an attempt.
    pub(super) fn push<'a>(
        &mut self,
        place: Place,
        row: Option<i32>,
        raw: Option<&[u8]>,
        reasons: impl Iterator<Item = &'a str>,
    ) {
        self.raw.append_option(raw);
        self.bytes += raw.map_or(0, <[u8]>::len) + 64;
        for reason in reasons {
            self.reasons.values().append_value(reason);
            self.bytes += reason.len() + 4;
            count(&mut self.counts, reason);
        }
        self.reasons.append(true);
        self.partitions.append_value(place.partition);
        self.offsets.append_value(place.offset);
        self.rows.append_option(row);
        self.ingest_times.append_value(place.ingest_time_us);
        self.dead_letters += u64::from(row.is_none());
    }

    /// Columns of a reject's place: source, partition, offset, row.
    pub(super) fn places_schema() -> SchemaRef {
        Arc::new(Schema::new(identity_fields(true).into_iter().take(4).collect::<Vec<_>>()))
    }

    /// Where those taken in came from; they stay where they are.
    pub(super) fn waiting_places(&self, source: &mut Source) -> Result<RecordBatch, CoreError> {
        let partitions = Arc::new(self.partitions.finish_cloned());
        let (offsets, rows) = (Arc::new(self.offsets.finish_cloned()), Arc::new(self.rows.finish_cloned()));
        let columns: Vec<ArrayRef> = vec![source.column(self.len()), partitions, offsets, rows];
        Ok(RecordBatch::try_new(Self::places_schema(), columns)?)
    }

    /// The same of a finished batch.
    pub(super) fn places(rejects: &RecordBatch) -> Result<RecordBatch, CoreError> {
        let schema = rejects.schema();
        let columns = Self::places_schema();
        let at = columns.fields().iter().map(|field| schema.index_of(field.name())).collect::<Result<Vec<_>, _>>()?;
        Ok(rejects.project(&at)?)
    }

    /// Everything taken in, as one batch.
    pub(super) fn finish(&mut self, contract: &Contract, source: &mut Source) -> Result<RecordBatch, CoreError> {
        let rows = self.len();
        self.bytes = 0;
        Ok(RecordBatch::try_new(
            Self::schema(),
            vec![
                Arc::new(self.raw.finish()),
                Arc::new(self.reasons.finish()),
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&contract.id, rows))),
                Arc::new(Int32Array::from(vec![contract.version; rows])),
                source.column(rows),
                Arc::new(self.partitions.finish()),
                Arc::new(self.offsets.finish()),
                Arc::new(self.rows.finish()),
                Arc::new(self.ingest_times.finish()),
            ],
        )?)
    }
}

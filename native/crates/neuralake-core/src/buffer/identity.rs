//! Where a row comes from: the columns that every row keeps beside its own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field};

use super::Message;
use crate::contract::ColumnType;

/// Bytes of identity that a row adds to its values; the source is one text for all.
pub(super) const IDENTITY_BYTES: usize = 24;

/// Fields of the identity. A row of the quarantine may be a whole message, which has no number within it.
pub(super) fn identity_fields(is_quarantine: bool) -> Vec<Field> {
    vec![
        Field::new("_source", DataType::Utf8, false),
        Field::new("_partition", DataType::Int32, false),
        Field::new("_offset", DataType::Int64, false),
        Field::new("_row", DataType::Int32, is_quarantine),
        Field::new("_ingest_time", ColumnType::TimestampUs.arrow(), false),
    ]
}

/// One row's identity but for its source, and its number within the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) ingest_time_us: i64,
}

impl Place {
    pub(super) fn of(message: &Message<'_>, now_us: i64) -> Self {
        Self { partition: message.partition.number, offset: message.offset.0, ingest_time_us: now_us }
    }
}

/// Identities of the rows of a block.
#[derive(Debug, Default)]
pub(super) struct Identities {
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    rows: Vec<i32>,
    ingest_times_us: Vec<i64>,
}

impl Identities {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn push(&mut self, place: Place, row: i32) {
        self.partitions.push(place.partition);
        self.offsets.push(place.offset);
        self.rows.push(row);
        self.ingest_times_us.push(place.ingest_time_us);
    }

    /// Identity of one row, with its number within its message.
    pub(super) fn get(&self, row: usize) -> (Place, i32) {
        let place = Place {
            partition: self.partitions[row],
            offset: self.offsets[row],
            ingest_time_us: self.ingest_times_us[row],
        };
        (place, self.rows[row])
    }

    /// Partition, offset, row and ingest time as columns. What comes next finds room for as much again.
    pub(super) fn finish(&mut self) -> [ArrayRef; 4] {
        let times = TimestampMicrosecondArray::from(renewed(&mut self.ingest_times_us));
        [
            Arc::new(Int32Array::from(renewed(&mut self.partitions))),
            Arc::new(Int64Array::from(renewed(&mut self.offsets))),
            Arc::new(Int32Array::from(renewed(&mut self.rows))),
            Arc::new(times.with_timezone("UTC")),
        ]
    }
}

fn renewed<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

/// The column `_source`: one text over and over, of which every batch takes a slice.
#[derive(Debug)]
pub(super) struct Source {
    text: String,
    column: StringArray,
}

impl Source {
    pub(super) fn new(text: String) -> Self {
        Self { text, column: StringArray::new_null(0) }
    }

    pub(super) fn column(&mut self, rows: usize) -> ArrayRef {
        if self.column.len() < rows {
            self.column = StringArray::from_iter_values(std::iter::repeat_n(&self.text, rows));
        }
        Arc::new(self.column.slice(0, rows))
    }
}

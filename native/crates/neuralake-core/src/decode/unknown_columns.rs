//! Columns of Arrow messages that the contract does not name, told as unknown fields are.
//!
//! A column has one type and says so; of its values a few are looked at for the examples.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::util::display::array_value_to_string;

use super::IpcStream;
use super::unknown::{Kinds, UnknownFields};

/// Rows of a batch that are looked at for examples.
const LOOKED_AT: usize = 8;

/// Columns of one message that no declared column takes. What it holds is shared with the message.
#[derive(Debug)]
pub(crate) struct UnknownColumns {
    rows: usize,
    /// With the parts of each; a nested one has none.
    columns: Vec<(FieldRef, Vec<ArrayRef>)>,
}

impl UnknownColumns {
    /// Those of a message; none where every column is known.
    pub(crate) fn of(stream: &IpcStream, is_known: impl Fn(&str) -> bool) -> Option<Self> {
        let unknown = stream.schema.fields().iter().filter(|field| !is_known(field.name()));
        let columns: Vec<_> = unknown
            .map(|field| {
                let parts = stream.batches.iter().filter_map(|batch| batch.column_by_name(field.name()).cloned());
                (FieldRef::clone(field), parts.collect())
            })
            .collect();
        let rows = stream.batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
        (!columns.is_empty()).then_some(Self { rows, columns })
    }

    /// Tell them.
    pub(crate) fn note(&self, unknown: &mut UnknownFields) {
        for (field, parts) in &self.columns {
            let nulls = parts.iter().map(|part| part.logical_null_count()).sum::<usize>();
            let mut kinds = if nulls > 0 { Kinds::NULL } else { Kinds::default() };
            if nulls < self.rows {
                kinds = kinds.and(kind_of(field.data_type()));
            }
            unknown.note_column(field.name(), self.rows as u64, kinds, || {
                let valid =
                    |part: &ArrayRef| (0..part.len().min(LOOKED_AT)).filter(|row| part.is_valid(*row)).collect();
                let shown = |part: &ArrayRef| {
                    let rows: Vec<usize> = valid(part);
                    rows.into_iter().filter_map(|row| array_value_to_string(part, row).ok()).collect::<Vec<_>>()
                };
                parts.iter().flat_map(shown).collect()
            });
        }
    }
}

fn kind_of(data_type: &DataType) -> Kinds {
    match data_type {
        DataType::Boolean => Kinds::BOOL,
        DataType::Dictionary(_, values) => kind_of(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kinds::TEXT,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Kinds::BINARY,
        DataType::Date32 => Kinds::DAYS,
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, Some(zone))
            if matches!(zone.as_ref(), "UTC" | "+00:00") =>
        {
            Kinds::INSTANT
        }
        other if other.is_integer() => Kinds::INTEGER,
        other if other.is_floating() => Kinds::REAL,
        other if other.is_nested() => Kinds::NESTED,
        _ => Kinds::OTHER,
    }
}

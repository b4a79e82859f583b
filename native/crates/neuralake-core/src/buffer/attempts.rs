//! Attempt rows: what the quarantine says of rejects that have moved to the table.
//!
//! Rows of a quarantine are never rewritten. An attempt stands at the place of the reject it supersedes, and has no raw
//! bytes, which every reject has.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};

use super::identity::{Place, Source};
use super::rejects::Rejects;
use crate::CoreError;
use crate::contract::Contract;

/// Reason of an attempt row.
const MOVED: &str = "requeued";

/// Place of a reject in its source; a whole message has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Partition of the message.
    pub partition: i32,
    /// Offset of the message.
    pub offset: i64,
    /// Number of the row within it.
    pub row: Option<i32>,
}

/// Attempt rows for rejects of one source that move to the table under this contract.
///
/// # Errors
/// `Batch` when Arrow refuses the columns, which no reject can cause.
pub fn attempts(
    contract: &Contract,
    source: &str,
    moved: impl IntoIterator<Item = Origin>,
    now_us: i64,
) -> Result<RecordBatch, CoreError> {
    let mut rows = Rejects::default();
    for Origin { partition, offset, row } in moved {
        let place = Place { partition, offset, ingest_time_us: now_us };
        rows.push(place, row, None, std::iter::once(MOVED));
    }
    rows.finish(contract, &mut Source::new(source.to_owned()))
}

/// Where the rows of a batch come from, by its columns of identity; empty where it has none.
#[must_use]
pub fn origins(batch: &RecordBatch) -> Vec<Origin> {
    let integers = |name| batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int32Type>());
    let offsets = batch.column_by_name("_offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let (Some(partitions), Some(offsets), Some(rows)) = (integers("_partition"), offsets, integers("_row")) else {
        return Vec::new();
    };
    let places = partitions.values().iter().zip(offsets.values()).zip(rows);
    places.map(|((partition, offset), row)| Origin { partition: *partition, offset: *offset, row }).collect()
}

//! A Parquet file of blocks, written group by group in bounded memory.
//!
//! Row groups are cut by bytes, not by rows: a selective reader takes whole ones, and a second of one channel weighs
//! 320 bytes or 60 kB. Samples are delta-packed; statistics stand on the columns readers prune by, never on samples.

use std::sync::Arc;

use ::parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use ::parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::ColumnPath;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use delta_kernel::KernelError;
use delta_kernel_default_engine::stats::FileStatsAccumulator;

use super::sample_chunk::SampleChunk;
use crate::LakeError;

/// Raw bytes of a row group: `docs/signal-encodings.md` measures what smaller and larger ones cost.
const ROW_GROUP_BYTES: usize = 1 << 20;
const ZSTD_LEVEL: i32 = 1;

/// One file of `signals` under construction.
pub struct SignalFile {
    writer: SerializedFileWriter<Vec<u8>>,
    groups: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// By column: its own writer, where it holds lists of integer samples.
    samples: Vec<Option<SampleChunk>>,
    /// By column: the general writer of the row group that is open.
    others: Vec<ArrowColumnWriter>,
    statistics: FileStatsAccumulator,
    group_bytes: usize,
    rows: usize,
}

impl SignalFile {
    /// A file of these columns.
    ///
    /// # Errors
    /// `Encode` when the columns cannot be stored.
    pub(crate) fn new(schema: SchemaRef, statistics: FileStatsAccumulator) -> Result<Self, LakeError> {
        let mut properties = properties(&schema)?;
        let stored = ArrowSchemaConverter::new().convert(&schema).map_err(refused)?;
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let writer = SerializedFileWriter::new(Vec::new(), stored.root_schema_ptr(), Arc::new(properties));
        let writer = writer.map_err(refused)?;
        let groups = ArrowRowGroupWriterFactory::new(&writer, Arc::clone(&schema));
        // Fields and columns go together: no field has more than one.
        let samples = schema.fields().iter().zip(writer.schema_descr().columns()).map(|(field, column)| {
            let chunk = || SampleChunk::new(Arc::clone(column), ZstdLevel::try_new(ZSTD_LEVEL)?);
            SampleChunk::takes(field.data_type()).then(chunk).transpose()
        });
        let samples = samples.collect::<Result<_, _>>().map_err(refused)?;
        Ok(Self { writer, groups, schema, samples, others: Vec::new(), statistics, group_bytes: 0, rows: 0 })
    }

    /// Write blocks that weigh about `bytes`.
    ///
    /// # Errors
    /// `Encode` when the writer refuses them.
    pub fn write(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), LakeError> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(());
        }
        let row_bytes = bytes.div_ceil(rows).max(1);
        let mut first = 0;
        while first < rows {
            let room = ROW_GROUP_BYTES.saturating_sub(self.group_bytes).div_ceil(row_bytes).max(1);
            let part = narrowed(&batch.slice(first, room.min(rows - first)))?;
            self.write_part(&part).map_err(refused)?;
            self.statistics.merge(&part).map_err(|e: KernelError| LakeError::Encode(e.to_string()))?;
            self.group_bytes += part.num_rows() * row_bytes;
            if self.group_bytes >= ROW_GROUP_BYTES {
                self.close_group().map_err(refused)?;
            }
            first += part.num_rows();
        }
        self.rows += rows;
        Ok(())
    }

    /// Encoded bytes so far, and those that wait for the end of their group as they are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.group_bytes
    }

    /// Blocks so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// End the file: its bytes, and what the log is to say of it.
    pub(crate) fn finish(mut self) -> Result<(Bytes, StructArray), LakeError> {
        self.close_group().map_err(refused)?;
        let statistics = self.statistics.finish().map_err(|e| LakeError::Encode(e.to_string()))?;
        let statistics = statistics.ok_or_else(|| LakeError::Encode("a file without blocks".to_owned()))?;
        Ok((Bytes::from(self.writer.into_inner().map_err(refused)?), statistics))
    }

    fn write_part(&mut self, part: &RecordBatch) -> Result<(), ParquetError> {
        if self.group_bytes == 0 {
            self.others = self.groups.create_column_writers(self.writer.flushed_row_groups().len())?;
        }
        let writers = self.samples.iter_mut().zip(&mut self.others);
        for ((chunk, other), (field, values)) in writers.zip(self.schema.fields().iter().zip(part.columns())) {
            match chunk {
                Some(chunk) => chunk.write(values.as_list::<i32>())?,
                None => {
                    for leaf in compute_leaves(field, values)? {
                        other.write(&leaf)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), ParquetError> {
        if std::mem::take(&mut self.group_bytes) == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for (chunk, other) in self.samples.iter_mut().zip(self.others.drain(..)) {
            match chunk {
                Some(chunk) => chunk.append_to(&mut group)?,
                None => other.close()?.append_to_row_group(&mut group)?,
            }
        }
        group.close()?;
        Ok(())
    }
}

impl std::fmt::Debug for SignalFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignalFile").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// A slice whose lists hold its own values and no others. The writer converts the values behind a list as a whole: with
/// those of all rows behind each slice, a file would take time by the square of its size.
fn narrowed(slice: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let columns = slice.columns().iter().zip(slice.schema_ref().fields()).map(|(column, field)| {
        let (Some(list), DataType::List(element)) = (column.as_list_opt::<i32>(), field.data_type()) else {
            return Ok(ArrayRef::clone(column));
        };
        let (first, last) = (list.value_offsets()[0], list.value_offsets()[list.len()]);
        let values = list.values().slice(first as usize, (last - first) as usize);
        let offsets = list.value_offsets().iter().map(|offset| offset - first).collect();
        let own = ListArray::try_new(Arc::clone(element), OffsetBuffer::new(offsets), values, list.nulls().cloned())?;
        Ok(Arc::new(own) as ArrayRef)
    });
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>();
    let narrowed = columns.and_then(|columns| RecordBatch::try_new(slice.schema(), columns));
    narrowed.map_err(|e| LakeError::Encode(e.to_string()))
}

fn refused(error: ParquetError) -> LakeError {
    LakeError::Encode(error.to_string())
}

fn properties(schema: &SchemaRef) -> Result<WriterProperties, LakeError> {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(refused)?;
    let builder = WriterProperties::builder()
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by("neuralake".to_owned());
    Ok(schema
        .fields()
        .iter()
        .fold(builder, |builder, field| encoding(builder, field.name(), field.data_type(), level))
        .build())
}

/// Only lists of floats are compressed here. Lists of integers compress themselves, and of any other column a group has
/// a few numbers: a compressor would cost them more than it saves.
fn encoding(
    builder: WriterPropertiesBuilder,
    name: &str,
    data_type: &DataType,
    level: ZstdLevel,
) -> WriterPropertiesBuilder {
    let (path, number) = match data_type {
        DataType::List(element) => {
            let path = ColumnPath::from(vec![name.to_owned(), "list".to_owned(), element.name().clone()]);
            (path, element.data_type())
        }
        other => (ColumnPath::from(name), other),
    };
    let builder = match data_type {
        DataType::List(_) => builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None),
        _ => builder,
    };
    let builder = match data_type {
        DataType::List(_) if number.is_floating() => {
            builder.set_column_compression(path.clone(), Compression::ZSTD(level))
        }
        _ => builder,
    };
    match number {
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
        DataType::Float32 | DataType::Float64 => builder.set_column_dictionary_enabled(path, false),
        _ => builder,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;
    use arrow::datatypes::{Field, Int16Type, Schema};

    use super::*;

    #[test]
    fn a_slice_brings_its_own_values_alone() {
        let lists = (0..100_i16).map(|row| (row % 7 > 0).then(|| (0..row).map(Some).collect::<Vec<_>>()));
        let lists = ListArray::from_iter_primitive::<Int16Type, _, _>(lists);
        let fields =
            vec![Field::new("row", DataType::Int32, false), Field::new("samples", lists.data_type().clone(), true)];
        let rows: ArrayRef = Arc::new(Int32Array::from_iter_values(0..100));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![rows, Arc::new(lists)]).unwrap();
        for (first, count) in [(0, 100), (40, 3), (48, 2), (99, 1), (7, 1), (100, 0)] {
            let slice = batch.slice(first, count);
            let own = narrowed(&slice).unwrap();
            assert_eq!(own, slice);
            let lists = slice.column(1).as_list::<i32>();
            let held: usize = (0..count).map(|row| lists.value(row).len()).sum();
            assert_eq!(own.column(1).as_list::<i32>().values().len(), held, "{first}, {count}");
        }
    }
}

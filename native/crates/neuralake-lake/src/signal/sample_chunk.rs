//! The samples of a row group as a column chunk of Parquet: one page of delta-packed integers.
//!
//! Its lists are blocks: long, and without nulls inside. So its levels are a handful of runs, which the general writer
//! spells out for each value, and its values are known to be integers in order.

use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::column::page::{CompressedPage, Page, PageWriter};
use ::parquet::column::writer::ColumnCloseResult;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use ::parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use ::parquet::schema::types::ColumnDescPtr;
use arrow::array::{Array, ArrowPrimitiveType, AsArray, ListArray};
use arrow::datatypes::{DataType, Int16Type, Int32Type};
use bytes::Bytes;
use zstd::bulk::Compressor;

use super::delta::{DeltaEncoder, put_varint};

/// Definition levels of a list that may be null, of elements that may be.
const IS_NULL: u8 = 0;
const IS_EMPTY: u8 = 1;
const IS_VALUE: u8 = 3;
/// Repetition levels: the first value of a row, and every other.
const IS_FIRST: u8 = 0;
const IS_NEXT: u8 = 1;

/// A column of lists of integers under construction, one row group after the other.
pub(super) struct SampleChunk {
    column: ColumnDescPtr,
    compressor: Compressor<'static>,
    starts: Runs,
    kinds: Runs,
    values: DeltaEncoder,
    rows: u64,
}

impl SampleChunk {
    /// Whether a column can be written by this one.
    pub(super) fn takes(data_type: &DataType) -> bool {
        matches!(data_type, DataType::List(element)
            if element.is_nullable() && matches!(element.data_type(), DataType::Int16 | DataType::Int32))
    }

    /// A chunk of this column.
    pub(super) fn new(column: ColumnDescPtr, level: ZstdLevel) -> Result<Self> {
        let compressor = Compressor::new(level.compression_level())?;
        let (starts, kinds, values) = (Runs::default(), Runs::default(), DeltaEncoder::default());
        Ok(Self { column, compressor, starts, kinds, values, rows: 0 })
    }

    /// Take rows in.
    pub(super) fn write(&mut self, lists: &ListArray) -> Result<()> {
        if lists.values().null_count() > 0 {
            return Err(ParquetError::General("a block with nulls among its samples".to_owned()));
        }
        match lists.values().data_type() {
            DataType::Int16 => self.extend::<Int16Type>(lists),
            _ => self.extend::<Int32Type>(lists),
        }
        self.rows += lists.len() as u64;
        Ok(())
    }

    fn extend<T: ArrowPrimitiveType<Native: Into<i32>>>(&mut self, lists: &ListArray) {
        let values = lists.values().as_primitive::<T>().values();
        for (row, ends) in lists.value_offsets().windows(2).enumerate() {
            let samples = &values[ends[0] as usize..ends[1] as usize];
            self.starts.push(IS_FIRST, 1);
            match samples {
                _ if lists.is_null(row) => self.kinds.push(IS_NULL, 1),
                [] => self.kinds.push(IS_EMPTY, 1),
                [_, others @ ..] => {
                    self.starts.push(IS_NEXT, others.len() as u64);
                    self.kinds.push(IS_VALUE, samples.len() as u64);
                    self.values.extend(samples);
                }
            }
        }
    }

    /// End the chunk and put it where the row group has come to. The next one begins.
    pub(super) fn append_to(&mut self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<()> {
        let levels = self.starts.count;
        let mut plain = Vec::new();
        self.starts.finish(&mut plain);
        self.kinds.finish(&mut plain);
        plain.append(&mut self.values.finish());
        let page = Page::DataPage {
            buf: Bytes::from(self.compressor.compress(&plain)?),
            num_values: u32::try_from(levels)?,
            encoding: Encoding::DELTA_BINARY_PACKED,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let mut sink = TrackedWrite::new(Vec::new());
        let written = SerializedPageWriter::new(&mut sink).write_page(CompressedPage::new(page, plain.len()))?;
        let (rows, bytes) = (std::mem::take(&mut self.rows), i64::try_from(written.compressed_size)?);
        let metadata = ColumnChunkMetaData::builder(Arc::clone(&self.column))
            .set_encodings(vec![Encoding::RLE, Encoding::DELTA_BINARY_PACKED])
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_num_values(i64::try_from(levels)?)
            .set_total_compressed_size(bytes)
            .set_total_uncompressed_size(i64::try_from(written.uncompressed_size)?)
            .set_data_page_offset(0)
            .build()?;
        let mut pages = OffsetIndexBuilder::new();
        pages.append_offset_and_size(0, i32::try_from(bytes)?);
        pages.append_row_count(i64::try_from(rows)?);
        let close = ColumnCloseResult {
            bytes_written: written.bytes_written,
            rows_written: rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(pages.build()),
        };
        group.append_column(&Bytes::from(sink.into_inner()?), close)
    }
}

/// Levels of a page, as runs of the same one.
#[derive(Debug, Default)]
struct Runs {
    runs: Vec<(u8, u64)>,
    count: u64,
}

impl Runs {
    fn push(&mut self, level: u8, count: u64) {
        self.count += count;
        match self.runs.last_mut() {
            _ if count == 0 => {}
            Some((last, length)) if *last == level => *length += count,
            _ => self.runs.push((level, count)),
        }
    }

    /// Write them as Parquet's run-length encoding with its length before it, and begin anew.
    fn finish(&mut self, out: &mut Vec<u8>) {
        let mut encoded = Vec::new();
        for (level, count) in self.runs.drain(..) {
            put_varint(&mut encoded, count << 1);
            encoded.push(level);
        }
        self.count = 0;
        out.extend((encoded.len() as u32).to_le_bytes());
        out.append(&mut encoded);
    }
}

#[cfg(test)]
mod tests {
    use ::parquet::arrow::ArrowSchemaConverter;
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use ::parquet::file::writer::SerializedFileWriter;
    use arrow::array::{ArrayRef, RecordBatch};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Field, Schema};
    use proptest::prelude::*;

    use super::*;

    /// Write row groups as one file, and read it with the general reader.
    fn written_and_read(groups: &[Vec<ListArray>]) -> RecordBatch {
        let column = groups[0][0].data_type().clone();
        assert!(SampleChunk::takes(&column));
        let schema = Arc::new(Schema::new(vec![Field::new("samples", column, true)]));
        let stored = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let mut file = SerializedFileWriter::new(Vec::new(), stored.root_schema_ptr(), Arc::default()).unwrap();
        let level = ZstdLevel::try_new(1).unwrap();
        let mut chunk = SampleChunk::new(Arc::clone(&file.schema_descr().columns()[0]), level).unwrap();
        for group in groups {
            let mut open = file.next_row_group().unwrap();
            group.iter().for_each(|lists| chunk.write(lists).unwrap());
            chunk.append_to(&mut open).unwrap();
            open.close().unwrap();
        }
        let bytes = Bytes::from(file.into_inner().unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().with_batch_size(7).build().unwrap();
        let batches: Vec<_> = reader.map(Result::unwrap).collect();
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    fn lists<T: ArrowPrimitiveType>(rows: &[Option<Vec<T::Native>>]) -> ListArray {
        let rows = rows.iter().map(|row| row.as_ref().map(|samples| samples.iter().copied().map(Some)));
        let lists = ListArray::from_iter_primitive::<T, _, _>(rows);
        let element = Arc::new(Field::new("element", T::DATA_TYPE, true));
        let (_, ends, values, nulls) = lists.into_parts();
        ListArray::try_new(element, ends, values, nulls).unwrap()
    }

    fn assert_kept<T: ArrowPrimitiveType>(rows: &[Option<Vec<T::Native>>], cut: usize) {
        let (before, after) = rows.split_at(cut.min(rows.len()));
        let groups: Vec<Vec<ListArray>> = [before, after]
            .iter()
            .filter(|rows| !rows.is_empty())
            // Two writes to a group.
            .map(|rows| rows.chunks(rows.len().div_ceil(2)).map(lists::<T>).collect())
            .collect();
        let found = written_and_read(&groups);
        let wanted: ArrayRef = Arc::new(lists::<T>(rows));
        assert_eq!(found.column(0), &wanted);
    }

    #[test]
    fn blocks_around_the_size_of_a_miniblock_are_kept() {
        for length in [1, 2, 31, 32, 33, 34, 127, 128, 129, 130, 257, 30_000] {
            let samples: Vec<i16> = (0..length).map(|n| (n * 7919 % 65_536 - 32_768) as i16).collect();
            assert_kept::<Int16Type>(&[Some(samples.clone()), None, Some(samples)], 2);
        }
    }

    #[test]
    fn differences_that_leave_32_bits_are_kept() {
        let samples = [i32::MIN, i32::MAX, i32::MIN, 0, -1, i32::MAX, 1 << 23, -(1 << 23)].repeat(40);
        assert_kept::<Int32Type>(&[Some(samples)], 1);
    }

    #[test]
    fn a_column_of_nulls_alone_is_kept() {
        assert_kept::<Int32Type>(&[None, None, Some(Vec::new())], 1);
    }

    fn rows<T: std::fmt::Debug + Clone + 'static>(
        value: impl Strategy<Value = T> + 'static,
    ) -> impl Strategy<Value = Vec<Option<Vec<T>>>> {
        proptest::collection::vec(proptest::option::of(proptest::collection::vec(value, 0..300)), 1..20)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_16_bits(rows in rows(any::<i16>()), cut in 0_usize..20) {
            assert_kept::<Int16Type>(&rows, cut);
        }

        #[test]
        fn what_is_written_is_read_32_bits(rows in rows(any::<i32>()), cut in 0_usize..20) {
            assert_kept::<Int32Type>(&rows, cut);
        }

        #[test]
        fn what_is_written_is_read_of_few_bits(rows in rows(-3_i32..3), cut in 0_usize..20) {
            assert_kept::<Int32Type>(&rows, cut);
        }
    }
}

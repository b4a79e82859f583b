//! List columns filled a slice at a time, and the four of them that samples are stored in.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, ListArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::sample::Sample;

/// One list column under construction. The element is named and nullable as Delta writes it.
#[derive(Debug)]
pub struct ListColumn<T> {
    values: Vec<T>,
    ends: Vec<i32>,
    is_valid: Vec<bool>,
}

impl<T> Default for ListColumn<T> {
    fn default() -> Self {
        Self { values: Vec::new(), ends: vec![0], is_valid: Vec::new() }
    }
}

impl<T: Sample> ListColumn<T> {
    pub(super) fn push(&mut self, values: impl IntoIterator<Item = T>) {
        self.values.extend(values);
        self.end(true);
    }

    pub(super) fn push_slice(&mut self, values: &[T]) {
        self.values.extend_from_slice(values);
        self.end(true);
    }

    /// Say nothing of the rows up to this many.
    fn fill(&mut self, rows: usize) {
        while self.is_valid.len() < rows {
            self.end(false);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let full = std::mem::take(self);
        let values = PrimitiveArray::<T::Arrow>::new(ScalarBuffer::from(full.values), None);
        let ends = OffsetBuffer::new(ScalarBuffer::from(full.ends));
        let element = Arc::new(Field::new("element", T::Arrow::DATA_TYPE, true));
        Ok(Arc::new(ListArray::try_new(element, ends, Arc::new(values), Some(NullBuffer::from(full.is_valid)))?))
    }

    fn end(&mut self, is_valid: bool) {
        // A flush is bounded far below 2^31 samples; past it Arrow refuses the batch, it does not wrap.
        self.ends.push(i32::try_from(self.values.len()).unwrap_or(i32::MAX));
        self.is_valid.push(is_valid);
    }
}

/// The columns of samples: a block fills one of them.
#[derive(Debug, Default)]
pub struct SampleColumns {
    pub(super) int16: ListColumn<i16>,
    pub(super) int32: ListColumn<i32>,
    pub(super) float32: ListColumn<f32>,
    pub(super) float64: ListColumn<f64>,
}

impl SampleColumns {
    /// Names and element types, in the order of the table.
    pub(super) const NAMES: [(&'static str, DataType); 4] = [
        ("samples", DataType::Int16),
        ("samples_i32", DataType::Int32),
        ("samples_f32", DataType::Float32),
        ("samples_f64", DataType::Float64),
    ];

    pub(super) fn push<T: Sample>(&mut self, samples: &[T]) {
        T::column(self).push_slice(samples);
        // The other three say nothing of this block.
        let rows = T::column(self).is_valid.len();
        self.int16.fill(rows);
        self.int32.fill(rows);
        self.float32.fill(rows);
        self.float64.fill(rows);
    }

    pub(super) fn bytes(&self) -> usize {
        self.int16.bytes() + self.int32.bytes() + self.float32.bytes() + self.float64.bytes()
    }

    pub(super) fn finish(&mut self) -> Result<[ArrayRef; 4], ArrowError> {
        Ok([self.int16.finish()?, self.int32.finish()?, self.float32.finish()?, self.float64.finish()?])
    }
}

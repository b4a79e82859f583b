//! The types a sample can have, and the column each is stored in.

use std::fmt;

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{ArrowNativeType, Float32Type, Float64Type, Int16Type, Int32Type};

use super::list::{ListColumn, SampleColumns};
use super::summary::Fold;

/// Type of the samples of a stream. Unsigned and 24-bit samples arrive as the next wider one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// Single-precision number.
    Float32,
    /// Double-precision number.
    Float64,
}

impl Dtype {
    /// Name as Python and the tables write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }

    /// Bytes of one sample.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Int16 => 2,
            Self::Int32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A sample as it is stored.
pub trait Sample: ArrowNativeType {
    /// Its type in Arrow.
    type Arrow: ArrowPrimitiveType<Native = Self>;
    /// Its type in words.
    const DTYPE: Dtype;

    /// What a run of samples amounts to; NaN counts for nothing.
    fn fold(samples: &[Self]) -> Fold;

    #[doc(hidden)]
    fn column(columns: &mut SampleColumns) -> &mut ListColumn<Self>;
}

macro_rules! integer_sample {
    ($native:ty, $arrow:ty, $dtype:expr, $column:ident, $sum:ty, $square:expr) => {
        impl Sample for $native {
            type Arrow = $arrow;
            const DTYPE: Dtype = $dtype;

            fn fold(samples: &[Self]) -> Fold {
                // Three passes, each of which the compiler turns into a few vector instructions.
                let low = samples.iter().fold(Self::MAX, |low, sample| low.min(*sample));
                let high = samples.iter().fold(Self::MIN, |high, sample| high.max(*sample));
                let square: $sum = samples.iter().copied().map($square).sum();
                Fold { low: f64::from(low), high: f64::from(high), square: square as f64, count: samples.len() as u64 }
            }

            fn column(columns: &mut SampleColumns) -> &mut ListColumn<Self> {
                &mut columns.$column
            }
        }
    };
}

// Squares of 16 bits fit 64 bits for any block; those of 32 bits do not, and are summed as numbers.
integer_sample!(i16, Int16Type, Dtype::Int16, int16, u64, |sample: i16| u64::from(
    i32::from(sample).pow(2).cast_unsigned()
));
integer_sample!(i32, Int32Type, Dtype::Int32, int32, f64, |sample: i32| f64::from(sample).powi(2));

macro_rules! float_sample {
    ($native:ty, $arrow:ty, $dtype:expr, $column:ident) => {
        impl Sample for $native {
            type Arrow = $arrow;
            const DTYPE: Dtype = $dtype;

            fn fold(samples: &[Self]) -> Fold {
                let (mut low, mut high) = (Self::INFINITY, Self::NEG_INFINITY);
                let (mut square, mut count) = (0.0, 0);
                for sample in samples {
                    // `min` and `max` of the standard library pass a NaN by.
                    low = low.min(*sample);
                    high = high.max(*sample);
                    let is_number = !sample.is_nan();
                    let value = if is_number { f64::from(*sample) } else { 0.0 };
                    square += value * value;
                    count += u64::from(is_number);
                }
                Fold { low: f64::from(low), high: f64::from(high), square, count }
            }

            fn column(columns: &mut SampleColumns) -> &mut ListColumn<Self> {
                &mut columns.$column
            }
        }
    };
}

float_sample!(f32, Float32Type, Dtype::Float32, float32);
float_sample!(f64, Float64Type, Dtype::Float64, float64);

//! The types a declared column can have.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// Type of a declared column. Unsigned types of a declaration arrive here as the next wider signed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// True or false.
    Bool,
    /// 8-bit integer.
    Int8,
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Single-precision number.
    Float32,
    /// Double-precision number.
    Float64,
    /// UTF-8 text.
    String,
    /// Bytes; in JSON the text's UTF-8 bytes.
    Binary,
    /// Days since 1970-01-01; in JSON `YYYY-MM-DD`.
    Date,
    /// UTC microseconds; in JSON an integer of microseconds or RFC 3339 text.
    TimestampUs,
}

impl ColumnType {
    /// Arrow type of the column.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::String => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::TimestampUs => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        }
    }

    /// Whether bounds make sense for it.
    #[must_use]
    pub fn is_ordered_number(self) -> bool {
        !matches!(self, Self::Bool | Self::String | Self::Binary)
    }
}

//! Whether a pattern occurs in a text. The engine is the one inside Polars, so Python and Rust agree.

use arrow::array::{BooleanArray, StringArray};
use regex::Regex;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        Regex::new(pattern).map(Self).map_err(|e| e.to_string())
    }

    pub(super) fn holds(&self, texts: &StringArray) -> BooleanArray {
        BooleanArray::from_unary(texts, |text| self.0.is_match(text))
    }
}

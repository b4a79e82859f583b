//! A bound of a number, compared without losing digits.

use std::cmp::Ordering;

use serde::Deserialize;

/// An integer or a real bound, as the declaration wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// Exact for every integer column, dates (days) and timestamps (microseconds).
    Integer(i64),
    /// For columns of real numbers.
    Real(f64),
}

impl Bound {
    /// Order of an integer against this bound; `None` never occurs for finite bounds.
    #[must_use]
    pub fn order_of_integer(self, value: i64) -> Option<Ordering> {
        match self {
            Self::Integer(bound) => Some(value.cmp(&bound)),
            // Integers beyond 2^53 lose digits here; a declaration with such a bound writes an integer.
            #[allow(clippy::cast_precision_loss)]
            Self::Real(bound) => (value as f64).partial_cmp(&bound),
        }
    }

    /// Order of a real number against this bound; NaN has none.
    #[must_use]
    pub fn order_of_real(self, value: f64) -> Option<Ordering> {
        value.partial_cmp(&self.as_real())
    }

    /// Order of a single-precision number, with the bound rounded to its precision as Polars does.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn order_of_single(self, value: f32) -> Option<Ordering> {
        value.partial_cmp(&(self.as_real() as f32))
    }

    #[allow(clippy::cast_precision_loss)]
    fn as_real(self) -> f64 {
        match self {
            Self::Integer(bound) => bound as f64,
            Self::Real(bound) => bound,
        }
    }
}

//! The one error type of this crate.

use thiserror::Error;

/// What can be wrong with a contract or with the columns built from it.
#[derive(Debug, Error)]
pub enum CoreError {
    /// The contract's JSON is not what `Contract::from_json` expects.
    #[error("cannot read the contract: {0}")]
    ContractUnreadable(String),
    /// The contract contradicts itself.
    #[error("contract {id}: column {column}: {reason}")]
    ContractInvalid {
        /// Identity of the contract.
        id: String,
        /// Column at fault.
        column: String,
        /// What contradicts what.
        reason: String,
    },
    /// Columns could not be assembled into a batch.
    #[error("cannot assemble a batch: {0}")]
    Batch(#[from] arrow::error::ArrowError),
}

impl CoreError {
    /// Stable identifier, one entry each in the error reference.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ContractUnreadable(_) => "contract-unreadable",
            Self::ContractInvalid { .. } => "contract-invalid",
            Self::Batch(_) => "batch",
        }
    }

    /// No fault of this crate goes away by waiting.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        false
    }
}

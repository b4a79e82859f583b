//! Tables: Parquet files, Delta commits by our own committer, quarantine by roll-forward, checkpoints.
//!
//! The law of a commit (`commit`): `PUT _delta_log/N.json` only if absent; on any doubt N.json is read and the
//! commit id in it decides; every rebuild asks its preconditions again of the very snapshot it is built on.

pub mod columns;
mod commit;
pub mod cpu;
pub mod error;
pub mod faults;
pub mod log;
pub mod parquet;
pub mod quarantine;
pub mod signal;
pub mod store;
pub mod table;

pub use error::LakeError;
pub use faults::Faults;
pub use store::{Store, StoreSpec};
pub use table::{Draft, Table, TableView};

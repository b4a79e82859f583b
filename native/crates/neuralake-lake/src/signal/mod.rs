//! Signals on disk: files of blocks, and a recording published whole or not at all.

mod delta;
mod file;
mod publication;
mod sample_chunk;

pub use file::SignalFile;
pub use publication::{Publication, Row};

/// An id that sorts by the time it was made.
#[must_use]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

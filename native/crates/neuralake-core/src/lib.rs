//! What a message means: its contract, its rows and the buffer they wait in.
//!
//! This crate does no I/O, knows no runtime and no Python, and gets the time as an argument, so that every
//! verdict is a function of the message alone and any split of a stream into batches gives the same table.

pub mod buffer;
pub mod contract;
pub mod decode;
mod error;
pub mod position;
pub mod signal;

pub use error::CoreError;

//! Sources of messages and the job that lands them in a table exactly once.

pub mod clock;
pub mod error;
pub mod job;
pub mod journal;
pub mod requeue;
pub mod source;

pub use error::StreamError;

//! A job: one topic into one table, each message exactly once.
//!
//! Two threads. The reader polls the source and fills the buffer; the committer turns each flush into files and a
//! commit, so that decoding goes on while the store answers. What a job knows of its past stands in the table alone.

mod begin;
mod flush;
mod report;
mod run;
mod spec;

pub use report::{Report, State};
pub use run::{Ending, Job};
pub use spec::{FlushPolicy, JobSpec, StartAt};

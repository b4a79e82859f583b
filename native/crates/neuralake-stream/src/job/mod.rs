//! A job: topics into one table, each message exactly once.
//!
//! Readers poll their partitions and fill a buffer each; the control thread decides when to flush; the committer turns
//! a flush into files and a commit, so that decoding goes on while the store answers. What a job knows of its past
//! stands in the table alone.

mod begin;
mod committer;
mod disk;
mod flush;
mod handle;
mod live;
mod memory;
mod metrics;
mod places;
mod reader;
mod report;
mod ring;
mod run;
mod signals;
mod spec;

pub use disk::{DiskPolicy, DiskReport};
pub use handle::{Ending, Job};
pub use report::{Report, State};
pub use spec::{Choice, Encoding, FlushPolicy, JobSpec, OnMissing, StartAt};

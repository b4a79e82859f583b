//! Signals: the tables every lake has for them, and blocks of samples with what a picture needs of each.
//!
//! A block is a run of one channel's samples, without a gap, about a second long; it is one row of `signals`. Samples
//! are stored as they came, to the bit, in the column of their type.

mod block;
mod cut;
mod gathered;
mod list;
mod live;
mod sample;
mod summary;
mod table;

pub use block::{BlockPlace, Blocks, Identity};
pub use cut::{BlockPlan, Run, cut};
pub(crate) use gathered::Gathered;
pub(crate) use live::{LiveGap, LiveStream, rows};
pub use sample::{Dtype, Sample};
pub use summary::{ENVELOPE_SAMPLES, Summary};
pub use table::SignalTable;

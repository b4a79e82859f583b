//! Named places where a test may end the process, as `kill -9` would.
//!
//! A plan is a file of lines `point nth`. Each process takes the first line for itself, so that one plan describes
//! the deaths of a supervised worker over many lives. With a third word, `stop`, the process sleeps at its point, as on
//! a machine whose lid is closed, until somebody continues it. Without a plan a point costs one load.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::process::Signal;

/// Every named point, in the order a flush passes them.
pub const POINTS: [&str; 13] = [
    "after_evolution",
    "after_epoch_commit",
    "after_first_positions",
    "after_partition_added",
    "before_upload",
    "after_reject_upload",
    "after_upload",
    "before_log_put",
    "after_log_put",
    "in_doubt",
    "before_roll_forward",
    "after_roll_forward",
    "before_checkpoint",
];

/// Those of the journal's writer and of its trimming, which are no part of a flush.
pub const JOURNAL_POINTS: [&str; 2] = ["inside_journal_sync", "inside_journal_trim"];

/// Every named point of a publication (`lab.add`), in the order it passes them.
pub const ADD_POINTS: [&str; 3] = ["before_add_commits", "before_publication", "after_publication"];

/// The one death this process is to die, if any.
#[derive(Debug, Default)]
pub struct Faults {
    point: String,
    remaining: AtomicI64,
    /// It sleeps there instead.
    is_sleep: bool,
}

impl Faults {
    /// Take the first line of the plan; no file or no line means no death.
    #[must_use]
    pub fn from_plan(path: Option<&Path>) -> Self {
        let Some(path) = path else { return Self::default() };
        let Ok(text) = fs::read_to_string(path) else { return Self::default() };
        let mut lines = text.lines();
        let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let (point, nth, is_sleep) = match words[..] {
            [point, nth] => (point, nth, false),
            [point, nth, "stop"] => (point, nth, true),
            _ => return Self::default(),
        };
        let Ok(nth) = nth.parse() else { return Self::default() };
        let rest: String = lines.flat_map(|line| [line, "\n"]).collect();
        if fs::write(path, rest).is_err() {
            return Self::default();
        }
        Self { point: point.to_owned(), remaining: AtomicI64::new(nth), is_sleep }
    }

    /// Pass a named point; the process ends, or sleeps, here when it is the planned one for the planned time.
    pub fn pass(&self, point: &str) {
        if self.point == point && self.remaining.fetch_sub(1, Ordering::SeqCst) == 1 {
            let own = rustix::process::getpid();
            // Neither can be caught: nothing is flushed, no destructor runs, no thread goes on.
            let signal = if self.is_sleep { Signal::STOP } else { Signal::KILL };
            let _ = rustix::process::kill_process(own, signal);
        }
    }
}

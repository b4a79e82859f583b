//! The time, as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells a job what time it is, so that tests can tell it another one.
pub trait Clock: Send + Sync {
    /// UTC microseconds since 1970.
    fn now_us(&self) -> i64;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

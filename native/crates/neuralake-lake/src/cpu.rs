//! CPU time of threads, read at the edges of a stage.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of the calling thread so far.
#[must_use]
pub fn of_this_thread() -> Duration {
    since_start(ClockId::ThreadCPUTime)
}

/// CPU time of the whole process so far.
#[must_use]
pub fn of_this_process() -> Duration {
    since_start(ClockId::ProcessCPUTime)
}

fn since_start(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Adds up what several threads used.
#[derive(Debug, Default)]
pub struct CpuMeter(AtomicU64);

impl CpuMeter {
    /// What was added so far.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Add what the calling thread used since it was last counted.
    pub fn count_this_thread(&self) {
        thread_local!(static COUNTED: Cell<Duration> = const { Cell::new(Duration::ZERO) });
        let now = of_this_thread();
        let used = now.saturating_sub(COUNTED.replace(now));
        self.0.fetch_add(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

//! The clock by which snapshots grow old: one that goes on while the machine sleeps.

use rustix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
const BOOT_CLOCK: ClockId = ClockId::Boottime;
// The monotonic clock of macOS counts suspend.
#[cfg(not(target_os = "linux"))]
const BOOT_CLOCK: ClockId = ClockId::Monotonic;

/// Seconds since boot, time asleep included.
pub(super) fn boot_s() -> u64 {
    u64::try_from(clock_gettime(BOOT_CLOCK).tv_sec).unwrap_or(0)
}

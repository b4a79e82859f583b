//! The disks a job fills: hours left at the present rate, and whether it must stop before one is full.
//!
//! A job stops reading while a disk has less than its reserve; what it holds is still committed, for which the reserve
//! is kept. It reads on when there is room again.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::report::Trouble;

/// Time between two looks.
const LOOK_EVERY_US: i64 = 500_000;
/// Time between two samples of the rate.
const SAMPLE_EVERY_US: i64 = 5_000_000;
/// Samples kept: a rate is one of the last ten minutes.
const SAMPLES: usize = 120;
/// No rate is told from less time than this.
const RATE_AFTER_US: i64 = 20_000_000;
/// A disk that was full has room again when it has this much of its reserve, in percent.
const ROOM_PERCENT: u64 = 110;

/// Free and total bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may be written by us.
    pub free_bytes: u64,
    /// All bytes.
    pub total_bytes: u64,
}

/// Tells the space of the disk a path is on, so that tests can tell another.
pub trait Disks: Send {
    /// Ask the system.
    ///
    /// # Errors
    /// The system's answer.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// The disks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisks;

impl Disks for LocalDisks {
    fn space(&self, path: &Path) -> io::Result<Space> {
        let told = rustix::fs::statvfs(path)?;
        Ok(Space {
            free_bytes: told.f_bavail.saturating_mul(told.f_frsize),
            total_bytes: told.f_blocks.saturating_mul(told.f_frsize),
        })
    }
}

/// Which disks are watched, as the Python side says it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskPolicy {
    /// Folders of this machine that the job fills: lake, journal, data of the services.
    pub paths: Vec<PathBuf>,
    /// Free bytes at which the job stops reading; by default 2 % of a disk, at least 1 GiB, at most a tenth of it.
    pub reserve_bytes: Option<u64>,
}

/// The disk that will be full first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiskReport {
    /// Folder that is on it.
    pub path: String,
    /// Bytes that may be written.
    pub free_bytes: u64,
    /// Free bytes at which the job stops reading.
    pub reserve_bytes: u64,
    /// Hours until then at the rate of the last minutes; absent while it does not fill.
    pub hours_left: Option<f64>,
    /// Whether the job has stopped reading for it.
    pub is_full: bool,
}

impl DiskReport {
    /// Why a job has stopped reading.
    pub(super) fn trouble(&self) -> Trouble {
        let (free, reserve) = (in_mb(self.free_bytes), in_mb(self.reserve_bytes));
        Trouble {
            code: "disk-full".to_owned(),
            message: format!("reading waits: {free} MB are free on the disk of {}, {reserve} MB are kept", self.path),
            hint: "Free some space there; the job reads on by itself.".to_owned(),
            retryable: true,
        }
    }
}

fn in_mb(bytes: u64) -> u64 {
    bytes / 1_000_000
}

/// Watches disks. Asked often, it looks now and then.
pub(super) struct DiskWatch {
    policy: DiskPolicy,
    disks: Box<dyn Disks>,
    looked_us: Option<i64>,
    watched: BTreeMap<PathBuf, Watched>,
}

#[derive(Default)]
struct Watched {
    samples: VecDeque<(i64, u64)>,
    is_full: bool,
}

impl DiskWatch {
    pub(super) fn new(policy: &DiskPolicy, disks: Box<dyn Disks>) -> Self {
        // Folders of one disk are one disk.
        let mut devices: Vec<u64> = Vec::new();
        let mut watched = BTreeMap::new();
        for path in &policy.paths {
            let device = std::fs::metadata(path).map(|about| about.dev()).ok();
            if device.is_none_or(|device| !devices.contains(&device)) {
                devices.extend(device);
                watched.insert(path.clone(), Watched::default());
            }
        }
        Self { policy: policy.clone(), disks, looked_us: None, watched }
    }

    /// Look, if it is time. `None` when it is not, or when there is nothing to look at.
    pub(super) fn look(&mut self, now_us: i64) -> Option<DiskReport> {
        if self.looked_us.is_some_and(|at| (at..at + LOOK_EVERY_US).contains(&now_us)) {
            return None;
        }
        self.looked_us = Some(now_us);
        let (policy, disks) = (&self.policy, &self.disks);
        // A disk that cannot be asked tells nothing; what it stands for will fail and say so itself.
        let told = self.watched.iter_mut().filter_map(|(path, watched)| {
            let space = disks.space(path).ok()?;
            Some(watched.report(path, space, reserve(policy, space), now_us))
        });
        told.min_by(|one, other| urgency(one).total_cmp(&urgency(other)))
    }
}

impl Watched {
    fn report(&mut self, path: &Path, space: Space, reserve_bytes: u64, now_us: i64) -> DiskReport {
        let free = space.free_bytes;
        self.is_full = if self.is_full { free <= reserve_bytes / 100 * ROOM_PERCENT } else { free <= reserve_bytes };
        if self.samples.back().is_none_or(|(at, _)| !(*at..*at + SAMPLE_EVERY_US).contains(&now_us)) {
            if self.samples.len() == SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back((now_us, free));
        }
        DiskReport {
            path: path.display().to_string(),
            free_bytes: free,
            reserve_bytes,
            hours_left: self.hours_left(free, reserve_bytes, now_us),
            is_full: self.is_full,
        }
    }

    #[allow(clippy::cast_precision_loss)] // an estimate
    fn hours_left(&self, free: u64, reserve_bytes: u64, now_us: i64) -> Option<f64> {
        let (since_us, then) = *self.samples.front()?;
        let passed_us = now_us - since_us;
        if passed_us < RATE_AFTER_US || then <= free {
            return None;
        }
        let bytes_per_us = (then - free) as f64 / passed_us as f64;
        Some(free.saturating_sub(reserve_bytes) as f64 / bytes_per_us / 3.6e9)
    }
}

fn reserve(policy: &DiskPolicy, space: Space) -> u64 {
    const LEAST: u64 = 1 << 30;
    policy.reserve_bytes.unwrap_or_else(|| (space.total_bytes / 50).max(LEAST).min(space.total_bytes / 10))
}

/// What is full comes first, then what will be full first, then what has least.
#[allow(clippy::cast_precision_loss)] // an order, not an amount
fn urgency(report: &DiskReport) -> f64 {
    match (report.is_full, report.hours_left) {
        (true, _) => -1.0,
        (false, Some(hours)) => hours,
        (false, None) => 1e9 + report.free_bytes as f64,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const MINUTE_US: i64 = 60_000_000;
    const GB: u64 = 1_000_000_000;

    #[derive(Clone)]
    struct Told(Arc<Mutex<BTreeMap<PathBuf, Space>>>);

    impl Disks for Told {
        fn space(&self, path: &Path) -> io::Result<Space> {
            self.0.lock().unwrap().get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    fn watch(reserve_bytes: Option<u64>, paths: &[&str]) -> (DiskWatch, Told) {
        let told = Told(Arc::default());
        let paths = paths.iter().map(PathBuf::from).collect();
        (DiskWatch::new(&DiskPolicy { paths, reserve_bytes }, Box::new(told.clone())), told)
    }

    fn tell(told: &Told, path: &str, free_bytes: u64, total_bytes: u64) {
        told.0.lock().unwrap().insert(path.into(), Space { free_bytes, total_bytes });
    }

    #[test]
    fn hours_left_follow_from_the_rate_down_to_the_reserve() {
        let (mut watch, told) = watch(Some(10 * GB), &["/never/lake"]);
        tell(&told, "/never/lake", 100 * GB, 500 * GB);
        assert_eq!(watch.look(0).unwrap().hours_left, None, "no rate yet");
        tell(&told, "/never/lake", 70 * GB, 500 * GB);
        let report = watch.look(30 * MINUTE_US).unwrap();
        assert!((report.hours_left.unwrap() - 1.0).abs() < 1e-9, "60 GB left at 60 GB an hour: {report:?}");
        tell(&told, "/never/lake", 120 * GB, 500 * GB);
        assert_eq!(watch.look(31 * MINUTE_US).unwrap().hours_left, None, "it does not fill");
    }

    #[test]
    fn it_is_full_at_the_reserve_and_has_room_a_little_above_it() {
        let (mut watch, told) = watch(Some(GB), &["/never/lake"]);
        for (minute, free, is_full) in
            [(0, GB + 1, false), (1, GB, true), (2, GB + GB / 20, true), (3, GB + GB / 5, false)]
        {
            tell(&told, "/never/lake", free, 500 * GB);
            assert_eq!(watch.look(minute * MINUTE_US).unwrap().is_full, is_full, "minute {minute}");
        }
    }

    #[test]
    fn the_default_reserve_is_fit_for_small_and_large_disks() {
        for (total, expected) in [(4 * GB, 4 * GB / 10), (20 * GB, 1 << 30), (1000 * GB, 20 * GB)] {
            let (mut watch, told) = watch(None, &["/never/lake"]);
            tell(&told, "/never/lake", total, total);
            assert_eq!(watch.look(0).unwrap().reserve_bytes, expected);
        }
    }

    #[test]
    fn the_most_urgent_disk_is_told_and_one_that_cannot_be_asked_is_not() {
        let (mut watch, told) = watch(Some(GB), &["/never/lake", "/never/journal", "/never/gone"]);
        tell(&told, "/never/lake", 9 * GB, 500 * GB);
        tell(&told, "/never/journal", 8 * GB, 500 * GB);
        assert_eq!(watch.look(0).unwrap().path, "/never/journal");
        tell(&told, "/never/lake", GB, 500 * GB);
        assert_eq!(watch.look(MINUTE_US).unwrap().path, "/never/lake");
        assert!(watch.look(MINUTE_US + 1).is_none(), "too soon to look again");
    }
}

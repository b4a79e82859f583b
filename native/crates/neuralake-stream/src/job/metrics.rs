//! What a job's work costs and how fresh its table is, beside the counters of its report.

use std::collections::VecDeque;
use std::time::Duration;

use arrow::array::{Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{max, min};
use neuralake_lake::cpu;
use serde::Serialize;

/// Commits whose figures are kept for the percentiles.
const KEPT: usize = 512;

/// CPU seconds of one worker, by stage.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[allow(clippy::struct_field_names)] // a bare number carries its unit
pub struct CpuReport {
    /// Taking messages from the source and decoding them.
    pub read_s: f64,
    /// Rows into Parquet.
    pub encode_s: f64,
    /// Uploads and commits, without the store's own threads.
    pub commit_s: f64,
    /// Threads that speak to the store.
    pub store_s: f64,
    /// The whole process: what is missing to it are the source's own threads and Python.
    pub process_s: f64,
}

impl CpuReport {
    /// With what the whole process used by now.
    pub(super) fn now(self, store: Duration) -> Self {
        Self { store_s: store.as_secs_f64(), process_s: cpu::of_this_process().as_secs_f64(), ..self }
    }
}

/// How old rows were when a commit made them visible, in seconds. Percentiles are over the last commits.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[allow(clippy::struct_field_names)]
pub struct FreshnessReport {
    /// Since the newest `event_time` of the last commit that had one.
    pub event_s: Option<f64>,
    /// 99th percentile of the same.
    pub event_p99_s: Option<f64>,
    /// Since the arrival of the oldest message of the last commit.
    pub arrival_s: Option<f64>,
    /// Median of the same.
    pub arrival_p50_s: Option<f64>,
    /// 99th percentile of the same.
    pub arrival_p99_s: Option<f64>,
    /// Since the last commit, at the time of the report.
    pub commit_s: Option<f64>,
}

/// Ages measured at each commit.
#[derive(Debug, Clone, Default)]
pub(super) struct Freshness {
    events: Ages,
    arrivals: Ages,
}

impl Freshness {
    /// Measure the rows that a commit has just made visible.
    pub(super) fn measure(&mut self, rows: &[RecordBatch], now_us: i64) {
        let newest = rows.iter().filter_map(|batch| max(times(batch, "event_time")?)).max();
        let oldest = rows.iter().filter_map(|batch| min(times(batch, "_ingest_time")?)).min();
        self.events.extend(newest.map(|at| now_us - at));
        self.arrivals.extend(oldest.map(|at| now_us - at));
    }

    pub(super) fn report(&self, now_s: f64, last_commit_at: Option<f64>) -> FreshnessReport {
        FreshnessReport {
            event_s: self.events.last(),
            event_p99_s: self.events.percentile(99),
            arrival_s: self.arrivals.last(),
            arrival_p50_s: self.arrivals.percentile(50),
            arrival_p99_s: self.arrivals.percentile(99),
            commit_s: last_commit_at.map(|at| (now_s - at).max(0.0)),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Ages(VecDeque<i64>);

impl Ages {
    fn extend(&mut self, age_us: Option<i64>) {
        let Some(age_us) = age_us else { return };
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(age_us);
    }

    fn last(&self) -> Option<f64> {
        self.0.back().map(|age| in_s(*age))
    }

    fn percentile(&self, share: usize) -> Option<f64> {
        let mut ages: Vec<i64> = self.0.iter().copied().collect();
        ages.sort_unstable();
        ages.get(ages.len().saturating_sub(1) * share / 100).map(|age| in_s(*age))
    }
}

#[allow(clippy::cast_precision_loss)] // ages, not dates
fn in_s(us: i64) -> f64 {
    us as f64 / 1e6
}

fn times<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a TimestampMicrosecondArray> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;

    use super::*;

    fn batch(event_us: &[Option<i64>], arrival_us: &[i64]) -> RecordBatch {
        let events: ArrayRef = Arc::new(TimestampMicrosecondArray::from(event_us.to_vec()));
        let arrivals: ArrayRef = Arc::new(TimestampMicrosecondArray::from(arrival_us.to_vec()));
        RecordBatch::try_from_iter([("event_time", events), ("_ingest_time", arrivals)]).unwrap()
    }

    #[test]
    fn the_newest_event_and_the_oldest_arrival_of_all_batches_count() {
        let mut freshness = Freshness::default();
        let rows = [batch(&[Some(1_000_000), None], &[4_000_000, 3_500_000]), batch(&[Some(2_000_000)], &[4_500_000])];
        freshness.measure(&rows, 5_000_000);
        let report = freshness.report(6.0, Some(5.0));
        assert_eq!((report.event_s, report.arrival_s, report.commit_s), (Some(3.0), Some(1.5), Some(1.0)));
    }

    #[test]
    fn a_flush_of_rejects_alone_changes_nothing() {
        let mut freshness = Freshness::default();
        freshness.measure(&[], 5_000_000);
        let report = freshness.report(6.0, None);
        assert_eq!((report.event_s, report.arrival_p99_s, report.commit_s), (None, None, None));
    }
}

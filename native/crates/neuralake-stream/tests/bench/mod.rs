//! What the tests of a job share: a journal of one topic, a job on it, and the rows it left.

#![allow(clippy::unwrap_used, missing_docs, dead_code)] // helpers of tests fail as tests do; not every test uses all

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use neuralake_lake::store::{self, Store};
use neuralake_stream::clock::SystemClock;
use neuralake_stream::job::{Ending, Job, JobSpec, Report};
use neuralake_stream::journal::{Topic, Writer, WriterOptions};

pub const TIGHT: &str =
    r#"{"id":"tight","version":2,"columns":[{"name":"n","type":"int64","nullable":false,"max":10}]}"#;
pub const LOOSE: &str = r#"{"id":"loose","version":1,"columns":[{"name":"n","type":"int64","nullable":false}]}"#;

pub struct Bench {
    directory: tempfile::TempDir,
    pub writer: Writer,
}

impl Bench {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let topic = Topic::create(&directory.path().join("journal"), "t", 1).unwrap();
        let writer = Writer::open(&topic, 0, WriterOptions::default()).unwrap();
        Self { directory, writer }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn send(&mut self, values: &[String]) {
        self.writer.append(values.iter().map(String::as_bytes), 0).unwrap();
    }

    pub fn spec(&self, contract: &str) -> JobSpec {
        let spec = serde_json::json!({
            "job": "numbers", "topic": "t", "store": {"uri": format!("file://{}/lake", self.path().display())},
            "source": {"kind": "journal", "directory": self.path().join("journal")},
            "contract": serde_json::from_str::<serde_json::Value>(contract).unwrap(),
            "start": "earliest", "flush": {"max_rows": 7, "max_bytes": 1_000_000, "max_age_ms": 20,
            "budget_bytes": 3_000_000}, "readers": 2,
            "max_message_bytes": 1000, "deadline_s": 10, "checkpoint_every": 5});
        JobSpec::from_json(&spec.to_string()).unwrap()
    }

    pub fn start(&self, contract: &str) -> Job {
        Job::start(self.spec(contract), Arc::new(SystemClock))
    }

    pub fn store(&self) -> Arc<dyn Store> {
        store::open(&self.spec(LOOSE).store).unwrap()
    }

    /// Offsets of the committed rows of a table, from the Parquet files its log names.
    pub fn offsets(&self, table: &str) -> Vec<i64> {
        use arrow::array::AsArray;
        let root = self.path().join("lake").join(table);
        let mut offsets = Vec::new();
        for file in named_files(&root) {
            let reader = std::fs::File::open(file).unwrap();
            let batches = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(reader).unwrap();
            for batch in batches.build().unwrap() {
                let batch = batch.unwrap();
                let column = batch.column_by_name("_offset").unwrap();
                offsets.extend(column.as_primitive::<arrow::datatypes::Int64Type>().values());
            }
        }
        offsets.sort_unstable();
        offsets
    }
}

pub fn named_files(root: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<_> = std::fs::read_dir(root.join("_delta_log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    logs.sort();
    logs.iter()
        .flat_map(|log| std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
        .filter_map(|action| Some(root.join(action.get("add")?.get("path")?.as_str()?)))
        .collect()
}

pub fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| format!("{{\"n\":{n}}}")).collect()
}

pub fn wait_for(job: &Job, what: &str, is_so: impl Fn(&Report) -> bool) -> Report {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let report = job.report();
        if is_so(&report) {
            return report;
        }
        assert!(Instant::now() < deadline, "waited for {what}, last report: {report:?}");
        std::thread::yield_now();
    }
}

pub fn wait_for_end(job: &Job) -> Ending {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(ending) = job.ending() {
            return ending;
        }
        assert!(Instant::now() < deadline, "the job did not end: {:?}", job.report());
        std::thread::yield_now();
    }
}

pub fn position(report: &Report) -> i64 {
    report.positions.get("0").copied().unwrap_or(-1)
}

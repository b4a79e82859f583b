//! Several topics into one table: each message of each once, whatever numbers they share.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

mod bench;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use bench::{Bench, LOOSE, named_files, numbers, wait_for, wait_for_end};
use neuralake_lake::{Table, TableView};
use neuralake_stream::clock::SystemClock;
use neuralake_stream::job::{Choice, Ending, Job, JobSpec, OnMissing, Report, StartAt};
use neuralake_stream::journal::{Topic, Writer, WriterOptions};

type Place = (String, i32, i64);

/// Topics `t`, of one partition, and `u`, of two.
struct Two {
    bench: Bench,
    other: Vec<Writer>,
}

impl Two {
    fn new() -> Self {
        let bench = Bench::new();
        let other = make(&bench, "u", 2);
        Self { bench, other }
    }

    fn spec(&self, topics: &[&str]) -> JobSpec {
        let mut spec = self.bench.spec(LOOSE);
        spec.topics = topics.iter().map(ToString::to_string).collect();
        spec
    }

    fn start(&self, topics: &[&str]) -> Job {
        Job::start(self.spec(topics), Arc::new(SystemClock))
    }

    /// The same values to each partition of each topic: nothing but the topic tells them apart.
    fn send(&mut self, values: &[String]) {
        self.bench.send(values);
        for writer in &mut self.other {
            writer.append(values.iter().map(String::as_bytes), 0).unwrap();
        }
    }

    /// Where the rows of a table come from, in order.
    fn places(&self, table: &str) -> Vec<Place> {
        let mut places = Vec::new();
        for file in named_files(&self.bench.path().join("lake").join(table)) {
            let reader = std::fs::File::open(file).unwrap();
            let batches = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(reader).unwrap();
            places.extend(batches.build().unwrap().flat_map(|batch| places_of(&batch.unwrap())));
        }
        places.sort();
        places
    }

    fn position(&self, key: &str) -> Option<i64> {
        let mut table = Table::open(&self.bench.store(), "numbers", &Arc::default()).unwrap().unwrap();
        table.txn(&format!("numbers/{key}")).unwrap()
    }
}

fn make(bench: &Bench, name: &str, partitions: u32) -> Vec<Writer> {
    let topic = Topic::create(&bench.path().join("journal"), name, partitions).unwrap();
    (0..partitions).map(|number| Writer::open(&topic, number, WriterOptions::default()).unwrap()).collect()
}

fn places_of(batch: &RecordBatch) -> Vec<Place> {
    let sources = batch["_source"].as_string::<i32>();
    let partitions = batch["_partition"].as_primitive::<Int32Type>().values();
    let offsets = batch["_offset"].as_primitive::<Int64Type>().values();
    let topic = |source: Option<&str>| source.unwrap().split('@').next().unwrap().to_owned();
    (0..batch.num_rows()).map(|row| (topic(Some(sources.value(row))), partitions[row], offsets[row])).collect()
}

/// Places of so many messages from each partition on.
fn all(parts: &[(&str, i32)], offsets: std::ops::Range<i64>) -> Vec<Place> {
    let part = |(topic, number): &(&str, i32)| {
        let (topic, number) = ((*topic).to_owned(), *number);
        offsets.clone().map(move |offset| (topic.clone(), number, offset)).collect::<Vec<_>>()
    };
    parts.iter().flat_map(part).collect()
}

const PARTS: [(&str, i32); 3] = [("t", 0), ("u", 0), ("u", 1)];

fn stands(report: &Report, positions: &[(&str, i64)]) -> bool {
    report.caught_up && report.positions == positions.iter().map(|(name, next)| ((*name).to_owned(), *next)).collect()
}

fn end(job: &Job) {
    job.stop();
    assert_eq!(wait_for_end(job), Ending::Stopped);
}

#[test]
fn messages_of_the_same_partition_and_offset_land_once_each_over_many_lives() {
    let mut two = Two::new();
    for life in 0..3 {
        two.send(&numbers(life * 40..(life + 1) * 40));
        two.send(&["poison".to_owned()]);
        let job = two.start(&["t", "u"]);
        let next = (life + 1) * 41;
        wait_for(&job, "all positions", |r| stands(r, &[("t/0", next), ("u/0", next), ("u/1", next)]));
        end(&job);
    }
    let is_poison = |place: &Place| place.2 % 41 == 40;
    let (rejects, rows): (Vec<_>, Vec<_>) = all(&PARTS, 0..123).into_iter().partition(is_poison);
    assert_eq!(two.places("numbers"), rows);
    assert_eq!(two.places("numbers__quarantine"), rejects);
}

#[test]
fn a_topic_joins_where_its_start_says_leaves_its_positions_and_reads_on_when_it_comes_back() {
    let mut two = Two::new();
    two.send(&numbers(0..10));
    let job = two.start(&["t"]);
    wait_for(&job, "the position of one topic", |r| stands(r, &[("0", 10)]));
    end(&job);
    two.send(&numbers(10..20));
    let mut spec = two.spec(&["t", "u"]);
    spec.start = StartAt::Latest;
    let job = Job::start(spec, Arc::new(SystemClock));
    wait_for(&job, "the positions of both", |r| stands(r, &[("t/0", 20), ("u/0", 20), ("u/1", 20)]));
    two.send(&numbers(20..25));
    wait_for(&job, "what came since", |r| stands(r, &[("t/0", 25), ("u/0", 25), ("u/1", 25)]));
    end(&job);
    two.send(&numbers(25..30));
    let job = two.start(&["u"]);
    wait_for(&job, "the other topic alone", |r| stands(r, &[("0", 30), ("1", 30)]));
    end(&job);
    assert_eq!(two.position("t/0"), Some(25));
    let job = two.start(&["u", "t"]);
    wait_for(&job, "both again", |r| stands(r, &[("t/0", 30), ("u/0", 30), ("u/1", 30)]));
    end(&job);
    let mut expected = all(&[("t", 0)], 0..30);
    expected.extend(all(&[("u", 0), ("u", 1)], 20..30));
    assert_eq!(two.places("numbers"), expected);
}

#[test]
fn of_two_topics_the_one_made_anew_is_named_and_chosen_for_alone() {
    let mut two = Two::new();
    two.send(&numbers(0..10));
    let job = two.start(&["t", "u"]);
    wait_for(&job, "the first positions", |r| stands(r, &[("t/0", 10), ("u/0", 10), ("u/1", 10)]));
    end(&job);
    two.other.clear();
    std::fs::remove_dir_all(two.bench.path().join("journal/u")).unwrap();
    two.other = make(&two.bench, "u", 2);
    two.send(&numbers(10..14));
    let job = two.start(&["t", "u"]);
    assert_eq!(wait_for_end(&job), Ending::Fatal);
    let error = job.report().error.unwrap();
    assert_eq!(error.code, "source-replaced");
    assert!(error.message.contains("topic u "), "{}", error.message);
    assert_eq!(two.position("epoch"), Some(1), "it fenced nobody");

    let mut spec = two.spec(&["t", "u"]);
    spec.on_missing = OnMissing { choice: Choice::Earliest, token: 7 };
    let job = Job::start(spec, Arc::new(SystemClock));
    let report = wait_for(&job, "the new life", |r| stands(r, &[("t/0", 14), ("u/0", 4), ("u/1", 4)]));
    end(&job);
    let jumps: Vec<_> = report.jumps.iter().map(|jump| (jump.topic.as_str(), jump.partition, jump.to)).collect();
    assert_eq!(jumps, [("u", 0, 0), ("u", 1, 0)]);
    let mut expected = all(&[("t", 0)], 0..14);
    expected.extend(all(&[("u", 0), ("u", 1)], 0..10));
    expected.extend(all(&[("u", 0), ("u", 1)], 0..4));
    expected.sort();
    assert_eq!(two.places("numbers"), expected);
}

#[test]
fn any_topic_made_anew_while_the_job_runs_stops_it() {
    let mut two = Two::new();
    two.send(&numbers(0..10));
    let job = two.start(&["t", "u"]);
    wait_for(&job, "the first positions", |r| stands(r, &[("t/0", 10), ("u/0", 10), ("u/1", 10)]));
    let topic = two.bench.path().join("journal/u/topic.json");
    let text = std::fs::read_to_string(&topic).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let old = found["incarnation"].as_str().unwrap();
    std::fs::write(&topic, text.replace(old, "00000000-0000-4000-8000-000000000000")).unwrap();
    two.send(&numbers(10..20));
    assert_eq!(wait_for_end(&job), Ending::Fatal);
    let error = job.report().error.unwrap();
    assert!(error.code == "source-replaced" && error.message.contains("topic u "), "{}", error.message);
    // A flush takes what the readers have: one that holds nothing of `u` may not land either.
    assert_eq!(two.places("numbers"), all(&PARTS, 0..10));
}

#[test]
fn what_cannot_be_several_topics_is_refused() {
    let two = Two::new();
    let spec = |topics: serde_json::Value, encoding: &str| {
        let text = serde_json::json!({
            "job": "numbers", "topics": topics, "encoding": encoding, "store": {"uri": "file:///nowhere"},
            "source": {"kind": "journal", "directory": two.bench.path()},
            "contract": serde_json::from_str::<serde_json::Value>(LOOSE).unwrap(), "start": "earliest",
            "flush": {"max_rows": 7, "max_bytes": 1, "max_age_ms": 20, "budget_bytes": 1}, "readers": 1,
            "max_message_bytes": 1000, "deadline_s": 10, "checkpoint_every": 5});
        JobSpec::from_json(&text.to_string()).map(|spec| spec.topics).map_err(|error| error.to_string())
    };
    assert_eq!(spec(serde_json::json!("t"), "json").unwrap(), ["t"]);
    assert_eq!(spec(serde_json::json!(["t", "u"]), "arrow").unwrap(), ["t", "u"]);
    assert!(spec(serde_json::json!(["t", "u", "t"]), "json").unwrap_err().contains("t is named twice"));
    assert!(spec(serde_json::json!([]), "json").unwrap_err().contains("topics is 0"));
    assert!(spec(serde_json::json!(["t", "u"]), "packets").unwrap_err().contains("one topic"));
}

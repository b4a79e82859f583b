//! Places that the journal does not hold any more: a named error, or a choice that is spent by the start it was for.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

mod bench;

use std::path::Path;
use std::sync::Arc;

use bench::{Bench, LOOSE, numbers, position, wait_for, wait_for_end};
use neuralake_lake::Table;
use neuralake_stream::clock::SystemClock;
use neuralake_stream::job::{Choice, Ending, Job, OnMissing, Report};
use neuralake_stream::journal::{Topic, Writer, WriterOptions};

fn start(bench: &Bench, choice: Choice, token: i64) -> Job {
    let mut spec = bench.spec(LOOSE);
    spec.on_missing = OnMissing { choice, token };
    Job::start(spec, Arc::new(SystemClock))
}

fn read_to(bench: &Bench, end: i64) {
    let job = bench.start(LOOSE);
    wait_for(&job, "the position", |r| position(r) == end && r.caught_up);
    job.stop();
    assert_eq!(wait_for_end(&job), Ending::Stopped);
}

fn stops_with(job: &Job, code: &str) {
    assert_eq!(wait_for_end(job), Ending::Fatal);
    let error = job.report().error.unwrap();
    assert_eq!(error.code, code);
    assert!(error.hint.contains("on_missing=\"earliest\""), "{}", error.hint);
}

fn remake(bench: &mut Bench) {
    std::fs::remove_dir_all(bench.path().join("journal/t")).unwrap();
    let topic = Topic::create(&bench.path().join("journal"), "t", 1).unwrap();
    bench.writer = Writer::open(&topic, 0, WriterOptions::default()).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let goal = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &goal) } else { std::fs::copy(&path, &goal).map(drop).unwrap() }
    }
}

/// What the last commits of the table say of jumps: (from, to, cause).
fn recorded(bench: &Bench) -> Vec<(i64, i64, String)> {
    let table = Table::open(&bench.store(), "numbers", &Arc::default()).unwrap().unwrap();
    let version = neuralake_lake::TableView::version(&table);
    (0..=version)
        .filter_map(|version| table.provenance(version).unwrap())
        .flat_map(|said| said.jumps)
        .map(|jump| (jump.from, jump.to, jump.cause))
        .collect()
}

fn finish(job: &Job, end: i64) -> Report {
    let report = wait_for(job, "the position", |r| position(r) == end && r.caught_up);
    job.stop();
    assert_eq!(wait_for_end(job), Ending::Stopped);
    report
}

#[test]
fn another_incarnation_goes_on_by_choice_alone() {
    for (choice, first) in [(Choice::Earliest, 0), (Choice::Latest, 4)] {
        let mut bench = Bench::new();
        bench.send(&numbers(0..10));
        read_to(&bench, 10);
        remake(&mut bench);
        bench.send(&numbers(50..54));
        stops_with(&bench.start(LOOSE), "source-replaced");
        let job = start(&bench, choice, 7);
        wait_for(&job, "its start", |r| r.epoch == 2 && !r.jumps.is_empty());
        bench.send(&numbers(54..56));
        let report = finish(&job, 6);
        assert_eq!((report.jumps[0].from, report.jumps[0].to), (10, first));
        assert_eq!(recorded(&bench), [(10, first, "source-replaced".to_owned())]);
        let mut expected: Vec<i64> = (0..10).chain(first..6).collect();
        expected.sort_unstable();
        assert_eq!(bench.offsets("numbers"), expected);
    }
}

#[test]
fn a_choice_is_spent_by_the_start_it_was_made_for() {
    let mut bench = Bench::new();
    bench.send(&numbers(0..10));
    read_to(&bench, 10);
    remake(&mut bench);
    bench.send(&numbers(0..3));
    finish(&start(&bench, Choice::Earliest, 7), 3);
    // The same spec again, as a supervisor starts it, meets another cause.
    remake(&mut bench);
    stops_with(&start(&bench, Choice::Earliest, 7), "source-replaced");
    finish(&start(&bench, Choice::Earliest, 8), 0);
    assert_eq!(recorded(&bench).len(), 2);
}

#[test]
fn a_choice_that_was_not_needed_is_spent_too() {
    let mut bench = Bench::new();
    bench.send(&numbers(0..10));
    finish(&start(&bench, Choice::Latest, 7), 10);
    remake(&mut bench);
    stops_with(&start(&bench, Choice::Latest, 7), "source-replaced");
    assert_eq!(recorded(&bench), []);
}

#[test]
fn a_journal_restored_from_an_older_copy_is_past_its_end() {
    for (choice, first) in [(Choice::Earliest, 0), (Choice::Latest, 5)] {
        let mut bench = Bench::new();
        let (journal, older) = (bench.path().join("journal"), bench.path().join("older"));
        bench.send(&numbers(0..5));
        copy(&journal, &older);
        bench.send(&numbers(5..10));
        read_to(&bench, 10);
        std::fs::remove_dir_all(&journal).unwrap();
        copy(&older, &journal);
        stops_with(&bench.start(LOOSE), "position-past-end");
        let report = finish(&start(&bench, choice, 7), 5);
        assert!(report.jumps[0].source.ends_with("~1"), "{}", report.jumps[0].source);
        assert_eq!(recorded(&bench), [(10, first, "position-past-end".to_owned())]);
    }
}

#[test]
fn a_topic_made_anew_while_its_job_runs_stops_it() {
    let mut bench = Bench::new();
    bench.send(&numbers(0..10));
    let job = bench.start(LOOSE);
    wait_for(&job, "the position", |r| position(r) == 10);
    // Its reader holds the old files open: what lands there would be lost to everybody else.
    let topic = bench.path().join("journal/t/topic.json");
    let text = std::fs::read_to_string(&topic).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let old = found["incarnation"].as_str().unwrap();
    std::fs::write(&topic, text.replace(old, "00000000-0000-4000-8000-000000000000")).unwrap();
    bench.send(&numbers(10..20));
    stops_with(&job, "source-replaced");
    assert_eq!(bench.offsets("numbers"), (0..10).collect::<Vec<_>>());
}

//! A job on the embedded profile: journal in, Delta table out, each message exactly once.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

mod bench;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bench::{Bench, LOOSE, TIGHT, numbers, position, wait_for, wait_for_end};
use neuralake_lake::{Draft, Table, TableView};
use neuralake_stream::clock::SystemClock;
use neuralake_stream::job::{Ending, Job, StartAt};
use neuralake_stream::journal::Topic;

#[test]
fn each_message_lands_once_over_many_lives() {
    let mut bench = Bench::new();
    for life in 0..5 {
        bench.send(&numbers(life * 40..(life + 1) * 40));
        bench.send(&["poison".to_owned()]);
        let job = bench.start(LOOSE);
        let report = wait_for(&job, "the position", |r| position(r) == (life + 1) * 41 && r.caught_up);
        assert_eq!(report.epoch, life + 1);
        job.stop();
        assert_eq!(wait_for_end(&job), Ending::Stopped);
    }
    let (rows, rejects) = (bench.offsets("numbers"), bench.offsets("numbers__quarantine"));
    let expected_rejects: Vec<i64> = (1..=5).map(|life| life * 41 - 1).collect();
    assert_eq!(rejects, expected_rejects);
    let expected: Vec<i64> = (0..205).filter(|offset| !expected_rejects.contains(offset)).collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_newer_epoch_wins_and_the_older_is_fenced() {
    let mut bench = Bench::new();
    let old = bench.start(LOOSE);
    wait_for(&old, "its start", |r| r.epoch == 1);
    let new = bench.start(LOOSE);
    wait_for(&new, "its start", |r| r.epoch == 2);
    bench.send(&numbers(0..50));
    assert_eq!(wait_for_end(&old), Ending::Fenced);
    wait_for(&new, "the position", |r| position(r) == 50);
    new.stop();
    assert_eq!(wait_for_end(&new), Ending::Stopped);
    assert_eq!(bench.offsets("numbers"), (0..50).collect::<Vec<_>>());
    let error = old.report().error.unwrap();
    assert_eq!(error.code, "fenced");
    assert!(error.message.contains("epoch 1") && error.message.contains("epoch 2"), "{}", error.message);
}

/// The wound of side tables: a kill between main commit and roll-forward, and a tighter contract at the restart.
#[test]
fn a_decision_is_not_judged_again_by_a_tighter_contract() {
    let mut bench = Bench::new();
    bench.send(&["poison".to_owned()]);
    bench.send(&numbers(0..20));
    let job = bench.start(LOOSE);
    wait_for(&job, "the position", |r| position(r) == 21);
    job.stop();
    wait_for_end(&job);
    // As if killed before its roll-forward: the quarantine's log is gone, the decision stands in the main log.
    std::fs::remove_dir_all(bench.path().join("lake/numbers__quarantine/_delta_log")).unwrap();
    bench.send(&numbers(10..30));
    let job = bench.start(TIGHT);
    wait_for(&job, "the position", |r| position(r) == 41);
    job.stop();
    assert_eq!(wait_for_end(&job), Ending::Stopped);
    let (rows, rejects) = (bench.offsets("numbers"), bench.offsets("numbers__quarantine"));
    assert_eq!(rows, (1..=21).collect::<Vec<_>>(), "numbers over 10 that were good then stay");
    assert_eq!(rejects, std::iter::once(0).chain(22..41).collect::<Vec<_>>());
}

#[test]
fn a_decision_is_not_judged_again_by_a_looser_contract() {
    let mut bench = Bench::new();
    bench.send(&numbers(8..14));
    let job = bench.start(TIGHT);
    wait_for(&job, "the position", |r| position(r) == 6);
    job.stop();
    wait_for_end(&job);
    std::fs::remove_dir_all(bench.path().join("lake/numbers__quarantine/_delta_log")).unwrap();
    bench.send(&numbers(20..22));
    let job = bench.start(LOOSE);
    wait_for(&job, "the position", |r| position(r) == 8);
    job.stop();
    assert_eq!(wait_for_end(&job), Ending::Stopped);
    assert_eq!(bench.offsets("numbers"), [0, 1, 2, 6, 7], "numbers over 10 that were rejects then stay");
    assert_eq!(bench.offsets("numbers__quarantine"), [3, 4, 5]);
}

#[test]
fn a_flush_of_rejects_alone_is_a_commit() {
    let mut bench = Bench::new();
    bench.send(&["poison".to_owned(), "more".to_owned()]);
    for _ in 0..2 {
        let job = bench.start(LOOSE);
        wait_for(&job, "the position", |r| position(r) == 2 && r.caught_up);
        job.stop();
        assert_eq!(wait_for_end(&job), Ending::Stopped);
    }
    assert_eq!(bench.offsets("numbers"), [] as [i64; 0]);
    assert_eq!(bench.offsets("numbers__quarantine"), [0, 1], "read once, rejected once");
}

/// A job that holds messages and does not flush.
fn holding(bench: &Bench, messages: u64) -> Job {
    let mut spec = bench.spec(LOOSE);
    spec.flush.max_rows = 1_000_000;
    spec.flush.max_age_ms = 3_600_000;
    let job = Job::start(spec, Arc::new(SystemClock));
    wait_for(&job, "messages in its buffer", |r| r.buffered_messages == messages);
    job
}

/// The newer worker has taken its epoch and committed nothing more: every position is where the older one left it.
#[test]
fn an_older_epoch_lands_nothing_although_no_position_has_moved() {
    let mut bench = Bench::new();
    bench.send(&numbers(0..5));
    let older = holding(&bench, 5);
    let newer = holding(&bench, 5);
    older.stop();
    assert_eq!(wait_for_end(&older), Ending::Fenced);
    newer.stop();
    assert_eq!(wait_for_end(&newer), Ending::Stopped);
    assert_eq!(bench.offsets("numbers"), (0..5).collect::<Vec<_>>());
}

#[test]
fn a_position_that_moved_under_its_own_epoch_is_fatal() {
    let mut bench = Bench::new();
    bench.send(&numbers(0..5));
    let job = holding(&bench, 5);
    let mut table = Table::open(&bench.store(), "numbers", &Arc::default()).unwrap().unwrap();
    // As a hand that repairs, or a table restored from a copy, would leave it.
    let moved = Draft { txns: vec![("numbers/t/0".to_owned(), 3)], ..Draft::default() };
    let mut moved = Some(moved);
    assert!(table.commit(Duration::from_secs(10), &mut |_| Ok(moved.take())).unwrap());
    job.stop();
    assert_eq!(wait_for_end(&job), Ending::Fatal);
    assert_eq!(job.report().error.unwrap().code, "position-moved");
    assert_eq!(bench.offsets("numbers"), [] as [i64; 0]);
}

/// The first position is a commit of its own, before the first read.
#[test]
fn the_latest_is_chosen_once() {
    let mut bench = Bench::new();
    bench.send(&numbers(0..5));
    let mut spec = bench.spec(LOOSE);
    spec.start = StartAt::Latest;
    let job = Job::start(spec.clone(), Arc::new(SystemClock));
    wait_for(&job, "its start", |r| r.caught_up);
    job.stop();
    wait_for_end(&job);
    // It has flushed nothing; what comes now is read by the next start, which was told the same.
    bench.send(&numbers(5..8));
    let job = Job::start(spec, Arc::new(SystemClock));
    wait_for(&job, "the position", |r| position(r) == 8);
    job.stop();
    wait_for_end(&job);
    assert_eq!(bench.offsets("numbers"), [5, 6, 7]);
}

#[test]
fn another_incarnation_of_the_topic_stops_the_job() {
    let bench = Bench::new();
    let job = bench.start(LOOSE);
    wait_for(&job, "its start", |r| r.epoch == 1);
    job.stop();
    wait_for_end(&job);
    std::fs::remove_dir_all(bench.path().join("journal/t")).unwrap();
    Topic::create(&bench.path().join("journal"), "t", 1).unwrap();
    let job = bench.start(LOOSE);
    assert_eq!(wait_for_end(&job), Ending::Fatal);
    assert_eq!(job.report().error.unwrap().code, "source-replaced");
    let mut table = Table::open(&bench.store(), "numbers", &Arc::default()).unwrap().unwrap();
    assert_eq!(table.txn("numbers/epoch").unwrap(), Some(1), "it fenced nobody");
}

#[test]
fn a_job_that_starts_with_the_latest_leaves_the_past_alone() {
    let mut bench = Bench::new();
    bench.send(&numbers(0..5));
    let mut spec = bench.spec(LOOSE);
    spec.start = StartAt::Latest;
    let job = Job::start(spec, Arc::new(SystemClock));
    let report = wait_for(&job, "its start", |r| r.caught_up);
    assert_eq!(report.positions, BTreeMap::from([("0".to_owned(), 5)]));
    bench.send(&numbers(0..3));
    wait_for(&job, "the position", |r| position(r) == 8);
    job.stop();
    wait_for_end(&job);
    assert_eq!(bench.offsets("numbers"), [5, 6, 7]);
}

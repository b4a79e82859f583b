//! The law of commits, on a store that lies about them.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

mod shaky;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use neuralake_lake::log::{NamedFile, Provenance};
use neuralake_lake::quarantine::roll_forward;
use neuralake_lake::store::{self, Store};
use neuralake_lake::{Draft, Faults, LakeError, StoreSpec, Table, TableView};
use shaky::{Lie, ShakyStore};

const DEADLINE: Duration = Duration::from_secs(10);

fn columns() -> Schema {
    Schema::new(vec![Field::new("n", DataType::Int64, false), Field::new("s", DataType::Utf8, true)])
}

fn rows(from: i64, count: i64) -> RecordBatch {
    let numbers: Vec<i64> = (from..from + count).collect();
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    RecordBatch::try_new(
        Arc::new(columns()),
        vec![Arc::new(Int64Array::from(numbers)), Arc::new(StringArray::from(texts))],
    )
    .unwrap()
}

fn local(directory: &tempfile::TempDir) -> Arc<dyn Store> {
    let spec = serde_json::json!({ "uri": format!("file://{}", directory.path().display()) });
    store::open(&serde_json::from_value::<StoreSpec>(spec).unwrap()).unwrap()
}

fn table(store: &Arc<dyn Store>, name: &str) -> Table {
    Table::open_or_create(store, name, &columns(), &["n".to_owned()], &Arc::default()).unwrap()
}

fn append(table: &mut Table, from: i64) -> Result<bool, LakeError> {
    let file = table.stage(&[rows(from, 10)]).unwrap();
    table.commit(DEADLINE, &mut |_| {
        Ok(Some(Draft { files: vec![file.clone()], txns: vec![("job".to_owned(), from)], ..Draft::default() }))
    })
}

#[test]
fn a_file_of_several_batches_has_the_statistics_of_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    let mut table = table(&store, "t");
    let file = table.stage(&[rows(40, 10), rows(0, 10), rows(90, 1)]).unwrap();
    table.commit(DEADLINE, &mut |_| Ok(Some(Draft { files: vec![file.clone()], ..Draft::default() }))).unwrap();
    let commit = store.get(&table.root().join("_delta_log/00000000000000000001.json").unwrap()).unwrap().unwrap();
    let commit = String::from_utf8(commit.to_vec()).unwrap();
    for stated in [r#"\"numRecords\":21"#, r#"\"minValues\":{\"n\":0}"#, r#"\"maxValues\":{\"n\":90}"#] {
        assert!(commit.contains(stated), "{stated} in {commit}");
    }
    assert!(matches!(table.stage(&[]), Err(LakeError::Encode(_))));
}

#[test]
fn a_commit_is_remembered_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    store::probe(&store).unwrap();
    let mut first = table(&store, "t");
    assert_eq!(first.version(), 0);
    assert!(append(&mut first, 7).unwrap());
    let mut second = table(&store, "t");
    assert_eq!((second.version(), second.txn("job").unwrap(), second.txn("other").unwrap()), (1, Some(7), None));
    assert_eq!(second.id(), first.id());
    assert!(Table::open(&store, "absent", &Arc::default()).unwrap().is_none());
}

#[test]
fn every_lie_of_the_store_is_settled_by_the_commit_id() {
    for lie in [Lie::LandedSaysExists, Lie::LandedSaysFailed, Lie::AbsentSaysExists, Lie::AbsentSaysFailed] {
        let directory = tempfile::tempdir().unwrap();
        let shaky = Arc::new(ShakyStore::new(local(&directory)));
        let store: Arc<dyn Store> = shaky.clone();
        let mut writer = table(&store, "t");
        shaky.lie_once(lie);
        assert!(append(&mut writer, 1).unwrap(), "{lie:?}");
        assert_eq!(writer.version(), 1, "{lie:?}: one commit, one version");
        let tried = shaky.tried.lock().unwrap();
        assert!(tried.iter().all(|put| put == &tried[0]), "{lie:?}: the same version with the same bytes");
        let expected = if matches!(lie, Lie::LandedSaysExists | Lie::LandedSaysFailed) { 1 } else { 2 };
        assert_eq!(tried.len(), expected, "{lie:?}");
    }
}

#[test]
fn a_commit_that_was_found_is_made_durable_before_anything_acts_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let shaky = Arc::new(ShakyStore::new(local(&directory)));
    let store: Arc<dyn Store> = shaky.clone();
    let confirmed = || shaky.confirmed.load(Ordering::SeqCst);
    let (mut ours, mut theirs) = (table(&store, "t"), table(&store, "t"));
    let before = confirmed();
    assert!(append(&mut theirs, 1).unwrap());
    assert_eq!(confirmed(), before, "what this process has linked is on the disk");
    shaky.lie_once(Lie::LandedSaysFailed);
    assert!(append(&mut theirs, 2).unwrap());
    assert_eq!(confirmed(), before + 1, "our own, found by reading");
    let mut asked = Vec::new();
    ours.commit(DEADLINE, &mut |_| {
        asked.push(confirmed());
        Ok(Some(Draft { txns: vec![("other".to_owned(), 1)], ..Draft::default() }))
    })
    .unwrap();
    assert!(asked[1] > asked[0], "a rival's: {asked:?}");
    drop(table(&store, "t"));
    assert!(confirmed() > asked[1], "whatever a start finds");
}

#[test]
fn a_version_that_cannot_be_read_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let shaky = Arc::new(ShakyStore::new(local(&directory)));
    let store: Arc<dyn Store> = shaky.clone();
    let mut writer = table(&store, "t");
    shaky.lie_once(Lie::LandedSaysFailed);
    shaky.fail_reads(3);
    assert!(append(&mut writer, 1).unwrap());
    assert_eq!((writer.version(), shaky.tried.lock().unwrap().len()), (1, 1));
}

#[test]
fn a_doubt_that_outlasts_its_deadline_is_a_crash_that_concludes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let shaky = Arc::new(ShakyStore::new(local(&directory)));
    let store: Arc<dyn Store> = shaky.clone();
    let mut writer = table(&store, "t");
    let file = writer.stage(&[rows(0, 10)]).unwrap();
    shaky.lie_once(Lie::LandedSaysFailed);
    shaky.fail_reads(u64::MAX);
    let error = writer
        .commit(Duration::from_millis(20), &mut |_| Ok(Some(Draft { files: vec![file.clone()], ..Draft::default() })))
        .unwrap_err();
    assert!(matches!(error, LakeError::InDoubt { version: 1, .. }), "{error}");
    assert!(error.is_retryable(), "the restart reads the log");
    assert_eq!(shaky.tried.lock().unwrap().len(), 1, "unreadable is not absent");
    assert_eq!(table(&local(&directory), "t").version(), 1, "it had landed");
}

#[test]
fn a_snapshot_that_grew_old_is_listed_anew_before_an_upload() {
    let directory = tempfile::tempdir().unwrap();
    let shaky = Arc::new(ShakyStore::new(local(&directory)));
    let store: Arc<dyn Store> = shaky.clone();
    let (mut ours, mut theirs) = (table(&store, "t"), table(&store, "t"));
    append(&mut theirs, 1).unwrap();
    shaky.pass_s(299);
    ours.ensure_fresh().unwrap();
    assert_eq!(ours.version(), 0, "the hot path lists nothing");
    shaky.pass_s(2);
    ours.ensure_fresh().unwrap();
    assert_eq!((ours.version(), ours.txn("job").unwrap()), (1, Some(1)));
}

#[test]
fn after_ten_minutes_a_commit_is_not_even_tried() {
    let directory = tempfile::tempdir().unwrap();
    let shaky = Arc::new(ShakyStore::new(local(&directory)));
    let store: Arc<dyn Store> = shaky.clone();
    let mut writer = table(&store, "t");
    shaky.pass_s(601);
    let error = append(&mut writer, 1).unwrap_err();
    assert!(matches!(error, LakeError::InDoubt { .. }) && error.is_retryable(), "{error}");
    assert!(!shaky.tried.lock().unwrap().iter().any(|(path, _)| path.ends_with("1.json")));
    writer.refresh().unwrap();
    assert!(append(&mut writer, 1).unwrap(), "listed anew it goes on");
}

/// The writer sleeps between its check and its put; meanwhile others commit on, and the log below their checkpoint is
/// cleaned. The name is free again, and what it takes nobody will ever read.
#[test]
fn a_commit_under_a_checkpoint_is_no_landing() {
    let directory = tempfile::tempdir().unwrap();
    let shaky = Arc::new(ShakyStore::new(local(&directory)));
    let store: Arc<dyn Store> = shaky.clone();
    let mut ours = table(&store, "t");
    append(&mut ours, 1).unwrap();
    let mut theirs = table(&store, "t");
    for n in 2..=14 {
        append(&mut theirs, n).unwrap();
    }
    theirs.checkpoint().unwrap();
    let log = |version: u64| directory.path().join(format!("t/_delta_log/{version:020}.json"));
    (0..14).for_each(|version| std::fs::remove_file(log(version)).unwrap());
    shaky.sleep_over_the_next_put_s(601);
    let error = append(&mut ours, 99).unwrap_err();
    assert!(matches!(error, LakeError::InDoubt { .. }) && error.is_retryable(), "{error}");
    assert!(log(2).exists(), "the store took it");
    let mut restarted = table(&store, "t");
    assert_eq!((restarted.version(), restarted.txn("job").unwrap()), (14, Some(14)));
}

#[test]
fn a_lost_race_asks_the_precondition_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    let (mut ours, mut theirs) = (table(&store, "t"), table(&store, "t"));
    assert!(append(&mut theirs, 1).unwrap());
    let mut seen = Vec::new();
    let result = ours.commit(DEADLINE, &mut |view: &mut dyn TableView| {
        seen.push((view.version(), view.txn("job")?));
        let found = view.txn("job")?.unwrap_or(0);
        if found != 0 {
            return Err(LakeError::Fenced { table: "t".to_owned(), own: 0, found });
        }
        Ok(Some(Draft { txns: vec![("job".to_owned(), 9)], ..Draft::default() }))
    });
    assert!(matches!(result, Err(LakeError::Fenced { found: 1, .. })), "{result:?}");
    assert_eq!(seen, [(0, None), (1, Some(1))]);
}

#[test]
fn two_starts_at_once_get_different_epochs() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    drop(table(&store, "t"));
    let mut epochs: Vec<i64> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let store = Arc::clone(&store);
                scope.spawn(move || {
                    let mut table = table(&store, "t");
                    let mut epoch = 0;
                    table
                        .commit(DEADLINE, &mut |view: &mut dyn TableView| {
                            epoch = view.txn("t/epoch")?.unwrap_or(0) + 1;
                            Ok(Some(Draft { txns: vec![("t/epoch".to_owned(), epoch)], ..Draft::default() }))
                        })
                        .unwrap();
                    epoch
                })
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=8).collect::<Vec<_>>());
}

#[test]
fn other_columns_are_a_named_mismatch() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    drop(table(&store, "t"));
    let other = Schema::new(vec![Field::new("n", DataType::Float64, false), Field::new("s", DataType::Utf8, true)]);
    let error = Table::open_or_create(&store, "t", &other, &[], &Arc::default()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LakeError::TableMismatch { .. }), "{text}");
    assert!(text.contains("n int64 not null") && text.contains("n float64 not null"), "{text}");
}

#[test]
fn a_checkpoint_keeps_what_was_committed() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    let mut writer = table(&store, "t");
    for n in 1..=12 {
        append(&mut writer, n).unwrap();
    }
    writer.checkpoint().unwrap();
    append(&mut writer, 13).unwrap();
    assert!(directory.path().join("t/_delta_log/_last_checkpoint").exists());
    let mut reader = table(&store, "t");
    assert_eq!((reader.version(), reader.txn("job").unwrap()), (13, Some(13)));
}

fn decide(main: &mut Table, files: &[&str]) {
    let quarantine = files
        .iter()
        .map(|path| NamedFile { path: (*path).to_owned(), size: 1, rows: 1, modified_ms: 0 })
        .collect::<Vec<_>>();
    main.commit(DEADLINE, &mut |_| {
        let provenance = Provenance { quarantine: quarantine.clone(), ..Provenance::default() };
        Ok(Some(Draft { provenance, ..Draft::default() }))
    })
    .unwrap();
}

#[test]
fn roll_forward_adds_each_named_file_once_and_may_run_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    let (mut main, mut quarantine) = (table(&store, "t"), table(&store, "t__quarantine"));
    decide(&mut main, &["a", "b"]);
    decide(&mut main, &[]);
    decide(&mut main, &["c"]);
    assert!(roll_forward(&main, &mut quarantine, DEADLINE, true).unwrap());
    assert!(!roll_forward(&main, &mut quarantine, DEADLINE, true).unwrap());
    // Another process, with an older picture of the quarantine, rolls forward too.
    let mut other = table(&store, "t__quarantine");
    decide(&mut main, &["d"]);
    assert!(roll_forward(&main, &mut quarantine, DEADLINE, true).unwrap());
    assert!(!roll_forward(&main, &mut other, DEADLINE, false).unwrap());
    let added: Vec<String> = (1..=quarantine.version())
        .flat_map(|version| {
            let path = directory.path().join(format!("t__quarantine/_delta_log/{version:020}.json"));
            let text = std::fs::read_to_string(path).unwrap();
            text.lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                .filter_map(|action| Some(action.get("add")?.get("path")?.as_str()?.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(added, ["a", "b", "c", "d"]);
    assert_eq!(quarantine.txn(&main.id()).unwrap(), Some(4));
}

#[test]
fn rejects_whose_commit_was_cleaned_away_are_missed_aloud() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    let (mut main, mut quarantine) = (table(&store, "t"), table(&store, "t__quarantine"));
    decide(&mut main, &["a"]);
    decide(&mut main, &["b"]);
    std::fs::remove_file(directory.path().join("t/_delta_log/00000000000000000001.json")).unwrap();
    let error = roll_forward(&main, &mut quarantine, DEADLINE, false).unwrap_err();
    assert!(matches!(&error, LakeError::Log { reason, .. } if reason.contains("version 1 was cleaned")), "{error}");
    assert_eq!(quarantine.txn(&main.id()).unwrap(), None, "nothing is recorded as done");
}

#[test]
fn no_other_client_cleans_the_log_or_forgets_positions() {
    let directory = tempfile::tempdir().unwrap();
    drop(table(&local(&directory), "t"));
    let first = std::fs::read_to_string(directory.path().join("t/_delta_log/00000000000000000000.json")).unwrap();
    assert!(first.contains(r#""delta.enableExpiredLogCleanup":"false""#), "{first}");
    assert!(!first.contains("setTransactionRetentionDuration"), "{first}");
}

#[test]
fn a_plan_of_deaths_is_taken_line_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let plan = directory.path().join("plan");
    std::fs::write(&plan, "after_upload 3\nafter_log_put 1\n").unwrap();
    let faults = Faults::from_plan(Some(&plan));
    faults.pass("after_upload");
    faults.pass("after_log_put");
    assert_eq!(std::fs::read_to_string(&plan).unwrap(), "after_log_put 1\n");
}

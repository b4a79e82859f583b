//! A table gains the nullable columns of a newer declaration, and changes in no other way.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use neuralake_lake::store::{self, Store};
use neuralake_lake::{Draft, LakeError, StoreSpec, Table, TableView};

const DEADLINE: Duration = Duration::from_secs(60);

fn local(directory: &tempfile::TempDir) -> Arc<dyn Store> {
    let spec = serde_json::json!({ "uri": format!("file://{}", directory.path().display()) });
    store::open(&serde_json::from_value::<StoreSpec>(spec).unwrap()).unwrap()
}

/// `n`, and further nullable columns.
fn columns(more: &[(&str, DataType)]) -> Schema {
    let more = more.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    Schema::new([Field::new("n", DataType::Int64, false)].into_iter().chain(more).collect::<Vec<_>>())
}

fn open(store: &Arc<dyn Store>, more: &[(&str, DataType)]) -> Result<Table, LakeError> {
    let schema = columns(more);
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    Table::open_or_create(store, "t", &schema, &names, &Arc::default())
}

fn rows(n: i64, x: Option<f64>) -> RecordBatch {
    let mut values: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![n]))];
    let more: &[(&str, DataType)] = if x.is_some() { &[("x", DataType::Float64)] } else { &[] };
    values.extend(x.map(|x| Arc::new(Float64Array::from(vec![x])) as ArrayRef));
    RecordBatch::try_new(Arc::new(columns(more)), values).unwrap()
}

fn append(table: &mut Table, batch: &RecordBatch) -> Result<bool, LakeError> {
    let file = table.stage(std::slice::from_ref(batch))?;
    table.commit(DEADLINE, &mut |_| Ok(Some(Draft { files: vec![file.clone()], ..Draft::default() })))
}

/// Every row, by its number.
fn held(table: &Table) -> Vec<(i64, Option<f64>)> {
    let mut held: Vec<_> = table
        .rows()
        .unwrap()
        .iter()
        .flat_map(|batch| {
            let numbers = batch["n"].as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
            let x = batch.column_by_name("x").map(|x| x.as_primitive::<Float64Type>().clone());
            let x = move |row| x.as_ref().filter(|x| x.is_valid(row)).map(|x| x.value(row));
            numbers.into_iter().enumerate().map(move |(row, n)| (n, x(row))).collect::<Vec<_>>()
        })
        .collect();
    held.sort_by_key(|(n, _)| *n);
    held
}

fn actions(directory: &Path, version: u64, kind: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(directory.join(format!("t/_delta_log/{version:020}.json"))).unwrap();
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap().get(kind).cloned())
        .collect()
}

#[test]
fn a_new_nullable_column_joins_by_a_commit_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    let mut old = open(&store, &[]).unwrap();
    append(&mut old, &rows(1, None)).unwrap();

    let mut new = open(&store, &[("x", DataType::Float64)]).unwrap();
    assert_eq!(new.version(), 2);
    assert_eq!(
        new.added().iter().map(|c| (c.name.as_str(), c.column_type.as_str())).collect::<Vec<_>>(),
        [("x", "float64")]
    );
    let [info] = &actions(directory.path(), 2, "commitInfo")[..] else { panic!("one commitInfo") };
    assert_eq!(info["neuralake"]["added_columns"], serde_json::json!([{ "name": "x", "type": "float64" }]));
    let [metadata] = &actions(directory.path(), 2, "metaData")[..] else { panic!("one metaData") };
    assert_eq!(metadata["configuration"]["delta.dataSkippingStatsColumns"], "`n`,`x`");
    assert_eq!(metadata["configuration"]["delta.enableExpiredLogCleanup"], "false");
    assert_eq!(metadata["id"], old.id().as_str());
    assert!(actions(directory.path(), 2, "add").is_empty());

    append(&mut new, &rows(2, Some(0.5))).unwrap();
    let [add] = &actions(directory.path(), 3, "add")[..] else { panic!("one file") };
    assert!(add["stats"].as_str().unwrap().contains(r#""x":0.5"#), "files keep statistics of it: {add}");
    assert_eq!(held(&new), [(1, None), (2, Some(0.5))]);

    // Opened again there is nothing to do, with the columns in any order, or with one left out that may be null.
    assert_eq!(open(&store, &[("x", DataType::Float64)]).unwrap().version(), 3);
    assert!(open(&store, &[]).unwrap().added().is_empty());
    new.checkpoint().unwrap();
    assert_eq!(held(&open(&store, &[]).unwrap()), [(1, None), (2, Some(0.5))]);
}

#[test]
fn files_that_wait_without_the_new_column_stay_valid() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    let mut writer = open(&store, &[]).unwrap();
    let waiting = writer.stage(&[rows(1, None)]).unwrap();
    drop(open(&store, &[("x", DataType::Float64)]).unwrap());
    let mut seen = Vec::new();
    let has_landed = writer.commit(DEADLINE, &mut |view: &mut dyn TableView| {
        seen.push(view.version());
        Ok(Some(Draft { files: vec![waiting.clone()], ..Draft::default() }))
    });
    assert!(has_landed.unwrap());
    assert_eq!(seen, [0, 1], "the commit is rebuilt, the file is not");
    append(&mut writer, &rows(2, None)).unwrap();
    assert_eq!(held(&writer), [(1, None), (2, None)]);
}

#[test]
fn of_many_that_add_one_column_one_does() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    drop(open(&store, &[]).unwrap());
    let added: usize = std::thread::scope(|scope| {
        let openers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| open(&store, &[("x", DataType::Float64)]).unwrap().added().len())).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).sum()
    });
    assert_eq!(added, 1);
    assert_eq!(open(&store, &[("x", DataType::Float64)]).unwrap().version(), 1);
}

#[test]
fn who_adds_it_as_another_type_is_told_and_forces_nothing() {
    for _ in 0..8 {
        let directory = tempfile::tempdir().unwrap();
        let store = local(&directory);
        drop(open(&store, &[]).unwrap());
        let results: Vec<_> = std::thread::scope(|scope| {
            let types = [DataType::Float64, DataType::Int64];
            let openers = types.map(|data_type| scope.spawn(|| open(&store, &[("x", data_type)])));
            openers.into_iter().map(|opener| opener.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 1));
        let error = lost.into_iter().next().unwrap().unwrap_err();
        assert!(matches!(error, LakeError::TableMismatch { .. }), "{error}");
        assert!(error.to_string().contains("x: the table has x ") && !error.is_retryable(), "{error}");
        assert_eq!(won.into_iter().next().unwrap().unwrap().version(), 1);
    }
}

#[test]
fn a_writer_whose_column_is_gone_stops() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory);
    let mut writer = open(&store, &[("x", DataType::Float64)]).unwrap();
    // Another program rewrites the columns, as only one that does not know of us would.
    let log = directory.path().join("t/_delta_log");
    let first = std::fs::read_to_string(log.join(format!("{:020}.json", 0))).unwrap();
    let metadata = first.lines().find(|line| line.starts_with(r#"{"metaData""#)).unwrap();
    let mut metadata: serde_json::Value = serde_json::from_str(metadata).unwrap();
    metadata["metaData"]["schemaString"] =
        r#"{"type":"struct","fields":[{"name":"n","type":"long","nullable":false,"metadata":{}}]}"#.into();
    std::fs::write(log.join(format!("{:020}.json", 1)), format!("{metadata}\n")).unwrap();
    let error = append(&mut writer, &rows(1, Some(0.5))).unwrap_err();
    assert!(matches!(error, LakeError::TableMismatch { .. }), "{error}");
    assert!(error.to_string().contains("took the column x away"), "{error}");
}

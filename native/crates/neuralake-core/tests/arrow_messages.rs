//! Rows that come as Arrow: the same table and the same verdicts as from JSON, and no message that makes it fall.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float32Array, Float64Array, Int16Array, Int64Array, ListArray,
    NullArray, RecordBatch, RecordBatchOptions, StringArray, StringViewArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use neuralake_core::buffer::{Buffer, Flush, Message};
use neuralake_core::contract::Contract;
use neuralake_core::decode::RowEncoding;
use neuralake_core::position::{Offset, Partition};
use proptest::prelude::*;

const CONTRACT: &str = r#"{"id":"c0ffee","version":1,"warn":["uv|max"],"columns":[
  {"name":"session","type":"string","nullable":false},
  {"name":"packet","type":"int16","nullable":false,"min":0,"max":255},
  {"name":"event_time","type":"timestamp_us","nullable":true},
  {"name":"uv","type":"float32","nullable":true,"max":100}],
  "rules":[{"id":"session|regex","test":{"matches":{"column":"session","pattern":"^s"}}}]}"#;
const MAX_BYTES: usize = 100_000;

fn buffer(encoding: RowEncoding) -> Buffer {
    let contract = Arc::new(Contract::from_json(CONTRACT).unwrap());
    Buffer::new(contract, encoding, "t@1".to_owned(), MAX_BYTES, BTreeMap::new()).unwrap()
}

fn push(buffer: &mut Buffer, offset: i64, value: &[u8]) {
    buffer.push(&Message { partition: Partition::new(0), offset: Offset(offset), value }, 42);
}

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<_> = columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(columns[0].1.len()));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).unwrap()
}

/// Columns that hold the contract, with others in their places or beside them.
fn changed(changes: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("session", Arc::new(StringArray::from(vec!["s1", "s2"]))),
        ("packet", Arc::new(Int16Array::from(vec![1, 2]))),
    ];
    for (name, column) in changes {
        match columns.iter_mut().find(|(known, _)| *known == name) {
            Some(found) => found.1 = column,
            None => columns.push((name, column)),
        }
    }
    batch(columns)
}

/// Reasons, row and bytes of each reject.
fn rejects(flush: &Flush) -> Vec<(Vec<String>, Option<i32>, Vec<u8>)> {
    let lists = flush.rejects["reasons"].as_list::<i32>();
    let rows = flush.rejects["_row"].as_primitive::<Int32Type>();
    let raw = flush.rejects["raw"].as_binary::<i32>();
    let reasons = |at| lists.value(at).as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    (0..raw.len()).map(|at| (reasons(at), rows.is_valid(at).then(|| rows.value(at)), raw.value(at).to_vec())).collect()
}

fn pushed(value: &[u8]) -> Flush {
    let mut buffer = buffer(RowEncoding::Arrow);
    push(&mut buffer, 7, value);
    buffer.take().unwrap()
}

/// The reasons for which a message is a dead letter.
fn refused(value: &[u8]) -> Vec<String> {
    let flush = pushed(value);
    let found = rejects(&flush);
    assert_eq!((flush.row_count(), found.len(), flush.dead_letters), (0, 1, 1), "{found:?}");
    assert_eq!((found[0].1, found[0].2.as_slice()), (None, value));
    found[0].0.clone()
}

#[test]
fn types_that_lose_nothing_are_taken_and_a_value_that_would_is_a_fault_of_its_row() {
    let taken: Vec<Vec<(&str, ArrayRef)>> = vec![
        vec![("packet", Arc::new(Int64Array::from(vec![1, 70_000])))],
        vec![("packet", Arc::new(UInt64Array::from(vec![1, u64::MAX])))],
        vec![("uv", Arc::new(Float64Array::from(vec![1.5, 1e300])))],
        vec![("event_time", Arc::new(TimestampNanosecondArray::from(vec![5_000, 5_001]).with_timezone("UTC")))],
    ];
    let names = ["packet|dtype", "packet|dtype", "uv|dtype", "event_time|dtype"];
    for (changes, expected) in taken.into_iter().zip(names) {
        let flush = pushed(&stream(&[changed(changes)]));
        let found = rejects(&flush);
        assert_eq!((flush.row_count(), found.len()), (1, 1), "{expected}: {found:?}");
        assert_eq!((found[0].0.as_slice(), found[0].1), (&[expected.to_owned()][..], Some(1)));
    }
    let keys: DictionaryArray<Int32Type> = vec!["s1", "s1"].into_iter().collect();
    let alike: Vec<Vec<(&str, ArrayRef)>> = vec![
        vec![("session", Arc::new(keys))],
        vec![("session", Arc::new(StringViewArray::from(vec!["s1", "s, and more than twelve bytes"])))],
        vec![("uv", Arc::new(NullArray::new(2)))],
        vec![("new", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None])))],
    ];
    for changes in alike {
        assert_eq!(pushed(&stream(&[changed(changes)])).row_count(), 2);
    }
}

#[test]
fn a_message_that_cannot_be_rows_is_refused_whole_with_its_reason() {
    let good = stream(&[changed(vec![])]);
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
    assert_eq!(refused(b""), ["message|empty"]);
    assert_eq!(refused(&stream(&[changed(vec![]).slice(0, 0)])), ["message|empty"]);
    assert_eq!(refused(br#"{"session":"s","packet":1}"#), ["arrow|header"]);
    assert_eq!(refused(&good[1..]), ["arrow|header"]);
    assert_eq!(refused(&[good.as_slice(), b"more"].concat()), ["arrow|trailing"]);
    assert_eq!(refused(&vec![0xff; MAX_BYTES + 1]), ["message|size"]);
    assert_eq!(refused(&stream(&[changed(vec![("packet", Arc::clone(&texts))])])), ["arrow|schema", "packet|dtype"]);
    let other = batch(vec![("uv", texts), ("event_time", Arc::new(Int64Array::from(vec![1, 2])))]);
    let reasons = ["arrow|schema", "session|nullability", "packet|nullability", "event_time|dtype", "uv|dtype"];
    assert_eq!(refused(&stream(&[other])), reasons);
    let twice = changed(vec![("uv", Arc::new(Float32Array::from(vec![1.0, 2.0])))]);
    let fields: Vec<_> = twice.schema().fields().iter().map(|f| f.as_ref().clone().with_name("session")).collect();
    let twice = RecordBatch::try_new(Arc::new(Schema::new(fields)), twice.columns().to_vec()).unwrap();
    assert_eq!(refused(&stream(&[twice])), ["arrow|schema", "session|duplicate", "packet|nullability"]);
    // Of no bytes and a number of rows.
    let nothing = Arc::new(Schema::new(vec![Field::new("uv", DataType::Null, true)]));
    let rows = RecordBatch::try_new(nothing, vec![Arc::new(NullArray::new(1 << 40))]).unwrap();
    assert_eq!(refused(&stream(&[rows])), ["message|size"]);
    // A few bytes that many rows share.
    let long = "s".repeat(MAX_BYTES / 2);
    let shared: DictionaryArray<Int32Type> = vec![long.as_str(); 3].into_iter().collect();
    let packets: ArrayRef = Arc::new(Int16Array::from(vec![1; 3]));
    let bomb = batch(vec![("session", Arc::new(shared)), ("packet", packets)]);
    assert_eq!(refused(&stream(&[bomb])), ["message|size"]);
}

#[test]
fn a_stream_that_was_cut_anywhere_is_refused_whole() {
    let good = stream(&[changed(vec![]), changed(vec![])]);
    assert_eq!(pushed(&good).row_count(), 4);
    for length in 1..good.len() {
        let reasons = refused(&good[..length]);
        assert!(matches!(reasons[0].as_str(), "arrow|truncated"), "{length}: {reasons:?}");
    }
}

#[test]
fn lengths_that_lie_are_told() {
    let mut writer = StreamWriter::try_new_with_options(
        Vec::new(),
        &changed(vec![]).schema(),
        IpcWriteOptions::try_new(8, false, arrow_ipc::MetadataVersion::V5).unwrap(),
    )
    .unwrap();
    writer.write(&changed(vec![])).unwrap();
    let good = writer.into_inner().unwrap();
    assert_eq!(pushed(&good).row_count(), 2);
    // The texts of `session` are four bytes that stand in its buffer and nowhere else.
    let at = good.windows(4).position(|window| window == b"s1s2").unwrap();
    let mut bad = good.clone();
    bad[at] = 0xff;
    assert_eq!(refused(&bad), ["arrow|batch"]);
    // Offsets 0, 2, 4 before them: the last reaches beyond.
    let offsets = good.windows(12).position(|w| w == [0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0]).unwrap();
    let mut bad = good.clone();
    bad[offsets + 8] = 0x7f;
    assert_eq!(refused(&bad), ["arrow|batch"]);
    // Buffers are told by place and length, (8, 12) for these offsets.
    let told: Vec<u8> = [12_i64.to_le_bytes(), 16_i64.to_le_bytes()].concat();
    let told = good.windows(16).position(|window| window == told).unwrap();
    let mut bad = good;
    bad[told..told + 8].copy_from_slice(&(1_i64 << 60).to_le_bytes());
    assert_eq!(refused(&bad), ["arrow|length"]);
}

#[test]
fn a_rejected_row_is_a_message_that_says_what_it_said() {
    let keys: DictionaryArray<Int32Type> = vec!["s1", "bad", "s3"].into_iter().collect();
    let given = batch(vec![
        ("session", Arc::new(keys)),
        ("packet", Arc::new(Int64Array::from(vec![1, 2, 300]))),
        ("uv", Arc::new(Float32Array::from(vec![1.0, f32::NAN, 3.0]))),
        ("note", Arc::new(StringViewArray::from(vec!["a", "twelve bytes and more", "c"]))),
    ]);
    let flush = pushed(&stream(&[given.slice(0, 1), given.slice(1, 2)]));
    let found = rejects(&flush);
    assert_eq!(flush.row_count(), 1);
    assert_eq!((found[0].0.join(" "), found[0].1), ("session|regex uv|nan".to_owned(), Some(1)));
    assert_eq!((found[1].0.join(" "), found[1].1), ("packet|max".to_owned(), Some(2)));
    for (reasons, _, raw) in &found {
        let again = pushed(raw);
        assert_eq!(rejects(&again)[0].0, *reasons);
        let stream = arrow_ipc::reader::StreamReader::try_new(raw.as_slice(), None).unwrap();
        let rows: Vec<_> = stream.collect::<Result<_, _>>().unwrap();
        assert_eq!((rows.len(), rows[0].num_rows(), rows[0].num_columns()), (1, 1, 4));
    }
    let sealed: usize = found.iter().map(|(.., raw)| raw.len()).sum();
    assert!(sealed < 4_000, "{sealed} bytes for two rows");
}

/// One row as both encodings can say it.
#[derive(Debug, Clone)]
struct Row {
    session: Option<String>,
    packet: Option<i64>,
    time: Option<i64>,
    uv: Option<f64>,
}

impl Row {
    fn line(&self) -> String {
        let text = |value: Option<String>| value.unwrap_or("null".to_owned());
        format!(
            r#"{{"session":{},"packet":{},"event_time":{},"uv":{}}}"#,
            text(self.session.as_ref().map(|s| format!("\"{s}\""))),
            text(self.packet.map(|p| p.to_string())),
            text(self.time.map(|t| t.to_string())),
            text(self.uv.map(|v| format!("{v:e}"))),
        )
    }
}

fn rows(rows: &[Row]) -> RecordBatch {
    let times = rows.iter().map(|row| row.time).collect::<arrow::array::TimestampMicrosecondArray>();
    batch(vec![
        ("session", Arc::new(rows.iter().map(|row| row.session.as_deref()).collect::<StringArray>())),
        ("packet", Arc::new(rows.iter().map(|row| row.packet).collect::<Int64Array>())),
        ("event_time", Arc::new(times.with_timezone("UTC"))),
        ("uv", Arc::new(rows.iter().map(|row| row.uv).collect::<Float64Array>())),
    ])
}

fn row() -> impl Strategy<Value = Row> {
    let session = prop::option::weighted(0.9, "[st][a-z0-9]{0,20}");
    let packet = prop::option::weighted(0.9, prop_oneof![0_i64..256, -5_i64..300, any::<i64>()]);
    let uv = prop::option::weighted(0.9, prop_oneof![-50.0..150.0, Just(1e300), Just(3e38), Just(0.1)]);
    (session, packet, prop::option::of(any::<i64>()), uv).prop_map(|(session, packet, time, uv)| Row {
        session,
        packet,
        time,
        uv,
    })
}

/// Rows without their place, in the order they came.
fn values(flushes: &[Flush]) -> RecordBatch {
    let contract = Contract::from_json(CONTRACT).unwrap();
    let all = concat_batches(&Buffer::rows_schema(&contract), flushes.iter().flat_map(|flush| &flush.rows)).unwrap();
    all.project(&[0, 1, 2, 3]).unwrap()
}

proptest! {
    /// However rows are cut into messages, messages into batches and the stream into flushes: the same rows reach the
    /// table, and the same are rejected, each for the reasons that JSON is rejected for.
    #[test]
    fn any_split_gives_the_rows_and_verdicts_of_json(
        sent in prop::collection::vec((row(), any::<bool>(), any::<bool>(), any::<bool>()), 1..60),
    ) {
        let (mut json, mut arrow) = (buffer(RowEncoding::Json), buffer(RowEncoding::Arrow));
        let (mut message, mut part, mut flushes, mut offset) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (at, (row, ends_batch, ends_message, ends_flush)) in sent.iter().enumerate() {
            push(&mut json, at as i64, row.line().as_bytes());
            part.push(row.clone());
            let is_last = at + 1 == sent.len();
            if *ends_batch || *ends_message || is_last {
                message.push(rows(&std::mem::take(&mut part)));
            }
            if *ends_message || is_last {
                push(&mut arrow, offset, &stream(&std::mem::take(&mut message)));
                offset += 1;
                if *ends_flush {
                    flushes.push(arrow.take().unwrap());
                }
            }
        }
        flushes.push(arrow.take().unwrap());
        let json = json.take().unwrap();
        prop_assert_eq!(values(&flushes), values(std::slice::from_ref(&json)));
        let reasons = |flush: &Flush| rejects(flush).into_iter().map(|(reasons, ..)| reasons).collect::<Vec<_>>();
        prop_assert_eq!(flushes.iter().flat_map(reasons).collect::<Vec<_>>(), reasons(&json));
        let warned: u64 = flushes.iter().flat_map(|flush| flush.warnings.values()).sum();
        prop_assert_eq!(warned, json.warnings.values().sum::<u64>());
        // Every row of every message is there once, under its number.
        let mut places: BTreeMap<i64, Vec<i32>> = BTreeMap::new();
        for part in flushes.iter().flat_map(|flush| flush.rows.iter().chain([&flush.rejects])) {
            let offsets = part["_offset"].as_primitive::<arrow::datatypes::Int64Type>().values();
            for (offset, row) in offsets.iter().zip(part["_row"].as_primitive::<Int32Type>().values()) {
                places.entry(*offset).or_default().push(*row);
            }
        }
        prop_assert_eq!(places.values().map(Vec::len).sum::<usize>(), sent.len());
        for mut numbers in places.into_values() {
            numbers.sort_unstable();
            let count = i32::try_from(numbers.len()).unwrap();
            prop_assert!(numbers.into_iter().eq(0..count));
        }
    }

    /// Bytes that were changed give rows, or one reject of the whole message; nothing between, and no fall.
    #[test]
    fn no_change_of_the_bytes_makes_it_fall(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        is_wide in any::<bool>(),
    ) {
        let keys: DictionaryArray<Int32Type> = vec!["s1", "s2"].into_iter().collect();
        let session: ArrayRef =
            if is_wide { Arc::new(keys) } else { Arc::new(StringViewArray::from(vec!["s1", "more than twelve bytes"])) };
        let mut bytes = stream(&[changed(vec![("session", session), ("uv", Arc::new(NullArray::new(2)))])]);
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let flush = pushed(&bytes);
        let held = flush.row_count() + flush.rejects.num_rows();
        prop_assert!(held == 1 && flush.dead_letters <= 1 || flush.dead_letters == 0, "{} rows", held);
    }
}

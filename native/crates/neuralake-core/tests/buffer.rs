//! The laws of the buffer: each message is one reject, or its rows are split between rows and rejects.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float32Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use neuralake_core::buffer::{Buffer, Flush, Message};
use neuralake_core::contract::Contract;
use neuralake_core::decode::RowEncoding;
use neuralake_core::position::{Offset, Partition, Span};
use proptest::prelude::*;

const CONTRACT: &str = r#"{"id":"c0ffee","version":1,"columns":[
  {"name":"session","type":"string","nullable":false},
  {"name":"packet","type":"int16","nullable":false,"min":0,"max":255},
  {"name":"event_time","type":"timestamp_us","nullable":true},
  {"name":"ch1_uv","type":"float32","nullable":true,"min_exclusive":-1000.5}]}"#;

fn buffer() -> Buffer {
    let contract = Arc::new(Contract::from_json(CONTRACT).unwrap());
    Buffer::new(contract, RowEncoding::Json, "t@1".to_owned(), 1_000, BTreeMap::from([(Partition::new(0), Offset(5))]))
        .unwrap()
}

fn push(buffer: &mut Buffer, offset: i64, value: &str) {
    buffer.push(&Message { partition: Partition::new(0), offset: Offset(offset), value: value.as_bytes() }, 42);
}

fn reasons(batch: &RecordBatch, row: usize) -> Vec<String> {
    batch.column(1).as_list::<i32>().value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

/// The rows of flushes, as one batch.
fn joined(flushes: &[Flush]) -> RecordBatch {
    let schema = Buffer::rows_schema(&Contract::from_json(CONTRACT).unwrap());
    concat_batches(&schema, flushes.iter().flat_map(|flush| &flush.rows)).unwrap()
}

#[test]
fn a_valid_message_becomes_its_rows() {
    let mut buffer = buffer();
    push(
        &mut buffer,
        7,
        "{\"session\":\"s\",\"packet\":3,\"event_time\":\"1970-01-01T00:00:01+00:00\",\"ch1_uv\":1.5,\"new\":[1]}\n{\"packet\":4,\"session\":\"a\\n\",\"event_time\":9}",
    );
    let flush = buffer.take().unwrap();
    assert_eq!(flush.row_count(), 2);
    assert_eq!(flush.rejects.num_rows(), 0);
    assert_eq!(flush.spans[&Partition::new(0)], Span { from: Offset(5), to: Offset(8) });
    let rows = joined(std::slice::from_ref(&flush));
    assert_eq!(rows.column(0).as_string::<i32>().value(1), "a\n");
    assert_eq!(rows.column(1).as_primitive::<Int16Type>().values(), &[3, 4]);
    assert_eq!(rows.column(2).as_primitive::<TimestampMicrosecondType>().values(), &[1_000_000, 9]);
    assert!((rows.column(3).as_primitive::<Float32Type>().value(0) - 1.5).abs() < f32::EPSILON);
    assert!(rows.column(3).is_null(1));
    assert_eq!(rows.column_by_name("_row").unwrap().as_primitive::<Int32Type>().values(), &[0, 1]);
    assert_eq!(rows.column_by_name("_offset").unwrap().as_primitive::<Int64Type>().values(), &[7, 7]);
}

#[test]
fn each_fault_has_its_reason() {
    let long = format!("{{\"session\":\"{}\"}}", "x".repeat(2_000));
    let cases: Vec<(&str, Vec<&str>, bool)> = vec![
        ("", vec!["message|empty"], true),
        (" \n ", vec!["message|empty"], true),
        ("{\"session\":", vec!["message|json"], true),
        ("{\"session\":\"s\",\"packet\":1} x", vec!["message|json"], true),
        ("NaN", vec!["message|json"], true),
        ("42", vec!["message|object"], true),
        ("[{}]", vec!["message|object"], true),
        (&long, vec!["message|size"], true),
        ("{}", vec!["session|nullability", "packet|nullability"], false),
        ("{\"session\":\"s\",\"packet\":null}", vec!["packet|nullability"], false),
        ("{\"session\":1,\"packet\":1}", vec!["session|dtype"], false),
        ("{\"session\":\"s\",\"packet\":1.0}", vec!["packet|dtype"], false),
        ("{\"session\":\"s\",\"packet\":70000}", vec!["packet|dtype"], false),
        ("{\"session\":\"s\",\"packet\":18446744073709551615}", vec!["packet|dtype"], false),
        ("{\"session\":\"s\",\"packet\":256}", vec!["packet|max"], false),
        ("{\"session\":\"s\",\"packet\":-1}", vec!["packet|min"], false),
        ("{\"session\":\"s\",\"packet\":1,\"packet\":2}", vec!["packet|duplicate"], false),
        ("{\"session\":\"s\",\"packet\":1,\"ch1_uv\":-1000.5}", vec!["ch1_uv|min_exclusive"], false),
        ("{\"session\":\"s\",\"packet\":1,\"ch1_uv\":1e300}", vec!["ch1_uv|dtype"], false),
        ("{\"session\":\"s\",\"packet\":1,\"event_time\":\"yesterday\"}", vec!["event_time|dtype"], false),
        ("{\"session\":\"s\",\"packet\":1,\"event_time\":{}}", vec!["event_time|dtype"], false),
        (
            "{\"ch1_uv\":-2000,\"event_time\":[],\"packet\":-1}",
            vec!["session|nullability", "packet|min", "event_time|dtype", "ch1_uv|min_exclusive"],
            false,
        ),
    ];
    for (index, (text, expected, is_whole)) in cases.iter().enumerate() {
        let mut buffer = buffer();
        push(&mut buffer, 10 + i64::try_from(index).unwrap(), text);
        let flush = buffer.take().unwrap();
        assert_eq!(flush.row_count(), 0, "{text}");
        assert_eq!(flush.rejects.num_rows(), 1, "{text}");
        assert_eq!(reasons(&flush.rejects, 0), *expected, "{text}");
        assert_eq!(flush.rejects.column_by_name("_row").unwrap().is_null(0), *is_whole, "{text}");
        assert_eq!(flush.dead_letters, u64::from(*is_whole), "{text}");
    }
}

#[test]
fn invalid_utf8_is_a_dead_letter_with_its_bytes() {
    let mut buffer = buffer();
    buffer.push(&Message { partition: Partition::new(0), offset: Offset(5), value: b"{\"session\":\"\xff\"}" }, 0);
    let flush = buffer.take().unwrap();
    assert_eq!(reasons(&flush.rejects, 0), ["message|utf8"]);
    assert_eq!(flush.rejects.column(0).as_binary::<i32>().value(0), b"{\"session\":\"\xff\"}");
}

#[test]
fn one_bad_line_takes_the_whole_message_with_it() {
    let mut buffer = buffer();
    push(&mut buffer, 5, "{\"session\":\"s\",\"packet\":1}\n{\"session\":\"s\",\"packet\":");
    let flush = buffer.take().unwrap();
    assert_eq!((flush.row_count(), flush.rejects.num_rows(), flush.dead_letters), (0, 1, 1));
}

#[test]
fn an_object_may_span_lines() {
    let mut buffer = buffer();
    push(&mut buffer, 5, "{\n \"session\": \"s\",\n \"packet\": 1\n}\n");
    assert_eq!(buffer.take().unwrap().row_count(), 1);
}

#[test]
fn a_full_block_is_sealed_unasked_and_in_order() {
    let mut buffer = buffer();
    let mut rejected = Vec::new();
    for offset in 5..30_005 {
        match offset % 5_000 {
            0 => push(&mut buffer, offset, "{\"session\":\"s\",\"packet\":256}"),
            1 => push(&mut buffer, offset, "no JSON"),
            _ => push(&mut buffer, offset, &format!("{{\"session\":\"{offset}\",\"packet\":1}}")),
        }
        if offset % 5_000 < 2 {
            rejected.push(offset);
        }
    }
    let waiting = buffer.waiting().unwrap();
    assert!(waiting.rows.len() > 3, "{} blocks", waiting.rows.len());
    assert_eq!(waiting.rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 30_000 - rejected.len());
    let [places] = waiting.rejected.as_slice() else { panic!("one batch") };
    assert_eq!(places["_offset"].as_primitive::<Int64Type>().values(), rejected.as_slice());
    assert!(places["_source"].as_string::<i32>().iter().all(|source| source == Some("t@1")));
    assert_eq!(places["_row"].null_count(), 6);
    assert_eq!(waiting.spans[&Partition::new(0)], Span { from: Offset(5), to: Offset(30_005) });
    assert_eq!(buffer.len(), 30_000);
    let held = buffer.bytes();
    let flush = buffer.take().unwrap();
    assert_eq!((flush.row_count(), flush.dead_letters, flush.bytes), (30_000 - rejected.len(), 6, held));
    let rows = joined(std::slice::from_ref(&flush));
    let offsets = rows.column_by_name("_offset").unwrap().as_primitive::<Int64Type>().values();
    let named = rows.column(0).as_string::<i32>().iter().flatten().map(|name| name.parse::<i64>().unwrap());
    assert!(offsets.is_sorted() && named.eq(offsets.iter().copied()));
    let found = flush.rejects.column_by_name("_offset").unwrap().as_primitive::<Int64Type>().values();
    assert_eq!(found, rejected.as_slice());
    assert_eq!(flush.rejects.column(0).as_binary::<i32>().value(1), b"no JSON");
    assert_eq!((buffer.len(), buffer.bytes(), buffer.is_empty()), (0, 0, true));
}

const RULES: &str = r#"{"id":"c0ffee","version":1,"warn":["label|regex"],"columns":[
  {"name":"start","type":"int64","nullable":false},
  {"name":"stop","type":"int64","nullable":true},
  {"name":"label","type":"string","nullable":true}],
  "rules":[
  {"id":"forward","test":{"any":[{"is_null":"start"},
    {"compare":{"op":"lt","left":{"column":"start"},"right":{"column":"stop"}}}]}},
  {"id":"label|regex","test":{"matches":{"column":"label","pattern":"^[a-z]+$"}}}]}"#;

#[test]
fn rules_are_asked_of_what_could_be_read_and_a_warning_keeps_its_row() {
    let cases: [(&str, &[&str], &[&str]); 7] = [
        (r#"{"start":1,"stop":2,"label":"a"}"#, &[], &[]),
        (r#"{"start":1,"stop":1,"label":"A"}"#, &["forward"], &[]),
        (r#"{"start":1,"stop":2,"label":"A"}"#, &[], &["label|regex"]),
        // Without a stop it cannot be told.
        (r#"{"start":1,"label":"A"}"#, &[], &["label|regex"]),
        // A start that could not be read is no null.
        (r#"{"start":"1","stop":2}"#, &["start|dtype"], &[]),
        (r#"{"start":3,"start":3,"stop":2}"#, &["start|duplicate"], &[]),
        (r#"{"stop":2,"label":4}"#, &["start|nullability", "label|dtype"], &[]),
    ];
    for (text, expected, warned) in cases {
        let contract = Arc::new(Contract::from_json(RULES).unwrap());
        let mut buffer = Buffer::new(contract, RowEncoding::Json, "t@1".to_owned(), 1_000, BTreeMap::new()).unwrap();
        push(&mut buffer, 0, text);
        let flush = buffer.take().unwrap();
        assert_eq!(flush.row_count(), usize::from(expected.is_empty()), "{text}");
        let found = if expected.is_empty() { Vec::new() } else { reasons(&flush.rejects, 0) };
        assert_eq!(found, expected, "{text}");
        assert!(flush.warnings.keys().eq(warned), "{text}: {:?}", flush.warnings);
    }
}

#[test]
fn a_rule_that_fits_no_column_is_a_named_error() {
    for (rule, reason) in [
        (r#"{"is_null":"other"}"#, "there is no column other"),
        (r#"{"is_true":"start"}"#, "no truth value"),
        (r#"{"is_nan":"start"}"#, "no real number"),
        (r#"{"matches":{"column":"label","pattern":"("}}"#, "unclosed group"),
        (r#"{"is_in":{"column":"start","values":["a"]}}"#, "no member"),
        (r#"{"compare":{"op":"lt","left":{"column":"start"},"right":{"text":"a"}}}"#, "compares Integer with Text"),
        (r#"{"compare":{"op":"lt","left":{"integer":1},"right":{"integer":2}}}"#, "two constants"),
        (r#"{"all":[]}"#, "joins no tests"),
    ] {
        let text = RULES.replace(r#"{"matches":{"column":"label","pattern":"^[a-z]+$"}}"#, rule);
        let said = Contract::from_json(&text).unwrap_err().to_string();
        assert!(said.contains("label|regex") && said.contains(reason), "{said}");
    }
    for warn in ["start|dtype", "start|nullability", "other"] {
        let said = Contract::from_json(&RULES.replace(r#"["label|regex"]"#, &format!("[\"{warn}\"]"))).unwrap_err();
        assert!(said.to_string().contains("can be a warning"), "{said}");
    }
}

/// Lines that a lax parser lets pass and a strict one refuses, beside good ones.
const TRICKY: &[&str] = &[
    r#"{"session":"a","packet":1}"#,
    r#"{"session":"a","packet":1,"ch1_uv":1e999}"#,
    r#"{"session":"\ud800","packet":1}"#,
    r#"{"session":"a","packet":1,"\ud800":1}"#,
    r#"{"session":"a","packet":1,"other":1e999}"#,
];

/// What one message left behind: as many rows as lines, or one whole reject.
#[test]
fn a_message_of_tricky_lines_is_never_split() {
    for first in TRICKY {
        for second in TRICKY {
            let mut buffer = buffer();
            push(&mut buffer, 5, &format!("{first}\n{second}"));
            let flush = buffer.take().unwrap();
            let held = (flush.row_count(), flush.rejects.num_rows(), flush.dead_letters);
            assert!(matches!(held, (2, 0, 0) | (0, 1, 1)), "{first} {second}: {held:?}");
        }
    }
}

#[test]
fn a_message_of_too_many_rows_is_one_dead_letter() {
    let contract = Arc::new(Contract::from_json(CONTRACT).unwrap());
    let mut buffer = Buffer::new(contract, RowEncoding::Json, "t@1".to_owned(), 8 << 20, BTreeMap::new()).unwrap();
    buffer
        .push(&Message { partition: Partition::new(0), offset: Offset(5), value: "{}\n".repeat(70_000).as_bytes() }, 0);
    let flush = buffer.take().unwrap();
    assert_eq!((flush.row_count(), flush.rejects.num_rows(), flush.dead_letters), (0, 1, 1));
    assert_eq!(reasons(&flush.rejects, 0), ["message|size"]);
}

fn message() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<i32>(), any::<Option<f32>>()).prop_map(|(packet, uv)| {
            let uv = uv.filter(|v| v.is_finite()).map_or("null".to_owned(), |v| format!("{v:e}"));
            format!("{{\"session\":\"s\",\"packet\":{packet},\"ch1_uv\":{uv}}}")
        }),
        "\\PC{0,40}",
        prop::collection::vec(prop::sample::select(TRICKY), 1..4).prop_map(|lines| lines.join("\n")),
        prop::collection::vec(0_i16..300, 0..4).prop_map(|packets| {
            packets.iter().map(|p| format!("{{\"session\":\"s\",\"packet\":{p}}}\n")).collect()
        }),
    ]
}

/// What happens to the buffer after a message.
#[derive(Debug, Clone, Copy)]
enum Cut {
    None,
    Seal,
    Take,
}

fn cut() -> impl Strategy<Value = Cut> {
    prop::sample::select(vec![Cut::None, Cut::None, Cut::Seal, Cut::Take])
}

proptest! {
    #[test]
    fn any_split_into_flushes_gives_the_same_rows(messages in prop::collection::vec((message(), cut()), 1..40)) {
        let mut whole = buffer();
        let mut split = buffer();
        let mut parts = Vec::new();
        for (index, (text, cut)) in messages.iter().enumerate() {
            let offset = 5 + 2 * i64::try_from(index).unwrap();
            push(&mut whole, offset, text);
            push(&mut split, offset, text);
            match cut {
                Cut::None => {}
                Cut::Seal => split.seal().unwrap(),
                Cut::Take => parts.push(split.take().unwrap()),
            }
        }
        parts.push(split.take().unwrap());
        let whole = whole.take().unwrap();
        prop_assert_eq!(joined(&parts), joined(std::slice::from_ref(&whole)));
        let rejects = concat_batches(&whole.rejects.schema(), parts.iter().map(|p| &p.rejects)).unwrap();
        prop_assert_eq!(rejects, whole.rejects);
        let mut next = Offset(5);
        for span in parts.iter().filter_map(|p| p.spans.get(&Partition::new(0))) {
            prop_assert_eq!(span.from, next);
            next = span.to;
        }
        prop_assert_eq!(next, whole.spans[&Partition::new(0)].to);
    }
}

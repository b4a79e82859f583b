//! Rows a second through a buffer on one core: `cargo run --release -p neuralake-core --example buffer_rate`.
//!
//! Rows of five columns and ~93 bytes of JSON, as `tests/bench` sends them, a message each; the same rows as Arrow IPC, many
//! to a message. Each run pushes and takes 100,000-row flushes.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float32Array, Int16Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_ipc::writer::StreamWriter;
use neuralake_core::buffer::{Buffer, Message};
use neuralake_core::contract::Contract;
use neuralake_core::decode::RowEncoding;
use neuralake_core::position::{Offset, Partition};

const CONTRACT: &str = r#"{"id":"c0ffee","version":1,"columns":[
  {"name":"session","type":"string","nullable":false},
  {"name":"packet","type":"int16","nullable":false,"min":0,"max":255},
  {"name":"event_time","type":"timestamp_us","nullable":true},
  {"name":"ch1_uv","type":"float32","nullable":true},
  {"name":"ch2_uv","type":"float32","nullable":true}]}"#;

const FLUSH_ROWS: usize = 100_000;
const FLUSHES: usize = 10;
const RUNS: usize = 5;

/// Rows of one Arrow message: as many as ~400 kB hold.
const BATCH_ROWS: usize = 8_192;

fn main() -> Result<(), Box<dyn Error>> {
    for (what, stride) in [("every row holds the contract", usize::MAX), ("one row in a hundred breaks it", 100)] {
        let rejects = (0..FLUSH_ROWS).filter(|number| is_bad(*number, stride)).count();
        for (name, encoding) in [("JSON", RowEncoding::Json), ("Arrow", RowEncoding::Arrow)] {
            let values = match encoding {
                RowEncoding::Json => (0..FLUSH_ROWS).map(|number| line(number, stride)).collect(),
                RowEncoding::Arrow => streams(stride)?,
            };
            let mut rates = (0..RUNS).map(|_| rate(encoding, &values, rejects)).collect::<Result<Vec<_>, _>>()?;
            rates.sort_by(f64::total_cmp);
            let (median, best) = (rates[RUNS / 2] / 1e6, rates[RUNS - 1] / 1e6);
            println!("{name}, {what}: {median:.2} M rows/s (best {best:.2})");
        }
    }
    Ok(())
}

fn rate(encoding: RowEncoding, values: &[Vec<u8>], rejects: usize) -> Result<f64, Box<dyn Error>> {
    let contract = Arc::new(Contract::from_json(CONTRACT)?);
    let mut buffer = Buffer::new(contract, encoding, "t@1".to_owned(), 1 << 20, BTreeMap::new())?;
    let (mut offset, mut rows, mut rejected) = (0, 0, 0);
    let start = Instant::now();
    for _ in 0..FLUSHES {
        for value in values {
            buffer.push(&Message { partition: Partition::new(0), offset: Offset(offset), value }, 42);
            offset += 1;
        }
        let flush = buffer.take()?;
        rows += flush.row_count();
        rejected += flush.rejects.num_rows();
    }
    let elapsed = start.elapsed().as_secs_f64();
    if (rows, rejected) != (FLUSHES * (FLUSH_ROWS - rejects), FLUSHES * rejects) {
        return Err(format!("{rows} rows, {rejected} rejects").into());
    }
    Ok((FLUSHES * FLUSH_ROWS) as f64 / elapsed)
}

/// Each `stride`th row has a packet below its bound.
fn is_bad(number: usize, stride: usize) -> bool {
    number % stride == stride - 1
}

fn packet(number: usize, stride: usize) -> i16 {
    let packet = i16::try_from(number % 255).unwrap_or(0) + 1;
    if is_bad(number, stride) { -packet } else { packet }
}

fn time_us(number: usize) -> i64 {
    1_700_000_000_000_000 + number as i64 * 4000
}

fn line(number: usize, stride: usize) -> Vec<u8> {
    format!(
        r#"{{"session":"s_0001","packet":{},"event_time":{},"ch1_uv":{}.25,"ch2_uv":{}.75}}"#,
        packet(number, stride),
        time_us(number),
        number % 97,
        number % 83,
    )
    .into_bytes()
}

fn streams(stride: usize) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let schema = Contract::from_json(CONTRACT)?.arrow_schema();
    let mut found = Vec::new();
    for start in (0..FLUSH_ROWS).step_by(BATCH_ROWS) {
        let rows = start..FLUSH_ROWS.min(start + BATCH_ROWS);
        let volts = |count: usize, rest: f32| rows.clone().map(move |n| (n % count) as f32 + rest);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.clone().map(|_| "s_0001"))),
            Arc::new(Int16Array::from_iter_values(rows.clone().map(|n| packet(n, stride)))),
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.clone().map(time_us)).with_timezone("UTC")),
            Arc::new(Float32Array::from_iter_values(volts(97, 0.25))),
            Arc::new(Float32Array::from_iter_values(volts(83, 0.75))),
        ];
        let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
        found.push(writer.into_inner()?);
    }
    Ok(found)
}

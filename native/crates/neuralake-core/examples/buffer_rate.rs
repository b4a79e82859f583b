//! Rows a second through a buffer on one core: `cargo run --release -p neuralake-core --example buffer_rate`.
//!
//! Messages of five columns and ~93 bytes, as `tests/bench` sends them; each run pushes and takes 100,000-row flushes.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use neuralake_core::buffer::{Buffer, Message};
use neuralake_core::contract::Contract;
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

fn main() -> Result<(), Box<dyn Error>> {
    for (what, stride) in [("every row holds the contract", usize::MAX), ("one row in a hundred breaks it", 100)] {
        let values = messages(stride);
        let mut rates = Vec::new();
        for _ in 0..RUNS {
            let contract = Arc::new(Contract::from_json(CONTRACT)?);
            let mut buffer = Buffer::new(contract, "t@1".to_owned(), 1 << 20, BTreeMap::new())?;
            let (mut offset, mut rejects) = (0, 0);
            let start = Instant::now();
            for _ in 0..FLUSHES {
                for value in &values {
                    buffer.push(&Message { partition: Partition(0), offset: Offset(offset), value }, 42);
                    offset += 1;
                }
                rejects += buffer.take()?.rejects.num_rows();
            }
            rates.push((FLUSHES * FLUSH_ROWS) as f64 / start.elapsed().as_secs_f64());
            if rejects != FLUSHES * values.iter().filter(|value| value.contains(&b'-')).count() {
                return Err(format!("{rejects} rejects").into());
            }
        }
        rates.sort_by(f64::total_cmp);
        println!("{what}: {:.2} M rows/s (best {:.2})", rates[RUNS / 2] / 1e6, rates[RUNS - 1] / 1e6);
    }
    Ok(())
}

/// Messages of one flush; each `stride`th has a packet below its bound.
fn messages(stride: usize) -> Vec<Vec<u8>> {
    (0..FLUSH_ROWS)
        .map(|number| {
            let sign = if number % stride == stride - 1 { "-" } else { "" };
            format!(
                r#"{{"session":"s_0001","packet":{sign}{},"event_time":{},"ch1_uv":{}.25,"ch2_uv":{}.75}}"#,
                number % 255 + 1,
                1_700_000_000_000_000_i64 + number as i64 * 4000,
                number % 97,
                number % 83,
            )
            .into_bytes()
        })
        .collect()
}

//! Rates of the journal on this machine: `cargo run --release --example journal_rate [folder]`.
//!
//! Messages of 90 bytes; an append ends with its fdatasync, a read checks every checksum.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use neuralake_stream::journal::{Reader, Topic, Writer, WriterOptions};

const VALUE_BYTES: usize = 90;
const BATCHES: [(usize, usize); 4] = [(1, 500), (100, 500), (10_000, 100), (1_000_000, 2)];
const POLL_MESSAGES: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let home = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let home = home.join(format!("journal-rate-{}", std::process::id()));
    let value = [b'x'; VALUE_BYTES];
    for (batch, appends) in BATCHES {
        let messages = batch * appends;
        let topic = Topic::create(&home, &format!("batch-{batch}"), 1)?;
        let writer = Writer::open(&topic, 0, WriterOptions::default())?;
        let start = Instant::now();
        for _ in 0..appends {
            writer.append((0..batch).map(|_| value.as_slice()), 0)?;
        }
        let append_s = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let mut reader = Reader::open(&topic, 0, 0)?;
        let (mut found, mut bytes) = (0, 0);
        loop {
            let count = reader.poll(POLL_MESSAGES, usize::MAX, &mut |message| bytes += message.value.len())?;
            if count == 0 {
                break;
            }
            found += count;
        }
        let read_s = start.elapsed().as_secs_f64();
        if (found, bytes) != (messages, messages * VALUE_BYTES) {
            return Err(format!("read {found} messages of {messages}").into());
        }
        println!(
            "batches of {batch:>7}: append {:>11.0} msg/s ({:>9.3} ms each), read {:>11.0} msg/s",
            messages as f64 / append_s,
            append_s / appends as f64 * 1e3,
            messages as f64 / read_s,
        );
    }
    std::fs::remove_dir_all(&home)?;
    Ok(())
}

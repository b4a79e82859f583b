//! The ceiling of librdkafka: a topic consumed by as many threads as a job would have, and nothing looked at.
//!
//! `raw_consume SPEC` reads the JSON that tests/bench writes (broker options, topic, messages, readers) and prints
//! messages and seconds as JSON.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a measurement, ended by whatever goes wrong

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use neuralake_stream::source::{Held, KafkaSource, Place, Source};

#[derive(serde::Deserialize)]
struct Spec {
    options: BTreeMap<String, String>,
    topic: String,
    messages: u64,
    readers: usize,
}

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let spec: Spec = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let started = Instant::now();
    let mut source = KafkaSource::open(&spec.options, &spec.topic, "raw").unwrap();
    let place = |held: Held| (held.partition, Place { offset: held.first, leader_epoch: None });
    let places = source.held().unwrap().into_iter().map(place).collect();
    let lanes = source.start(&places, spec.readers).unwrap();
    let (count, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for mut lane in lanes {
            let (count, bytes, wanted) = (&count, &bytes, spec.messages);
            scope.spawn(move || {
                while count.load(Ordering::Relaxed) < wanted {
                    let mut read = 0;
                    let look = &mut |message: &neuralake_core::buffer::Message<'_>| read += message.value.len() as u64;
                    let delivered = lane.poll(Duration::from_millis(20), 4096, look).unwrap();
                    count.fetch_add(delivered as u64, Ordering::Relaxed);
                    bytes.fetch_add(read, Ordering::Relaxed);
                }
            });
        }
    });
    let (messages, seconds) = (count.load(Ordering::Relaxed), started.elapsed().as_secs_f64());
    assert!(bytes.into_inner() > 0);
    println!("{}", serde_json::json!({ "messages": messages, "seconds": seconds }));
}

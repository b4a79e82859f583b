//! Whether the log still holds what lies before a place: Kafka's leader epochs (KIP-320).
//!
//! A broker that lost its tail and was written again holds other messages at offsets that were read before. It also
//! leads under a higher epoch since then, so the end of the epoch under which a message was read tells where the
//! log went another way. librdkafka asks this when it seeks, not when it is assigned, and with
//! `auto.offset.reset=earliest` it goes on from that end: a consumer that is thrown away afterwards shows the place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use neuralake_core::position::{Offset, Partition};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use super::kafka_admin::Quiet;
use super::kafka_ffi::next_place;
use super::{Place, kafka_assignment, kafka_refused};
use crate::StreamError;

/// How long the broker may take for all partitions together.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Longest wait for one answer, so that the deadline is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Ours over whatever the reader's configuration says.
const FIXED: [(&str, &str); 7] = [
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("statistics.interval.ms", "0"),
    // Places are wanted, not messages: the smallest fetch that a broker fills.
    ("fetch.message.max.bytes", "1"),
    ("queued.min.messages", "1"),
    ("queued.max.messages.kbytes", "1"),
    ("log_level", "0"),
];

impl ConsumerContext for Quiet {}

/// Partitions whose log was cut below their place, each with the first offset that is not what was read.
///
/// # Errors
/// `SourceUnreachable` when the broker does not tell in time.
pub(super) fn find_cuts(
    config: &ClientConfig,
    topic: &str,
    places: &BTreeMap<Partition, Place>,
) -> Result<BTreeMap<Partition, Offset>, StreamError> {
    let mut asked: BTreeMap<Partition, Place> = places
        .iter()
        .filter(|(_, place)| place.leader_epoch.is_some() && place.offset.0 > 0)
        .map(|(partition, place)| (*partition, *place))
        .collect();
    let mut cuts = BTreeMap::new();
    if asked.is_empty() {
        return Ok(cuts);
    }
    let refused = |e: KafkaError| kafka_refused(topic, &e);
    let mut config = config.clone();
    for (name, value) in FIXED {
        config.set(name, value);
    }
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).map_err(refused)?;
    let list = kafka_assignment(topic, &asked).map_err(refused)?;
    consumer.assign(&list).map_err(refused)?;
    let unreachable = |reason: String| StreamError::SourceUnreachable { topic: topic.to_owned(), reason };
    consumer.seek_partitions(list, ANSWER_WITHIN).map_err(|e| unreachable(e.to_string()))?;
    let deadline = Instant::now() + ANSWER_WITHIN;
    let mut said = "no answer".to_owned();
    while !asked.is_empty() {
        if Instant::now() > deadline {
            return Err(unreachable(format!("it does not tell how far its log is what was read: {said}")));
        }
        let Some(seen) = next_place(consumer.client(), LOOK_EVERY) else { continue };
        if let Some(error) = seen.error {
            said = error.to_string();
            continue;
        }
        if let Some(place) = asked.remove(&seen.partition)
            && seen.offset < place.offset
        {
            cuts.insert(seen.partition, seen.offset);
        }
    }
    Ok(cuts)
}

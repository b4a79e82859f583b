//! Kafka as a source.
//!
//! Partitions are assigned by hand at the positions of the table; `auto.offset.reset=error`, so that the client can
//! never jump. Read committed. The end of a partition is what the client reports as EOF: offsets cannot tell it, for
//! a transaction marker or a compacted tail leaves the last offset for ever out of reach.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use neuralake_core::buffer::Message;
use neuralake_core::position::{Offset, Partition};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{Held, Source};
use crate::StreamError;

/// How long the broker may take to answer a question at start.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Most bytes delivered before the buffer is asked whether it is full.
const TURN_BYTES: usize = 4 << 20;

/// Ours over whatever the user says: the laws stand on them.
const FIXED: [(&str, &str); 5] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
];

/// Measured on two cores with 1 M messages of 93 B: a queue of 16 MiB keeps the reader as busy as one of 128 MiB, for
/// half the memory and 8 % less CPU.
const TUNED: [(&str, &str); 6] = [
    ("queued.min.messages", "500000"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.queue.backoff.ms", "5"),
    ("reconnect.backoff.max.ms", "1000"),
    ("statistics.interval.ms", "1000"),
];

/// What the client's own threads tell us.
#[derive(Debug, Default)]
struct Told {
    lag: u64,
    trouble: Option<String>,
}

#[derive(Clone, Default)]
struct Listener {
    topic: String,
    told: Arc<Mutex<Told>>,
}

impl ClientContext for Listener {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        if let Ok(mut told) = self.told.lock() {
            told.trouble = Some(format!("{error}: {reason}"));
        }
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        let lag = topic.partitions.values().filter_map(|p| u64::try_from(p.consumer_lag).ok()).sum();
        let is_up = statistics.brokers.values().any(|broker| broker.state == "UP");
        if let Ok(mut told) = self.told.lock() {
            told.lag = lag;
            if is_up {
                told.trouble = None;
            }
        }
    }
}

impl ConsumerContext for Listener {}

/// Reads every partition of one topic.
pub struct KafkaSource {
    topic: String,
    consumer: BaseConsumer<Listener>,
    told: Arc<Mutex<Told>>,
    partitions: usize,
    ended: BTreeSet<Partition>,
}

impl KafkaSource {
    /// Make a client; nothing is asked of the broker yet.
    ///
    /// # Errors
    /// `SourceRefused` for an option that librdkafka does not know or take.
    pub fn open(options: &BTreeMap<String, String>, topic: &str, job: &str) -> Result<Self, StreamError> {
        let mut config = ClientConfig::new();
        for (name, value) in TUNED {
            config.set(name, value);
        }
        config.set("group.id", format!("neuralake.{job}"));
        for (name, value) in options {
            config.set(name, value);
        }
        for (name, value) in FIXED {
            config.set(name, value);
        }
        let told = Arc::default();
        let listener = Listener { topic: topic.to_owned(), told: Arc::clone(&told) };
        let consumer = config.create_with_context(listener).map_err(|e| refused(topic, &e))?;
        Ok(Self { topic: topic.to_owned(), consumer, told, partitions: 0, ended: BTreeSet::new() })
    }

    fn handle(&mut self, error: &KafkaError) -> Result<(), StreamError> {
        use RDKafkaErrorCode as Code;
        match error {
            KafkaError::PartitionEOF(partition) => {
                self.ended.insert(Partition(*partition));
                Ok(())
            }
            KafkaError::MessageConsumptionFatal(_) => Err(refused(&self.topic, error)),
            KafkaError::MessageConsumption(code) => match code {
                // After a damaged batch the client would go on behind it: the hole must not be committed.
                Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::TopicAuthorizationFailed
                | Code::BadMessage
                | Code::BadCompression
                | Code::MessageSizeTooLarge => Err(refused(&self.topic, error)),
                // A broker that starts may not know its topics yet, and a topic may be a new one of the old name:
                // the worker starts again and asks for the incarnation.
                Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
                    Err(self.unreachable(error))
                }
                // Away or ill: the client goes on trying, and so do we.
                _ => {
                    if let Ok(mut told) = self.told.lock() {
                        told.trouble = Some(error.to_string());
                    }
                    Ok(())
                }
            },
            _ => Err(refused(&self.topic, error)),
        }
    }

    fn unreachable(&self, error: &KafkaError) -> StreamError {
        let told = self.trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
        StreamError::SourceUnreachable { topic: self.topic.clone(), reason: format!("{error}{told}") }
    }
}

impl Source for KafkaSource {
    fn held(&mut self) -> Result<Vec<Held>, StreamError> {
        // Serves the client's callbacks, so that its own words are in the error below.
        let metadata =
            self.consumer.fetch_metadata(Some(&self.topic), ANSWER_WITHIN).map_err(|e| self.unreachable(&e))?;
        let partitions: Vec<i32> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.name() == self.topic)
            .flat_map(|topic| topic.partitions().iter().map(|p| p.id()))
            .collect();
        if partitions.is_empty() {
            // A broker that starts may not know its topics, or their leaders, yet.
            return Err(StreamError::SourceUnreachable {
                topic: self.topic.clone(),
                reason: "the broker tells of no partition of it".to_owned(),
            });
        }
        partitions
            .into_iter()
            .map(|partition| {
                let (first, end) = self
                    .consumer
                    .fetch_watermarks(&self.topic, partition, ANSWER_WITHIN)
                    .map_err(|e| self.unreachable(&e))?;
                Ok(Held { partition: Partition(partition), first: Offset(first), end: Offset(end) })
            })
            .collect()
    }

    fn start(&mut self, positions: &BTreeMap<Partition, Offset>) -> Result<(), StreamError> {
        let list = assignment(&self.topic, positions).map_err(|e| refused(&self.topic, &e))?;
        self.consumer.assign(&list).map_err(|e| refused(&self.topic, &e))?;
        self.partitions = positions.len();
        self.ended.clear();
        Ok(())
    }

    fn poll(
        &mut self,
        wait: Duration,
        limit: usize,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> Result<usize, StreamError> {
        let until = Instant::now() + wait;
        let (mut delivered, mut bytes) = (0, 0);
        while delivered < limit && bytes < TURN_BYTES {
            let patience =
                if delivered == 0 { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            let error = match self.consumer.poll(patience) {
                None => break,
                Some(Ok(message)) => {
                    let partition = Partition(message.partition());
                    if !self.ended.is_empty() {
                        self.ended.remove(&partition);
                    }
                    let offset = Offset(message.offset());
                    let value = message.payload().unwrap_or_default();
                    deliver(&Message { partition, offset, value });
                    bytes += value.len();
                    delivered += 1;
                    continue;
                }
                Some(Err(error)) => error,
            };
            self.handle(&error)?;
        }
        if delivered > 0
            && let Ok(mut told) = self.told.lock()
        {
            told.trouble = None;
        }
        Ok(delivered)
    }

    fn is_at_end(&self) -> bool {
        self.ended.len() == self.partitions
    }

    fn lag(&self) -> u64 {
        if self.is_at_end() { 0 } else { self.told.lock().map_or(0, |told| told.lag) }
    }

    fn trouble(&self) -> Option<String> {
        self.told.lock().ok().and_then(|told| told.trouble.clone())
    }

    fn note_committed(&mut self, positions: &BTreeMap<Partition, Offset>) {
        if let Ok(list) = assignment(&self.topic, positions) {
            // A hint for lag tools: a group coordinator that is away costs nothing.
            let _ = self.consumer.commit(&list, CommitMode::Async);
        }
    }
}

fn assignment(topic: &str, positions: &BTreeMap<Partition, Offset>) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (partition, position) in positions {
        list.add_partition_offset(topic, partition.0, rdkafka::Offset::Offset(position.0))?;
    }
    Ok(list)
}

fn refused(topic: &str, error: &KafkaError) -> StreamError {
    let reason = match error {
        // Its own text holds the value, which may be a secret.
        KafkaError::ClientConfig(_, reason, option, _) => format!("option {option}: {reason}"),
        other => other.to_string(),
    };
    StreamError::SourceRefused { topic: topic.to_owned(), reason }
}

//! Kafka as a source.
//!
//! Partitions are assigned by hand at the positions of the table; `auto.offset.reset=error`, so that the client can
//! never jump. Read committed. The end of a partition is what the client reports as EOF: offsets cannot tell it, for
//! a transaction marker or a compacted tail leaves the last offset for ever out of reach.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use neuralake_core::buffer::Message;
use neuralake_core::position::{Offset, Partition};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::kafka_queue::{Entry, Queue};
use super::{Held, Lane, Source, deal};
use crate::StreamError;

/// How long the broker may take to answer a question at start.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

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

/// A topic of Kafka: one client, whose lanes have a queue each.
pub struct KafkaSource {
    topic: String,
    consumer: Arc<BaseConsumer<Listener>>,
    told: Arc<Mutex<Told>>,
}

/// Reads some of its partitions.
struct KafkaLane {
    queue: Queue<Listener>,
    topic: String,
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
        Ok(Self { topic: topic.to_owned(), consumer: Arc::new(consumer), told })
    }

    fn unreachable(&self, error: &KafkaError) -> StreamError {
        unreachable(&self.topic, &self.told, error)
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

    fn start(
        &mut self,
        positions: &BTreeMap<Partition, Offset>,
        lanes: usize,
    ) -> Result<Vec<Box<dyn Lane>>, StreamError> {
        let own_queue = |dealt: Vec<Partition>| {
            let partitions = dealt.len();
            let queue = Queue::over(&self.consumer, &self.topic, dealt).ok_or_else(|| StreamError::SourceRefused {
                topic: self.topic.clone(),
                reason: "the client has no queue for its partitions".to_owned(),
            })?;
            let (topic, told) = (self.topic.clone(), Arc::clone(&self.told));
            Ok(Box::new(KafkaLane { queue, topic, told, partitions, ended: BTreeSet::new() }) as Box<dyn Lane>)
        };
        // Queues first: a message must not reach the client's own.
        let lanes = deal(positions.keys().copied(), lanes)
            .into_iter()
            .map(own_queue)
            .collect::<Result<Vec<_>, StreamError>>()?;
        let list = assignment(&self.topic, positions).map_err(|e| refused(&self.topic, &e))?;
        self.consumer.assign(&list).map_err(|e| refused(&self.topic, &e))?;
        Ok(lanes)
    }

    fn listen(&mut self) -> Result<(), StreamError> {
        while let Some(answer) = self.consumer.poll(Duration::ZERO) {
            match answer {
                Err(KafkaError::MessageConsumption(code)) => heed(&self.topic, &self.told, code)?,
                Err(error) => return Err(refused(&self.topic, &error)),
                // It is in no buffer, and the next one of its partition would cover it.
                Ok(_) => {
                    let reason = "a message came beside its lane".to_owned();
                    return Err(StreamError::SourceUnreachable { topic: self.topic.clone(), reason });
                }
            }
        }
        Ok(())
    }

    fn lag(&self) -> u64 {
        self.told.lock().map_or(0, |told| told.lag)
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

impl Lane for KafkaLane {
    fn poll(
        &mut self,
        wait: Duration,
        limit: usize,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> Result<usize, StreamError> {
        let (mut delivered, mut failed) = (0, None);
        let (topic, told, ended) = (&self.topic, &self.told, &mut self.ended);
        self.queue.drain(wait, limit, &mut |entry| match entry {
            // Behind a failure nothing may be delivered: the hole would be covered.
            _ if failed.is_some() => {}
            Entry::Message(message) => {
                if !ended.is_empty() {
                    ended.remove(&message.partition);
                }
                deliver(&message);
                delivered += 1;
            }
            Entry::Event(partition, RDKafkaErrorCode::PartitionEOF) => {
                ended.insert(partition);
            }
            Entry::Event(_, code) => failed = heed(topic, told, code).err(),
        });
        if delivered > 0
            && let Ok(mut told) = self.told.lock()
        {
            told.trouble = None;
        }
        failed.map_or(Ok(delivered), Err)
    }

    fn is_at_end(&self) -> bool {
        self.ended.len() == self.partitions
    }
}

/// What the client says: an error that stops the job, or a trouble that it will get over itself.
fn heed(topic: &str, told: &Mutex<Told>, code: RDKafkaErrorCode) -> Result<(), StreamError> {
    use RDKafkaErrorCode as Code;
    let error = KafkaError::MessageConsumption(code);
    match code {
        // After a damaged batch the client would go on behind it: the hole must not be committed.
        Code::Fatal
        | Code::AutoOffsetReset
        | Code::OffsetOutOfRange
        | Code::TopicAuthorizationFailed
        | Code::BadMessage
        | Code::BadCompression
        | Code::MessageSizeTooLarge => Err(refused(topic, &error)),
        // A broker that starts may not know its topics yet, and a topic may be a new one of the old name:
        // the worker starts again and asks for the incarnation.
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
            Err(unreachable(topic, told, &error))
        }
        // Away or ill: the client goes on trying, and so do we.
        _ => {
            if let Ok(mut told) = told.lock() {
                told.trouble = Some(error.to_string());
            }
            Ok(())
        }
    }
}

fn unreachable(topic: &str, told: &Mutex<Told>, error: &KafkaError) -> StreamError {
    let said = told.lock().ok().and_then(|told| told.trouble.clone());
    let said = said.map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    StreamError::SourceUnreachable { topic: topic.to_owned(), reason: format!("{error}{said}") }
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

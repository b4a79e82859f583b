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
use rdkafka::types::RDKafkaConfRes;
use uuid::Uuid;

use super::kafka_admin::{KafkaAdmin, KafkaGuard, Watch};
use super::kafka_ffi::set_leader_epochs;
use super::kafka_queue::{Entry, Queue};
use super::{Guard, Held, Lane, Place, Source, deal, find_missing, kafka_cut};
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
    /// How far lanes have delivered.
    places: BTreeMap<Partition, Place>,
    /// Whether the broker had nothing at one of them.
    has_lost_place: bool,
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
    config: ClientConfig,
    admin: KafkaAdmin,
    watch: Watch,
    id: Uuid,
    partitions: usize,
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
    /// Make the clients, and ask the broker which life of the topic it holds.
    ///
    /// # Errors
    /// `SourceRefused` for an option that librdkafka does not know or take, `TopicMissing`, `SourceUnreachable`.
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
        let consumer = config.create_with_context(listener).map_err(|e| refused(topic, &redacted(e, options)))?;
        let admin = KafkaAdmin::open(options, topic)?;
        let id = admin.describe()?.id;
        let (topic, watch) = (topic.to_owned(), Watch::new(admin.clone()));
        Ok(Self { topic, config, admin, watch, id, partitions: 0, consumer: Arc::new(consumer), told })
    }

    /// Why the broker has nothing at a place: the topic is another one, or its log is.
    fn find_lost_place(&mut self) -> Result<Option<StreamError>, StreamError> {
        let found = self.admin.describe()?.id;
        if found != self.id {
            return Err(StreamError::SourceReplaced { topic: self.topic.clone(), found: found.to_string() });
        }
        let places = self.told.lock().map(|told| told.places.clone()).unwrap_or_default();
        let held = self.held()?;
        let missing = find_missing(self, &held, &places)?;
        Ok(missing.first().map(|missing| missing.error(&self.topic, self.id)))
    }

    fn unreachable(&self, error: &KafkaError) -> StreamError {
        unreachable(&self.topic, &self.told, error)
    }
}

impl Source for KafkaSource {
    fn incarnation(&self) -> Uuid {
        self.id
    }

    fn guard(&self) -> Box<dyn Guard> {
        Box::new(KafkaGuard::new(self.admin.clone(), self.id))
    }

    fn cuts(&mut self, places: &BTreeMap<Partition, Place>) -> Result<BTreeMap<Partition, Offset>, StreamError> {
        kafka_cut::find_cuts(&self.config, &self.topic, places)
    }

    fn remembered(&mut self) -> Result<BTreeMap<Partition, Offset>, StreamError> {
        let mut asked = TopicPartitionList::new();
        for part in self.held()? {
            asked.add_partition(&self.topic, part.partition.number);
        }
        match self.consumer.committed_offsets(asked, ANSWER_WITHIN) {
            Ok(found) => Ok(found
                .elements()
                .iter()
                .filter_map(|element| match element.offset() {
                    rdkafka::Offset::Offset(offset) => Some((Partition::new(element.partition()), Offset(offset))),
                    _ => None,
                })
                .collect()),
            // Who may not ask for groups has never told one anything either.
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::GroupAuthorizationFailed)) => Ok(BTreeMap::new()),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    fn leader_epochs(&self) -> BTreeMap<Partition, i32> {
        let epochs = |told: std::sync::MutexGuard<'_, Told>| {
            told.places.iter().filter_map(|(partition, place)| Some((*partition, place.leader_epoch?))).collect()
        };
        self.told.lock().map(epochs).unwrap_or_default()
    }

    fn explain(&mut self, error: StreamError) -> StreamError {
        if !self.told.lock().is_ok_and(|told| told.has_lost_place) {
            return error;
        }
        match self.find_lost_place() {
            Ok(Some(found)) | Err(found) => found,
            // It is held again: the restart asks once more.
            Ok(None) => StreamError::SourceUnreachable { topic: self.topic.clone(), reason: error.to_string() },
        }
    }

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
                Ok(Held { partition: Partition::new(partition), first: Offset(first), end: Offset(end) })
            })
            .collect()
    }

    fn start(&mut self, places: &BTreeMap<Partition, Place>, lanes: usize) -> Result<Vec<Box<dyn Lane>>, StreamError> {
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
        let lanes =
            deal(places.keys().copied(), lanes).into_iter().map(own_queue).collect::<Result<Vec<_>, StreamError>>()?;
        self.partitions = places.len();
        if let Ok(mut told) = self.told.lock() {
            told.places.clone_from(places);
        }
        let list = assignment(&self.topic, places).map_err(|e| refused(&self.topic, &e))?;
        self.consumer.assign(&list).map_err(|e| refused(&self.topic, &e))?;
        // An assignment is believed; a seek validates the leader epoch before anything is fetched.
        self.consumer.seek_partitions(list, ANSWER_WITHIN).map_err(|e| self.unreachable(&e))?;
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

    fn has_grown(&mut self) -> Result<bool, StreamError> {
        match self.watch.look() {
            Some(found) if found.id != self.id => {
                Err(StreamError::SourceReplaced { topic: self.topic.clone(), found: found.id.to_string() })
            }
            Some(found) => Ok(found.partitions > self.partitions),
            None => Ok(false),
        }
    }

    fn lag(&self) -> u64 {
        self.told.lock().map_or(0, |told| told.lag)
    }

    fn trouble(&self) -> Option<String> {
        self.told.lock().ok().and_then(|told| told.trouble.clone())
    }

    fn note_committed(&mut self, positions: &BTreeMap<Partition, Offset>) {
        let places = positions
            .iter()
            .map(|(partition, offset)| (*partition, Place { offset: *offset, leader_epoch: None }))
            .collect();
        if let Ok(list) = assignment(&self.topic, &places) {
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
        let mut reached = Reached::default();
        let (topic, told, ended) = (&self.topic, &self.told, &mut self.ended);
        self.queue.drain(wait, limit, &mut |entry| match entry {
            // Behind a failure nothing may be delivered: the hole would be covered.
            _ if failed.is_some() => {}
            Entry::Message(message, leader_epoch) => {
                reached.note(message.partition, Place { offset: message.offset.next(), leader_epoch });
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
            told.places.extend(reached.places());
        }
        failed.map_or(Ok(delivered), Err)
    }

    fn is_at_end(&self) -> bool {
        self.ended.len() == self.partitions
    }
}

/// An error of a client's making, without the values of its options: any may be a secret.
fn redacted(error: KafkaError, options: &BTreeMap<String, String>) -> KafkaError {
    let KafkaError::ClientCreation(mut reason) = error else { return error };
    for value in options.values().filter(|value| !value.is_empty()) {
        reason = reason.replace(value.as_str(), "***");
    }
    KafkaError::ClientCreation(reason)
}

/// How far one turn has come: messages of a partition come in runs, so the last place is kept at hand.
#[derive(Default)]
struct Reached {
    last: Option<(Partition, Place)>,
    earlier: BTreeMap<Partition, Place>,
}

impl Reached {
    fn note(&mut self, partition: Partition, place: Place) {
        if let Some((former, at)) = self.last.replace((partition, place))
            && former != partition
        {
            self.earlier.insert(former, at);
        }
    }

    fn places(self) -> impl Iterator<Item = (Partition, Place)> {
        self.earlier.into_iter().chain(self.last)
    }
}

/// What the client says: an error that stops the job, or a trouble that it will get over itself.
fn heed(topic: &str, told: &Mutex<Told>, code: RDKafkaErrorCode) -> Result<(), StreamError> {
    use RDKafkaErrorCode as Code;
    let error = KafkaError::MessageConsumption(code);
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => {
            if let Ok(mut told) = told.lock() {
                told.has_lost_place = true;
            }
            Err(refused(topic, &error))
        }
        // After a damaged batch the client would go on behind it: the hole must not be committed.
        Code::Fatal
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

pub(super) fn assignment(topic: &str, places: &BTreeMap<Partition, Place>) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (partition, place) in places {
        list.add_partition_offset(topic, partition.number, rdkafka::Offset::Offset(place.offset.0))?;
    }
    let epochs: Vec<_> = places.values().map(|place| place.leader_epoch).collect();
    set_leader_epochs(&mut list, &epochs);
    Ok(list)
}

pub(super) fn refused(topic: &str, error: &KafkaError) -> StreamError {
    let reason = match error {
        // librdkafka's own text holds the value, which may be a secret.
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, option, _) => {
            format!("librdkafka has no option {option}")
        }
        KafkaError::ClientConfig(_, _, option, _) => {
            format!("librdkafka does not take the value given for its option {option}: wrong kind, or out of range")
        }
        other => other.to_string(),
    };
    StreamError::SourceRefused { topic: topic.to_owned(), reason }
}

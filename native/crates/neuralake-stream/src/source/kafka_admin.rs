//! Which topic the broker holds under a name: asked at start and before every commit.
//!
//! librdkafka follows a topic that was made anew under its old name without a word. So a commit waits for the answer
//! to a question that was sent after its last message came in: an old id then means that every message before it was
//! of the old topic, for an id never comes back. The question travels while the files are uploaded, over a connection
//! of its own: behind a waiting fetch it would take half a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaType;
use uuid::Uuid;

use super::kafka_ffi::{Described, Question};
use super::{Guard, kafka_refused};
use crate::StreamError;

/// How long the broker may take to answer one question.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A broker that has just started may not know its topics yet.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks at a topic that may grow: what lands in a new partition waits this long at most.
const WATCH_EVERY: Duration = Duration::from_secs(3);
/// Pause before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A client that speaks only in answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
    fn error(&self, _error: KafkaError, _reason: &str) {}
    fn stats(&self, _statistics: Statistics) {}
}

/// Asks a broker about one topic.
#[derive(Clone)]
pub(super) struct KafkaAdmin {
    topic: String,
    client: Arc<Client<Quiet>>,
}

impl KafkaAdmin {
    /// Make a client; nothing is asked of the broker yet.
    pub(super) fn open(options: &BTreeMap<String, String>, topic: &str) -> Result<Self, StreamError> {
        let mut config = ClientConfig::new();
        for (name, value) in options {
            config.set(name, value);
        }
        config.set("statistics.interval.ms", "0");
        // Its log would pile up on a queue that nobody reads.
        config.set("log_level", "0");
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let client = config
            .create_native_config()
            .and_then(|native| Client::new(&config, native, RDKafkaType::RD_KAFKA_PRODUCER, Quiet))
            .map_err(|e| kafka_refused(topic, &e))?;
        Ok(Self { topic: topic.to_owned(), client: Arc::new(client) })
    }

    /// Ask and wait, as long as a broker may take to know its topics after its own start.
    pub(super) fn describe(&self) -> Result<Described, StreamError> {
        let started = Instant::now();
        loop {
            let answer = self.ask().and_then(|question| question.answer(ANSWER_WITHIN));
            let found = match answer {
                Some(Ok(described)) => return Ok(described),
                Some(Err(code)) if is_final(code) => return Err(self.refused(code)),
                Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                    StreamError::TopicMissing { topic: self.topic.clone() }
                }
                Some(Err(code)) => self.unreachable(code.to_string()),
                None => self.unreachable("no answer".to_owned()),
            };
            if started.elapsed() > KNOWN_WITHIN {
                return Err(found);
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    fn ask(&self) -> Option<Question<Quiet>> {
        Question::ask(&self.client, &self.topic, ANSWER_WITHIN)
    }

    fn refused(&self, code: RDKafkaErrorCode) -> StreamError {
        StreamError::SourceRefused { topic: self.topic.clone(), reason: code.to_string() }
    }

    fn unreachable(&self, reason: String) -> StreamError {
        StreamError::SourceUnreachable { topic: self.topic.clone(), reason }
    }
}

/// Whether asking again can change nothing.
fn is_final(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::UnsupportedVersion
            | Code::InvalidTopic
    )
}

/// Looks now and then at a topic, without waiting for the answer.
pub(super) struct Watch {
    admin: KafkaAdmin,
    asked: Option<Question<Quiet>>,
    asked_at: Instant,
}

impl Watch {
    pub(super) fn new(admin: KafkaAdmin) -> Self {
        Self { admin, asked: None, asked_at: Instant::now() }
    }

    /// The topic, if an answer has just come in. No answer is no news: who reads finds out that a broker is away.
    pub(super) fn look(&mut self) -> Option<Described> {
        if let Some(question) = &self.asked {
            let answer = question.answer(Duration::ZERO)?;
            self.asked = None;
            return answer.ok();
        }
        if self.asked_at.elapsed() >= WATCH_EVERY {
            self.asked_at = Instant::now();
            self.asked = self.admin.ask();
        }
        None
    }
}

/// Holds a job to the life of the topic it began with.
pub(super) struct KafkaGuard {
    admin: KafkaAdmin,
    id: Uuid,
    asked: Option<Question<Quiet>>,
}

impl KafkaGuard {
    pub(super) fn new(admin: KafkaAdmin, id: Uuid) -> Self {
        Self { admin, id, asked: None }
    }
}

impl Guard for KafkaGuard {
    fn ask(&mut self) {
        self.asked = self.admin.ask();
    }

    fn confirm(&mut self) -> Result<(), StreamError> {
        // A question that was not answered is asked anew by the next call: its messages are older than both.
        let question = self.asked.take().or_else(|| self.admin.ask());
        match question.and_then(|question| question.answer(ANSWER_WITHIN)) {
            Some(Ok(Described { id, .. })) if id == self.id => Ok(()),
            Some(Ok(Described { id, .. })) => {
                Err(StreamError::SourceReplaced { topic: self.admin.topic.clone(), found: id.to_string() })
            }
            Some(Err(code)) if is_final(code) => Err(self.admin.refused(code)),
            Some(Err(code)) => Err(self.admin.unreachable(code.to_string())),
            None => Err(self.admin.unreachable("no answer".to_owned())),
        }
    }
}

//! What a job is, as the Python side says it.

use std::path::PathBuf;
use std::time::Duration;

use neuralake_core::contract::Contract;
use neuralake_core::decode::RowEncoding;
use neuralake_core::position::Partition;
use neuralake_lake::StoreSpec;
use serde::{Deserialize, Deserializer};

use super::disk::DiskPolicy;
use crate::StreamError;
use crate::source::SourceSpec;

/// Where a partition begins that the table has no position for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// With the first message held.
    Earliest,
    /// With the next message produced.
    Latest,
}

/// What to do where the source does not hold a position any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Stop with an error that names what is missing.
    #[default]
    Fail,
    /// Go on with the first message held that was not read.
    Earliest,
    /// Go on with the next message produced.
    Latest,
}

/// A choice and the one start it was made for.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnMissing {
    /// What to do.
    pub choice: Choice,
    /// Names the choice by a random number: the table remembers the last one that was spent.
    pub token: i64,
}

/// What a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Lines of JSON, rows of a declared table.
    #[default]
    Json,
    /// One Arrow IPC stream, rows of a declared table.
    Arrow,
    /// A sample packet, blocks of a signal table.
    Packets,
}

impl Encoding {
    /// How rows are written, where a message holds rows.
    #[must_use]
    pub fn rows(self) -> Option<RowEncoding> {
        match self {
            Self::Json => Some(RowEncoding::Json),
            Self::Arrow => Some(RowEncoding::Arrow),
            Self::Packets => None,
        }
    }
}

/// When a buffer is flushed: whichever comes first.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlushPolicy {
    /// Rows waiting.
    pub max_rows: usize,
    /// Bytes waiting.
    pub max_bytes: usize,
    /// Age of the oldest message waiting.
    pub max_age_ms: u64,
    /// Bytes waiting and under way to the store; past them nothing more is read.
    pub budget_bytes: usize,
}

/// A whole job.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Name of the job, which is the name of its table.
    pub job: String,
    /// Topics it reads, each once; one may be written as a text.
    #[serde(alias = "topic", deserialize_with = "one_or_many")]
    pub topics: Vec<String>,
    /// What its messages hold.
    #[serde(default)]
    pub encoding: Encoding,
    /// Store of the lake.
    pub store: StoreSpec,
    /// Source of the topic.
    pub source: SourceSpec,
    /// What a row must be.
    pub contract: Contract,
    /// Where to begin.
    pub start: StartAt,
    /// What this start does where a position is not held any more.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// When to flush.
    pub flush: FlushPolicy,
    /// Threads that read and decode; more than there are partitions are not started, and each topic has one.
    pub readers: usize,
    /// A larger message is a dead letter.
    pub max_message_bytes: usize,
    /// How long a commit may stay in doubt, and a store away, before the process gives up and starts again.
    pub deadline_s: u64,
    /// Commits between two checkpoints.
    pub checkpoint_every: u64,
    /// Where to answer live reads; without it there are none.
    #[serde(default)]
    pub live_socket: Option<PathBuf>,
    /// Disks that this job fills.
    #[serde(default)]
    pub disk: DiskPolicy,
    /// Plan of deaths for fault tests.
    #[serde(default)]
    pub kill_plan: Option<PathBuf>,
}

impl JobSpec {
    /// Read a spec.
    ///
    /// # Errors
    /// `SpecInvalid` when it is no spec, or the contract contradicts itself.
    pub fn from_json(text: &str) -> Result<Self, StreamError> {
        let spec: Self = serde_json::from_str(text).map_err(|e| StreamError::SpecInvalid(e.to_string()))?;
        if spec.encoding.rows().is_some() {
            spec.contract.validate()?;
        }
        spec.check_topics()?;
        spec.check_bounds()?;
        Ok(spec)
    }

    /// Refuse a topic named twice, and packets of several: the table remembers on which partition a stream comes, by
    /// its number alone.
    fn check_topics(&self) -> Result<(), StreamError> {
        if let Some(twice) = self.topics.iter().enumerate().find(|(at, topic)| self.topics[..*at].contains(topic)) {
            return Err(StreamError::SpecInvalid(format!("topic {} is named twice", twice.1)));
        }
        if self.encoding == Encoding::Packets && self.topics.len() > 1 {
            return Err(StreamError::SpecInvalid("sample packets come from one topic".to_owned()));
        }
        Ok(())
    }

    /// Refuse what would never, or always, flush, and what a batch cannot hold.
    fn check_bounds(&self) -> Result<(), StreamError> {
        let flush = &self.flush;
        let bounded = [
            ("flush.max_rows", flush.max_rows as u64, i32::MAX.unsigned_abs().into()),
            // A column of texts in one batch is addressed by 31 bits; half of that leaves room for one message more.
            ("flush.max_bytes", flush.max_bytes as u64, 1 << 30),
            ("flush.max_age_ms", flush.max_age_ms, 86_400_000),
            // Each has a client and a thread of its own.
            ("topics", self.topics.len() as u64, 64),
            ("readers", self.readers as u64, 256),
            ("max_message_bytes", self.max_message_bytes as u64, 1 << 30),
            ("deadline_s", self.deadline_s, 86_400),
            ("checkpoint_every", self.checkpoint_every, u64::MAX),
        ];
        for (name, value, most) in bounded {
            if !(1..=most).contains(&value) {
                return Err(StreamError::SpecInvalid(format!("{name} is {value}, expected 1 to {most}")));
            }
        }
        if flush.budget_bytes < flush.max_bytes {
            let (budget, most) = (flush.budget_bytes, flush.max_bytes);
            return Err(StreamError::SpecInvalid(format!(
                "flush.budget_bytes is {budget}, less than flush.max_bytes, {most}"
            )));
        }
        Ok(())
    }

    /// The deadline as a duration.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s)
    }

    /// Name of the table for rejects.
    #[must_use]
    pub fn quarantine(&self) -> String {
        format!("{}__quarantine", self.job)
    }

    pub(super) fn epoch_key(&self) -> String {
        format!("{}/epoch", self.job)
    }

    pub(super) fn incarnation_key(&self, topic: u16) -> String {
        format!("{}/{}/id", self.job, self.topic(topic))
    }

    /// Key of what a flush has the table remember.
    pub(super) fn mark_key(&self, mark: &str) -> String {
        format!("{}/{mark}", self.job)
    }

    pub(super) fn position_key(&self, partition: Partition) -> String {
        format!("{}/{}/{}", self.job, self.topic(partition.topic), partition.number)
    }

    /// Kafka's leader epoch of the message before the position; -1 where it is not known.
    pub(super) fn leader_epoch_key(&self, partition: Partition) -> String {
        format!("{}/leader_epoch", self.position_key(partition))
    }

    /// How often the log was cut below a position and read on all the same.
    pub(super) fn branch_key(&self, topic: u16) -> String {
        format!("{}/{}/branch", self.job, self.topic(topic))
    }

    /// The last choice that was spent.
    pub(super) fn choice_key(&self) -> String {
        format!("{}/choice", self.job)
    }

    /// Name of a topic by its place in the list.
    pub(super) fn topic(&self, topic: u16) -> &str {
        &self.topics[usize::from(topic)]
    }

    /// A partition as reports and errors name it: by its number, and by its topic where there are several.
    pub(super) fn partition_name(&self, partition: Partition) -> String {
        if self.topics.len() == 1 {
            return partition.number.to_string();
        }
        format!("{}/{}", self.topic(partition.topic), partition.number)
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Named::deserialize(deserializer)? {
        Named::One(topic) => vec![topic],
        Named::Many(topics) => topics,
    })
}

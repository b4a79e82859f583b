//! What a job is, as the Python side says it.

use std::path::PathBuf;
use std::time::Duration;

use neuralake_core::contract::Contract;
use neuralake_lake::StoreSpec;
use serde::Deserialize;

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
    /// Topic it reads.
    pub topic: String,
    /// Store of the lake.
    pub store: StoreSpec,
    /// Source of the topic.
    pub source: SourceSpec,
    /// What a row must be.
    pub contract: Contract,
    /// Where to begin.
    pub start: StartAt,
    /// When to flush.
    pub flush: FlushPolicy,
    /// Threads that read and decode; more than the topic has partitions are not started.
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
        spec.contract.validate()?;
        Ok(spec)
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

    pub(super) fn incarnation_key(&self) -> String {
        format!("{}/{}/id", self.job, self.topic)
    }

    pub(super) fn position_key(&self, partition: i32) -> String {
        format!("{}/{}/{partition}", self.job, self.topic)
    }
}

//! Where messages come from: the journal or Kafka, read alike.
//!
//! A source is read from positions given by hand, never from what a broker remembers of us. It delivers each
//! partition in the order of its offsets; gaps are normal.

mod journal;
mod kafka;
mod kafka_admin;
mod kafka_cut;
mod kafka_ffi;
mod kafka_queue;
mod missing;
mod topics;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use neuralake_core::buffer::Message;
use neuralake_core::position::{Offset, Partition};
use serde::Deserialize;

use crate::StreamError;
pub use journal::JournalSource;
pub use kafka::KafkaSource;
use kafka::{assignment as kafka_assignment, refused as kafka_refused};
pub use missing::{Cause, Missing, find_missing};
pub use topics::{TopicLane, Topics};

/// A position, with what proves that the log before it is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Next offset to read.
    pub offset: Offset,
    /// Kafka's leader epoch of the message before it, where it is known.
    pub leader_epoch: Option<i32>,
}

/// Holds a job to the life of the topic it began with.
pub trait Guard: Send {
    /// Send the question, without waiting: it covers every message delivered before this call.
    fn ask(&mut self) {}

    /// Wait for the answer.
    ///
    /// # Errors
    /// `SourceReplaced` when the topic was made anew, `SourceUnreachable` when the source does not answer in time.
    fn confirm(&mut self) -> Result<(), StreamError>;
}

/// What a partition holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Partition.
    pub partition: Partition,
    /// First offset held.
    pub first: Offset,
    /// Offset after the last one.
    pub end: Offset,
}

/// A topic under reading.
pub trait Source: Send {
    /// Identity of the topic; another one under the same name has another.
    fn incarnation(&self) -> uuid::Uuid;

    /// Who asks, before each commit, that the topic is still this one.
    fn guard(&self) -> Box<dyn Guard>;

    /// Partitions whose log was cut below their place and written again, each with the first offset that is not what
    /// was read.
    ///
    /// # Errors
    /// `SourceUnreachable` when the source does not answer.
    fn cuts(&mut self, _places: &BTreeMap<Partition, Place>) -> Result<BTreeMap<Partition, Offset>, StreamError> {
        Ok(BTreeMap::new())
    }

    /// What the broker remembers of a job of this name: a hint that it once read here.
    ///
    /// # Errors
    /// `SourceUnreachable` when the source does not answer.
    fn remembered(&mut self) -> Result<BTreeMap<Partition, Offset>, StreamError> {
        Ok(BTreeMap::new())
    }

    /// What proves the log before the messages that lanes have delivered last.
    fn leader_epochs(&self) -> BTreeMap<Partition, i32> {
        BTreeMap::new()
    }

    /// Say more of the error of a lane, by asking the source.
    fn explain(&mut self, error: StreamError) -> StreamError {
        error
    }

    /// What each partition holds.
    ///
    /// # Errors
    /// `SourceUnreachable` when the source does not answer.
    fn held(&mut self) -> Result<Vec<Held>, StreamError>;

    /// Begin at these places, one for every partition to be read, with the partitions dealt out over at most
    /// `lanes` lanes.
    ///
    /// # Errors
    /// A position that is not held, or a source that does not answer.
    fn start(&mut self, places: &BTreeMap<Partition, Place>, lanes: usize) -> Result<Vec<Box<dyn Lane>>, StreamError>;

    /// Hear what the source says beside its messages; called ten times a second while lanes read.
    ///
    /// # Errors
    /// What cannot be waited out; a broker that is away is waited for.
    fn listen(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    /// Whether the topic has more partitions than it was started with; asks now and then, and never waits.
    ///
    /// # Errors
    /// `SourceReplaced` when the topic is another one.
    fn has_grown(&mut self) -> Result<bool, StreamError> {
        Ok(false)
    }

    /// Messages known to wait beyond what the lanes say, as far as the source tells.
    fn lag(&self) -> u64 {
        0
    }

    /// Why nothing comes at the moment, if the source is away.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Tell how far the table is: to Kafka's lag tools, a hint that nothing of ours reads; to the journal, which trims
    /// nothing above it.
    fn note_committed(&mut self, _positions: &BTreeMap<Partition, Offset>) {}
}

/// Some partitions of a topic, read by one thread. Each partition is in one lane, and comes in order.
pub trait Lane: Send {
    /// Deliver what there is, about `limit` messages; wait at most `wait` for the first. Returns how many.
    ///
    /// # Errors
    /// What cannot be waited out; a broker that is away is waited for.
    fn poll(
        &mut self,
        wait: Duration,
        limit: usize,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> Result<usize, StreamError>;

    /// Whether every partition's end was reached and no message delivered since.
    fn is_at_end(&self) -> bool;

    /// Messages known to wait in its partitions, where a lane can tell.
    fn lag(&self) -> u64 {
        0
    }
}

/// Deal partitions out over lanes, evenly; at least one lane, and none without a partition.
fn deal<T>(partitions: impl ExactSizeIterator<Item = T>, lanes: usize) -> Vec<Vec<T>> {
    let count = lanes.min(partitions.len()).max(1);
    let mut dealt: Vec<Vec<T>> = (0..count).map(|_| Vec::new()).collect();
    for (index, partition) in partitions.enumerate() {
        dealt[index % count].push(partition);
    }
    dealt
}

/// Which source, as the Python side says it.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceSpec {
    /// Our own journal below a directory.
    Journal {
        /// Directory of all topics.
        directory: PathBuf,
    },
    /// A Kafka broker.
    Kafka {
        /// Options under librdkafka's names; may hold secrets.
        options: BTreeMap<String, String>,
    },
}

/// Open the topic of a job, which must be there.
///
/// # Errors
/// What the source says.
pub fn open(spec: &SourceSpec, topic: &str, job: &str) -> Result<Box<dyn Source>, StreamError> {
    Ok(match spec {
        SourceSpec::Journal { directory } => Box::new(JournalSource::open(directory, topic, job)?),
        SourceSpec::Kafka { options } => Box::new(KafkaSource::open(options, topic, job)?),
    })
}

//! The topics of one job: a source each, read as one.
//!
//! A source knows its own partitions alone. Here they get the place of their topic in the job's list, so that two
//! topics with the same numbers and offsets stay apart. A lane never mixes topics.

use std::collections::BTreeMap;
use std::time::Duration;

use neuralake_core::buffer::Message;
use neuralake_core::position::{Offset, Partition};

use super::{Guard, Lane, Place, Source, SourceSpec, open};
use crate::StreamError;

/// A lane, and the topic it reads by its place in the job's list.
pub struct TopicLane {
    /// Topic.
    pub topic: u16,
    /// Its lane.
    pub lane: Box<dyn Lane>,
}

/// The open topics of a job, in its order.
pub struct Topics(Vec<Box<dyn Source>>);

impl Topics {
    /// Open the topics of a job, which must all be there.
    ///
    /// # Errors
    /// What the source says of the first that cannot be opened.
    pub fn open(spec: &SourceSpec, topics: &[String], job: &str) -> Result<Self, StreamError> {
        topics.iter().map(|topic| open(spec, topic, job)).collect::<Result<_, _>>().map(Self)
    }

    /// Each topic with its place in the job's list; it names its partitions as if it were the first.
    pub fn each(&mut self) -> impl Iterator<Item = (u16, &mut dyn Source)> {
        (0..).zip(self.0.iter_mut().map(|source| &mut **source as &mut dyn Source))
    }

    /// Identity of each topic.
    #[must_use]
    pub fn incarnations(&self) -> Vec<uuid::Uuid> {
        self.0.iter().map(|source| source.incarnation()).collect()
    }

    /// Who asks, before each commit, that every topic is still the one it was.
    #[must_use]
    pub fn guard(&self) -> Box<dyn Guard> {
        Box::new(Guards(self.0.iter().map(|source| source.guard()).collect()))
    }

    /// Begin at these places, with the partitions of each topic dealt out over lanes of its own: `lanes` in all, and
    /// one for each topic at least.
    ///
    /// # Errors
    /// A position that is not held, or a source that does not answer.
    pub fn start(&mut self, places: &BTreeMap<Partition, Place>, lanes: usize) -> Result<Vec<TopicLane>, StreamError> {
        let mut partitions = vec![0; self.0.len()];
        for partition in places.keys() {
            partitions[usize::from(partition.topic)] += 1;
        }
        let mut started = Vec::new();
        for ((topic, source), lanes) in self.each().zip(shares(&partitions, lanes)) {
            for lane in source.start(&own(places, topic), lanes)? {
                // The first topic's partitions are named as the job names them.
                let lane = if topic == 0 { lane } else { Box::new(Placed { topic, lane }) };
                started.push(TopicLane { topic, lane });
            }
        }
        Ok(started)
    }

    /// Hear what the sources say beside their messages.
    ///
    /// # Errors
    /// What cannot be waited out.
    pub fn listen(&mut self) -> Result<(), StreamError> {
        self.0.iter_mut().try_for_each(|source| source.listen())
    }

    /// Whether one of the topics has more partitions than it was started with.
    ///
    /// # Errors
    /// `SourceReplaced` when a topic is another one.
    pub fn has_grown(&mut self) -> Result<bool, StreamError> {
        let mut has_grown = false;
        for source in &mut self.0 {
            has_grown |= source.has_grown()?;
        }
        Ok(has_grown)
    }

    /// Messages known to wait beyond what the lanes say.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.0.iter().map(|source| source.lag()).sum()
    }

    /// Why nothing comes at the moment from the first topic whose source is away.
    #[must_use]
    pub fn trouble(&self) -> Option<(u16, String)> {
        (0..).zip(&self.0).find_map(|(topic, source)| Some((topic, source.trouble()?)))
    }

    /// What proves the log before the messages that lanes have delivered last.
    #[must_use]
    pub fn leader_epochs(&self) -> BTreeMap<Partition, i32> {
        let mut epochs = BTreeMap::new();
        for (topic, source) in (0..).zip(&self.0) {
            epochs.extend(source.leader_epochs().into_iter().map(|(partition, epoch)| (partition.of(topic), epoch)));
        }
        epochs
    }

    /// Say more of an error, by asking the sources.
    #[must_use]
    pub fn explain(&mut self, error: StreamError) -> StreamError {
        self.0.iter_mut().fold(error, |error, source| source.explain(error))
    }

    /// Tell each topic how far the table is in it.
    pub fn note_committed(&mut self, positions: &BTreeMap<Partition, Offset>) {
        for (topic, source) in self.each() {
            let positions = own(positions, topic);
            if !positions.is_empty() {
                source.note_committed(&positions);
            }
        }
    }
}

/// What is known of one topic's partitions, as its source names them.
fn own<T: Copy>(all: &BTreeMap<Partition, T>, topic: u16) -> BTreeMap<Partition, T> {
    let of_topic = all.iter().filter(|(partition, _)| partition.topic == topic);
    of_topic.map(|(partition, value)| (partition.of(0), *value)).collect()
}

/// How many lanes each topic gets: one, and of those left over the next always to whoever has most partitions in each.
fn shares(partitions: &[usize], lanes: usize) -> Vec<usize> {
    let mut shares = vec![1; partitions.len()];
    for _ in partitions.len()..lanes {
        let open = (0..partitions.len()).filter(|topic| shares[*topic] < partitions[*topic]);
        let fullest = open.max_by(|one, other| {
            let (left, right) = (partitions[*one] * shares[*other], partitions[*other] * shares[*one]);
            left.cmp(&right).then(other.cmp(one))
        });
        let Some(topic) = fullest else { break };
        shares[topic] += 1;
    }
    shares
}

/// A lane of a topic that is not the first.
struct Placed {
    topic: u16,
    lane: Box<dyn Lane>,
}

impl Lane for Placed {
    fn poll(
        &mut self,
        wait: Duration,
        limit: usize,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> Result<usize, StreamError> {
        let topic = self.topic;
        self.lane.poll(wait, limit, &mut |message| {
            deliver(&Message { partition: message.partition.of(topic), ..*message });
        })
    }

    fn is_at_end(&self) -> bool {
        self.lane.is_at_end()
    }

    fn lag(&self) -> u64 {
        self.lane.lag()
    }
}

/// The guards of all topics: a commit holds rows of any of them.
struct Guards(Vec<Box<dyn Guard>>);

impl Guard for Guards {
    fn ask(&mut self) {
        self.0.iter_mut().for_each(|guard| guard.ask());
    }

    fn confirm(&mut self) -> Result<(), StreamError> {
        self.0.iter_mut().try_for_each(|guard| guard.confirm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_has_a_lane_and_those_left_over_go_where_the_partitions_are() {
        assert_eq!(shares(&[3], 1), [1]);
        assert_eq!(shares(&[3], 8), [3]);
        assert_eq!(shares(&[1, 6, 2], 1), [1, 1, 1]);
        assert_eq!(shares(&[1, 6, 2], 5), [1, 3, 1]);
        assert_eq!(shares(&[1, 6, 2], 7), [1, 4, 2]);
        assert_eq!(shares(&[2, 2], 3), [2, 1]);
        assert_eq!(shares(&[1, 1], 9), [1, 1]);
    }

    #[test]
    fn what_is_told_to_a_topic_is_its_own() {
        let at = |topic, number| Partition { topic, number };
        let all = BTreeMap::from([(at(0, 0), 5), (at(0, 1), 6), (at(1, 0), 7), (at(2, 1), 8)]);
        assert_eq!(own(&all, 0), BTreeMap::from([(at(0, 0), 5), (at(0, 1), 6)]));
        assert_eq!(own(&all, 1), BTreeMap::from([(at(0, 0), 7)]));
        assert_eq!(own(&all, 3), BTreeMap::new());
    }
}

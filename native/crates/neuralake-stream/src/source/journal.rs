//! The journal as a source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use neuralake_core::buffer::Message;
use neuralake_core::position::{Offset, Partition};
use neuralake_lake::Faults;

use super::{Guard, Held, Lane, Place, Source, deal};
use crate::StreamError;
use crate::clock::{Clock, SystemClock};
use crate::journal::{JournalError, Reader, Topic, advance, register, trim_by_retention, watermarks};

/// Pause between two looks at a journal that has nothing new: short beside a flush, long beside a look.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Most bytes taken from one partition before the next has its turn.
const TURN_BYTES: usize = 4 << 20;

/// A topic of the journal.
#[derive(Debug)]
pub struct JournalSource {
    directory: PathBuf,
    topic: Topic,
    /// The name under which it is registered, so that nothing it has yet to read is trimmed.
    job: String,
    /// Why its position could not be moved; told where the job listens.
    failure: Option<StreamError>,
}

/// Reads some of its partitions.
#[derive(Debug)]
struct JournalLane {
    topic: String,
    readers: Vec<(Partition, Reader)>,
    lag: u64,
}

impl JournalSource {
    /// Open a topic below `directory`.
    ///
    /// # Errors
    /// `journal-topic-missing` and the journal's other errors.
    pub fn open(directory: &Path, topic: &str, job: &str) -> Result<Self, StreamError> {
        let (directory, topic) = (directory.to_path_buf(), Topic::open(directory, topic)?);
        Ok(Self { directory, topic, job: job.to_owned(), failure: None })
    }

    fn move_on(&self, positions: &BTreeMap<Partition, Offset>) -> Result<(), StreamError> {
        advance(&self.topic, &self.job, &plain(positions), SystemClock.now_us())?;
        trim_by_retention(&self.topic, SystemClock.now_us(), &Faults::default())?;
        Ok(())
    }
}

impl JournalLane {
    /// One round over the partitions; what each still holds is the lag.
    fn look(&mut self, limit: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Result<usize, StreamError> {
        let mut delivered = 0;
        let mut lag = 0;
        for (partition, reader) in &mut self.readers {
            let partition = *partition;
            let polled = reader.poll(limit.saturating_sub(delivered), TURN_BYTES, &mut |message| {
                deliver(&Message { partition, offset: offset(message.offset), value: message.value });
            });
            delivered += polled.map_err(|e| missing(&self.topic, partition, e))?;
            lag += reader.end_offset()?.saturating_sub(reader.position());
        }
        self.lag = lag;
        Ok(delivered)
    }
}

/// A place that the journal does not hold, in the words of every source.
fn missing(topic: &str, partition: Partition, error: JournalError) -> StreamError {
    let (topic, partition) = (topic.to_owned(), partition.number);
    match error {
        JournalError::OffsetTrimmed { offset: position, first, .. } => {
            StreamError::PositionDeleted { topic, partition, position: offset(position).0, first: offset(first).0 }
        }
        JournalError::OffsetBeyondEnd { offset: position, next, .. } => {
            StreamError::PositionPastEnd { topic, partition, position: offset(position).0, end: offset(next).0 }
        }
        other => other.into(),
    }
}

/// Looks whether the topic's folder is still the one that was opened.
struct JournalGuard {
    directory: PathBuf,
    topic: Topic,
}

impl Guard for JournalGuard {
    fn confirm(&mut self) -> Result<(), StreamError> {
        let found = Topic::open(&self.directory, self.topic.name())?.incarnation();
        if found == self.topic.incarnation() {
            return Ok(());
        }
        Err(StreamError::SourceReplaced { topic: self.topic.name().to_owned(), found: found.to_string() })
    }
}

impl Source for JournalSource {
    fn incarnation(&self) -> uuid::Uuid {
        self.topic.incarnation()
    }

    fn guard(&self) -> Box<dyn Guard> {
        Box::new(JournalGuard { directory: self.directory.clone(), topic: self.topic.clone() })
    }

    fn held(&mut self) -> Result<Vec<Held>, StreamError> {
        (0..self.topic.partitions())
            .map(|partition| {
                let (first, end) = watermarks(&self.topic, partition)?;
                Ok(Held { partition: number(partition), first: offset(first), end: offset(end) })
            })
            .collect()
    }

    fn start(&mut self, places: &BTreeMap<Partition, Place>, lanes: usize) -> Result<Vec<Box<dyn Lane>>, StreamError> {
        let positions = places.iter().map(|(partition, place)| (*partition, place.offset)).collect();
        register(&self.topic, &self.job, &plain(&positions), SystemClock.now_us())?;
        deal(places.iter(), lanes)
            .into_iter()
            .map(|dealt| {
                let readers = dealt.into_iter().map(|(partition, place)| {
                    let number = u32::try_from(partition.number).unwrap_or(u32::MAX);
                    let from = u64::try_from(place.offset.0).unwrap_or(0);
                    let reader = Reader::open(&self.topic, number, from);
                    Ok((*partition, reader.map_err(|e| missing(self.topic.name(), *partition, e))?))
                });
                let readers = readers.collect::<Result<_, StreamError>>()?;
                let topic = self.topic.name().to_owned();
                Ok(Box::new(JournalLane { topic, readers, lag: 0 }) as Box<dyn Lane>)
            })
            .collect()
    }

    fn listen(&mut self) -> Result<(), StreamError> {
        self.failure.take().map_or(Ok(()), Err)
    }

    fn note_committed(&mut self, positions: &BTreeMap<Partition, Offset>) {
        self.failure = self.move_on(positions).err();
    }
}

impl Lane for JournalLane {
    fn poll(
        &mut self,
        wait: Duration,
        limit: usize,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> Result<usize, StreamError> {
        let until = Instant::now() + wait;
        loop {
            let delivered = self.look(limit, deliver)?;
            if delivered > 0 || Instant::now() >= until {
                return Ok(delivered);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn is_at_end(&self) -> bool {
        self.lag == 0
    }

    fn lag(&self) -> u64 {
        self.lag
    }
}

fn plain(positions: &BTreeMap<Partition, Offset>) -> BTreeMap<u32, u64> {
    positions
        .iter()
        .map(|(partition, offset)| {
            (u32::try_from(partition.number).unwrap_or(u32::MAX), u64::try_from(offset.0).unwrap_or(0))
        })
        .collect()
}

fn offset(value: u64) -> Offset {
    Offset(i64::try_from(value).unwrap_or(i64::MAX))
}

fn number(partition: u32) -> Partition {
    Partition::new(i32::try_from(partition).unwrap_or(i32::MAX))
}

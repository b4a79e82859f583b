//! The journal as a source.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use neuralake_core::buffer::Message;
use neuralake_core::position::{Offset, Partition};
use neuralake_lake::Faults;

use super::{Held, Lane, Source, deal};
use crate::StreamError;
use crate::clock::{Clock, SystemClock};
use crate::journal::{Reader, Topic, advance, register, trim_by_retention, watermarks};

/// Pause between two looks at a journal that has nothing new: short beside a flush, long beside a look.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Most bytes taken from one partition before the next has its turn.
const TURN_BYTES: usize = 4 << 20;

/// A topic of the journal.
#[derive(Debug)]
pub struct JournalSource {
    topic: Topic,
    /// The name under which it is registered, so that nothing it has yet to read is trimmed.
    job: String,
    /// Why its position could not be moved; told where the job listens.
    failure: Option<StreamError>,
}

/// Reads some of its partitions.
#[derive(Debug)]
struct JournalLane {
    readers: Vec<(Partition, Reader)>,
    lag: u64,
}

impl JournalSource {
    /// Open a topic below `directory`.
    ///
    /// # Errors
    /// `journal-topic-missing` and the journal's other errors.
    pub fn open(directory: &Path, topic: &str, job: &str) -> Result<Self, StreamError> {
        Ok(Self { topic: Topic::open(directory, topic)?, job: job.to_owned(), failure: None })
    }

    fn move_on(&self, positions: &BTreeMap<Partition, Offset>) -> Result<(), StreamError> {
        advance(&self.topic, &self.job, &plain(positions), SystemClock.now_us())?;
        trim_by_retention(&self.topic, SystemClock.now_us(), &Faults::default())?;
        Ok(())
    }

    /// Identity of the topic.
    #[must_use]
    pub fn incarnation(&self) -> String {
        self.topic.incarnation().to_string()
    }
}

impl JournalLane {
    /// One round over the partitions; what each still holds is the lag.
    fn look(&mut self, limit: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Result<usize, StreamError> {
        let mut delivered = 0;
        let mut lag = 0;
        for (partition, reader) in &mut self.readers {
            let partition = *partition;
            delivered += reader.poll(limit.saturating_sub(delivered), TURN_BYTES, &mut |message| {
                deliver(&Message { partition, offset: offset(message.offset), value: message.value });
            })?;
            lag += reader.end_offset()?.saturating_sub(reader.position());
        }
        self.lag = lag;
        Ok(delivered)
    }
}

impl Source for JournalSource {
    fn held(&mut self) -> Result<Vec<Held>, StreamError> {
        (0..self.topic.partitions())
            .map(|partition| {
                let (first, end) = watermarks(&self.topic, partition)?;
                Ok(Held { partition: number(partition), first: offset(first), end: offset(end) })
            })
            .collect()
    }

    fn start(
        &mut self,
        positions: &BTreeMap<Partition, Offset>,
        lanes: usize,
    ) -> Result<Vec<Box<dyn Lane>>, StreamError> {
        register(&self.topic, &self.job, &plain(positions), SystemClock.now_us())?;
        deal(positions.iter(), lanes)
            .into_iter()
            .map(|dealt| {
                let readers = dealt.into_iter().map(|(partition, position)| {
                    let number = u32::try_from(partition.0).unwrap_or(u32::MAX);
                    let from = u64::try_from(position.0).unwrap_or(0);
                    Ok((*partition, Reader::open(&self.topic, number, from)?))
                });
                let readers = readers.collect::<Result<_, StreamError>>()?;
                Ok(Box::new(JournalLane { readers, lag: 0 }) as Box<dyn Lane>)
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
            (u32::try_from(partition.0).unwrap_or(u32::MAX), u64::try_from(offset.0).unwrap_or(0))
        })
        .collect()
}

fn offset(value: u64) -> Offset {
    Offset(i64::try_from(value).unwrap_or(i64::MAX))
}

fn number(partition: u32) -> Partition {
    Partition(i32::try_from(partition).unwrap_or(i32::MAX))
}

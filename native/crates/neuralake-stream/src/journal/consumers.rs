//! Who reads a topic, and how far each has come.
//!
//! `consumers.json` of the topic's folder names them, with their positions and with what the topic keeps. It is replaced
//! as a whole, durably, under a lock that trimming holds as well: a consumer is either seen by a trimming or told that
//! its position is gone. A position that is older than the truth keeps more than need be; none is ever ahead of it, for
//! it is moved after the commit it tells of is durable.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};

use serde::{Deserialize, Serialize};

use super::disk::sync_directory;
use super::error::{JournalError, Result};
use super::lock::Lock;
use super::reader::watermarks;
use super::topic::Topic;
use super::trim::Retention;

const FORMAT: u32 = 1;
const FILE: &str = "consumers.json";
const TEMPORARY: &str = "consumers.json.tmp";
const LOCK: &str = "consumers.lock";

/// One that must not lose what it has not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Next offset it will read, by partition; a partition that is not named is not read yet.
    pub positions: BTreeMap<u32, u64>,
    /// When it last said so, microseconds since 1970, UTC.
    pub moved_at_us: i64,
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    format: u32,
    pub(super) consumers: BTreeMap<String, Consumer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retention: Option<Retention>,
}

impl Book {
    /// The lowest position that anybody has in a partition; `None` when nobody is registered.
    pub(super) fn lowest(&self, partition: u32) -> Option<u64> {
        self.consumers.values().map(|consumer| consumer.positions.get(&partition).copied().unwrap_or(0)).min()
    }
}

/// The book, held by its lock.
pub(super) struct OpenBook<'a> {
    topic: &'a Topic,
    pub(super) book: Book,
    _lock: Lock,
}

impl<'a> OpenBook<'a> {
    pub(super) fn open(topic: &'a Topic) -> Result<Self> {
        let lock = Lock::wait(&topic.directory().join(LOCK))?;
        Ok(Self { topic, book: read(topic)?, _lock: lock })
    }

    fn write(&mut self) -> Result<()> {
        self.book.format = FORMAT;
        let folder = self.topic.directory();
        let (path, temporary) = (folder.join(FILE), folder.join(TEMPORARY));
        let text =
            serde_json::to_vec_pretty(&self.book).map_err(|error| JournalError::io("write", &path)(error.into()))?;
        let mut handle = File::create(&temporary).map_err(JournalError::io("create", &temporary))?;
        handle.write_all(&text).map_err(JournalError::io("write", &temporary))?;
        handle.sync_all().map_err(JournalError::sync(&temporary))?;
        fs::rename(&temporary, &path).map_err(JournalError::io("rename", &temporary))?;
        sync_directory(folder)
    }
}

/// All consumers of a topic by name.
///
/// # Errors
/// [`JournalError::Damaged`], [`JournalError::FormatUnknown`], [`JournalError::Io`].
pub fn consumers(topic: &Topic) -> Result<BTreeMap<String, Consumer>> {
    Ok(read(topic)?.consumers)
}

/// What a topic keeps of its own accord; `None`: everything.
///
/// # Errors
/// As [`consumers`].
pub fn retention(topic: &Topic) -> Result<Option<Retention>> {
    Ok(read(topic)?.retention)
}

/// Register a consumer at the positions where it goes on; from now on nothing at or above them is trimmed.
///
/// # Errors
/// [`JournalError::OffsetTrimmed`]: a position is gone already. What [`consumers`] returns, and
/// [`JournalError::SyncFailed`].
pub fn register(topic: &Topic, name: &str, positions: &BTreeMap<u32, u64>, now_us: i64) -> Result<()> {
    let mut open = OpenBook::open(topic)?;
    for (partition, offset) in positions {
        let (first, _) = watermarks(topic, *partition)?;
        if *offset < first {
            let partition = topic.partition(*partition)?;
            return Err(JournalError::OffsetTrimmed { partition, offset: *offset, first });
        }
    }
    let consumer = Consumer { positions: positions.clone(), moved_at_us: now_us };
    open.book.consumers.insert(name.to_owned(), consumer);
    open.write()
}

/// Move a consumer on, after what lies below the positions was committed durably. One that was dropped meanwhile is
/// registered again: it lives.
///
/// # Errors
/// As [`register`].
pub fn advance(topic: &Topic, name: &str, positions: &BTreeMap<u32, u64>, now_us: i64) -> Result<()> {
    let mut open = OpenBook::open(topic)?;
    let consumer = open
        .book
        .consumers
        .entry(name.to_owned())
        .or_insert_with(|| Consumer { positions: BTreeMap::new(), moved_at_us: now_us });
    consumer.moved_at_us = now_us;
    for (partition, offset) in positions {
        let position = consumer.positions.entry(*partition).or_default();
        *position = (*position).max(*offset);
    }
    open.write()
}

/// Forget a consumer, which holds nothing back any more; returns what was known of it.
///
/// # Errors
/// [`JournalError::ConsumerUnknown`], and what [`register`] returns.
pub fn drop_consumer(topic: &Topic, name: &str) -> Result<Consumer> {
    let mut open = OpenBook::open(topic)?;
    let Some(consumer) = open.book.consumers.remove(name) else {
        let known = open.book.consumers.keys().cloned().collect();
        return Err(JournalError::ConsumerUnknown { topic: topic.name().to_owned(), name: name.to_owned(), known });
    };
    open.write()?;
    Ok(consumer)
}

/// Say what a topic keeps of its own accord; `None`: everything.
///
/// # Errors
/// As [`register`].
pub fn set_retention(topic: &Topic, retention: Option<Retention>) -> Result<()> {
    let mut open = OpenBook::open(topic)?;
    open.book.retention = retention;
    open.write()
}

fn read(topic: &Topic) -> Result<Book> {
    let path = topic.directory().join(FILE);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Book::default()),
        text => text.map_err(JournalError::io("read", &path))?,
    };
    let book: Book = serde_json::from_slice(&text)
        .map_err(|error| JournalError::damaged(&path, 0, 0, format!("no list of consumers: {error}")))?;
    if book.format != FORMAT {
        return Err(JournalError::FormatUnknown { file: path, found: book.format, known: FORMAT });
    }
    Ok(book)
}

//! A topic: its folder, its identity and its partitions.
//!
//! `topic.json` appears as the last step of a creation, whole and durable, so a topic is either there or not. Of two
//! processes that create one at once, one makes it and both return the same incarnation.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disk::{create_directory, sync_directory};
use super::error::{JournalError, Result};
use super::lock::Lock;
use super::segment::list_segments;

const FORMAT: u32 = 2;
const FILE: &str = "topic.json";
const TEMPORARY: &str = "topic.json.tmp";
const LOCK: &str = "topic.lock";
const NAME_BYTES: usize = 249;

#[derive(Debug, Serialize, Deserialize)]
struct TopicFile {
    format: u32,
    topic: String,
    incarnation: String,
    partitions: u32,
}

/// The one field every format has.
#[derive(Deserialize)]
struct FormatField {
    format: u32,
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    name: String,
    directory: PathBuf,
    incarnation: Uuid,
    partitions: u32,
}

impl Topic {
    /// Create `<directory>/<topic>` with its partitions, durable on return; one that exists is opened.
    ///
    /// # Errors
    /// [`JournalError::TopicInvalid`], [`JournalError::PartitionsDiffer`] (also for zero), what [`Topic::open`]
    /// returns, [`JournalError::SyncFailed`], [`JournalError::Io`].
    pub fn create(directory: &Path, topic: &str, partitions: u32) -> Result<Self> {
        let folder = topic_folder(directory, topic)?;
        if partitions == 0 {
            return Err(JournalError::PartitionsDiffer { topic: topic.to_owned(), wanted: 0, found: 0 });
        }
        create_directory(&folder)?;
        let _one_creator = Lock::wait(&folder.join(LOCK))?;
        let created = match Self::open(directory, topic) {
            Err(JournalError::TopicMissing { .. }) => Self::make(folder, topic, partitions)?,
            found => found?,
        };
        created.sync_directories()?;
        if created.partitions != partitions {
            let found = created.partitions;
            return Err(JournalError::PartitionsDiffer { topic: topic.to_owned(), wanted: partitions, found });
        }
        Ok(created)
    }

    /// Open a topic that exists.
    ///
    /// # Errors
    /// [`JournalError::TopicInvalid`], [`JournalError::TopicMissing`], [`JournalError::FormatUnknown`],
    /// [`JournalError::Damaged`] if `topic.json` cannot be understood, [`JournalError::Io`].
    pub fn open(directory: &Path, topic: &str) -> Result<Self> {
        let folder = topic_folder(directory, topic)?;
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let directory = directory.to_path_buf();
                return Err(JournalError::TopicMissing { topic: topic.to_owned(), directory });
            }
            text => text.map_err(JournalError::io("read", &path))?,
        };
        let unreadable = |found: String| JournalError::damaged(&path, 0, 0, found);
        let FormatField { format } =
            serde_json::from_slice(&text).map_err(|error| unreadable(format!("no topic description: {error}")))?;
        if format != FORMAT {
            return Err(JournalError::FormatUnknown { file: path, found: format, known: FORMAT });
        }
        let file: TopicFile =
            serde_json::from_slice(&text).map_err(|error| unreadable(format!("no topic description: {error}")))?;
        if file.topic != topic || file.partitions == 0 {
            return Err(unreadable(format!("describes topic {:?} of {} partitions", file.topic, file.partitions)));
        }
        let incarnation =
            Uuid::parse_str(&file.incarnation).map_err(|error| unreadable(format!("no incarnation: {error}")))?;
        Ok(Self { name: file.topic, directory: folder, incarnation, partitions: file.partitions })
    }

    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which life of the name this is; another one has other messages at the same offsets.
    #[must_use]
    pub fn incarnation(&self) -> Uuid {
        self.incarnation
    }

    /// Number of partitions, fixed at creation.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn partition_directory(&self, partition: u32) -> PathBuf {
        self.directory.join(partition.to_string())
    }

    /// The folder of a partition that exists.
    pub(super) fn partition(&self, partition: u32) -> Result<PathBuf> {
        if partition >= self.partitions {
            let (topic, partitions) = (self.name.clone(), self.partitions);
            return Err(JournalError::PartitionUnknown { topic, partition, partitions });
        }
        Ok(self.partition_directory(partition))
    }

    /// Make the entries of every folder from the partitions up to the one that holds the journal durable.
    pub(super) fn sync_directories(&self) -> Result<()> {
        for partition in 0..self.partitions {
            sync_directory(&self.partition_directory(partition))?;
        }
        for folder in self.directory.ancestors().take(3) {
            match sync_directory(folder) {
                // A folder we may not read is one we did not make.
                Err(JournalError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    fn make(directory: PathBuf, name: &str, partitions: u32) -> Result<Self> {
        let topic = Self { name: name.to_owned(), directory, incarnation: Uuid::new_v4(), partitions };
        for partition in 0..partitions {
            let folder = topic.partition_directory(partition);
            create_directory(&folder)?;
            if !list_segments(&folder)?.is_empty() {
                let path = topic.directory.join(FILE);
                return Err(JournalError::damaged(&path, 0, 0, "the file is gone, but the topic holds messages"));
            }
        }
        topic.sync_directories()?;
        topic.publish()?;
        Ok(topic)
    }

    fn publish(&self) -> Result<()> {
        let (path, temporary) = (self.directory.join(FILE), self.directory.join(TEMPORARY));
        let file = TopicFile {
            format: FORMAT,
            topic: self.name.clone(),
            incarnation: self.incarnation.to_string(),
            partitions: self.partitions,
        };
        let mut text =
            serde_json::to_vec_pretty(&file).map_err(|error| JournalError::io("write", &path)(error.into()))?;
        text.push(b'\n');
        let mut handle = File::create(&temporary).map_err(JournalError::io("create", &temporary))?;
        handle.write_all(&text).map_err(JournalError::io("write", &temporary))?;
        handle.sync_all().map_err(JournalError::sync(&temporary))?;
        fs::rename(&temporary, &path).map_err(JournalError::io("rename", &temporary))?;
        sync_directory(&self.directory)
    }
}

/// Where a topic lives, as an absolute path, if its name is valid.
fn topic_folder(directory: &Path, topic: &str) -> Result<PathBuf> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=NAME_BYTES).contains(&topic.len()) || topic == "." || topic == ".." || !topic.bytes().all(is_allowed) {
        return Err(JournalError::TopicInvalid { topic: topic.to_owned() });
    }
    let directory = std::path::absolute(directory).map_err(JournalError::io("find", directory))?;
    Ok(directory.join(topic))
}

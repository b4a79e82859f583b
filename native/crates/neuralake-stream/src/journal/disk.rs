//! The writes and fsyncs of the journal behind one trait, so that tests can make them fail or look in between.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;

use super::error::{JournalError, Result};

/// What a writer does to a disk.
pub trait Disk: Debug + Send + Sync {
    /// Write all `bytes` at `position`.
    ///
    /// # Errors
    /// The system's answer; some bytes may have been written.
    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Make what was written durable, with the length it gave the file (fdatasync).
    ///
    /// # Errors
    /// The system's answer; the caller never asks again.
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// Make the file durable in every respect: new, or cut shorter (fsync).
    ///
    /// # Errors
    /// The system's answer; the caller never asks again.
    fn sync_all(&self, file: &File) -> io::Result<()>;

    /// Give the file room for its next bytes, as zeros, so that writing them changes no length.
    ///
    /// # Errors
    /// The system's answer; nothing depends on it.
    fn allocate(&self, file: &File, room: Range<u64>) -> io::Result<()>;
}

/// The disk itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        file.write_all_at(bytes, position)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn allocate(&self, file: &File, room: Range<u64>) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), room.start, room.end - room.start)?)
    }
}

/// Make the entries of a folder durable.
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    let handle = File::open(directory).map_err(JournalError::io("open", directory))?;
    handle.sync_all().map_err(JournalError::sync(directory))
}

/// Create a folder with all that is missing above it, each entry durable.
pub(super) fn create_directory(directory: &Path) -> Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    for new in missing.iter().rev() {
        match fs::create_dir(new) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(JournalError::io("create", new)(error));
            }
            // A folder found instead of made may be another process's, which has not synced it yet.
            _ => new.parent().map_or(Ok(()), sync_directory)?,
        }
    }
    Ok(())
}

//! Who may write to a partition.
//!
//! Two lock files, always taken in this order: `recovery.lock` (waited for, held for the moment of a recovery) and
//! `writer.lock` (never waited for, held as long as a writer lives). A reader that recovers holds both, so a writer
//! that finds `writer.lock` taken has met another writer and nothing else.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

use super::error::{JournalError, Result};

const RECOVERY: &str = "recovery.lock";
const WRITER: &str = "writer.lock";

/// Held until dropped; the system drops it with the process.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Wait for the lock file at `path`.
    pub(super) fn wait(path: &Path) -> Result<Self> {
        let file = open(path)?;
        file.lock().map_err(JournalError::io("lock", path))?;
        Ok(Self(file))
    }

    /// Wait until nobody recovers the partition.
    pub(super) fn recovery(partition: &Path) -> Result<Self> {
        Self::wait(&partition.join(RECOVERY))
    }

    /// Become the partition's lock holder; `None` if there is one.
    pub(super) fn writer(partition: &Path) -> Result<Option<Self>> {
        let path = partition.join(WRITER);
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(JournalError::io("lock", &path)(source)),
        }
        file.set_len(0)
            .and_then(|()| write!(&file, "{}", std::process::id()))
            .map_err(JournalError::io("write", &path))?;
        Ok(Some(Self(file)))
    }

    /// Keep the lock until the process ends, whatever becomes of its holder.
    pub(super) fn keep_until_exit(self) {
        std::mem::forget(self);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // By word, not by closing the file alone: a process that another thread is just starting holds a copy of it
        // until it runs its own program, and the lock with it.
        let _ = self.0.unlock();
    }
}

/// Who holds the writer's lock, in words.
pub(super) fn holder(partition: &Path) -> String {
    match std::fs::read_to_string(partition.join(WRITER)) {
        Ok(pid) if pid.trim() == std::process::id().to_string() => "another writer in this process".to_owned(),
        Ok(pid) if !pid.trim().is_empty() => format!("process {}", pid.trim()),
        _ => "another writer".to_owned(),
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(JournalError::io("open", path))
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::Lock;

    #[test]
    fn a_copy_of_the_file_in_a_starting_process_does_not_hold_a_lock_that_was_given_back() {
        let home = tempdir().unwrap();
        let lock = Lock::writer(home.path()).unwrap().unwrap();
        let copy = lock.0.try_clone().unwrap();
        assert!(Lock::writer(home.path()).unwrap().is_none());
        drop(lock);
        assert!(Lock::writer(home.path()).unwrap().is_some());
        drop(copy);
    }
}

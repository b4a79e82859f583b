//! Group commit: one sync for all who wait for it.
//!
//! Whoever needs a sync while none runs becomes the one who syncs; all that was written before it began is covered, so
//! whoever waits meanwhile has one sync of his own to wait for at most. Two syncs never run at once: the system tells
//! of a lost write once only, and the other one would believe it was well.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use neuralake_lake::Faults;

use super::disk::Disk;
use super::error::{JournalError, Result};
use super::mark::{Mark, MarkFile};

/// An end of the log, and the bytes that this writer had to do with up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) next_offset: u64,
    pub(super) bytes: u64,
}

/// How far a partition is written and synced.
#[derive(Debug)]
struct Progress {
    segment: Arc<File>,
    path: PathBuf,
    mark_file: MarkFile,
    /// The end of the last whole batch that the system has.
    written: Mark,
    /// What consumers see; on disk.
    published: Mark,
    written_bytes: u64,
    published_bytes: u64,
    is_syncing: bool,
    /// What stopped the writer, and whether anybody was told.
    failure: Option<(JournalError, bool)>,
}

/// The progress of a partition, and those who wait for it.
#[derive(Debug)]
pub(super) struct Group {
    disk: Arc<dyn Disk>,
    faults: Arc<Faults>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Group {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        faults: Arc<Faults>,
        segment: (Arc<File>, PathBuf),
        mark_file: MarkFile,
        mark: Mark,
    ) -> Self {
        let (segment, path) = segment;
        let progress = Progress {
            segment,
            path,
            mark_file,
            written: mark,
            published: mark,
            written_bytes: 0,
            published_bytes: 0,
            is_syncing: false,
            failure: None,
        };
        Self { disk, faults, progress: Mutex::new(progress), changed: Condvar::new() }
    }

    /// What consumers see.
    pub(super) fn published(&self) -> Mark {
        self.progress().published
    }

    /// The end of what the system has.
    pub(super) fn written(&self) -> Mark {
        self.progress().written
    }

    /// Messages and bytes that were published, and written, since the writer was opened.
    pub(super) fn totals(&self) -> (Total, Total) {
        let progress = self.progress();
        let total = |mark: Mark, bytes| Total { next_offset: mark.next_offset, bytes };
        (total(progress.published, progress.published_bytes), total(progress.written, progress.written_bytes))
    }

    /// A whole batch of `bytes` was written up to `end`.
    pub(super) fn note_written(&self, end: Mark, bytes: u64) {
        let mut progress = self.progress();
        progress.written = end;
        progress.written_bytes += bytes;
        drop(progress);
        self.changed.notify_all();
    }

    /// Refuse once the writer has stopped: the first to ask hears why.
    pub(super) fn check(&self) -> Result<()> {
        let mut progress = self.progress();
        let file = progress.path.clone();
        match &mut progress.failure {
            None => Ok(()),
            Some((_, true)) => Err(JournalError::WriterStopped { file }),
            Some((error, is_told)) => {
                *is_told = true;
                Err(error.again())
            }
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.progress().failure.is_some()
    }

    /// Whether nothing that this process says of the disk can be believed any more.
    pub(super) fn has_failed_sync(&self) -> bool {
        self.progress().failure.as_ref().is_some_and(|(error, _)| error.is_fatal())
    }

    /// Stop the writer; returns the error, for the one caller who hears of it first.
    pub(super) fn fail(&self, error: JournalError, is_told: bool) -> JournalError {
        let mut progress = self.progress();
        let copy = error.again();
        progress.failure.get_or_insert((error, is_told));
        drop(progress);
        self.changed.notify_all();
        copy
    }

    /// Wait until every offset below `upto` is on disk and published; sync if nobody else does.
    pub(super) fn sync(&self, upto: u64) -> Result<()> {
        let mut progress = self.progress();
        loop {
            if progress.published.next_offset >= upto {
                return Ok(());
            }
            if let Some((error, is_told)) = &mut progress.failure {
                *is_told = true;
                return Err(error.again());
            }
            if progress.is_syncing || progress.written.next_offset < upto {
                progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            progress = self.lead(progress);
        }
    }

    /// Do something to the segment while no sync runs; a failure of it is the caller's to judge.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut progress = self.progress();
        while progress.is_syncing {
            progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some((error, is_told)) = &mut progress.failure {
            *is_told = true;
            return Err(error.again());
        }
        progress.is_syncing = true;
        drop(progress);
        let done = work();
        self.progress().is_syncing = false;
        self.changed.notify_all();
        done
    }

    /// Go on in a new segment, which is on disk; everything before it is too. The mark becomes durable: a floor below
    /// which recovery cuts nothing.
    pub(super) fn follow(&self, segment: Arc<File>, path: PathBuf, mark: Mark) -> Result<()> {
        let mut progress = self.progress();
        let progress = &mut *progress;
        progress.segment = segment;
        progress.path = path;
        progress.written = mark;
        progress.published = mark;
        progress.mark_file.write(mark, self.disk.as_ref())?;
        progress.mark_file.sync(self.disk.as_ref())
    }

    /// One sync of all that is written, for everybody.
    fn lead<'a>(&'a self, mut progress: MutexGuard<'a, Progress>) -> MutexGuard<'a, Progress> {
        progress.is_syncing = true;
        let (segment, path) = (Arc::clone(&progress.segment), progress.path.clone());
        let (end, bytes) = (progress.written, progress.written_bytes);
        drop(progress);
        self.faults.pass("inside_journal_sync");
        let synced = self.disk.sync_data(&segment).map_err(JournalError::sync(&path));
        let mut progress = self.progress();
        progress.is_syncing = false;
        // What is synced and cannot be published is not taken back by halves; the next lock holder publishes it.
        match synced.and_then(|()| progress.mark_file.write(end, self.disk.as_ref())) {
            Ok(()) => {
                progress.published = end;
                progress.published_bytes = bytes;
            }
            Err(error) => progress.failure = Some((error, false)),
        }
        self.changed.notify_all();
        progress
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

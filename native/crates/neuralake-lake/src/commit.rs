//! Our committer: one conditional put, and the settling of every doubt by the commit id.
//!
//! The answer of a put is believed only when it says "created". Anything else is settled by reading N.json: our
//! commit id means landed, another's means conflict, absent means the same N with the same bytes again. What cannot
//! be settled before the deadline is a crash, never a guess: the restart reads the log.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use delta_kernel::committer::{CommitMetadata, CommitResponse, Committer, PublishMetadata};
use delta_kernel::engine::arrow_utils::to_json_bytes;
use delta_kernel::{Engine, FileMeta, FilteredEngineData, KernelError, KernelResult, KernelResultIterator};
use url::Url;

use crate::log::Provenance;
use crate::store::{PutAnswer, Store};
use crate::{Faults, LakeError};

/// First pause between two questions about one version.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between them.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The columns with statistics, within an action that says so.
const STATISTICS: &str = "/metaData/configuration/delta.dataSkippingStatsColumns";

/// What became of one attempt, as far as it is known.
#[derive(Debug, Default)]
pub(crate) enum Outcome {
    /// Nothing was decided.
    #[default]
    Open,
    /// The version is ours.
    Landed,
    /// The attempt failed with this error, for the caller.
    Failed(LakeError),
}

/// Commits one attempt under one commit id.
pub(crate) struct ConditionalPut {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) table: String,
    pub(crate) commit_id: String,
    pub(crate) deadline: Duration,
    pub(crate) faults: Arc<Faults>,
    pub(crate) outcome: Arc<Mutex<Outcome>>,
    /// Columns of which files are to keep statistics from this commit on, beside those that had them.
    pub(crate) new_statistics: Vec<String>,
}

/// Who holds a version.
enum Holder {
    Ours,
    Another,
    Nobody,
    Unknown(String),
}

impl ConditionalPut {
    /// Put the bytes as this version, until it is known whose the version is. True: ours.
    fn settle(&self, url: &Url, version: u64, bytes: &Bytes) -> Result<bool, LakeError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            self.faults.pass("before_log_put");
            let answer = self.store.put_if_absent(url, bytes.clone());
            self.faults.pass("after_log_put");
            let mut doubt = match answer {
                PutAnswer::Created => return Ok(true),
                PutAnswer::Exists => "the store says it exists, yet it cannot be found".to_owned(),
                PutAnswer::Failed(reason) => reason,
                PutAnswer::Broken(error) => return Err(error),
            };
            self.faults.pass("in_doubt");
            loop {
                match self.holder(url) {
                    Holder::Ours => return self.confirm(url).map(|()| true),
                    Holder::Another => return self.confirm(url).map(|()| false),
                    Holder::Nobody => break,
                    Holder::Unknown(reason) => doubt = reason,
                }
                self.wait(started, &mut pause, version, &doubt)?;
            }
            self.wait(started, &mut pause, version, &doubt)?;
        }
    }

    /// A commit that was found instead of written is made durable before anything acts on it.
    fn confirm(&self, url: &Url) -> Result<(), LakeError> {
        match url.join(".") {
            Ok(log) => self.store.confirm(&log),
            Err(e) => Err(LakeError::Log { table: self.table.clone(), reason: e.to_string() }),
        }
    }

    fn holder(&self, url: &Url) -> Holder {
        match self.store.get(url) {
            Ok(None) => Holder::Nobody,
            Ok(Some(commit)) => match Provenance::find(&commit) {
                Some(found) if found.commit_id == self.commit_id => Holder::Ours,
                _ => Holder::Another,
            },
            Err(e) => Holder::Unknown(e.to_string()),
        }
    }

    fn wait(&self, started: Instant, pause: &mut Duration, version: u64, doubt: &str) -> Result<(), LakeError> {
        if started.elapsed() > self.deadline {
            return Err(LakeError::InDoubt {
                table: self.table.clone(),
                version,
                waited_s: started.elapsed().as_secs(),
                reason: doubt.to_owned(),
            });
        }
        std::thread::sleep(jittered(*pause));
        *pause = (*pause * 2).min(LAST_PAUSE);
        Ok(())
    }

    /// The actions, with the new columns among those with statistics: a transaction changes columns or properties of
    /// a table, and readers pass no file by for a column that the property leaves out.
    fn amended(&self, actions: Vec<u8>) -> KernelResult<Vec<u8>> {
        if self.new_statistics.is_empty() {
            return Ok(actions);
        }
        let mut amended = Vec::with_capacity(actions.len());
        for line in actions.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut action: serde_json::Value = serde_json::from_slice(line)?;
            if let Some(listed) = action.pointer_mut(STATISTICS)
                && let Some(names) = listed.as_str()
            {
                let new = self.new_statistics.iter().map(|name| format!(",`{name}`")).collect::<String>();
                *listed = serde_json::Value::String(format!("{names}{new}"));
            }
            serde_json::to_writer(&mut amended, &action)?;
            amended.push(b'\n');
        }
        Ok(amended)
    }

    fn record(&self, outcome: Outcome) {
        if let Ok(mut slot) = self.outcome.lock() {
            *slot = outcome;
        }
    }
}

impl Committer for ConditionalPut {
    fn commit(
        &self,
        _engine: &dyn Engine,
        actions: KernelResultIterator<'_, FilteredEngineData>,
        metadata: CommitMetadata,
    ) -> KernelResult<CommitResponse> {
        let bytes = Bytes::from(self.amended(to_json_bytes(actions)?)?);
        let url = metadata.published_commit_path()?;
        let version = metadata.version();
        match self.settle(&url, version, &bytes) {
            Ok(true) => {
                self.record(Outcome::Landed);
                let size = bytes.len() as u64;
                Ok(CommitResponse::Committed { file_meta: FileMeta::new(url, metadata.in_commit_timestamp(), size) })
            }
            Ok(false) => Ok(CommitResponse::Conflict { version }),
            Err(error) => {
                let message = error.to_string();
                self.record(Outcome::Failed(error));
                Err(KernelError::generic(message))
            }
        }
    }

    fn is_catalog_committer(&self) -> bool {
        false
    }

    fn publish(&self, _engine: &dyn Engine, _metadata: PublishMetadata) -> KernelResult<()> {
        Ok(())
    }
}

/// Between half and the whole of a pause, so that rivals do not march in step.
pub(crate) fn jittered(pause: Duration) -> Duration {
    // A version-4 uuid is the randomness at hand; its first byte is free of version bits.
    let [byte, ..] = *uuid::Uuid::new_v4().as_bytes();
    pause.mul_f64(0.5 + f64::from(byte) / 512.0)
}

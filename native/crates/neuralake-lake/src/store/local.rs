//! The lake on a local disk.
//!
//! A commit is a hard link: the temporary file is written and synced, linked under its final name (which fails
//! when that exists), and the log's directory is synced before anybody acts on it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::DynObjectStore;
use url::Url;
use uuid::Uuid;

use super::durable::DurableDisk;
use super::{PutAnswer, Store, StoreSpec, runtime};
use crate::LakeError;

/// A store under one directory.
#[derive(Debug)]
pub struct LocalStore {
    root: Url,
    disk: Arc<DurableDisk>,
    runtime: tokio::runtime::Runtime,
}

impl LocalStore {
    /// Open (and make, if need be) the directory of a lake.
    ///
    /// # Errors
    /// `StoreInvalid` when the directory cannot be used, `Durability` when it cannot be synced.
    pub fn open(spec: &StoreSpec) -> Result<Self, LakeError> {
        let invalid = |reason: String| LakeError::StoreInvalid { uri: spec.uri.clone(), reason };
        let root = spec.url()?;
        let path = root.to_file_path().map_err(|()| invalid("not a path of this machine".to_owned()))?;
        fs::create_dir_all(&path).map_err(|e| invalid(e.to_string()))?;
        // Without its trailing slash, so that walking up from a file meets it.
        let path: PathBuf = path.components().collect();
        let disk = Arc::new(DurableDisk::new(path.clone()));
        disk.sync(&path)?;
        if let Some(parent) = path.parent() {
            disk.sync(parent)?;
        }
        Ok(Self { root, disk, runtime: runtime(&spec.uri)? })
    }

    fn link(&self, target: &Path, bytes: &[u8]) -> Result<PutAnswer, std::io::Error> {
        let Some(directory) = target.parent() else {
            return Err(ErrorKind::InvalidInput.into());
        };
        fs::create_dir_all(directory)?;
        let temporary = directory.join(format!(".{}.tmp", Uuid::new_v4()));
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let written = file.write_all(bytes);
        drop(file);
        let synced = written.and_then(|()| self.disk.sync(&temporary).map_err(std::io::Error::other));
        let linked = synced.and_then(|()| fs::hard_link(&temporary, target));
        // Gone or not, a leftover under a dotted name is no commit.
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(PutAnswer::Exists),
            Err(e) => return Err(e),
        }
        self.disk.sync_up(target).map_err(std::io::Error::other)?;
        Ok(PutAnswer::Created)
    }
}

impl Store for LocalStore {
    fn root(&self) -> &Url {
        &self.root
    }

    fn objects(&self) -> Arc<DynObjectStore> {
        self.disk.clone()
    }

    fn put_if_absent(&self, url: &Url, bytes: Bytes) -> PutAnswer {
        let Ok(target) = url.to_file_path() else {
            return PutAnswer::Failed(format!("{url} is not a path of this machine"));
        };
        self.link(&target, &bytes).unwrap_or_else(|e| PutAnswer::Failed(e.to_string()))
    }

    fn confirm(&self, log: &Url) -> Result<(), LakeError> {
        match log.to_file_path() {
            Ok(path) if path.exists() => self.disk.sync(&path),
            _ => Ok(()),
        }
    }

    fn make_root(&self, url: &Url) -> Result<(), LakeError> {
        let failed = |reason: String| LakeError::StoreUnreachable {
            action: "make the directory",
            path: url.path().to_owned(),
            reason,
        };
        let path = url.to_file_path().map_err(|()| failed("not a path of this machine".to_owned()))?;
        fs::create_dir_all(&path).map_err(|e| failed(e.to_string()))
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }
}

//! The lake on a local disk.
//!
//! A commit is a hard link, which fails where its name exists; see `durable`.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::{DynObjectStore, PutMode};
use url::Url;

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
        Ok(Self { root, disk, runtime: runtime(spec)? })
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
        match self.disk.place(&target, &[bytes], PutMode::Create) {
            Ok(true) => PutAnswer::Created,
            Ok(false) => PutAnswer::Exists,
            Err(error @ LakeError::Durability { .. }) => PutAnswer::Broken(error),
            Err(error) => PutAnswer::Failed(error.to_string()),
        }
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

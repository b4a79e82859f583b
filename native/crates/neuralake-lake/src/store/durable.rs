//! An object store on a local disk whose puts have reached the disk when they return.
//!
//! The order is the law's: the file, then every directory from it up to the lake's root. A failed fsync is never
//! repeated, for the kernel may have dropped the pages and would answer success: the store is poisoned instead.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use crate::LakeError;

/// `LocalFileSystem` with fsync after every put.
#[derive(Debug)]
pub(super) struct DurableDisk {
    inner: LocalFileSystem,
    root: PathBuf,
    is_poisoned: AtomicBool,
}

impl DurableDisk {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { inner: LocalFileSystem::new(), root, is_poisoned: AtomicBool::new(false) }
    }

    /// Sync a file, then its directories up to the lake's root.
    pub(super) fn sync_up(&self, file: &FsPath) -> std::result::Result<(), LakeError> {
        self.sync(file)?;
        let mut directory = file.parent();
        while let Some(path) = directory {
            self.sync(path)?;
            if path == self.root || !path.starts_with(&self.root) {
                break;
            }
            directory = path.parent();
        }
        Ok(())
    }

    /// Sync one file or directory.
    pub(super) fn sync(&self, path: &FsPath) -> std::result::Result<(), LakeError> {
        let fault = |reason: String| LakeError::Durability { path: path.display().to_string(), reason };
        if self.is_poisoned.load(Ordering::SeqCst) {
            return Err(fault("an earlier fsync failed; this process must end".to_owned()));
        }
        File::open(path).and_then(|file| file.sync_all()).map_err(|e| {
            self.is_poisoned.store(true, Ordering::SeqCst);
            fault(e.to_string())
        })
    }
}

impl fmt::Display for DurableDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableDisk({})", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for DurableDisk {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let result = self.inner.put_opts(location, payload, options).await?;
        let file = self.inner.path_to_filesystem(location)?;
        self.sync_up(&file).map_err(|e| object_store::Error::Generic { store: "DurableDisk", source: Box::new(e) })?;
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // Parts would reach the disk behind our back; files of a table are small enough to be put whole.
        Err(object_store::Error::NotImplemented {
            operation: "multipart upload".to_owned(),
            implementer: "DurableDisk".to_owned(),
        })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

//! An object store on a local disk whose puts have reached the disk when they return.
//!
//! The order is the law's: the bytes under a temporary name, then the final name, then every directory up to the lake's
//! root. Nothing stands under its name before it is on the disk. A failed fsync is never repeated, for the kernel may have
//! dropped the pages and would answer success: the store is poisoned instead.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use uuid::Uuid;

use crate::LakeError;

/// Brings one file or directory to the disk.
type Fsync = dyn Fn(&FsPath) -> io::Result<()> + Send + Sync;

/// `LocalFileSystem` with fsync after every put.
#[derive(Clone)]
pub(super) struct DurableDisk {
    inner: Arc<LocalFileSystem>,
    root: PathBuf,
    is_poisoned: Arc<AtomicBool>,
    fsync: Arc<Fsync>,
}

impl DurableDisk {
    pub(super) fn new(root: PathBuf) -> Self {
        Self::with_fsync(root, Arc::new(|path| File::open(path)?.sync_all()))
    }

    fn with_fsync(root: PathBuf, fsync: Arc<Fsync>) -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()), root, is_poisoned: Arc::default(), fsync }
    }

    /// Write a file whole. False when it was to be created and is there already.
    pub(super) fn place(
        &self,
        target: &FsPath,
        bytes: &[Bytes],
        mode: PutMode,
    ) -> std::result::Result<bool, LakeError> {
        let failed = |e: io::Error| write_fault(target, &e);
        let directory = target.parent().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        fs::create_dir_all(directory).map_err(failed)?;
        let temporary = waiting_place(directory).join(format!(".{}.tmp", Uuid::new_v4()));
        let named = self.write_synced(&temporary, bytes).and_then(|()| {
            let result = match mode {
                PutMode::Create => fs::hard_link(&temporary, target),
                _ => fs::rename(&temporary, target),
            };
            match result {
                Ok(()) => Ok(true),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(e) => Err(failed(e)),
            }
        });
        // Gone or not, a leftover under a dotted name is no file of a table.
        let _ = fs::remove_file(&temporary);
        if named? {
            self.sync_directories(target)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn write_synced(&self, path: &FsPath, bytes: &[Bytes]) -> std::result::Result<(), LakeError> {
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
            bytes.iter().try_for_each(|part| file.write_all(part))
        };
        write().map_err(|e| write_fault(path, &e))?;
        self.sync(path)
    }

    /// Sync the directories of a file up to the lake's root.
    fn sync_directories(&self, file: &FsPath) -> std::result::Result<(), LakeError> {
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
        (self.fsync)(path).map_err(|e| {
            self.is_poisoned.store(true, Ordering::SeqCst);
            fault(e.to_string())
        })
    }
}

/// Where bytes for this directory wait for their name: beside a log, not in it. To the log's reader a directory with
/// any file in it is a table, also when a killed creation left no more than a temporary file there.
fn waiting_place(directory: &FsPath) -> &FsPath {
    match directory.parent() {
        Some(table) if directory.ends_with("_delta_log") => table,
        _ => directory,
    }
}

fn write_fault(path: &FsPath, error: &io::Error) -> LakeError {
    let path = path.display().to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LakeError::DiskFull { path },
        _ => LakeError::StoreUnreachable { action: "write", path, reason: error.to_string() },
    }
}

impl fmt::Debug for DurableDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableDisk").field("root", &self.root).finish_non_exhaustive()
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
        if matches!(options.mode, PutMode::Update(_)) {
            return Err(object_store::Error::NotImplemented {
                operation: "conditional update".to_owned(),
                implementer: "DurableDisk".to_owned(),
            });
        }
        let file = self.inner.path_to_filesystem(location)?;
        let parts: Vec<Bytes> = payload.into_iter().collect();
        match self.place(&file, &parts, options.mode) {
            Ok(true) => Ok(PutResult { e_tag: None, version: None }),
            Ok(false) => {
                Err(object_store::Error::AlreadyExists { path: location.to_string(), source: "it exists".into() })
            }
            Err(e) => Err(object_store::Error::Generic { store: "DurableDisk", source: Box::new(e) }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Collected { disk: self.clone(), location: location.clone(), parts: Vec::new() }))
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

/// Parts of a large object, kept until they are placed as one.
#[derive(Debug)]
struct Collected {
    disk: DurableDisk,
    location: Path,
    parts: Vec<Bytes>,
}

#[async_trait]
impl MultipartUpload for Collected {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.extend(data);
        Box::pin(futures::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload = PutPayload::from_iter(std::mem::take(&mut self.parts));
        self.disk.put_opts(&self.location, payload, PutOptions::default()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use object_store::ObjectStoreExt;

    use super::*;

    #[test]
    fn bytes_of_a_commit_wait_outside_the_log() {
        assert_eq!(waiting_place(FsPath::new("/lake/t/_delta_log")), FsPath::new("/lake/t"));
        assert_eq!(waiting_place(FsPath::new("/lake/t")), FsPath::new("/lake/t"));
    }

    #[tokio::test]
    async fn a_large_object_comes_in_parts_and_stands_whole() {
        let directory = tempfile::tempdir().unwrap();
        let disk = DurableDisk::new(directory.path().to_path_buf());
        let location = Path::from_absolute_path(directory.path().join("a/large.parquet")).unwrap();
        let mut upload = disk.put_multipart(&location).await.unwrap();
        upload.put_part(PutPayload::from_static(b"one ")).await.unwrap();
        assert!(!directory.path().join("a").exists(), "nothing is visible before it is whole");
        upload.put_part(PutPayload::from_static(b"two")).await.unwrap();
        upload.complete().await.unwrap();
        assert_eq!(disk.get(&location).await.unwrap().bytes().await.unwrap(), "one two");
        assert_eq!(fs::read_dir(directory.path().join("a")).unwrap().count(), 1, "no temporary file stays");
    }

    /// What was synced, in order, and whether the target had its name then.
    fn synced_while_placing(mode: &PutMode) -> (PathBuf, Vec<(PathBuf, bool)>) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_path_buf();
        let target = root.join("t/_delta_log/1.json");
        let synced = Arc::new(Mutex::new(Vec::new()));
        let (noted, watched) = (Arc::clone(&synced), target.clone());
        let fsync: Arc<Fsync> = Arc::new(move |path| {
            noted.lock().unwrap().push((path.to_path_buf(), watched.exists()));
            File::open(path)?.sync_all()
        });
        let disk = DurableDisk::with_fsync(root.clone(), fsync);
        assert!(disk.place(&target, &[Bytes::from_static(b"x")], mode.clone()).unwrap());
        let synced = synced.lock().unwrap().clone();
        (root, synced)
    }

    #[test]
    fn bytes_reach_the_disk_before_their_name_and_the_name_before_anybody_hears_of_it() {
        for mode in [PutMode::Create, PutMode::Overwrite] {
            let (root, synced) = synced_while_placing(&mode);
            let ((bytes, had_name), directories) = synced.split_first().unwrap();
            assert!(bytes.extension().is_some_and(|end| end == "tmp"), "{mode:?}: the bytes come first, {bytes:?}");
            assert!(!had_name, "{mode:?}: the name came before the bytes");
            let names: Vec<_> = directories.iter().map(|(path, _)| path.clone()).collect();
            assert_eq!(names, [root.join("t/_delta_log"), root.join("t"), root], "{mode:?}");
            assert!(directories.iter().all(|(_, had_name)| *had_name), "{mode:?}: a directory without the name");
        }
    }

    #[test]
    fn after_a_failed_sync_of_a_directory_nothing_more_is_believed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_path_buf();
        let calls = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&calls);
        let fsync: Arc<Fsync> = Arc::new(move |path| {
            *counted.lock().unwrap() += 1;
            if path.is_dir() { Err(io::Error::other("medium error")) } else { Ok(()) }
        });
        let disk = DurableDisk::with_fsync(root.clone(), fsync);
        let target = root.join("1.json");
        let error = disk.place(&target, &[Bytes::from_static(b"x")], PutMode::Create).unwrap_err();
        assert!(matches!(error, LakeError::Durability { .. }), "{error}");
        // It has its name, and still nothing may act on it: whether the name is on the disk is not known.
        assert!(target.exists());
        let asked = *calls.lock().unwrap();
        assert!(matches!(disk.sync(&root), Err(LakeError::Durability { .. })));
        assert_eq!(*calls.lock().unwrap(), asked, "a failed fsync is never repeated");
    }

    #[tokio::test]
    async fn a_failed_sync_poisons_the_store_and_is_told_as_itself() {
        let directory = tempfile::tempdir().unwrap();
        let disk = DurableDisk::new(directory.path().to_path_buf());
        assert!(matches!(disk.sync(&directory.path().join("absent")), Err(LakeError::Durability { .. })));
        let location = Path::from_absolute_path(directory.path().join("file")).unwrap();
        let error = disk.put(&location, PutPayload::from_static(b"x")).await.unwrap_err();
        assert!(matches!(LakeError::said_by_disk(&error), Some(LakeError::Durability { .. })), "{error}");
        assert!(!directory.path().join("file").exists());
    }
}

//! A store behind its gates: every request is limited, counted, repeated where that is safe, and held back while the
//! store fails.
//!
//! The clients below repeat nothing themselves, so that what is counted here is what was sent. A conditional put is
//! sent once: its doubt is settled by the committer.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, DynObjectStore, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use url::Url;

use super::gate::{Gate, Operation, OperationReport};
use super::{PutAnswer, Store};
use crate::LakeError;
use crate::commit::jittered;
use crate::cpu::CpuMeter;

/// Times a request is sent whose repetition does no harm.
const TRIES: u32 = 4;
/// First pause between two of them; doubled each time.
const FIRST_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
/// A larger answer is handed on as it comes, without repetition.
const WHOLE_BYTES: u64 = 64 * 1024 * 1024;

/// The gates of a store, one per kind of operation.
#[derive(Debug)]
pub struct Gates {
    upload: Gate,
    read: Gate,
    list: Gate,
    commit: Gate,
    delete: Gate,
    /// CPU time of the threads that speak to the store.
    pub cpu: CpuMeter,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            upload: Gate::new(Operation::Upload),
            read: Gate::new(Operation::Read),
            list: Gate::new(Operation::List),
            commit: Gate::new(Operation::Commit),
            delete: Gate::new(Operation::Delete),
            cpu: CpuMeter::default(),
        }
    }
}

impl Gates {
    /// What each kind of operation did so far, by its name.
    #[must_use]
    pub fn report(&self) -> std::collections::BTreeMap<&'static str, OperationReport> {
        Operation::ALL.into_iter().map(|operation| (operation.verb(), self.gate(operation).report())).collect()
    }

    /// Why the store keeps its callers waiting now; `None` while it answers.
    #[must_use]
    pub fn trouble(&self) -> Option<LakeError> {
        let now = std::time::Instant::now();
        Operation::ALL.into_iter().find_map(|operation| self.gate(operation).trouble(now))
    }

    fn gate(&self, operation: Operation) -> &Gate {
        match operation {
            Operation::Upload => &self.upload,
            Operation::Read => &self.read,
            Operation::List => &self.list,
            Operation::Commit => &self.commit,
            Operation::Delete => &self.delete,
        }
    }

    /// Do something through the gate of its kind, up to `tries` times while the store fails. `attempt` gives its value
    /// and the bytes that went over the line.
    async fn pass<T, F>(
        &self,
        (operation, path, size): (Operation, &str, u64),
        tries: u32,
        mut attempt: impl FnMut() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<(T, u64)>> + Send,
    {
        let mut pause = FIRST_PAUSE;
        let mut tried = 0;
        loop {
            let ticket = self.gate(operation).enter(path, size, tried > 0).await.map_err(held_back)?;
            tried += 1;
            match attempt().await {
                Ok((value, bytes)) => {
                    ticket.answered(bytes);
                    return Ok(value);
                }
                Err(error) if is_answer(&error) => {
                    ticket.answered(0);
                    return Err(error);
                }
                Err(error) => {
                    ticket.failed(&error.to_string());
                    if tried >= tries || LakeError::said_by_disk(&error).is_some() {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(jittered(pause)).await;
            pause *= 2;
        }
    }
}

/// Whether an error is an answer about an object or a right, not a fault of the store.
fn is_answer(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    !matches!(error, E::Generic { .. } | E::JoinError { .. })
}

fn held_back(error: LakeError) -> object_store::Error {
    object_store::Error::Generic { store: "gate", source: Box::new(error) }
}

/// A store behind its gates.
#[derive(Debug)]
pub(super) struct Guarded {
    inner: Box<dyn Store>,
    objects: Arc<GuardedObjects>,
}

impl Guarded {
    pub(super) fn new(inner: Box<dyn Store>, gates: Arc<Gates>) -> Self {
        let objects = Arc::new(GuardedObjects { inner: inner.objects(), gates });
        Self { inner, objects }
    }
}

impl Store for Guarded {
    fn root(&self) -> &Url {
        self.inner.root()
    }

    fn objects(&self) -> Arc<DynObjectStore> {
        self.objects.clone()
    }

    fn put_if_absent(&self, url: &Url, bytes: Bytes) -> PutAnswer {
        let size = bytes.len() as u64;
        let ticket = match self.runtime().block_on(self.objects.gates.commit.enter(url.path(), size, false)) {
            Ok(ticket) => ticket,
            Err(error) => return PutAnswer::Failed(error.to_string()),
        };
        let answer = self.inner.put_if_absent(url, bytes);
        match &answer {
            PutAnswer::Created => ticket.answered(size),
            PutAnswer::Exists => ticket.answered(0),
            PutAnswer::Failed(reason) => ticket.failed(reason),
            PutAnswer::Broken(error) => ticket.failed(&error.to_string()),
        }
        answer
    }

    fn confirm(&self, log: &Url) -> std::result::Result<(), LakeError> {
        self.inner.confirm(log)
    }

    fn make_root(&self, url: &Url) -> std::result::Result<(), LakeError> {
        self.inner.make_root(url)
    }

    fn now_s(&self) -> u64 {
        self.inner.now_s()
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        self.inner.runtime()
    }
}

/// The objects of a store, each request through a gate.
#[derive(Debug)]
struct GuardedObjects {
    inner: Arc<DynObjectStore>,
    gates: Arc<Gates>,
}

impl fmt::Display for GuardedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} behind its gates", self.inner)
    }
}

#[async_trait]
impl ObjectStore for GuardedObjects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let size = payload.content_length() as u64;
        // Only what may be written twice may be sent twice.
        let tries = if matches!(options.mode, PutMode::Overwrite) { TRIES } else { 1 };
        let asked = (Operation::Upload, location.as_ref(), size);
        let put = || {
            let put = self.inner.put_opts(location, payload.clone(), options.clone());
            async move { Ok((put.await?, size)) }
        };
        self.gates.pass(asked, tries, put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = || {
            let begin = self.inner.put_multipart_opts(location, options.clone());
            async move { Ok((begin.await?, 0)) }
        };
        let inner = self.gates.pass((Operation::Upload, location.as_ref(), 0), TRIES, begin).await?;
        Ok(Box::new(GuardedParts { inner, gates: Arc::clone(&self.gates), path: location.to_string() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let read = || {
            let get = self.inner.get_opts(location, options.clone());
            async move {
                let answer = get.await?;
                let size = answer.range.end - answer.range.start;
                let GetResult { payload: GetResultPayload::Stream(body), meta, range, attributes } = answer else {
                    return Ok((answer, size));
                };
                let body = if size > WHOLE_BYTES {
                    body
                } else {
                    let parts: Vec<Bytes> = body.try_collect().await?;
                    stream::iter(parts.into_iter().map(Ok)).boxed()
                };
                Ok((GetResult { payload: GetResultPayload::Stream(body), meta, range, attributes }, size))
            }
        };
        self.gates.pass((Operation::Read, location.as_ref(), 0), TRIES, read).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, gates) = (Arc::clone(&self.inner), Arc::clone(&self.gates));
        locations
            .and_then(move |location| {
                let (inner, gates) = (Arc::clone(&inner), Arc::clone(&gates));
                async move {
                    let delete = || {
                        let one = stream::once(futures::future::ready(Ok(location.clone()))).boxed();
                        let mut deleted = inner.delete_stream(one);
                        async move { Ok((deleted.try_next().await?, 0)) }
                    };
                    gates.pass((Operation::Delete, location.as_ref(), 0), TRIES, delete).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix.cloned(), None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix.cloned(), Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let list = || {
            let list = self.inner.list_with_delimiter(prefix);
            async move { Ok((list.await?, 0)) }
        };
        self.gates.pass((Operation::List, prefix.map_or("", Path::as_ref), 0), TRIES, list).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copy = || {
            let copy = self.inner.copy_opts(from, to, options.clone());
            async move { Ok((copy.await?, 0)) }
        };
        self.gates.pass((Operation::Upload, to.as_ref(), 0), 1, copy).await
    }
}

impl GuardedObjects {
    /// A listing is taken whole, so that it can be asked for again, and a store that falls silent in it is noticed.
    fn listed(&self, prefix: Option<Path>, offset: Option<Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, gates) = (Arc::clone(&self.inner), Arc::clone(&self.gates));
        let whole = async move {
            let list = || {
                let names = match &offset {
                    Some(offset) => inner.list_with_offset(prefix.as_ref(), offset),
                    None => inner.list(prefix.as_ref()),
                };
                async move { Ok((names.try_collect::<Vec<_>>().await?, 0)) }
            };
            let path = prefix.as_ref().map_or("", Path::as_ref);
            gates.pass((Operation::List, path, 0), TRIES, list).await
        };
        stream::once(whole).map_ok(|names| stream::iter(names.into_iter().map(Ok))).try_flatten().boxed()
    }
}

/// Parts of a large object. A part is sent once, for a second would be another part.
#[derive(Debug)]
struct GuardedParts {
    inner: Box<dyn MultipartUpload>,
    gates: Arc<Gates>,
    path: String,
}

#[async_trait]
impl MultipartUpload for GuardedParts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let size = data.content_length() as u64;
        let (part, gates, path) = (self.inner.put_part(data), Arc::clone(&self.gates), self.path.clone());
        let mut part = Some(part);
        Box::pin(async move {
            let send = || {
                let part = part.take();
                async move {
                    match part {
                        Some(part) => Ok((part.await?, size)),
                        None => Ok(((), 0)),
                    }
                }
            };
            gates.pass((Operation::Upload, &path, size), 1, send).await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let ticket = self.gates.upload.enter(&self.path, 0, false).await.map_err(held_back)?;
        match self.inner.complete().await {
            Ok(result) => {
                ticket.answered(0);
                Ok(result)
            }
            Err(error) => {
                ticket.failed(&error.to_string());
                Err(error)
            }
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

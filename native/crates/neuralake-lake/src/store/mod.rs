//! Where bytes live: a local disk or an S3 store behind one trait, with the promises a commit stands on.

mod breaker;
mod clock;
mod durable;
mod gate;
mod guard;
mod local;
mod probe;
mod s3;
mod spec;

use std::sync::Arc;

use bytes::Bytes;
use object_store::{DynObjectStore, ObjectStoreExt};
use url::Url;

use crate::LakeError;
pub use breaker::CircuitState;
pub use gate::OperationReport;
pub use guard::Gates;
pub use local::LocalStore;
pub use probe::probe;
pub use s3::S3Store;
pub use spec::StoreSpec;

/// How a conditional put was answered. Anything but `Created` leaves doubt, which reading N.json settles.
#[derive(Debug)]
pub enum PutAnswer {
    /// The object was absent and is ours now, durably.
    Created,
    /// The store says an object is there already; it may be our own from a lost answer.
    Exists,
    /// The store answered with an error, or not at all.
    Failed(String),
    /// The disk failed: nothing may be concluded in this process any more.
    Broken(LakeError),
}

/// A store of tables.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Address of the lake, ending in `/`.
    fn root(&self) -> &Url;

    /// Objects as the Delta reader sees them; every put through it is durable when it returns.
    fn objects(&self) -> Arc<DynObjectStore>;

    /// Create `url` from `bytes` only if it is absent. Never retried inside.
    fn put_if_absent(&self, url: &Url, bytes: Bytes) -> PutAnswer;

    /// Make commits that were found, not written, durable before anything acts on them.
    ///
    /// # Errors
    /// `Durability` when the operating system refuses.
    fn confirm(&self, log: &Url) -> Result<(), LakeError>;

    /// Make the root of a new table, where a store knows directories.
    ///
    /// # Errors
    /// `StoreUnreachable` when the operating system refuses.
    fn make_root(&self, url: &Url) -> Result<(), LakeError>;

    /// Seconds on a clock that counts the machine's sleep: what was found at a store grows old by it.
    fn now_s(&self) -> u64 {
        clock::boot_s()
    }

    /// Run a future of the object store to its end.
    fn runtime(&self) -> &tokio::runtime::Runtime;

    /// Write an object whole. Durable when it returns.
    ///
    /// # Errors
    /// `StoreUnreachable` when the store refuses or does not answer, `Durability` when the disk failed.
    fn put(&self, url: &Url, bytes: Bytes) -> Result<(), LakeError> {
        let path = object_path(url);
        self.runtime().block_on(async { self.objects().put(&path, bytes.into()).await }).map_err(|e| {
            LakeError::said_by_disk(&e).unwrap_or_else(|| LakeError::StoreUnreachable {
                action: "write",
                path: url.path().to_owned(),
                reason: e.to_string(),
            })
        })?;
        Ok(())
    }

    /// Read an object whole; `None` when it is absent.
    ///
    /// # Errors
    /// `StoreUnreachable` when the store refuses or does not answer.
    fn get(&self, url: &Url) -> Result<Option<Bytes>, LakeError> {
        let path = object_path(url);
        let answer = self.runtime().block_on(async { self.objects().get(&path).await?.bytes().await });
        match answer {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => {
                Err(LakeError::StoreUnreachable { action: "read", path: url.path().to_owned(), reason: e.to_string() })
            }
        }
    }
}

/// Open the store a spec names, behind the spec's gates.
///
/// # Errors
/// `StoreInvalid` when the spec cannot be used.
pub fn open(spec: &StoreSpec) -> Result<Arc<dyn Store>, LakeError> {
    let store: Box<dyn Store> = match spec.url()?.scheme() {
        "file" => Box::new(LocalStore::open(spec)?),
        _ => Box::new(S3Store::open(spec)?),
    };
    Ok(Arc::new(guard::Guarded::new(store, Arc::clone(&spec.gates))))
}

fn object_path(url: &Url) -> object_store::path::Path {
    object_store::path::Path::from_url_path(url.path()).unwrap_or_default()
}

fn runtime(spec: &StoreSpec) -> Result<tokio::runtime::Runtime, LakeError> {
    let gates = Arc::clone(&spec.gates);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Each thread that ever held memory keeps some: of a local store every file that is read takes one.
        .max_blocking_threads(2)
        .thread_name("neuralake-store")
        .on_thread_park(move || gates.cpu.count_this_thread())
        .enable_all()
        .build()
        .map_err(|e| LakeError::StoreInvalid { uri: spec.uri.clone(), reason: e.to_string() })
}

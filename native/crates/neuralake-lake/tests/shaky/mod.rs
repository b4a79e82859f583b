//! A store that answers a conditional put wrongly, once, in each of the ways real ones do.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use neuralake_lake::LakeError;
use neuralake_lake::store::{PutAnswer, Store};
use object_store::DynObjectStore;
use url::Url;

/// The next lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Lie {
    /// Tell the truth.
    None,
    /// It landed; the answer is "already there", as after a retry inside a proxy.
    LandedSaysExists,
    /// It landed; the answer is lost.
    LandedSaysFailed,
    /// It did not land; the answer is "already there", as a 409 among rivals.
    AbsentSaysExists,
    /// It did not land; the answer is an error.
    AbsentSaysFailed,
}

const LIES: [Lie; 5] =
    [Lie::None, Lie::LandedSaysExists, Lie::LandedSaysFailed, Lie::AbsentSaysExists, Lie::AbsentSaysFailed];

#[derive(Debug)]
pub struct ShakyStore {
    inner: Arc<dyn Store>,
    next: AtomicU8,
    /// Bytes of every conditional put that was tried, by name.
    pub tried: Mutex<Vec<(String, Bytes)>>,
}

impl ShakyStore {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, next: AtomicU8::new(0), tried: Mutex::new(Vec::new()) }
    }

    pub fn lie_once(&self, lie: Lie) {
        self.tried.lock().unwrap().clear();
        self.next.store(lie as u8, Ordering::SeqCst);
    }
}

impl Store for ShakyStore {
    fn root(&self) -> &Url {
        self.inner.root()
    }

    fn objects(&self) -> Arc<DynObjectStore> {
        self.inner.objects()
    }

    fn put_if_absent(&self, url: &Url, bytes: Bytes) -> PutAnswer {
        self.tried.lock().unwrap().push((url.path().to_owned(), bytes.clone()));
        let refused = || PutAnswer::Failed("connection reset".to_owned());
        match LIES[usize::from(self.next.swap(0, Ordering::SeqCst))] {
            Lie::None => self.inner.put_if_absent(url, bytes),
            Lie::LandedSaysExists => {
                self.inner.put_if_absent(url, bytes);
                PutAnswer::Exists
            }
            Lie::LandedSaysFailed => {
                self.inner.put_if_absent(url, bytes);
                refused()
            }
            Lie::AbsentSaysExists => PutAnswer::Exists,
            Lie::AbsentSaysFailed => refused(),
        }
    }

    fn confirm(&self, log: &Url) -> Result<(), LakeError> {
        self.inner.confirm(log)
    }

    fn make_root(&self, url: &Url) -> Result<(), LakeError> {
        self.inner.make_root(url)
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        self.inner.runtime()
    }
}

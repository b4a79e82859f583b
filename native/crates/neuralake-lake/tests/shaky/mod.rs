//! A store that answers a conditional put wrongly, once, in each of the ways real ones do, that cannot be read for a
//! while, and over whose questions the machine may fall asleep.

#![allow(dead_code)] // not every test uses all

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
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
    unreadable: AtomicU64,
    now_s: AtomicU64,
    sleep_s: AtomicU64,
    /// Bytes of every conditional put that was tried, by name.
    pub tried: Mutex<Vec<(String, Bytes)>>,
    /// How often it was asked to make found commits durable.
    pub confirmed: AtomicU64,
}

impl ShakyStore {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            next: AtomicU8::new(0),
            unreadable: AtomicU64::new(0),
            now_s: AtomicU64::new(1_000),
            sleep_s: AtomicU64::new(0),
            tried: Mutex::new(Vec::new()),
            confirmed: AtomicU64::new(0),
        }
    }

    pub fn lie_once(&self, lie: Lie) {
        self.tried.lock().unwrap().clear();
        self.next.store(lie as u8, Ordering::SeqCst);
    }

    /// The next reads of whole objects fail.
    pub fn fail_reads(&self, count: u64) {
        self.unreadable.store(count, Ordering::SeqCst);
    }

    /// Time passes.
    pub fn pass_s(&self, seconds: u64) {
        self.now_s.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The machine sleeps so long between the next conditional put and its answer.
    pub fn sleep_over_the_next_put_s(&self, seconds: u64) {
        self.sleep_s.store(seconds, Ordering::SeqCst);
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
        self.pass_s(self.sleep_s.swap(0, Ordering::SeqCst));
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

    fn get(&self, url: &Url) -> Result<Option<Bytes>, LakeError> {
        let left = self.unreadable.load(Ordering::SeqCst);
        if left > 0 {
            self.unreadable.store(left - 1, Ordering::SeqCst);
            let path = url.path().to_owned();
            return Err(LakeError::StoreUnreachable { action: "read", path, reason: "no answer".to_owned() });
        }
        self.inner.get(url)
    }

    fn confirm(&self, log: &Url) -> Result<(), LakeError> {
        self.confirmed.fetch_add(1, Ordering::SeqCst);
        self.inner.confirm(log)
    }

    fn now_s(&self) -> u64 {
        self.now_s.load(Ordering::SeqCst)
    }

    fn make_root(&self, url: &Url) -> Result<(), LakeError> {
        self.inner.make_root(url)
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        self.inner.runtime()
    }
}

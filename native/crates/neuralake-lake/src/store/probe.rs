//! Does a store keep its promises? Asked once at start, refused if not.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;
use uuid::Uuid;

use super::{PutAnswer, Store, object_path};
use crate::LakeError;

/// Writers that race for one name.
const RACERS: usize = 8;

/// Race conditional puts, then read and list what the winner wrote.
///
/// # Errors
/// `StoreUnreachable` when no put is answered at all, `StoreUnfit` naming the promise that was broken.
pub fn probe(store: &Arc<dyn Store>) -> Result<(), LakeError> {
    let unfit = |reason: String| LakeError::StoreUnfit { uri: store.root().to_string(), reason };
    let url = named(store, &format!("_probe/{}.json", Uuid::new_v4()))?;
    let answers: Vec<PutAnswer> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|n| {
                let (store, url) = (Arc::clone(store), url.clone());
                scope.spawn(move || store.put_if_absent(&url, Bytes::from(n.to_string())))
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap_or_else(|_| PutAnswer::Failed("a racer died".to_owned())))
            .collect()
    });
    let (broken, answers): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| matches!(a, PutAnswer::Broken(_)));
    if let Some(PutAnswer::Broken(error)) = broken.into_iter().next() {
        return Err(error);
    }
    let winners: Vec<usize> =
        answers.iter().enumerate().filter(|(_, a)| matches!(a, PutAnswer::Created)).map(|(n, _)| n).collect();
    let [winner] = winners[..] else {
        let failure =
            answers.iter().find_map(|a| if let PutAnswer::Failed(why) = a { Some(why.clone()) } else { None });
        return match failure {
            Some(reason) if winners.is_empty() => {
                Err(LakeError::StoreUnreachable { action: "write", path: url.to_string(), reason })
            }
            _ => Err(unfit(format!(
                "{RACERS} writers put one object only if absent and {} of them were told they won, expected one",
                winners.len()
            ))),
        };
    };
    let found = store.get(&url)?;
    if found.as_deref() != Some(winner.to_string().as_bytes()) {
        return Err(unfit("a read after the write did not return what the winner wrote".to_owned()));
    }
    let path = object_path(&url);
    let prefix = object_path(&named(store, "_probe/")?);
    let objects = store.objects();
    let listing = store.runtime().block_on(async {
        let listing = objects.list_with_delimiter(Some(&prefix)).await;
        // Best effort: a leftover of some bytes under `_probe` is no table.
        let _ = objects.delete(&path).await;
        listing
    });
    let listing = listing.map_err(|e| LakeError::StoreUnreachable {
        action: "list",
        path: prefix.to_string(),
        reason: e.to_string(),
    })?;
    if !listing.objects.iter().any(|object| object.location == path) {
        return Err(unfit("a list after the write did not name the new object".to_owned()));
    }
    Ok(())
}

fn named(store: &Arc<dyn Store>, name: &str) -> Result<Url, LakeError> {
    store
        .root()
        .join(name)
        .map_err(|e| LakeError::StoreInvalid { uri: store.root().to_string(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use object_store::DynObjectStore;

    use super::super::{LocalStore, StoreSpec};
    use super::*;

    /// What a store does not keep.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Broken {
        Nothing,
        /// Puts "only if absent" overwrite, as some gateways do.
        Condition,
        /// A file system without hard links, as exFAT.
        Links,
        /// Reads lag behind writes.
        Reads,
    }

    #[derive(Debug)]
    struct Unfit {
        inner: LocalStore,
        broken: Broken,
    }

    impl Store for Unfit {
        fn root(&self) -> &Url {
            self.inner.root()
        }

        fn objects(&self) -> Arc<DynObjectStore> {
            self.inner.objects()
        }

        fn put_if_absent(&self, url: &Url, bytes: Bytes) -> PutAnswer {
            match self.broken {
                Broken::Condition => match self.put(url, bytes) {
                    Ok(()) => PutAnswer::Created,
                    Err(error) => PutAnswer::Failed(error.to_string()),
                },
                Broken::Links => PutAnswer::Failed("Operation not permitted (os error 1)".to_owned()),
                Broken::Nothing | Broken::Reads => self.inner.put_if_absent(url, bytes),
            }
        }

        fn get(&self, url: &Url) -> Result<Option<Bytes>, LakeError> {
            if self.broken == Broken::Reads { Ok(None) } else { self.inner.get(url) }
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

    #[test]
    fn a_store_that_breaks_a_promise_is_refused_by_its_name() {
        let verdict = |broken| {
            let directory = tempfile::tempdir().unwrap();
            let uri = format!("file://{}", directory.path().display());
            let spec: StoreSpec = serde_json::from_value(serde_json::json!({ "uri": uri })).unwrap();
            let store: Arc<dyn Store> = Arc::new(Unfit { inner: LocalStore::open(&spec).unwrap(), broken });
            probe(&store)
        };
        assert!(verdict(Broken::Nothing).is_ok());
        let condition = verdict(Broken::Condition).unwrap_err();
        assert!(matches!(&condition, LakeError::StoreUnfit { reason, .. } if reason.contains("told they won")));
        let links = verdict(Broken::Links).unwrap_err();
        assert!(matches!(&links, LakeError::StoreUnreachable { reason, .. } if reason.contains("not permitted")));
        let reads = verdict(Broken::Reads).unwrap_err();
        assert!(matches!(&reads, LakeError::StoreUnfit { reason, .. } if reason.contains("read after the write")));
    }
}

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

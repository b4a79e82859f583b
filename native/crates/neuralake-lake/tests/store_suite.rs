//! What a store must keep for a commit to mean anything, asked of each store alike.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

mod host;
mod shaky;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use futures::TryStreamExt;
use host::on_each_store;
use neuralake_lake::store::{PutAnswer, Store};
use neuralake_lake::{Draft, Table};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use shaky::{Lie, ShakyStore};
use url::Url;
use uuid::Uuid;

const WRITERS: usize = 8;
const ROUNDS: usize = 20;
const LARGE_BYTES: usize = 64 * 1024 * 1024;
const PART_BYTES: usize = 8 * 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(20);

/// A folder of the store that no other test uses.
fn folder(store: &Arc<dyn Store>) -> Url {
    store.root().join(&format!("suite-{}/", Uuid::new_v4())).unwrap()
}

fn path(url: &Url) -> Path {
    Path::from_url_path(url.path()).unwrap()
}

fn noise(bytes: usize) -> Bytes {
    // Of no period that a part or a page has.
    (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect::<Vec<_>>().into()
}

#[test]
fn a_race_of_conditional_puts_has_one_winner() {
    on_each_store(|host| {
        let store = host.open();
        let folder = folder(&store);
        for round in 0..ROUNDS {
            let url = folder.join(&format!("{round:020}.json")).unwrap();
            let answers: Vec<PutAnswer> = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..WRITERS)
                    .map(|n| {
                        let (store, url) = (&store, &url);
                        scope.spawn(move || store.put_if_absent(url, Bytes::from(n.to_string())))
                    })
                    .collect();
                writers.into_iter().map(|writer| writer.join().unwrap()).collect()
            });
            let winners: Vec<usize> = (0..WRITERS).filter(|&n| matches!(answers[n], PutAnswer::Created)).collect();
            assert_eq!(winners.len(), 1, "{}, round {round}: {answers:?}", host.name);
            let held = store.get(&url).unwrap().unwrap();
            assert_eq!(held, winners[0].to_string(), "{}, round {round}", host.name);
        }
    });
}

#[test]
fn what_was_written_is_read_and_listed_at_once() {
    on_each_store(|host| {
        let store = host.open();
        let folder = folder(&store);
        let objects = store.objects();
        for n in 0..50 {
            let url = folder.join(&format!("{n:03}.parquet")).unwrap();
            store.put(&url, Bytes::from(format!("first {n}"))).unwrap();
            store.put(&url, Bytes::from(format!("second {n}"))).unwrap();
            assert_eq!(store.get(&url).unwrap().unwrap(), format!("second {n}"), "{}", host.name);
            let listed = store.runtime().block_on(objects.list(Some(&path(&folder))).try_collect::<Vec<_>>()).unwrap();
            assert_eq!(listed.len(), n + 1, "{}", host.name);
        }
        let gone = folder.join("007.parquet").unwrap();
        store.runtime().block_on(objects.delete(&path(&gone))).unwrap();
        assert!(store.get(&gone).unwrap().is_none(), "{}", host.name);
        let listed = store.runtime().block_on(objects.list_with_delimiter(Some(&path(&folder)))).unwrap();
        assert_eq!(listed.objects.len(), 49, "{}", host.name);
    });
}

#[test]
fn a_large_object_comes_back_to_the_byte_whole_and_in_parts() {
    on_each_store(|host| {
        let store = host.open();
        let folder = folder(&store);
        let expected = noise(LARGE_BYTES);
        let whole = folder.join("whole.parquet").unwrap();
        store.put(&whole, expected.clone()).unwrap();
        assert_eq!(store.get(&whole).unwrap().unwrap(), expected, "{}", host.name);
        let parts = folder.join("parts.parquet").unwrap();
        let objects = store.objects();
        store.runtime().block_on(async {
            let mut upload = objects.put_multipart(&path(&parts)).await.unwrap();
            for part in 0..LARGE_BYTES / PART_BYTES {
                let bytes = expected.slice(part * PART_BYTES..(part + 1) * PART_BYTES);
                upload.put_part(bytes.into()).await.unwrap();
            }
            upload.complete().await.unwrap();
            let range = (PART_BYTES - 100) as u64..(PART_BYTES + 100) as u64;
            let middle = objects.get_range(&path(&parts), range).await.unwrap();
            assert_eq!(middle, expected.slice(PART_BYTES - 100..PART_BYTES + 100), "{}", host.name);
        });
        assert_eq!(store.get(&parts).unwrap().unwrap(), expected, "{}", host.name);
    });
}

#[test]
fn a_commit_whose_answer_is_lost_or_wrong_lands_once() {
    let columns = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
    let rows = RecordBatch::try_new(Arc::new(columns.clone()), vec![Arc::new(Int64Array::from(vec![1, 2, 3]))]);
    let rows = rows.unwrap();
    on_each_store(|host| {
        for lie in [Lie::LandedSaysExists, Lie::LandedSaysFailed, Lie::AbsentSaysExists, Lie::AbsentSaysFailed] {
            let shaky = Arc::new(ShakyStore::new(host.open()));
            let store: Arc<dyn Store> = shaky.clone();
            let name = format!("t-{}", Uuid::new_v4());
            let mut table = Table::open_or_create(&store, &name, &columns, &[], &Arc::default()).unwrap();
            shaky.lie_once(lie);
            let file = table.stage(std::slice::from_ref(&rows)).unwrap();
            let draft = || Draft { files: vec![file.clone()], ..Draft::default() };
            assert!(table.commit(DEADLINE, &mut |_| Ok(Some(draft()))).unwrap(), "{} {lie:?}", host.name);
            let log = store.root().join(&format!("{name}/_delta_log/")).unwrap();
            let listed = store.runtime().block_on(store.objects().list(Some(&path(&log))).try_collect::<Vec<_>>());
            assert_eq!(listed.unwrap().len(), 2, "{} {lie:?}: the table's first version and one more", host.name);
        }
    });
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    on_each_store(|host| {
        let store = host.open();
        let folder = folder(&store);
        let is_over = AtomicBool::new(false);
        let acked: Vec<String> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (store, folder, is_over) = (&store, &folder, &is_over);
                    scope.spawn(move || {
                        let mut acked = Vec::new();
                        for n in 0.. {
                            if is_over.load(Ordering::SeqCst) {
                                break;
                            }
                            let name = format!("{writer}-{n}.json");
                            let url = folder.join(&name).unwrap();
                            if matches!(store.put_if_absent(&url, Bytes::from(name.clone())), PutAnswer::Created) {
                                acked.push(name);
                            }
                        }
                        acked
                    })
                })
                .collect();
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(200));
                host.kill_and_restart();
            }
            is_over.store(true, Ordering::SeqCst);
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        assert!(acked.len() > 50, "{}: only {} were acknowledged", host.name, acked.len());
        let store = host.open();
        for name in acked {
            let held = store.get(&folder.join(&name).unwrap()).unwrap();
            assert_eq!(held.unwrap_or_default(), name, "{}: {name} is lost", host.name);
        }
    });
}

//! Disks that fail, processes that die in the middle, files that go missing.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use tempfile::tempdir;

use super::super::segment::{list_segments, segment_path};
use super::super::{Reader, Topic, Writer, WriterOptions, watermarks};
use super::{Point, ScriptedDisk, TOPIC, append, copy, read_values, small, values, with_disk};

#[test]
fn a_reader_never_sees_what_is_not_synced() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let is_watching = Arc::new(AtomicBool::new(false));
    let disk = {
        let (topic, seen, is_watching) = (topic.clone(), Arc::clone(&seen), Arc::clone(&is_watching));
        let mut open = None;
        ScriptedDisk::new(move |point| {
            if is_watching.load(Ordering::Relaxed) && matches!(point, Point::Written | Point::Sync) {
                let old = open.get_or_insert_with(|| Reader::open(&topic, 0, 0).unwrap());
                let mut new = Reader::open(&topic, 0, 0).unwrap();
                while old.poll(100, usize::MAX, &mut |_| {}).unwrap() > 0 {}
                while new.poll(100, usize::MAX, &mut |_| {}).unwrap() > 0 {}
                let (_, next) = watermarks(&topic, 0).unwrap();
                seen.lock().unwrap().push((point, old.position(), new.position(), next));
            }
            Ok(())
        })
    };
    let options = WriterOptions { disk, ..small() };
    let writer = Writer::open(&topic, 0, options).unwrap();
    is_watching.store(true, Ordering::Relaxed);
    for first in (0..60).step_by(6) {
        seen.lock().unwrap().clear();
        append(&writer, &values(first..first + 6)).unwrap();
        let seen = seen.lock().unwrap();
        assert!(seen.iter().filter(|entry| entry.0 == Point::Sync).count() > 0);
        // The last write is that of the mark, behind the last sync; all before it show the end before the append.
        let (last, before) = seen.split_last().unwrap();
        assert_eq!(*last, (Point::Written, first + 6, first + 6, first + 6));
        assert!(before.iter().all(|(_, old, new, next)| [old, new, next] == [&first; 3]), "{before:?}");
    }
}

#[test]
fn a_failed_fsync_is_final() {
    let home = tempdir().unwrap();
    let directory = home.path().join("journal");
    let topic = Topic::create(&directory, TOPIC, 1).unwrap();
    let is_failing = Arc::new(AtomicBool::new(false));
    let syncs = Arc::new(AtomicUsize::new(0));
    let disk = {
        let (is_failing, syncs) = (Arc::clone(&is_failing), Arc::clone(&syncs));
        ScriptedDisk::new(move |point| {
            if point == Point::Sync {
                syncs.fetch_add(1, Ordering::Relaxed);
                if is_failing.swap(false, Ordering::Relaxed) {
                    return Err(io::Error::other("medium error"));
                }
            }
            Ok(())
        })
    };
    let writer = Writer::open(&topic, 0, with_disk(disk)).unwrap();
    append(&writer, &values(0..5)).unwrap();
    is_failing.store(true, Ordering::Relaxed);
    let error = append(&writer, &values(5..9)).unwrap_err();
    assert_eq!((error.code(), error.is_fatal(), error.is_retryable()), ("journal-sync-failed", true, false));

    let before = syncs.load(Ordering::Relaxed);
    assert_eq!(append(&writer, &values(5..9)).unwrap_err().code(), "journal-writer-stopped");
    assert_eq!(syncs.load(Ordering::Relaxed), before, "a failed fsync is never repeated");
    assert_eq!(read_values(&topic).unwrap(), values(0..5));
    drop(writer);
    // The lock lives as long as the process, so nobody here believes a second fsync.
    assert_eq!(Writer::open(&topic, 0, small()).unwrap_err().code(), "journal-locked");
    assert_eq!(read_values(&topic).unwrap(), values(0..5));

    // The next process: what it keeps of the doubtful frame it writes again before it syncs.
    copy(&directory, &home.path().join("later"));
    let topic = Topic::open(&home.path().join("later"), TOPIC).unwrap();
    let points = Arc::new(Mutex::new(Vec::new()));
    let disk = {
        let points = Arc::clone(&points);
        ScriptedDisk::new(move |point| {
            points.lock().unwrap().push(point);
            Ok(())
        })
    };
    let writer = Writer::open(&topic, 0, with_disk(disk)).unwrap();
    assert_eq!(writer.next_offset(), 9);
    let points = points.lock().unwrap();
    let [Point::Write { position, bytes }, Point::Written, Point::Sync, Point::Synced] = points[..4] else {
        panic!("{points:?}")
    };
    let segment = segment_path(&topic.partition_directory(0), 0);
    assert_eq!(position + bytes as u64, segment.metadata().unwrap().len(), "all of it, up to the end");
    assert_eq!(read_values(&topic).unwrap(), values(0..9));
}

#[test]
fn a_failed_fsync_in_recovery_keeps_the_lock() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let disk = ScriptedDisk::new(|point| match point {
        Point::Sync => Err(io::Error::other("medium error")),
        _ => Ok(()),
    });
    assert_eq!(Writer::open(&topic, 0, with_disk(disk)).unwrap_err().code(), "journal-sync-failed");
    assert_eq!(Writer::open(&topic, 0, small()).unwrap_err().code(), "journal-locked");
}

#[test]
fn a_full_disk_takes_the_batch_back_and_the_writer_goes_on() {
    for failing_write in 1..4 {
        let home = tempdir().unwrap();
        let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
        let until_failure = Arc::new(AtomicUsize::new(usize::MAX));
        let disk = {
            let until_failure = Arc::clone(&until_failure);
            ScriptedDisk::new(move |point| match point {
                Point::Write { .. } if until_failure.fetch_sub(1, Ordering::Relaxed) == 1 => {
                    Err(ErrorKind::StorageFull.into())
                }
                _ => Ok(()),
            })
        };
        let options = WriterOptions { frame_bytes: 150, disk, ..WriterOptions::default() };
        let writer = Writer::open(&topic, 0, options).unwrap();
        append(&writer, &values(0..5)).unwrap();
        until_failure.store(failing_write, Ordering::Relaxed);
        let error = append(&writer, &values(5..40)).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("journal-io", true));
        assert_eq!(watermarks(&topic, 0).unwrap(), (0, 5));
        until_failure.store(usize::MAX, Ordering::Relaxed);
        // Shorter than what failed, so that anything left of it would stand behind.
        assert_eq!(append(&writer, &values(5..7)).unwrap(), 5..7);
        writer.close().unwrap();
        fs::remove_file(topic.partition_directory(0).join("synced")).unwrap();
        assert_eq!(read_values(&topic).unwrap(), values(0..7));
    }
}

#[test]
fn an_end_that_cannot_be_published_is_published_by_the_next_holder() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let synced = Arc::new(AtomicBool::new(false));
    let is_failing = Arc::new(AtomicBool::new(false));
    let disk = {
        let (synced, is_failing) = (Arc::clone(&synced), Arc::clone(&is_failing));
        ScriptedDisk::new(move |point| {
            match point {
                Point::Synced => synced.store(true, Ordering::Relaxed),
                Point::Write { .. } if synced.swap(false, Ordering::Relaxed) && is_failing.load(Ordering::Relaxed) => {
                    return Err(io::Error::other("no"));
                }
                _ => {}
            }
            Ok(())
        })
    };
    let writer = Writer::open(&topic, 0, with_disk(disk)).unwrap();
    append(&writer, &values(0..5)).unwrap();
    synced.store(false, Ordering::Relaxed);
    is_failing.store(true, Ordering::Relaxed);
    assert_eq!(append(&writer, &values(5..9)).unwrap_err().code(), "journal-io");
    assert_eq!(append(&writer, &values(5..9)).unwrap_err().code(), "journal-writer-stopped");
    assert_eq!(watermarks(&topic, 0).unwrap(), (0, 5));
    drop(writer);
    assert_eq!(watermarks(&topic, 0).unwrap(), (0, 9));
    assert_eq!(read_values(&topic).unwrap(), values(0..9));
}

#[test]
fn a_writer_never_takes_a_recovering_reader_for_a_writer() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    for round in 0..40 {
        // Without a mark both must recover, and both want the lock.
        let _ = fs::remove_file(topic.partition_directory(0).join("synced"));
        let start = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    assert!((round..=round + 1).contains(&watermarks(&topic, 0).unwrap().1));
                });
            }
            start.wait();
            append(&Writer::open(&topic, 0, small()).unwrap(), &values(round..round + 1)).unwrap();
        });
    }
    assert_eq!(read_values(&topic).unwrap(), values(0..40));
}

/// Copies of the journal as a kill at each write and sync would leave it.
fn kill_at_every_point(directory: &Path, copies: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let topic = Topic::create(directory, TOPIC, 1).unwrap();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let made = Arc::new(Mutex::new(Vec::new()));
    let disk = {
        let (directory, copies) = (directory.to_path_buf(), copies.to_path_buf());
        let (acknowledged, made) = (Arc::clone(&acknowledged), Arc::clone(&made));
        ScriptedDisk::new(move |_| {
            let mut made = made.lock().unwrap();
            let target = copies.join(made.len().to_string());
            copy(&directory, &target);
            made.push((target, acknowledged.load(Ordering::Relaxed) as u64));
            Ok(())
        })
    };
    let writer = Writer::open(&topic, 0, WriterOptions { disk, ..small() }).unwrap();
    for first in (0..45).step_by(9) {
        append(&writer, &values(first..first + 9)).unwrap();
        acknowledged.store(first as usize + 9, Ordering::Relaxed);
    }
    made.lock().unwrap().clone()
}

#[test]
fn a_kill_at_any_point_loses_nothing_acknowledged_and_invents_nothing() {
    let home = tempdir().unwrap();
    let copies = kill_at_every_point(&home.path().join("journal"), &home.path().join("copies"));
    assert!(copies.len() > 50);
    for (directory, acknowledged) in copies {
        let topic = Topic::open(&directory, TOPIC).unwrap();
        // A consumer in another process may come first, or the next writer.
        let (_, seen) = watermarks(&topic, 0).unwrap();
        let writer = Writer::open(&topic, 0, small()).unwrap();
        let next = writer.next_offset();
        assert_eq!(seen, next);
        assert!((acknowledged..=acknowledged + 9).contains(&next), "{acknowledged} {next}");
        append(&writer, &values(next..next + 9)).unwrap();
        assert_eq!(read_values(&topic).unwrap(), values(0..next + 9));
    }
}

#[test]
fn a_missing_or_foreign_segment_is_damage() {
    let home = tempdir().unwrap();
    let directory = home.path().join("journal");
    let topic = Topic::create(&directory, TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, small()).unwrap();
    for first in (0..90).step_by(9) {
        append(&writer, &values(first..first + 9)).unwrap();
    }
    writer.close().unwrap();
    let bases = list_segments(&topic.partition_directory(0)).unwrap();
    let last = bases.len() - 1;
    type Harm = Box<dyn Fn(&Path)>;
    let remove = |index: usize| -> Harm {
        let base = bases[index];
        Box::new(move |folder| fs::remove_file(segment_path(folder, base)).unwrap())
    };
    let (from, to) = (bases[1], bases[2]);
    let swap: Harm = Box::new(move |folder| {
        fs::copy(segment_path(folder, from), segment_path(folder, to)).unwrap();
    });
    let cut: Harm = Box::new(move |folder| {
        fs::OpenOptions::new().write(true).open(segment_path(folder, from)).unwrap().set_len(0).unwrap();
    });
    for (index, harm) in [remove(2), remove(last), swap, cut].into_iter().enumerate() {
        for has_mark in [true, false] {
            let target = home.path().join(format!("{index}{has_mark}"));
            copy(&directory, &target);
            let topic = Topic::open(&target, TOPIC).unwrap();
            let folder = topic.partition_directory(0);
            harm(&folder);
            if !has_mark {
                fs::remove_file(folder.join("synced")).unwrap();
                if index == 1 {
                    // Without mark and last segment nothing tells that there was more.
                    continue;
                }
            }
            let found = Writer::open(&topic, 0, small()).and_then(Writer::close).and_then(|()| read_values(&topic));
            assert_eq!(found.unwrap_err().code(), "journal-damaged", "{index} {has_mark}");
        }
    }
}

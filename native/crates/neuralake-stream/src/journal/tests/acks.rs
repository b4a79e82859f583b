//! Modes of acknowledgement, group commit, and what a power cut does to frames that wait for their sync together.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::tempdir;

use super::super::segment::segment_path;
use super::super::{Acks, AtRisk, Topic, Writer, WriterOptions, watermarks};
use super::{Point, ScriptedDisk, TOPIC, append, copy, flip, read_from, read_values, small, values, with_disk};

/// A gate that syncs wait at while it is shut.
#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    changed: Condvar,
    syncs: AtomicUsize,
}

impl Gate {
    fn shut(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap() = is_shut;
        self.changed.notify_all();
    }

    fn pass(&self) {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        let shut = self.is_shut.lock().unwrap();
        let _open = self.changed.wait_while(shut, |is_shut| *is_shut).unwrap();
    }

    fn syncs(&self) -> usize {
        self.syncs.load(Ordering::SeqCst)
    }
}

fn gated(acks: Acks) -> (Arc<Gate>, WriterOptions) {
    let gate = Arc::new(Gate::default());
    let own = Arc::clone(&gate);
    let disk = ScriptedDisk::gated(move || {
        own.pass();
        Ok(())
    });
    (gate, WriterOptions { acks, sync_every: Duration::ZERO, ..with_disk(disk) })
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "still waiting");
        std::thread::yield_now();
    }
}

#[test]
fn one_sync_serves_all_that_wait() {
    const THREADS: u64 = 8;
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let (gate, options) = gated(Acks::Durable);
    let writer = Writer::open(&topic, 0, options).unwrap();
    let before = gate.syncs();
    gate.shut(true);
    std::thread::scope(|scope| {
        scope.spawn(|| append(&writer, &values(0..3)).unwrap());
        // The first one syncs; what the others write meanwhile is not covered by it.
        wait_until(|| gate.syncs() > before);
        for _ in 1..THREADS {
            scope.spawn(|| append(&writer, &values(0..3)).unwrap());
        }
        wait_until(|| writer.next_offset() == THREADS * 3);
        assert_eq!(watermarks(&topic, 0).unwrap(), (0, 0), "nothing is shown before its sync");
        gate.shut(false);
    });
    assert_eq!(gate.syncs() - before, 2);
    assert_eq!(watermarks(&topic, 0).unwrap(), (0, THREADS * 3));
}

#[test]
fn many_threads_share_a_writer_and_each_batch_stays_whole() {
    const THREADS: u64 = 6;
    const APPENDS: u64 = 40;
    let home = tempdir().unwrap();
    for acks in [Acks::None, Acks::Buffered, Acks::Durable] {
        let topic = Topic::create(home.path(), &format!("{acks:?}"), 1).unwrap();
        let writer = Writer::open(&topic, 0, WriterOptions { acks, ..small() }).unwrap();
        let start = Barrier::new(THREADS as usize);
        let ranges: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (start, writer) = (&start, &writer);
                    scope.spawn(move || {
                        start.wait();
                        let batch = |number| vec![format!("{thread} {number}").into_bytes(); 7];
                        (0..APPENDS).map(|number| (append(writer, &batch(number)).unwrap(), batch(number))).collect()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| -> Vec<_> { thread.join().unwrap() }).collect()
        });
        writer.flush().unwrap();
        assert_eq!(writer.at_risk(), AtRisk::default());
        let found: Vec<_> = read_from(&topic, 0, 1000, usize::MAX).unwrap().into_iter().map(|read| read.3).collect();
        assert_eq!(found.len() as u64, THREADS * APPENDS * 7);
        for (range, batch) in ranges {
            assert_eq!(found[range.start as usize..range.end as usize], batch, "{acks:?}");
        }
    }
}

#[test]
fn a_buffered_append_is_with_the_system_and_seen_once_synced() {
    let home = tempdir().unwrap();
    let directory = home.path().join("journal");
    let topic = Topic::create(&directory, TOPIC, 1).unwrap();
    let (gate, options) = gated(Acks::Buffered);
    let writer = Writer::open(&topic, 0, options).unwrap();
    gate.shut(true);
    assert_eq!(append(&writer, &values(0..4)).unwrap(), 0..4);
    assert_eq!(append(&writer, &values(4..9)).unwrap(), 4..9);
    assert_eq!(watermarks(&topic, 0).unwrap(), (0, 0));
    assert_eq!(writer.at_risk().messages, 9);
    assert!(writer.at_risk().bytes > 9);
    // What a killed process leaves behind: the next holder keeps all of it.
    let left = home.path().join("left");
    copy(&directory, &left);
    gate.shut(false);
    wait_until(|| watermarks(&topic, 0).unwrap() == (0, 9));
    wait_until(|| writer.at_risk() == AtRisk::default());
    let topic = Topic::open(&left, TOPIC).unwrap();
    assert_eq!(read_values(&topic).unwrap(), values(0..9));
}

#[test]
fn an_append_without_acks_is_in_the_queue_and_written_in_order() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let (gate, options) = gated(Acks::None);
    let writer = Writer::open(&topic, 0, WriterOptions { queue_bytes: 2_000, ..options }).unwrap();
    gate.shut(true);
    assert_eq!(append(&writer, &values(0..4)).unwrap(), 0..4);
    assert_eq!(append(&writer, &values(4..9)).unwrap(), 4..9);
    assert_eq!((writer.next_offset(), writer.at_risk().messages), (9, 9));
    gate.shut(false);
    writer.flush().unwrap();
    assert_eq!(watermarks(&topic, 0).unwrap(), (0, 9));
    // A full queue makes an append wait, not fail.
    for first in (9..900).step_by(9) {
        append(&writer, &values(first..first + 9)).unwrap();
    }
    writer.close().unwrap();
    assert_eq!(read_values(&topic).unwrap(), values(0..900));
}

#[test]
fn a_failed_sync_in_the_background_is_told_and_final() {
    for acks in [Acks::None, Acks::Buffered] {
        let home = tempdir().unwrap();
        let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
        let is_failing = Arc::new(AtomicBool::new(false));
        let syncs = Arc::new(AtomicUsize::new(0));
        let disk = {
            let (is_failing, syncs) = (Arc::clone(&is_failing), Arc::clone(&syncs));
            ScriptedDisk::new(move |point| match point {
                Point::Sync if is_failing.load(Ordering::SeqCst) => {
                    syncs.fetch_add(1, Ordering::SeqCst);
                    Err(io::Error::from_raw_os_error(5))
                }
                _ => Ok(()),
            })
        };
        let writer = Writer::open(&topic, 0, WriterOptions { acks, ..with_disk(disk) }).unwrap();
        append(&writer, &values(0..5)).unwrap();
        writer.flush().unwrap();
        is_failing.store(true, Ordering::SeqCst);
        append(&writer, &values(5..9)).unwrap();
        let error = writer.flush().unwrap_err();
        assert_eq!((error.code(), error.is_fatal()), ("journal-sync-failed", true));
        assert_eq!(append(&writer, &values(9..10)).unwrap_err().code(), "journal-writer-stopped");
        assert_eq!(writer.at_risk().messages, 4, "what was acknowledged and never synced stays told");
        drop(writer);
        assert_eq!(syncs.load(Ordering::SeqCst), 1, "a failed fsync is never repeated");
        assert_eq!(watermarks(&topic, 0).unwrap(), (0, 5));
        assert_eq!(Writer::open(&topic, 0, small()).unwrap_err().code(), "journal-locked");
    }
}

#[test]
fn a_write_that_fails_behind_an_ack_stops_the_writer_with_its_reason() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let is_full = Arc::new(AtomicBool::new(false));
    let disk = {
        let is_full = Arc::clone(&is_full);
        ScriptedDisk::new(move |point| match point {
            Point::Write { position: 1.., .. } if is_full.load(Ordering::SeqCst) => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        })
    };
    let writer = Writer::open(&topic, 0, WriterOptions { acks: Acks::None, ..with_disk(disk) }).unwrap();
    append(&writer, &values(0..5)).unwrap();
    writer.flush().unwrap();
    is_full.store(true, Ordering::SeqCst);
    append(&writer, &values(5..9)).unwrap();
    assert_eq!(writer.flush().unwrap_err().code(), "journal-io");
    assert_eq!(append(&writer, &values(9..10)).unwrap_err().code(), "journal-writer-stopped");
    assert_eq!(writer.at_risk().messages, 4);
    is_full.store(false, Ordering::SeqCst);
    drop(writer);
    let writer = Writer::open(&topic, 0, small()).unwrap();
    assert_eq!(append(&writer, &values(5..7)).unwrap(), 5..7);
    assert_eq!(read_values(&topic).unwrap(), values(0..7));
}

#[test]
fn room_is_given_back_at_the_end_and_cut_by_the_next_holder_after_a_kill() {
    let home = tempdir().unwrap();
    let directory = home.path().join("journal");
    let topic = Topic::create(&directory, TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, WriterOptions::default()).unwrap();
    append(&writer, &values(0..5)).unwrap();
    let segment = segment_path(&topic.partition_directory(0), 0);
    assert!(segment.metadata().unwrap().len() >= 1 << 20);
    let left = home.path().join("left");
    copy(&directory, &left);
    writer.close().unwrap();
    let bytes = segment.metadata().unwrap().len();
    assert!(bytes < 1000);
    let topic = Topic::open(&left, TOPIC).unwrap();
    assert_eq!(read_values(&topic).unwrap(), values(0..5));
    assert_eq!(segment_path(&topic.partition_directory(0), 0).metadata().unwrap().len(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A power cut before the sync of several frames leaves any of their sectors; what was synced before stays, what
    /// is kept is a prefix, and nothing of it is called damage.
    #[test]
    fn frames_that_wait_together_are_cut_at_the_first_hole(
        holes in prop::collection::vec(any::<bool>(), 12), has_mark in any::<bool>(), has_room in any::<bool>(),
    ) {
        let home = tempdir().unwrap();
        let directory = home.path().join("journal");
        let topic = Topic::create(&directory, TOPIC, 1).unwrap();
        let (gate, options) = gated(Acks::Buffered);
        let room_bytes = if has_room { 1 << 16 } else { 0 };
        let writer = Writer::open(&topic, 0, WriterOptions { room_bytes, ..options }).unwrap();
        append(&writer, &values(0..5)).unwrap();
        writer.flush().unwrap();
        gate.shut(true);
        let mut ends = vec![(frame_bytes(&values(0..5)), 5)];
        for first in (5..26).step_by(3) {
            append(&writer, &values(first..first + 3)).unwrap();
            ends.push((ends[ends.len() - 1].0 + frame_bytes(&values(first..first + 3)), first + 3));
        }
        let left = home.path().join("left");
        copy(&directory, &left);
        gate.shut(false);
        let topic = Topic::open(&left, TOPIC).unwrap();
        let folder = topic.partition_directory(0);
        if !has_mark {
            fs::remove_file(folder.join("synced")).unwrap();
        }
        let (start, end) = (ends[0].0, ends[ends.len() - 1].0);
        let file = fs::OpenOptions::new().write(true).open(segment_path(&folder, 0)).unwrap();
        let sector = (end - start).div_ceil(holes.len() as u64);
        let mut first_hole = end;
        for (index, _) in holes.iter().enumerate().filter(|(_, is_hole)| **is_hole) {
            let position = start + index as u64 * sector;
            let length = sector.min(end - position);
            file.write_all_at(&vec![0; length as usize], position).unwrap();
            first_hole = first_hole.min(position);
        }
        let kept = ends.iter().rfind(|(end, _)| *end <= first_hole).unwrap().1;
        let writer = Writer::open(&topic, 0, small()).unwrap();
        prop_assert_eq!(writer.next_offset(), kept);
        append(&writer, &values(kept..kept + 9)).unwrap();
        prop_assert_eq!(read_values(&topic).unwrap(), values(0..kept + 9));
    }

    /// One bit of what was synced before the frames behind it were written: always damage, with a mark or without.
    #[test]
    fn a_synced_frame_before_those_that_wait_is_never_cut(place in 0.0..1.0_f64, bit in 0_u8..8) {
        let home = tempdir().unwrap();
        let directory = home.path().join("journal");
        let topic = Topic::create(&directory, TOPIC, 1).unwrap();
        let (gate, options) = gated(Acks::Buffered);
        let writer = Writer::open(&topic, 0, options).unwrap();
        append(&writer, &values(0..5)).unwrap();
        writer.flush().unwrap();
        gate.shut(true);
        append(&writer, &values(5..8)).unwrap();
        append(&writer, &values(8..12)).unwrap();
        let left = home.path().join("left");
        copy(&directory, &left);
        gate.shut(false);
        let topic = Topic::open(&left, TOPIC).unwrap();
        let folder = topic.partition_directory(0);
        fs::remove_file(folder.join("synced")).unwrap();
        let position = (place * frame_bytes(&values(0..5)) as f64) as u64;
        flip(&segment_path(&folder, 0), position, bit);
        prop_assert_eq!(Writer::open(&topic, 0, small()).unwrap_err().code(), "journal-damaged");
    }
}

/// Bytes on disk of a batch that fits one frame.
fn frame_bytes(values: &[Vec<u8>]) -> u64 {
    values.iter().fold(44, |sum, value| sum + 8 + value.len() as u64)
}

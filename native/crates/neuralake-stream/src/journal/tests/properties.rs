//! Properties: how a stream is cut changes nothing; a torn end is cut; damage is never silent.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::super::segment::list_segments;
use super::super::{JournalError, Result, Topic, Writer, WriterOptions, watermarks};
use super::{TOPIC, append, copy, flip, read_from, read_values, small, values};

const MARK: &str = "synced";

/// A journal of four appends, with what was there before the last one was synced.
struct Log {
    home: TempDir,
    topic: Topic,
    /// Where each frame of the one segment begins, and the end.
    frames: Vec<u64>,
    mark_before_last: Vec<u8>,
}

/// The file ends where the log does.
fn without_room() -> WriterOptions {
    WriterOptions { room_bytes: 0, ..WriterOptions::default() }
}

const APPENDS: u64 = 4;
const PER_APPEND: u64 = 3;

fn log() -> Log {
    let home = tempdir().unwrap();
    let topic = Topic::create(&home.path().join("journal"), TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, without_room()).unwrap();
    let folder = topic.partition_directory(0);
    let (mut frames, mut mark_before_last) = (vec![0], Vec::new());
    for index in 0..APPENDS {
        mark_before_last = fs::read(folder.join(MARK)).unwrap();
        let appended = append(&writer, &values(index * PER_APPEND..(index + 1) * PER_APPEND)).unwrap();
        assert_eq!(appended.end, (index + 1) * PER_APPEND);
        frames.push(segment(&folder).metadata().unwrap().len());
    }
    Log { home, topic, frames, mark_before_last }
}

fn segment(folder: &Path) -> PathBuf {
    folder.join(format!("{:020}.seg", 0))
}

impl Log {
    /// A copy to do harm to, and its partition's folder.
    fn copy(&self, name: &str) -> (Topic, PathBuf) {
        let directory = self.home.path().join(name);
        copy(&self.home.path().join("journal"), &directory);
        let topic = Topic::open(&directory, TOPIC).unwrap();
        assert_eq!(topic.incarnation(), self.topic.incarnation());
        let folder = topic.partition_directory(0);
        (topic, folder)
    }
}

/// Open for writing, as the next lock holder, then read all.
fn recover_and_read(topic: &Topic) -> Result<Vec<Vec<u8>>> {
    Writer::open(topic, 0, small())?.close()?;
    read_values(topic)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_nothing_else() {
    let log = log();
    let start = log.frames[APPENDS as usize - 1];
    let end = log.frames[APPENDS as usize];
    let kept = values(0..(APPENDS - 1) * PER_APPEND);
    for cut in start..end {
        for has_zeros in [false, true] {
            let (topic, folder) = log.copy("torn");
            let file = OpenOptions::new().write(true).open(segment(&folder)).unwrap();
            file.set_len(cut).unwrap();
            if has_zeros {
                // The length reached the disk, the last bytes did not.
                file.set_len(end).unwrap();
            }
            if cut % 2 == 0 {
                fs::write(folder.join(MARK), &log.mark_before_last).unwrap();
            } else {
                fs::remove_file(folder.join(MARK)).unwrap();
            }
            assert_eq!(recover_and_read(&topic).unwrap(), kept, "cut at {cut}, {has_zeros}");
            assert_eq!(segment(&folder).metadata().unwrap().len(), start);
            fs::remove_dir_all(log.home.path().join("torn")).unwrap();
        }
    }
}

#[test]
fn a_whole_last_frame_without_a_mark_is_kept() {
    let log = log();
    for mark in [None, Some(&log.mark_before_last)] {
        let (topic, folder) = log.copy("whole");
        match mark {
            Some(bytes) => fs::write(folder.join(MARK), bytes).unwrap(),
            None => fs::remove_file(folder.join(MARK)).unwrap(),
        }
        // By a reader, while nobody writes.
        assert_eq!(watermarks(&topic, 0).unwrap(), (0, APPENDS * PER_APPEND));
        assert_eq!(read_from(&topic, APPENDS * PER_APPEND, 1, 1).unwrap(), []);
        assert_eq!(recover_and_read(&topic).unwrap(), values(0..APPENDS * PER_APPEND));
        fs::remove_dir_all(log.home.path().join("whole")).unwrap();
    }
}

#[test]
fn a_synced_tail_is_never_cut() {
    let log = log();
    for cut in log.frames[APPENDS as usize - 1]..log.frames[APPENDS as usize] {
        let (topic, folder) = log.copy("short");
        OpenOptions::new().write(true).open(segment(&folder)).unwrap().set_len(cut).unwrap();
        let error = recover_and_read(&topic).unwrap_err();
        assert_eq!(error.code(), "journal-damaged");
        assert_eq!(segment(&folder).metadata().unwrap().len(), cut);
        assert_eq!(read_values(&topic).unwrap_err().code(), "journal-damaged");
        fs::remove_dir_all(log.home.path().join("short")).unwrap();
    }
}

#[test]
fn a_frame_copied_into_a_message_is_no_frame() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, WriterOptions::default()).unwrap();
    append(&writer, &values(0..5)).unwrap();
    let folder = topic.partition_directory(0);
    let bytes = fs::read(segment(&folder)).unwrap();
    append(&writer, &[bytes.clone(), bytes.clone()]).unwrap();
    writer.close().unwrap();
    fs::remove_file(folder.join(MARK)).unwrap();
    let file = OpenOptions::new().write(true).open(segment(&folder)).unwrap();
    file.set_len(segment(&folder).metadata().unwrap().len() - 1).unwrap();
    assert_eq!(recover_and_read(&topic).unwrap(), values(0..5));
}

fn batches() -> impl Strategy<Value = Vec<(Vec<Vec<u8>>, bool)>> {
    let value = prop::collection::vec(any::<u8>(), 0..60);
    prop::collection::vec((prop::collection::vec(value, 0..12), any::<bool>()), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Appended in any batches, over any reopenings, segments and frames, read in any portions: the same log.
    #[test]
    fn the_log_does_not_depend_on_how_it_was_cut(
        batches in batches(), segment_bytes in 1_u64..600, frame_bytes in 1_usize..300,
        max_messages in 1_usize..20, max_bytes in 0_usize..200,
    ) {
        let home = tempdir().unwrap();
        let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
        let options = WriterOptions { segment_bytes, frame_bytes, ..WriterOptions::default() };
        let mut writer = Writer::open(&topic, 0, options.clone()).unwrap();
        let mut expected = Vec::new();
        for (batch, is_reopened) in batches {
            if is_reopened {
                writer.close().unwrap();
                writer = Writer::open(&topic, 0, options.clone()).unwrap();
            }
            let first = expected.len() as u64;
            prop_assert_eq!(append(&writer, &batch).unwrap(), first..first + batch.len() as u64);
            expected.extend(batch);
        }
        let found = read_from(&topic, 0, max_messages, max_bytes).unwrap();
        prop_assert!(found.iter().enumerate().all(|(index, message)| message.0 == index as u64));
        let found: Vec<_> = found.into_iter().map(|message| message.3).collect();
        prop_assert_eq!(found, expected);
    }

    /// One flipped bit: an error, or (last frame and no mark that covers it) the messages before. Never anything else.
    #[test]
    fn a_flipped_bit_is_never_silent(place in 0.0..1.0_f64, bit in 0_u8..8, mark in 0..3) {
        let log = log();
        let (topic, folder) = log.copy("flipped");
        let end = log.frames[APPENDS as usize];
        let position = (place * end as f64) as u64;
        flip(&segment(&folder), position, bit);
        match mark {
            0 => fs::remove_file(folder.join(MARK)).unwrap(),
            1 => fs::write(folder.join(MARK), &log.mark_before_last).unwrap(),
            _ => {}
        }
        let is_last = position >= log.frames[APPENDS as usize - 1];
        let frame = log.frames.iter().rposition(|start| *start <= position).unwrap();
        let before = fs::read(segment(&folder)).unwrap();
        match recover_and_read(&topic) {
            Ok(found) => {
                prop_assert!(is_last && mark < 2);
                prop_assert_eq!(found, values(0..(APPENDS - 1) * PER_APPEND));
            }
            Err(JournalError::Damaged { file, position, offset, .. }) => {
                prop_assert!(!is_last || mark == 2);
                prop_assert_eq!(file, segment(&folder));
                prop_assert_eq!(position, log.frames[frame]);
                prop_assert_eq!(offset, frame as u64 * PER_APPEND);
                prop_assert_eq!(fs::read(segment(&folder)).unwrap(), before, "a damaged file is left as it is");
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    /// Whatever becomes of the mark, the log stays.
    #[test]
    fn a_damaged_mark_changes_nothing(place in 0.0..1.0_f64, length in 0.0..1.0_f64, bit in 0_u8..8) {
        let log = log();
        let (topic, folder) = log.copy("mark");
        let mark = folder.join(MARK);
        let bytes = mark.metadata().unwrap().len();
        flip(&mark, (place * bytes as f64) as u64, bit);
        OpenOptions::new().write(true).open(&mark).unwrap().set_len((length * bytes as f64) as u64 + 1).unwrap();
        prop_assert_eq!(watermarks(&topic, 0).unwrap(), (0, APPENDS * PER_APPEND));
        prop_assert_eq!(recover_and_read(&topic).unwrap(), values(0..APPENDS * PER_APPEND));
    }

    /// After a power loss any sectors of the last, unsynced frame may be missing.
    #[test]
    fn a_tail_with_holes_is_cut(holes in prop::collection::vec(any::<bool>(), 8), has_mark in any::<bool>()) {
        let home = tempdir().unwrap();
        let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
        let folder = topic.partition_directory(0);
        let writer = Writer::open(&topic, 0, without_room()).unwrap();
        append(&writer, &values(0..5)).unwrap();
        let mark = fs::read(folder.join(MARK)).unwrap();
        let start = segment(&folder).metadata().unwrap().len();
        append(&writer, &vec![vec![b'y'; 300]; 13]).unwrap();
        writer.close().unwrap();
        let file = OpenOptions::new().write(true).open(segment(&folder)).unwrap();
        for (index, _) in holes.iter().enumerate().filter(|(_, is_hole)| **is_hole) {
            file.write_all_at(&[0; 500], start + index as u64 * 500).unwrap();
        }
        if has_mark {
            fs::write(folder.join(MARK), mark).unwrap();
        } else {
            fs::remove_file(folder.join(MARK)).unwrap();
        }
        let found = recover_and_read(&topic).unwrap();
        prop_assert_eq!(found.len(), if holes.contains(&true) { 5 } else { 18 });
        prop_assert_eq!(list_segments(&folder).unwrap(), vec![0]);
    }
}

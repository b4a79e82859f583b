//! Topics, offsets, limits and named errors.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;

use tempfile::tempdir;

use super::super::segment::list_segments;
use super::super::{JournalError, MESSAGE_BYTES, Reader, Topic, Writer, WriterOptions, watermarks};
use super::{TOPIC, append, read_from, read_values, small, values};

#[test]
fn a_created_topic_is_opened_with_the_same_incarnation() {
    let home = tempdir().unwrap();
    let directory = home.path().join("a/new/journal");
    let created = Topic::create(&directory, TOPIC, 3).unwrap();
    assert_eq!(created.partitions(), 3);
    assert_eq!(Topic::open(&directory, TOPIC).unwrap(), created);
    assert_eq!(Topic::create(&directory, TOPIC, 3).unwrap(), created);
    assert_ne!(Topic::create(&directory, "other", 3).unwrap().incarnation(), created.incarnation());
}

#[test]
fn many_creators_at_once_make_one_topic() {
    let home = tempdir().unwrap();
    let start = Barrier::new(8);
    let incarnations: HashSet<_> = std::thread::scope(|scope| {
        let create = || {
            start.wait();
            Topic::create(&home.path().join("journal"), TOPIC, 2).unwrap().incarnation()
        };
        let creators: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        creators.into_iter().map(|creator| creator.join().unwrap()).collect()
    });
    assert_eq!(incarnations.len(), 1);
}

#[test]
fn topic_names_follow_kafkas_rules() {
    let home = tempdir().unwrap();
    let longest = "x".repeat(249);
    for name in ["a", "A.b_c-9", "...", longest.as_str()] {
        Topic::create(home.path(), name, 1).unwrap();
    }
    let too_long = "x".repeat(250);
    for name in ["", ".", "..", "a/b", "a b", "ä", "a\0", too_long.as_str()] {
        let error = Topic::create(home.path(), name, 1).unwrap_err();
        assert_eq!(error.code(), "journal-topic-invalid", "{name:?}");
        assert_eq!(Topic::open(home.path(), name).unwrap_err().code(), "journal-topic-invalid");
    }
}

#[test]
fn a_topic_that_cannot_be_used_is_named() {
    let home = tempdir().unwrap();
    assert_eq!(Topic::open(home.path(), TOPIC).unwrap_err().code(), "journal-topic-missing");
    assert_eq!(Topic::create(home.path(), TOPIC, 0).unwrap_err().code(), "journal-partitions-differ");
    let topic = Topic::create(home.path(), TOPIC, 2).unwrap();
    assert_eq!(Topic::create(home.path(), TOPIC, 3).unwrap_err().code(), "journal-partitions-differ");
    assert_eq!(watermarks(&topic, 2).unwrap_err().code(), "journal-partition-unknown");
    assert_eq!(Reader::open(&topic, 2, 0).unwrap_err().code(), "journal-partition-unknown");
    assert_eq!(Writer::open(&topic, 2, small()).unwrap_err().code(), "journal-partition-unknown");

    let file = home.path().join(TOPIC).join("topic.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"format\": 2", "\"format\": 1")).unwrap();
    assert_eq!(Topic::open(home.path(), TOPIC).unwrap_err().code(), "journal-format-unknown");
    fs::write(&file, &text[..20]).unwrap();
    assert_eq!(Topic::open(home.path(), TOPIC).unwrap_err().code(), "journal-damaged");
}

#[test]
fn a_lost_topic_file_does_not_hide_messages_behind_a_new_incarnation() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    append(&Writer::open(&topic, 0, small()).unwrap(), &values(0..3)).unwrap();
    fs::remove_file(home.path().join(TOPIC).join("topic.json")).unwrap();
    assert_eq!(Topic::create(home.path(), TOPIC, 1).unwrap_err().code(), "journal-damaged");
}

#[test]
fn messages_come_back_as_they_were_appended() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 2).unwrap();
    assert_eq!(watermarks(&topic, 0).unwrap(), (0, 0));
    assert_eq!(read_values(&topic).unwrap(), Vec::<Vec<u8>>::new());
    let writer = Writer::open(&topic, 0, WriterOptions::default()).unwrap();
    assert_eq!(writer.append([b"one".as_slice(), b"", b"three"], -5).unwrap(), 0..3);
    assert_eq!(writer.append([], 6).unwrap(), 3..3);
    let keyed = [(Some(b"k".as_slice()), b"v".as_slice()), (Some(b""), b""), (None, b"n")];
    assert_eq!(writer.append_keyed(keyed, i64::MAX).unwrap(), 3..6);
    assert_eq!(writer.next_offset(), 6);
    writer.close().unwrap();
    let (none, text) = (None::<Vec<u8>>, |text: &str| text.as_bytes().to_vec());
    let expected = vec![
        (0, -5, none.clone(), text("one")),
        (1, -5, none.clone(), text("")),
        (2, -5, none.clone(), text("three")),
        (3, i64::MAX, Some(text("k")), text("v")),
        (4, i64::MAX, Some(text("")), text("")),
        (5, i64::MAX, none, text("n")),
    ];
    assert_eq!(read_from(&topic, 0, 100, usize::MAX).unwrap(), expected);
    assert_eq!(watermarks(&topic, 0).unwrap(), (0, 6));
    assert_eq!(watermarks(&topic, 1).unwrap(), (0, 0));
}

#[test]
fn a_reader_starts_at_any_offset_held() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, small()).unwrap();
    for first in (0..90).step_by(9) {
        append(&writer, &values(first..first + 9)).unwrap();
    }
    assert!(list_segments(&topic.partition_directory(0)).unwrap().len() > 3);
    for from in 0..=90 {
        let found: Vec<_> = read_from(&topic, from, 7, 60).unwrap().into_iter().map(|message| message.3).collect();
        assert_eq!(found, values(from..90));
    }
    let error = Reader::open(&topic, 0, 91).unwrap_err();
    assert!(matches!(error, JournalError::OffsetBeyondEnd { offset: 91, next: 90, .. }), "{error}");
    assert_eq!(error.code(), "journal-offset-beyond-end");
}

#[test]
fn an_offset_no_longer_held_is_named() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, small()).unwrap();
    for first in (0..90).step_by(9) {
        append(&writer, &values(first..first + 9)).unwrap();
    }
    let folder = topic.partition_directory(0);
    let mut early = Reader::open(&topic, 0, 0).unwrap();
    let bases = list_segments(&folder).unwrap();
    for base in &bases[..2] {
        fs::remove_file(folder.join(format!("{base:020}.seg"))).unwrap();
    }
    assert_eq!(watermarks(&topic, 0).unwrap(), (bases[2], 90));
    let error = Reader::open(&topic, 0, bases[2] - 1).unwrap_err();
    assert_eq!(error.code(), "journal-offset-trimmed");
    assert_eq!(read_from(&topic, bases[2], 100, usize::MAX).unwrap().len() as u64, 90 - bases[2]);
    // A reader keeps the file it has open, then meets the gap.
    assert_eq!(early.poll(1000, usize::MAX, &mut |_| {}).unwrap() as u64, bases[1]);
    assert_eq!(early.poll(1000, usize::MAX, &mut |_| {}).unwrap_err().code(), "journal-offset-trimmed");
}

#[test]
fn a_poll_keeps_its_limits_and_always_moves() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, WriterOptions::default()).unwrap();
    writer.append(vec![[0; 10].as_slice(); 10], 0).unwrap();
    let mut reader = Reader::open(&topic, 0, 0).unwrap();
    let mut poll = |messages, bytes| reader.poll(messages, bytes, &mut |_| {}).unwrap();
    assert_eq!(poll(0, 100), 0);
    assert_eq!(poll(3, 100), 3);
    assert_eq!(poll(100, 25), 2);
    assert_eq!(poll(100, 0), 1);
    assert_eq!(poll(100, 40), 4);
    assert_eq!(poll(100, 40), 0);
}

#[test]
fn a_reader_follows_a_writer_through_segments() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let mut reader = Reader::open(&topic, 0, 0).unwrap();
    let writer = Writer::open(&topic, 0, small()).unwrap();
    let mut found = Vec::new();
    for first in (0..200).step_by(5) {
        assert_eq!(reader.poll(100, usize::MAX, &mut |_| {}).unwrap(), 0);
        append(&writer, &values(first..first + 5)).unwrap();
        assert_eq!(reader.end_offset().unwrap(), first + 5);
        while reader.poll(2, usize::MAX, &mut |message| found.push(message.value.to_vec())).unwrap() > 0 {}
    }
    assert_eq!(found, values(0..200));
}

#[test]
fn a_message_over_the_limit_takes_its_whole_batch_back() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, small()).unwrap();
    append(&writer, &values(0..4)).unwrap();
    let huge = vec![0; MESSAGE_BYTES + 1];
    let mut batch = values(4..40);
    batch.push(huge);
    let error = append(&writer, &batch).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("journal-message-too-large", false));
    assert_eq!(append(&writer, &values(4..6)).unwrap(), 4..6);
    assert_eq!(read_values(&topic).unwrap(), values(0..6));
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 2).unwrap();
    let first = Writer::open(&topic, 0, small()).unwrap();
    let error = Writer::open(&topic, 0, small()).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("journal-locked", false));
    assert!(error.to_string().contains("another writer in this process"), "{error}");
    let _other_partition = Writer::open(&topic, 1, small()).unwrap();
    first.close().unwrap();
    Writer::open(&topic, 0, small()).unwrap();
}

#[test]
fn each_error_has_its_own_code_and_a_hint() {
    let io = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let (topic, file) = (String::new(), PathBuf::new());
    let errors = [
        JournalError::TopicInvalid { topic: topic.clone() },
        JournalError::TopicMissing { topic: topic.clone(), directory: file.clone() },
        JournalError::PartitionsDiffer { topic: topic.clone(), wanted: 1, found: 2 },
        JournalError::PartitionUnknown { topic: topic.clone(), partition: 1, partitions: 1 },
        JournalError::ConsumerUnknown { topic: topic.clone(), name: String::new(), known: vec![] },
        JournalError::FormatUnknown { file: file.clone(), found: 2, known: 1 },
        JournalError::Locked { topic, partition: 0, holder: String::new() },
        JournalError::damaged(&file, 0, 0, ""),
        JournalError::OffsetTrimmed { partition: file.clone(), offset: 0, first: 1 },
        JournalError::OffsetBeyondEnd { partition: file.clone(), offset: 1, next: 0 },
        JournalError::MessageTooLarge { bytes: 2, limit: 1 },
        JournalError::sync(&file)(io()),
        JournalError::WriterStopped { file: file.clone() },
        JournalError::io("write", &file)(io()),
    ];
    let codes: HashSet<_> = errors.iter().map(JournalError::code).collect();
    assert_eq!(codes.len(), errors.len());
    assert!(codes.iter().all(|code| code.starts_with("journal-")));
    assert!(errors.iter().all(|error| !error.hint().is_empty()));
    let retryable: Vec<_> = errors.iter().filter(|error| error.is_retryable()).map(JournalError::code).collect();
    assert_eq!(retryable, ["journal-io"]);
    let fatal: Vec<_> = errors.iter().filter(|error| error.is_fatal()).map(JournalError::code).collect();
    assert_eq!(fatal, ["journal-sync-failed"]);
}

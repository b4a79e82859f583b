//! Registered consumers and what may be deleted behind them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use neuralake_lake::Faults;
use proptest::prelude::*;
use tempfile::tempdir;

use super::super::segment::list_segments;
use super::super::{
    Asked, Consumer, Reader, Retention, Topic, Writer, advance, consumers, drop_consumer, register, retention,
    set_retention, trim, trim_by_retention, watermarks,
};
use super::{TOPIC, append, read_from, small, values};

const COMMITTED: Retention = Retention { committed: true, bytes: None, age_s: None };
const EVERYTHING: Retention = Retention { committed: false, bytes: Some(0), age_s: None };
const MESSAGES: u64 = 180;

fn filled(directory: &Path) -> Topic {
    let topic = Topic::create(directory, TOPIC, 1).unwrap();
    let writer = Writer::open(&topic, 0, small()).unwrap();
    for first in (0..MESSAGES).step_by(9) {
        append(&writer, &values(first..first + 9)).unwrap();
    }
    writer.close().unwrap();
    assert!(bases(&topic).len() > 8);
    topic
}

fn bases(topic: &Topic) -> Vec<u64> {
    list_segments(&topic.partition_directory(0)).unwrap()
}

fn at(position: u64) -> BTreeMap<u32, u64> {
    BTreeMap::from([(0, position)])
}

fn cut(topic: &Topic, retention: Retention, asked: Asked) -> u64 {
    trim(topic, retention, asked, 0, false, &Faults::default()).unwrap()[0].first_after
}

#[test]
fn nothing_goes_while_nobody_is_registered_unless_asked_by_name() {
    let home = tempdir().unwrap();
    let topic = filled(home.path());
    for retention in [COMMITTED, EVERYTHING] {
        assert_eq!(cut(&topic, retention, Asked::ByRetention), 0);
    }
    assert_eq!(cut(&topic, COMMITTED, Asked::ByName), 0, "committed by whom?");
    let last = *bases(&topic).last().unwrap();
    assert_eq!(cut(&topic, EVERYTHING, Asked::ByName), last);
    assert_eq!(bases(&topic), [last], "the last segment always stays");
    assert_eq!(watermarks(&topic, 0).unwrap(), (last, MESSAGES));
}

#[test]
fn the_slowest_consumer_keeps_what_it_has_yet_to_read() {
    let home = tempdir().unwrap();
    let topic = filled(home.path());
    register(&topic, "quick", &at(170), 1).unwrap();
    register(&topic, "slow", &at(100), 2).unwrap();
    for retention in [COMMITTED, EVERYTHING] {
        for asked in [Asked::ByRetention, Asked::ByName] {
            let first = cut(&topic, retention, asked);
            assert!(first <= 100 && first > 80, "{first}");
        }
    }
    assert_eq!(read_from(&topic, 100, 1000, usize::MAX).unwrap().len() as u64, MESSAGES - 100);
    let error = register(&topic, "late", &at(10), 3).unwrap_err();
    assert_eq!(error.code(), "journal-offset-trimmed");
    assert_eq!(consumers(&topic).unwrap().keys().collect::<Vec<_>>(), ["quick", "slow"]);
    advance(&topic, "slow", &at(150), 4).unwrap();
    advance(&topic, "slow", &at(120), 5).unwrap();
    assert_eq!(consumers(&topic).unwrap()["slow"], Consumer { positions: at(150), moved_at_us: 5 });
    assert!((131..=150).contains(&cut(&topic, COMMITTED, Asked::ByRetention)));
    assert_eq!(drop_consumer(&topic, "slow").unwrap().positions, at(150));
    assert!((151..=170).contains(&cut(&topic, COMMITTED, Asked::ByRetention)));
    let error = drop_consumer(&topic, "slow").unwrap_err();
    assert_eq!(error.code(), "journal-consumer-unknown");
    assert!(error.to_string().contains("registered: quick"), "{error}");
}

#[test]
fn a_partition_that_a_consumer_does_not_name_is_kept_whole() {
    let home = tempdir().unwrap();
    let topic = filled(home.path());
    register(&topic, "elsewhere", &BTreeMap::new(), 1).unwrap();
    assert_eq!(cut(&topic, EVERYTHING, Asked::ByName), 0);
}

#[test]
fn bytes_and_age_keep_what_is_near() {
    let home = tempdir().unwrap();
    let topic = filled(home.path());
    register(&topic, "job", &at(MESSAGES), 1).unwrap();
    let sizes = |topic: &Topic| -> u64 {
        let folder = topic.partition_directory(0);
        bases(topic).iter().map(|base| folder.join(format!("{base:020}.seg")).metadata().unwrap().len()).sum()
    };
    let kept = sizes(&topic) / 2;
    cut(&topic, Retention { bytes: Some(kept), ..Retention::default() }, Asked::ByRetention);
    assert!(sizes(&topic) >= kept && sizes(&topic) < kept + 1000);
    let hour = Retention { age_s: Some(3600), ..Retention::default() };
    let before = bases(&topic);
    let now_us =
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let at_time = |now_us| trim(&topic, hour, Asked::ByRetention, now_us, false, &Faults::default()).unwrap();
    at_time(now_us);
    assert_eq!(bases(&topic), before);
    at_time(now_us + 3_700_000_000);
    assert_eq!(bases(&topic).len(), 1);
}

#[test]
fn a_topic_keeps_everything_until_it_is_told_otherwise() {
    let home = tempdir().unwrap();
    let topic = filled(home.path());
    register(&topic, "job", &at(MESSAGES), 1).unwrap();
    assert_eq!(retention(&topic).unwrap(), None);
    assert_eq!(trim_by_retention(&topic, 0, &Faults::default()).unwrap(), []);
    set_retention(&topic, Some(COMMITTED)).unwrap();
    assert_eq!(retention(&topic).unwrap(), Some(COMMITTED));
    let said = trim(&topic, COMMITTED, Asked::ByRetention, 0, true, &Faults::default()).unwrap();
    assert_eq!(bases(&topic)[0], 0, "only said");
    let done = trim_by_retention(&topic, 0, &Faults::default()).unwrap();
    assert_eq!(done, said);
    assert!(done[0].segments > 7 && done[0].bytes > 0 && done[0].first_after == bases(&topic)[0]);
    assert_eq!(consumers(&topic).unwrap().len(), 1, "the retention leaves the consumers alone");
}

#[test]
fn a_list_of_consumers_that_cannot_be_read_stops_trimming() {
    let home = tempdir().unwrap();
    let topic = filled(home.path());
    register(&topic, "job", &at(MESSAGES), 1).unwrap();
    fs::write(home.path().join(TOPIC).join("consumers.json"), "{").unwrap();
    let error = trim(&topic, EVERYTHING, Asked::ByName, 0, false, &Faults::default()).unwrap_err();
    assert_eq!(error.code(), "journal-damaged");
    assert_eq!(bases(&topic)[0], 0);
}

#[test]
fn writers_and_readers_go_on_through_a_trimming() {
    let home = tempdir().unwrap();
    let topic = filled(home.path());
    let incarnation = topic.incarnation();
    register(&topic, "job", &at(150), 1).unwrap();
    let mut reader = Reader::open(&topic, 0, 150).unwrap();
    let writer = Writer::open(&topic, 0, small()).unwrap();
    let first = cut(&topic, COMMITTED, Asked::ByRetention);
    append(&writer, &values(MESSAGES..MESSAGES + 40)).unwrap();
    let mut found = Vec::new();
    while reader.poll(50, usize::MAX, &mut |message| found.push(message.value.to_vec())).unwrap() > 0 {}
    assert_eq!(found, values(150..MESSAGES + 40));
    writer.close().unwrap();
    // Without a mark all of what is left is walked again.
    fs::remove_file(topic.partition_directory(0).join("synced")).unwrap();
    let topic = Topic::open(home.path(), TOPIC).unwrap();
    assert_eq!(topic.incarnation(), incarnation);
    assert_eq!(watermarks(&topic, 0).unwrap(), (first, MESSAGES + 40));
}

const DIRECTORY: &str = "JOURNAL_TRIM_DIRECTORY";

/// The other process: trims until its plan kills it.
#[test]
#[ignore = "started by the test below"]
fn child_trimmer() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(std::path::PathBuf::from) else { return };
    let faults = Faults::from_plan(Some(&directory.join("plan")));
    trim(&Topic::open(&directory, TOPIC).unwrap(), COMMITTED, Asked::ByName, 0, false, &faults).unwrap();
}

#[test]
fn a_kill_at_any_point_of_a_trimming_leaves_a_log_without_a_hole() {
    for nth in 1..8 {
        let home = tempdir().unwrap();
        let topic = filled(home.path());
        register(&topic, "job", &at(160), 1).unwrap();
        fs::write(home.path().join("plan"), format!("inside_journal_trim {nth}\n")).unwrap();
        let before = bases(&topic);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::trimming::child_trimmer", "--ignored"])
            .env(DIRECTORY, home.path())
            .output()
            .unwrap();
        assert!(!child.status.success(), "killed");
        assert_eq!(bases(&topic), before[nth..], "the oldest first");
        let first = before[nth];
        assert_eq!(watermarks(&topic, 0).unwrap(), (first, MESSAGES));
        assert_eq!(read_from(&topic, first, 1000, usize::MAX).unwrap().len() as u64, MESSAGES - first);
        // The next one goes on, and nothing that the consumer has yet to read went.
        assert!((141..=160).contains(&cut(&topic, COMMITTED, Asked::ByRetention)));
        let writer = Writer::open(&topic, 0, small()).unwrap();
        assert_eq!(append(&writer, &values(MESSAGES..MESSAGES + 1)).unwrap().start, MESSAGES);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any consumers at any positions, any retention, any order: what a consumer has yet to read is there.
    #[test]
    fn no_consumer_ever_misses_a_message(
        moves in prop::collection::vec((0..3_usize, 0..=MESSAGES, 0..4_u8), 1..12),
    ) {
        let home = tempdir().unwrap();
        let topic = filled(home.path());
        let names = ["a", "b", "c"];
        for (who, position, action) in moves {
            let name = names[who];
            match action {
                0 => {
                    let first = watermarks(&topic, 0).unwrap().0;
                    let registered = register(&topic, name, &at(position), 1);
                    prop_assert_eq!(registered.is_err(), position < first);
                }
                1 if consumers(&topic).unwrap().contains_key(name) => advance(&topic, name, &at(position), 1).unwrap(),
                2 => drop(drop_consumer(&topic, name)),
                _ => drop(cut(&topic, if position % 2 == 0 { COMMITTED } else { EVERYTHING }, Asked::ByRetention)),
            }
            for consumer in consumers(&topic).unwrap().values() {
                let from = consumer.positions[&0];
                prop_assert_eq!(read_from(&topic, from, 1000, usize::MAX).unwrap().len() as u64, MESSAGES - from);
            }
        }
    }
}

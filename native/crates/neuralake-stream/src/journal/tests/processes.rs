//! Locks, readers and kills across processes: this test binary starts itself again as the other process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::tempdir;

use super::super::{Reader, Topic, Writer, WriterOptions, watermarks};
use super::{TOPIC, append, read_values, small, values};

const DIRECTORY: &str = "JOURNAL_TEST_DIRECTORY";
const ACKNOWLEDGED: &str = "acknowledged ";

/// The other process: appends batches of changing size until it is killed, and says each end it was given.
#[test]
#[ignore = "started by the tests below"]
#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn child_writer() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let topic = Topic::create(Path::new(&directory), TOPIC, 1).unwrap();
    let options = WriterOptions { segment_bytes: 20_000, frame_bytes: 2_000, ..WriterOptions::default() };
    let writer = Writer::open(&topic, 0, options).unwrap();
    loop {
        let next = writer.next_offset();
        println!("\n{ACKNOWLEDGED}{next}");
        append(&writer, &values(next..next + 1 + next % 200)).unwrap();
    }
}

/// A child writer, killed when dropped.
struct Other {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn start(directory: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::processes::child_writer", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// The next end it was acknowledged; `None` once it is dead and all was read.
    fn acknowledged(&mut self) -> Option<u64> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(next) = line.trim().strip_prefix(ACKNOWLEDGED) {
                return Some(next.parse().unwrap());
            }
            line.clear();
        }
        None
    }

    /// SIGKILL; the last end it was acknowledged.
    fn kill(mut self, mut last: u64) -> u64 {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        while let Some(next) = self.acknowledged() {
            last = next;
        }
        last
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_writer_in_another_process_is_named_and_its_lock_dies_with_it() {
    let home = tempdir().unwrap();
    let mut other = Other::start(home.path());
    let first = other.acknowledged().unwrap();
    let topic = Topic::open(home.path(), TOPIC).unwrap();
    let error = Writer::open(&topic, 0, small()).unwrap_err();
    assert_eq!(error.code(), "journal-locked");
    assert!(error.to_string().contains(&format!("process {}", other.process.id())), "{error}");
    let last = other.kill(first);
    let writer = Writer::open(&topic, 0, small()).unwrap();
    assert!(writer.next_offset() >= last);
}

#[test]
fn killed_writers_lose_nothing_acknowledged_and_readers_keep_what_they_saw() {
    let home = tempdir().unwrap();
    let topic = Topic::create(home.path(), TOPIC, 1).unwrap();
    let mut reader = Reader::open(&topic, 0, 0).unwrap();
    let mut found = Vec::new();
    let mut last = 0;
    for round in 0..8 {
        let mut other = Other::start(home.path());
        for _ in 0..=5 + 3 * round {
            last = other.acknowledged().unwrap();
            reader.poll(50, usize::MAX, &mut |message| found.push(message.value.to_vec())).unwrap();
        }
        assert!(reader.position() <= reader.end_offset().unwrap());
        last = other.kill(last);
        // The next holder is a consumer in one round and a writer in the other.
        if round % 2 == 0 {
            Writer::open(&topic, 0, small()).unwrap().close().unwrap();
        }
        let (first, next) = watermarks(&topic, 0).unwrap();
        assert_eq!(first, 0);
        assert!(next >= last && next >= reader.position(), "{next} {last}");
        last = next;
    }
    while reader.poll(1000, usize::MAX, &mut |message| found.push(message.value.to_vec())).unwrap() > 0 {}
    assert_eq!(found, values(0..last));
    assert_eq!(read_values(&topic).unwrap(), found);
    assert!(last > 500);
}

//! Tests of the journal: what it promises when nothing goes wrong, and what all the others share.

mod acks;
mod basics;
mod faults;
mod processes;
mod properties;
mod trimming;

use std::fmt::{self, Debug, Formatter};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{Disk, LocalDisk, Reader, Result, Topic, Writer, WriterOptions};

/// A message as it was read: offset, timestamp, key, value.
type Read = (u64, i64, Option<Vec<u8>>, Vec<u8>);

const TOPIC: &str = "eeg.raw";

fn small() -> WriterOptions {
    WriterOptions { segment_bytes: 400, room_bytes: 256, frame_bytes: 150, ..WriterOptions::default() }
}

fn with_disk(disk: Arc<dyn Disk>) -> WriterOptions {
    WriterOptions { disk, ..WriterOptions::default() }
}

/// Values whose place can be read off them, of changing length.
fn values(offsets: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    offsets.map(|offset| format!("{offset}:{}", "x".repeat((offset % 37) as usize)).into_bytes()).collect()
}

fn append(writer: &Writer, values: &[Vec<u8>]) -> Result<std::ops::Range<u64>> {
    writer.append(values.iter().map(Vec::as_slice), 7)
}

fn read_from(topic: &Topic, from: u64, max_messages: usize, max_bytes: usize) -> Result<Vec<Read>> {
    let mut reader = Reader::open(topic, 0, from)?;
    let mut messages: Vec<Read> = Vec::new();
    loop {
        let before = messages.len();
        let count = reader.poll(max_messages, max_bytes, &mut |message| {
            let key = message.key.map(<[u8]>::to_vec);
            messages.push((message.offset, message.timestamp_us, key, message.value.to_vec()));
        })?;
        assert_eq!(count, messages.len() - before);
        assert_eq!(reader.position(), from + messages.len() as u64);
        if count == 0 {
            return Ok(messages);
        }
    }
}

fn read_values(topic: &Topic) -> Result<Vec<Vec<u8>>> {
    let messages = read_from(topic, 0, 1000, usize::MAX)?;
    assert!(messages.iter().enumerate().all(|(index, message)| message.0 == index as u64));
    Ok(messages.into_iter().map(|message| message.3).collect())
}

/// A copy of the journal as a process that comes later finds it: same bytes, nobody's locks.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(io::Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn flip(path: &Path, position: u64, bit: u8) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], position).unwrap();
}

/// What a disk is about to do, or has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Write { position: u64, bytes: usize },
    Written,
    Sync,
    Synced,
}

type Script = Box<dyn FnMut(Point) -> io::Result<()> + Send>;

type SyncScript = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// The real disk, with a script that looks in or makes it fail; a failing write leaves half of its bytes.
struct ScriptedDisk {
    script: Mutex<Script>,
    /// Runs before each sync, with nothing locked.
    before_sync: SyncScript,
}

impl ScriptedDisk {
    fn new(script: impl FnMut(Point) -> io::Result<()> + Send + 'static) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(Box::new(script)), before_sync: Box::new(|| Ok(())) })
    }

    fn gated(gate: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(Box::new(|_| Ok(()))), before_sync: Box::new(gate) })
    }

    fn at(&self, point: Point) -> io::Result<()> {
        (self.script.lock().unwrap())(point)
    }
}

impl Debug for ScriptedDisk {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("ScriptedDisk")
    }
}

impl Disk for ScriptedDisk {
    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        if let Err(error) = self.at(Point::Write { position, bytes: bytes.len() }) {
            LocalDisk.write_at(file, &bytes[..bytes.len() / 2], position)?;
            return Err(error);
        }
        LocalDisk.write_at(file, bytes, position)?;
        self.at(Point::Written)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        (self.before_sync)()?;
        self.at(Point::Sync)?;
        LocalDisk.sync_data(file)?;
        self.at(Point::Synced)
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        (self.before_sync)()?;
        self.at(Point::Sync)?;
        LocalDisk.sync_all(file)?;
        self.at(Point::Synced)
    }

    fn allocate(&self, file: &File, room: Range<u64>) -> io::Result<()> {
        LocalDisk.allocate(file, room)
    }
}

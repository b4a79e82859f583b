//! Serves live reads to this machine's readers over a private socket.
//!
//! One answer a connection. The reader says in a line which version of the table it has, or `null`; the answer is a line
//! of JSON (epoch, version, newest version, spans), then two Arrow IPC streams, rows and rejected places. Whoever may
//! open the socket's folder may read.

use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_ipc::writer::StreamWriter;
use neuralake_core::buffer::Waiting;
use neuralake_core::position::{Partition, Span};
use serde::Serialize;

use super::reader::Basin;
use super::ring::Ring;

/// A reader that asks nothing for so long is left: others wait behind it.
const ASKED_WITHIN: Duration = Duration::from_secs(1);
/// A reader that takes nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(5);
/// No question is longer.
const QUESTION_BYTES: u64 = 32;

/// What a job shows to live readers.
pub(super) struct Live<'a> {
    pub(super) epoch: i64,
    pub(super) topics: &'a [String],
    pub(super) ring: &'a Ring,
    pub(super) basins: &'a [Basin],
    pub(super) schema: SchemaRef,
    pub(super) is_over: &'a (dyn Fn() -> bool + Sync),
}

#[derive(Serialize)]
struct Header<'a> {
    epoch: i64,
    /// Version that the rows continue.
    version: u64,
    /// Newest version, for the next read.
    newest: u64,
    /// Topic, partition of it, first offset covered, and the one after the last.
    spans: Vec<(&'a str, i32, i64, i64)>,
}

/// Listen at a path of this machine, for its owner alone; what a former worker left there goes.
pub(super) fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// End the wait of `Live::serve` once the job is over.
pub(super) fn wake(path: &Path) {
    // Nobody listens any more when this fails.
    drop(UnixStream::connect(path));
}

impl Live<'_> {
    /// Answer until the job is over and somebody connects once more.
    pub(super) fn serve(&self, listener: &UnixListener) {
        for connection in listener.incoming() {
            if (self.is_over)() {
                return;
            }
            // A reader that went away hurts nobody but itself.
            let _ = connection.map_err(ArrowError::from).and_then(|reader| self.answer(reader));
        }
    }

    fn answer(&self, reader: UnixStream) -> Result<(), ArrowError> {
        reader.set_read_timeout(Some(ASKED_WITHIN))?;
        reader.set_write_timeout(Some(PATIENCE))?;
        let mut question = String::new();
        BufReader::new(&reader).take(QUESTION_BYTES).read_line(&mut question)?;
        let has: Option<u64> = serde_json::from_str(&question).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
        let tail = self.ring.tail(self.basins, has).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
        let named = |(partition, span): (&Partition, &Span)| {
            (self.topics[usize::from(partition.topic)].as_str(), partition.number, span.from.0, span.to.0)
        };
        let spans = tail.waiting.spans.iter().map(named).collect();
        let header = Header { epoch: self.epoch, version: tail.version, newest: tail.newest, spans };
        let mut out = BufWriter::with_capacity(1 << 18, reader);
        let line = serde_json::to_string(&header).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
        writeln!(out, "{line}")?;
        stream(&mut out, &self.schema, &tail.waiting.rows)?;
        stream(&mut out, &Waiting::rejected_schema(), &tail.waiting.rejected)?;
        out.flush()?;
        Ok(())
    }
}

fn stream(out: &mut impl Write, schema: &Schema, batches: &[RecordBatch]) -> Result<(), ArrowError> {
    let mut writer = StreamWriter::try_new(out, schema)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()
}

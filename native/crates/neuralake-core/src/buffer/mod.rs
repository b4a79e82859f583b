//! Rows and rejects that wait for their flush, with the span of offsets they cover.
//!
//! A message enters whole: its rows are split between the rows and the rejects of the same flush, or it is one
//! whole-message reject. A flush therefore never splits a message.
//!
//! Rows gather in an open block, whose seal runs the rules on whole columns; what is sealed is what a flush takes and
//! what a live read may show. When a block is sealed changes no verdict.

mod arrow_rows;
mod attempts;
mod block;
mod identity;
mod intake;
mod packets;
mod rejects;
mod spans;
mod text_rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};

use self::arrow_rows::slice_bytes;
pub use self::attempts::{Origin, attempts, origins};
use self::block::Block;
use self::identity::{IDENTITY_BYTES, Place, Source, identity_fields};
pub use self::intake::Intake;
pub use self::packets::{Homes, KnownStream, PacketBuffer, PacketSpec, home_key, next_key};
use self::rejects::Rejects;
use self::spans::Spans;
use crate::CoreError;
use crate::contract::{Contract, Plan};
use crate::decode::{
    Cells, MessageFault, Refusal, RowEncoding, RowReader, UnknownCells, UnknownColumns, UnknownFields, lines, read_ipc,
};
use crate::position::{Offset, Partition, Span};
use crate::signal::SignalTable;

/// One delivered message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Partition it came on.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
    /// Its value; empty for a tombstone.
    pub value: &'a [u8],
}

/// What one flush carries to the table and to its quarantine.
#[derive(Debug, Clone)]
pub struct Flush {
    /// Rows that hold the contract, in the order they came; no batch is empty.
    pub rows: Vec<RecordBatch>,
    /// Rows and whole messages that do not.
    pub rejects: RecordBatch,
    /// Half-open run of offsets covered, per partition.
    pub spans: BTreeMap<Partition, Span>,
    /// Messages delivered.
    pub messages: u64,
    /// Whole messages among the rejects.
    pub dead_letters: u64,
    /// How often each rule kept a row out.
    pub reasons: BTreeMap<String, u64>,
    /// How often rows broke a rule they may stay with.
    pub warnings: BTreeMap<String, u64>,
    /// Fields of its messages that no column takes.
    pub unknown: UnknownFields,
    /// Size of the buffer when it was taken.
    pub bytes: usize,
    /// Rows for the lake's signal tables, which follow the commit as its rejects do.
    pub beside: Beside,
    /// What the table is to remember beside its positions, for the next start.
    pub marks: BTreeMap<String, i64>,
}

/// Rows of signal tables, by table.
pub type Beside = BTreeMap<SignalTable, Vec<RecordBatch>>;

/// What waits for its flush, as a live read shows it; batches are shared, not copied.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// Rows that hold the contract.
    pub rows: Vec<RecordBatch>,
    /// Where the rejected ones came from: source, partition, offset, row; no row is a whole message.
    pub rejected: Vec<RecordBatch>,
    /// Half-open run of offsets covered, per partition.
    pub spans: BTreeMap<Partition, Span>,
}

impl Waiting {
    /// Schema of the places of rejected rows.
    #[must_use]
    pub fn rejected_schema() -> SchemaRef {
        Rejects::places_schema()
    }

    /// Add what came in later: where a partition goes on, its span grows.
    pub fn extend(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.rejected.extend(later.rejected);
        for (partition, span) in later.spans {
            self.spans.entry(partition).and_modify(|own| own.to = span.to).or_insert(span);
        }
    }
}

impl Flush {
    /// What it carries, for a live read while it is under way.
    ///
    /// # Errors
    /// `Batch` when the rejects lack a column, which none of ours do.
    pub fn waiting(&self) -> Result<Waiting, CoreError> {
        let rejected = vec![Rejects::places(&self.rejects)?];
        Ok(Waiting { rows: self.rows.clone(), rejected, spans: self.spans.clone() })
    }

    /// Rows that hold the contract.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }

    /// Both as one; each partition is in one of them.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses to join the rejects.
    pub fn join(mut self, other: Self) -> Result<Self, CoreError> {
        self.rows.extend(other.rows);
        self.rejects = concat_batches(&self.rejects.schema(), [&self.rejects, &other.rejects])?;
        self.spans.extend(other.spans);
        self.messages += other.messages;
        self.dead_letters += other.dead_letters;
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        for (rule, count) in other.warnings {
            *self.warnings.entry(rule).or_default() += count;
        }
        self.unknown.merge(other.unknown);
        self.bytes += other.bytes;
        for (table, batches) in other.beside {
            self.beside.entry(table).or_default().extend(batches);
        }
        self.marks.extend(other.marks);
        Ok(self)
    }
}

/// Collects messages of one job until its policy asks for a flush.
#[derive(Debug)]
pub struct Buffer {
    contract: Arc<Contract>,
    plan: Plan,
    schema: SchemaRef,
    source: Source,
    max_message_bytes: usize,
    encoding: RowEncoding,
    reader: RowReader,
    block: Block,
    sealed: Vec<RecordBatch>,
    sealed_rows: usize,
    sealed_bytes: usize,
    rejects: Rejects,
    warnings: BTreeMap<String, u64>,
    unknown: UnknownFields,
    spans: Spans,
    messages: u64,
    first_at_us: Option<i64>,
    /// What a seal inside `push` said, for the next call that can say it.
    failed: Option<CoreError>,
}

impl Buffer {
    /// A buffer for one job reading `source` (`topic@incarnation`) from the given positions.
    ///
    /// # Errors
    /// `ContractInvalid` when a rule does not fit its columns.
    pub fn new(
        contract: Arc<Contract>,
        encoding: RowEncoding,
        source: String,
        max_message_bytes: usize,
        positions: BTreeMap<Partition, Offset>,
    ) -> Result<Self, CoreError> {
        Ok(Self {
            plan: Plan::new(&contract)?,
            schema: Self::rows_schema(&contract),
            source: Source::new(source),
            max_message_bytes,
            encoding,
            reader: RowReader::new(&contract),
            block: Block::new(&contract, encoding),
            contract,
            sealed: Vec::new(),
            sealed_rows: 0,
            sealed_bytes: 0,
            rejects: Rejects::default(),
            warnings: BTreeMap::new(),
            unknown: UnknownFields::default(),
            spans: Spans::new(positions),
            messages: 0,
            first_at_us: None,
            failed: None,
        })
    }

    /// Schema of the rows: the declared columns, then the identity of a row.
    #[must_use]
    pub fn rows_schema(contract: &Contract) -> SchemaRef {
        let mut fields: Vec<_> = contract.arrow_schema().fields().iter().cloned().collect();
        fields.extend(identity_fields(false).into_iter().map(Arc::new));
        Arc::new(Schema::new(fields))
    }

    /// Columns of the rows by which readers pass files by: the declared ones, and the place in the source.
    #[must_use]
    pub fn rows_statistics(contract: &Contract) -> Vec<String> {
        let declared = contract.columns.iter().map(|column| column.name.clone());
        declared.chain(["_partition", "_offset", "_ingest_time"].map(str::to_owned)).collect()
    }

    /// Schema of every quarantine.
    #[must_use]
    pub fn rejects_schema() -> SchemaRef {
        Rejects::schema()
    }

    /// Take one message in. `now_us` is the wall clock in UTC microseconds.
    pub fn push(&mut self, message: &Message<'_>, now_us: i64) {
        self.push_row(message, 0, now_us);
    }

    /// Take one row of a message in again: it is the value, `row` its number within the message.
    pub fn push_row(&mut self, message: &Message<'_>, row: i32, now_us: i64) {
        self.first_at_us.get_or_insert(now_us);
        self.messages += 1;
        self.spans.cover(message);
        let place = Place::of(message, now_us);
        if let Err(refusal) = self.push_rows(message, place, row) {
            self.block.push_letter(place, refusal, message.value);
        }
        if self.block.is_due() {
            // Arrow refusing the columns is no fault of this message, and nobody here could act on it.
            if let Err(error) = self.seal() {
                self.failed.get_or_insert(error);
            }
        }
    }

    /// Rows waiting, rejected ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.block.len() + self.sealed_rows + self.rejects.len()
    }

    /// Whether nothing was delivered since the last flush.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Bytes waiting, as the columns hold them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.block.bytes() + self.sealed_bytes + self.rejects.bytes()
    }

    /// When the oldest waiting message came in.
    #[must_use]
    pub fn first_at_us(&self) -> Option<i64> {
        self.first_at_us
    }

    /// Judge what came in since the last seal. A full block is sealed unasked.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses the columns, which no message can cause.
    pub fn seal(&mut self) -> Result<(), CoreError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.block.len() == 0 {
            return Ok(());
        }
        let sealed = self.block.seal(&self.contract, &self.plan, &self.schema, &mut self.source, &mut self.rejects)?;
        for warning in &sealed.warnings {
            count(&mut self.warnings, self.plan.id(warning.rule));
        }
        if let Some(batch) = sealed.rows {
            self.sealed_rows += batch.num_rows();
            self.sealed_bytes += held_bytes(&batch, self.contract.columns.len());
            self.sealed.push(batch);
        }
        Ok(())
    }

    /// Everything that waits, for a live read; it stays where it is.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses the columns, which no message can cause.
    pub fn waiting(&mut self) -> Result<Waiting, CoreError> {
        self.seal()?;
        let (rows, spans) = (self.sealed.clone(), self.spans.so_far());
        let rejected = vec![self.rejects.waiting_places(&mut self.source)?];
        Ok(Waiting { rows, rejected, spans })
    }

    /// Take everything out as one flush and go on from its end.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses the columns, which no message can cause.
    pub fn take(&mut self) -> Result<Flush, CoreError> {
        let bytes = self.bytes();
        self.seal()?;
        let dead_letters = std::mem::take(&mut self.rejects.dead_letters);
        let reasons = std::mem::take(&mut self.rejects.counts);
        let rejects = self.rejects.finish(&self.contract, &mut self.source)?;
        let spans = self.spans.take();
        self.first_at_us = None;
        self.sealed_rows = 0;
        self.sealed_bytes = 0;
        Ok(Flush {
            rows: std::mem::take(&mut self.sealed),
            rejects,
            spans,
            messages: std::mem::take(&mut self.messages),
            dead_letters,
            reasons,
            warnings: std::mem::take(&mut self.warnings),
            unknown: std::mem::take(&mut self.unknown),
            bytes,
            beside: Beside::new(),
            marks: BTreeMap::new(),
        })
    }

    /// Decode the rows of a message into the block, or say why it has none. They are counted from `first`.
    fn push_rows(&mut self, message: &Message<'_>, place: Place, first: i32) -> Result<(), Refusal> {
        let (value, rules) = (message.value, (&*self.contract, &self.plan));
        if value.len() > self.max_message_bytes {
            return Err(MessageFault::Size.into());
        }
        if self.encoding == RowEncoding::Arrow {
            let bytes = (value.len(), self.max_message_bytes);
            let stream = read_ipc(value)?;
            let unknown = UnknownColumns::of(&stream, |name| self.reader.knows(name));
            self.block.push_stream(rules, (place, first), stream, bytes)?;
            if let Some(unknown) = unknown {
                unknown.note(&mut self.unknown);
            }
            return Ok(());
        }
        let (mut cells, mut unknown) = (Cells::new(), UnknownCells::new());
        for (row, text) in (first..).zip(lines(value, &self.reader)?) {
            // `lines` has proven every line of a longer message: where this fails, it is the only one.
            self.reader.read(text, &mut cells, &mut unknown)?;
            self.unknown.note(&unknown);
            self.block.push_row(rules, (place, row), cells.drain(..), text.as_bytes());
        }
        Ok(())
    }
}

/// Count one more; a name costs an allocation the first time only.
fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

fn held_bytes(batch: &RecordBatch, own_columns: usize) -> usize {
    let own = batch.columns().iter().take(own_columns);
    own.map(slice_bytes).sum::<usize>() + batch.num_rows() * IDENTITY_BYTES
}

//! The signal tables beside the table of a job that takes sample packets.
//!
//! A flush that meets a stream for the first time, or a gap, has rows for them. They go the way of the quarantine:
//! uploaded first, named by the main commit, added by roll-forward, which a start repeats before it reads. The main
//! commit also remembers where each stream stands, so that what is behind is told alike before and after a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type};
use neuralake_core::buffer::{Beside, KnownStream, home_key, next_key};
use neuralake_core::decode::packet::Shape;
use neuralake_core::position::Partition;
use neuralake_core::signal::{Dtype, SignalTable};
use neuralake_lake::log::BesideFile;
use neuralake_lake::quarantine::roll_beside;
use neuralake_lake::table::DataFile;
use neuralake_lake::{Faults, LakeError, Store, Table, TableView};

use super::spec::JobSpec;
use crate::StreamError;

/// Tables that packets feed. `recordings` is rolled forward last: what it does not name is hidden.
const FED: [SignalTable; 4] =
    [SignalTable::Streams, SignalTable::Channels, SignalTable::Intervals, SignalTable::Recordings];

/// The open signal tables, and the streams that the main table holds.
pub(super) struct Signals {
    tables: BTreeMap<SignalTable, Table>,
    pub(super) known: Vec<KnownStream>,
}

type Upload<'a> = dyn FnMut(&Table, &[RecordBatch]) -> Result<DataFile, StreamError> + 'a;

impl Signals {
    /// Open the tables, roll them forward, and read which streams there are.
    pub(super) fn begin(
        spec: &JobSpec,
        store: &Arc<dyn Store>,
        main: &mut Table,
        faults: &Arc<Faults>,
    ) -> Result<Self, StreamError> {
        let mut tables = BTreeMap::new();
        // Readers look for a stream's events too: every table a reader may open is there.
        for table in SignalTable::ALL.into_iter().filter(|table| *table != SignalTable::Signals) {
            let opened = Table::open_or_create(store, table.name(), &table.schema(), &table.statistics(), faults)?;
            tables.insert(table, opened);
        }
        let mut signals = Self { tables, known: Vec::new() };
        signals.roll_forward(spec, main, false)?;
        signals.know_streams(spec, main)?;
        Ok(signals)
    }

    /// Learn which streams there are, and where each stands.
    pub(super) fn know_streams(&mut self, spec: &JobSpec, main: &mut Table) -> Result<(), StreamError> {
        self.known = self.read_known(spec, main)?;
        Ok(())
    }

    /// Upload the rows of a flush; gives what the main commit is to name.
    pub(super) fn stage(&self, beside: &Beside, upload: &mut Upload<'_>) -> Result<Vec<BesideFile>, StreamError> {
        let mut files = Vec::new();
        for (name, batches) in beside {
            let file = upload(self.table(*name)?, batches)?;
            files.push(BesideFile { table: name.name().to_owned(), file: file.named });
        }
        Ok(files)
    }

    /// Add what main commits have named.
    pub(super) fn roll_forward(&mut self, spec: &JobSpec, main: &Table, keep_unmoved: bool) -> Result<(), StreamError> {
        for name in FED {
            if let Some(table) = self.tables.get_mut(&name) {
                roll_beside(main, (name.name(), table), spec.deadline(), keep_unmoved)?;
            }
        }
        Ok(())
    }

    /// Streams whose blocks stand in the main table, with where each stands by that table's own word.
    fn read_known(&self, spec: &JobSpec, main: &mut Table) -> Result<Vec<KnownStream>, StreamError> {
        let mut gains = HashMap::new();
        for batch in self.table(SignalTable::Channels)?.rows()? {
            let streams = batch["stream_id"].as_string::<i32>().iter().flatten();
            let found = batch["gain_to_unit"].as_primitive::<Float64Type>().values();
            gains.extend(streams.map(str::to_owned).zip(found.iter().copied()));
        }
        let mut known = Vec::new();
        for batch in self.table(SignalTable::Streams)?.rows()? {
            for row in 0..batch.num_rows() {
                if batch["blocks_table"].as_string::<i32>().value(row) != spec.job {
                    continue;
                }
                let name = batch["stream_id"].as_string::<i32>().value(row);
                let shape = shape_of(&batch, row, gains.get(name).copied());
                let next = main.txn(&spec.mark_key(&next_key(name)))?;
                let id = uuid::Uuid::parse_str(name).ok();
                if let (Some(id), Some(shape), Some(next)) = (id, shape, next) {
                    let home = main.txn(&spec.mark_key(&home_key(name)))?.and_then(|noted| i32::try_from(noted).ok());
                    known.push(KnownStream { id: *id.as_bytes(), shape, next, partition: home.map(Partition::new) });
                }
            }
        }
        Ok(known)
    }

    fn table(&self, name: SignalTable) -> Result<&Table, LakeError> {
        self.tables.get(&name).ok_or_else(|| LakeError::Encode(format!("the table {} is not open", name.name())))
    }
}

fn shape_of(batch: &RecordBatch, row: usize, gain_to_uv: Option<f64>) -> Option<Shape> {
    let dtype = match batch["dtype"].as_string::<i32>().value(row) {
        "int16" => Dtype::Int16,
        "int32" => Dtype::Int32,
        "float32" => Dtype::Float32,
        _ => return None,
    };
    let rate_hz = batch["rate_hz"].as_primitive::<Float64Type>().value(row);
    let channels = usize::try_from(batch["n_channels"].as_primitive::<Int32Type>().value(row)).ok()?;
    Some(Shape { dtype, rate_hz, channels, gain_to_uv: gain_to_uv? })
}

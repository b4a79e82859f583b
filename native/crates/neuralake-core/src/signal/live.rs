//! What a live stream says of itself in the signal tables, beside its samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use serde_json::{Value, json};

use super::table::SignalTable;
use crate::CoreError;
use crate::decode::packet::Shape;

/// A stream met for the first time.
#[derive(Debug)]
pub(crate) struct LiveStream {
    pub(crate) id: String,
    pub(crate) shape: Shape,
    pub(crate) sample_start: i64,
    pub(crate) start_us: Option<i64>,
    pub(crate) arrived_us: i64,
}

/// Samples that were left out when the next ones came.
#[derive(Debug)]
pub(crate) struct LiveGap {
    pub(crate) stream_id: String,
    pub(crate) rate_hz: f64,
    pub(crate) sample_start: i64,
    pub(crate) sample_stop: i64,
}

/// Rows of the signal tables for new streams and gaps, by table; `topic` and `table` are where their samples came from
/// and where they stand.
pub(crate) fn rows(
    streams: &[LiveStream],
    gaps: &[LiveGap],
    (topic, table): (&str, &str),
) -> Result<BTreeMap<SignalTable, RecordBatch>, CoreError> {
    let mut found = BTreeMap::new();
    let mut add = |of: SignalTable, rows: Vec<Value>| -> Result<(), CoreError> {
        if !rows.is_empty() {
            found.insert(of, batch(of, &rows)?);
        }
        Ok(())
    };
    add(SignalTable::Streams, streams.iter().map(|stream| stream_row(stream, table)).collect())?;
    add(SignalTable::Channels, streams.iter().flat_map(channel_rows).collect())?;
    add(SignalTable::Intervals, gaps.iter().map(gap_row).collect())?;
    add(SignalTable::Recordings, streams.iter().map(|stream| recording_row(stream, topic)).collect())?;
    Ok(found)
}

fn batch(table: SignalTable, rows: &[Value]) -> Result<RecordBatch, CoreError> {
    let schema = table.schema();
    // The reader of JSON knows zones by their offset alone.
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Timestamp(unit, Some(_)) => {
                let by_offset = DataType::Timestamp(*unit, Some(Arc::from("+00:00")));
                field.as_ref().clone().with_data_type(by_offset)
            }
            _ => field.as_ref().clone(),
        })
        .collect();
    let mut decoder = ReaderBuilder::new(Arc::new(Schema::new(fields))).build_decoder()?;
    decoder.serialize(rows)?;
    let decoded = decoder.flush()?.map(|batch| batch.columns().to_vec()).unwrap_or_default();
    let columns = decoded
        .into_iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(&column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// A live stream is a run of its own: its recording has the same id, and is there as soon as its first samples are.
fn recording_row(stream: &LiveStream, topic: &str) -> Value {
    json!({
        "recording_id": stream.id,
        "name": format!("{topic} {}", stream.id.get(..8).unwrap_or_default()),
        "format": "sample packets",
        "origin": topic,
        "start_time": stream.start_us,
        "start_trust": if stream.start_us.is_some() { "device-clock" } else { "placeholder" },
        "state": "live",
        "added_at": stream.arrived_us,
        "streams_version": -1, "channels_version": -1, "signals_version": -1,
        "events_version": -1, "intervals_version": -1,
    })
}

fn stream_row(stream: &LiveStream, table: &str) -> Value {
    json!({
        "stream_id": stream.id,
        "recording_id": stream.id,
        "segment": 0,
        "band": "live",
        "rate_hz": stream.shape.rate_hz,
        "dtype": stream.shape.dtype.name(),
        "n_channels": stream.shape.channels,
        "sample_start": stream.sample_start,
        "start_time": stream.start_us,
        "blocks_table": table,
    })
}

fn channel_rows(stream: &LiveStream) -> impl Iterator<Item = Value> {
    (0..stream.shape.channels).map(|channel| {
        json!({
            "stream_id": stream.id,
            "recording_id": stream.id,
            "channel": channel,
            "source_index": channel,
            "name": format!("ch{}", channel + 1),
            "type": "MISC",
            "physical_unit": "uV",
            "gain_to_unit": stream.shape.gain_to_uv,
            "offset_to_unit": 0.0,
        })
    })
}

fn gap_row(gap: &LiveGap) -> Value {
    let missing = gap.sample_stop - gap.sample_start;
    json!({
        "recording_id": gap.stream_id,
        "stream_id": gap.stream_id,
        "sample_start": gap.sample_start,
        "sample_stop": gap.sample_stop,
        "duration_s": missing as f64 / gap.rate_hz,
        "kind": "gap",
        "label": format!("{missing} samples missing when the next came"),
        "value_number": missing,
    })
}

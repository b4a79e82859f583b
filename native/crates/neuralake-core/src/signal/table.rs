//! The tables every lake has for signals: the one place that names their columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::list::SampleColumns;
use crate::contract::ColumnType;

/// A table of signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignalTable {
    /// A band of one device in one gap-free segment.
    Streams,
    /// A channel of a stream.
    Channels,
    /// A channel's block of samples.
    Signals,
    /// A point in time.
    Events,
    /// A span of time: trial, epoch, artefact, gap.
    Intervals,
    /// A recording or a live run. Written last: what no row of it names is hidden.
    Recordings,
}

impl SignalTable {
    /// All of them, in the order an `add` writes them.
    pub const ALL: [Self; 6] =
        [Self::Streams, Self::Channels, Self::Signals, Self::Events, Self::Intervals, Self::Recordings];

    /// Name in the lake.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Channels => "channels",
            Self::Signals => "signals",
            Self::Events => "events",
            Self::Intervals => "intervals",
            Self::Recordings => "recordings",
        }
    }

    /// The table of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Its columns.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        let fields = match self {
            Self::Recordings => recordings(),
            Self::Streams => streams(),
            Self::Channels => channels(),
            Self::Signals => signals(),
            Self::Events => events(),
            Self::Intervals => intervals(),
        };
        Arc::new(Schema::new(fields))
    }

    /// Columns with statistics in the log: what readers prune by. Never samples.
    #[must_use]
    pub fn statistics(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Recordings => &["recording_id", "start_time", "added_at"],
            Self::Streams => &["recording_id", "stream_id"],
            Self::Channels => &["recording_id", "stream_id", "channel"],
            Self::Signals => &[
                "stream_id",
                "channel",
                "sample_start",
                "sample_stop",
                "event_time_start",
                "event_time_stop",
                "_partition",
                "_offset_first",
                "_offset_last",
            ],
            Self::Events => &["recording_id", "event_time"],
            Self::Intervals => &["recording_id", "event_time_start", "event_time_stop"],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn time() -> DataType {
    ColumnType::TimestampUs.arrow()
}

fn list(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}

fn recordings() -> Vec<Field> {
    use DataType::{Float64, Int64, Utf8};
    vec![
        required("recording_id", Utf8),
        optional("content_hash", Utf8),
        required("name", Utf8),
        required("format", Utf8),
        optional("origin", Utf8),
        optional("licence", Utf8),
        optional("start_time", time()),
        required("start_trust", Utf8),
        optional("start_note", Utf8),
        optional("duration_s", Float64),
        required("state", Utf8),
        required("added_at", time()),
        required("streams_version", Int64),
        required("channels_version", Int64),
        required("signals_version", Int64),
        required("events_version", Int64),
        required("intervals_version", Int64),
    ]
}

fn streams() -> Vec<Field> {
    use DataType::{Float64, Int32, Int64, Utf8};
    vec![
        required("stream_id", Utf8),
        required("recording_id", Utf8),
        required("segment", Int32),
        required("band", Utf8),
        required("rate_hz", Float64),
        optional("measured_rate_hz", Float64),
        optional("clock_id", Utf8),
        required("dtype", Utf8),
        required("n_channels", Int32),
        optional("sample_start", Int64),
        optional("sample_stop", Int64),
        optional("start_time", time()),
        optional("hardware_filter", Utf8),
        optional("reference", Utf8),
        required("blocks_table", Utf8),
    ]
}

fn channels() -> Vec<Field> {
    use DataType::{Float64, Int32, Int64, Utf8};
    vec![
        required("stream_id", Utf8),
        required("recording_id", Utf8),
        required("channel", Int32),
        required("source_index", Int32),
        required("name", Utf8),
        required("type", Utf8),
        required("physical_unit", Utf8),
        required("gain_to_unit", Float64),
        required("offset_to_unit", Float64),
        optional("digital_min", Int64),
        optional("digital_max", Int64),
        optional("contact_id", Utf8),
        optional("bad_since", time()),
        optional("bad_why", Utf8),
        optional("impedance_ohm", Float64),
        optional("impedance_at", time()),
    ]
}

fn signals() -> Vec<Field> {
    use DataType::{Float32, Float64, Int32, Int64, Utf8};
    let mut fields = vec![
        required("stream_id", Utf8),
        required("channel", Int32),
        required("sample_start", Int64),
        required("sample_stop", Int64),
        optional("event_time_start", time()),
        optional("event_time_stop", time()),
    ];
    fields.extend(SampleColumns::NAMES.map(|(name, element)| optional(name, list(element))));
    fields.extend([
        optional("min", Float64),
        optional("max", Float64),
        optional("rms", Float64),
        optional("envelope_min", list(Float32)),
        optional("envelope_max", list(Float32)),
        optional("mark", Utf8),
        optional("_source", Utf8),
        optional("_partition", Int32),
        optional("_offset_first", Int64),
        optional("_offset_last", Int64),
    ]);
    fields
}

fn events() -> Vec<Field> {
    use DataType::{Float64, Int64, Utf8};
    vec![
        required("recording_id", Utf8),
        optional("stream_id", Utf8),
        optional("clock_id", Utf8),
        optional("sample_index", Int64),
        optional("onset_s", Float64),
        optional("event_time", time()),
        required("label", Utf8),
        optional("value_number", Float64),
        optional("value_text", Utf8),
    ]
}

fn intervals() -> Vec<Field> {
    use DataType::{Float64, Int32, Int64, Utf8};
    vec![
        required("recording_id", Utf8),
        optional("stream_id", Utf8),
        optional("channel", Int32),
        optional("clock_id", Utf8),
        optional("sample_start", Int64),
        optional("sample_stop", Int64),
        optional("onset_s", Float64),
        optional("duration_s", Float64),
        optional("event_time_start", time()),
        optional("event_time_stop", time()),
        required("kind", Utf8),
        required("label", Utf8),
        optional("value_number", Float64),
        optional("value_text", Utf8),
    ]
}

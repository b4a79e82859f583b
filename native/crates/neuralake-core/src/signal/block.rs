//! Rows of `signals` under construction.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};

use super::list::{ListColumn, SampleColumns};
use super::sample::Sample;
use super::summary::Summary;
use super::table::SignalTable;
use crate::CoreError;
use crate::contract::ColumnType;

/// Bytes of a row beside its samples and envelope.
const ROW_BYTES: usize = 128;

/// Messages a block came from.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Topic and its incarnation.
    pub source: &'a str,
    /// Partition.
    pub partition: i32,
    /// First and last message.
    pub offsets: (i64, i64),
}

/// Where a block stands.
#[derive(Debug, Clone, Copy)]
pub struct BlockPlace<'a> {
    /// Its stream.
    pub stream_id: &'a str,
    /// Channel, counted from 0 within the stream.
    pub channel: i32,
    /// Index of its first sample.
    pub sample_start: i64,
    /// Times of its first sample and of the sample after its last, in UTC microseconds, where they are known.
    pub event_time_us: Option<(i64, i64)>,
    /// Why it stands out among the blocks of its stream.
    pub mark: Option<&'a str>,
    /// Messages it came from; none where it came from no topic.
    pub identity: Option<Identity<'a>>,
}

/// Blocks that wait to become a batch.
#[derive(Debug)]
pub struct Blocks {
    stream_ids: StringBuilder,
    channels: Int32Builder,
    starts: Int64Builder,
    stops: Int64Builder,
    first_times: TimestampMicrosecondBuilder,
    last_times: TimestampMicrosecondBuilder,
    samples: SampleColumns,
    lows: Float64Builder,
    highs: Float64Builder,
    rms: Float64Builder,
    envelope_low: ListColumn<f32>,
    envelope_high: ListColumn<f32>,
    marks: StringBuilder,
    sources: StringBuilder,
    partitions: Int32Builder,
    first_offsets: Int64Builder,
    last_offsets: Int64Builder,
    rows: usize,
}

impl Default for Blocks {
    fn default() -> Self {
        let times = || TimestampMicrosecondBuilder::new().with_data_type(ColumnType::TimestampUs.arrow());
        Self {
            stream_ids: StringBuilder::new(),
            channels: Int32Builder::new(),
            starts: Int64Builder::new(),
            stops: Int64Builder::new(),
            first_times: times(),
            last_times: times(),
            samples: SampleColumns::default(),
            lows: Float64Builder::new(),
            highs: Float64Builder::new(),
            rms: Float64Builder::new(),
            envelope_low: ListColumn::default(),
            envelope_high: ListColumn::default(),
            marks: StringBuilder::new(),
            sources: StringBuilder::new(),
            partitions: Int32Builder::new(),
            first_offsets: Int64Builder::new(),
            last_offsets: Int64Builder::new(),
            rows: 0,
        }
    }
}

impl Blocks {
    /// Take one block in.
    pub fn push<T: Sample>(&mut self, place: &BlockPlace<'_>, samples: &[T]) {
        let count = i64::try_from(samples.len()).unwrap_or(i64::MAX);
        self.stream_ids.append_value(place.stream_id);
        self.channels.append_value(place.channel);
        self.starts.append_value(place.sample_start);
        self.stops.append_value(place.sample_start.saturating_add(count));
        self.first_times.append_option(place.event_time_us.map(|(first, _)| first));
        self.last_times.append_option(place.event_time_us.map(|(_, last)| last));
        self.samples.push(samples);
        let summary = Summary::of(samples);
        self.lows.append_option(summary.range.map(|(low, _)| low));
        self.highs.append_option(summary.range.map(|(_, high)| high));
        self.rms.append_option(summary.rms);
        self.envelope_low.push(summary.envelope.iter().map(|(low, _)| *low));
        self.envelope_high.push(summary.envelope.iter().map(|(_, high)| *high));
        self.marks.append_option(place.mark);
        self.sources.append_option(place.identity.map(|identity| identity.source));
        self.partitions.append_option(place.identity.map(|identity| identity.partition));
        self.first_offsets.append_option(place.identity.map(|identity| identity.offsets.0));
        self.last_offsets.append_option(place.identity.map(|identity| identity.offsets.1));
        self.rows += 1;
    }

    /// Blocks waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes waiting, as the columns hold them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.samples.bytes() + self.envelope_low.bytes() + self.envelope_high.bytes() + self.rows * ROW_BYTES
    }

    /// Take them out as a batch of `signals`.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses the columns, which no sample can cause.
    pub fn finish(&mut self) -> Result<RecordBatch, CoreError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.stream_ids.finish()),
            Arc::new(self.channels.finish()),
            Arc::new(self.starts.finish()),
            Arc::new(self.stops.finish()),
            Arc::new(self.first_times.finish()),
            Arc::new(self.last_times.finish()),
        ];
        columns.extend(self.samples.finish()?);
        columns.extend([
            Arc::new(self.lows.finish()) as ArrayRef,
            Arc::new(self.highs.finish()),
            Arc::new(self.rms.finish()),
            self.envelope_low.finish()?,
            self.envelope_high.finish()?,
            Arc::new(self.marks.finish()),
            Arc::new(self.sources.finish()),
            Arc::new(self.partitions.finish()),
            Arc::new(self.first_offsets.finish()),
            Arc::new(self.last_offsets.finish()),
        ]);
        self.rows = 0;
        Ok(RecordBatch::try_new(SignalTable::Signals.schema(), columns)?)
    }
}

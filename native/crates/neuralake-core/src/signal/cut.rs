//! A gap-free run of samples, cut into blocks: by tile, then by channel, then by time.
//!
//! A reader that wants one channel for a while then finds it together, and one that wants every channel for a moment
//! finds them within one tile.

use super::block::{BlockPlace, Blocks};
use super::sample::Sample;

/// How long blocks and tiles are.
#[derive(Debug, Clone, Copy)]
pub struct BlockPlan {
    /// Most samples of a block (> 0).
    pub block_samples: usize,
    /// Samples of a tile (> 0); a multiple of a block's.
    pub tile_samples: usize,
}

/// Where a run stands and how dense it is.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Its stream.
    pub stream_id: &'a str,
    /// Channels of the stream (> 0).
    pub channels: usize,
    /// Nominal sampling rate (> 0).
    pub rate_hz: f64,
    /// Index of its first sample.
    pub sample_start: i64,
    /// Time of its first sample in UTC microseconds, where it is known.
    pub start_us: Option<i64>,
}

impl Run<'_> {
    /// Times of the samples `first` and `last` of the run by the nominal rate.
    pub(crate) fn times_us(&self, first: usize, last: usize) -> Option<(i64, i64)> {
        // Counts of samples are far below 2^53, where f64 is exact.
        let at =
            |start_us: i64, index: usize| start_us.saturating_add((index as f64 * 1e6 / self.rate_hz).round() as i64);
        self.start_us.map(|start_us| (at(start_us, first), at(start_us, last)))
    }
}

/// Cut a run whose samples lie in the order of time (all channels of a moment together).
///
/// Samples beyond the last whole moment are left out; a caller that checks its lengths has none.
pub fn cut<T: Sample>(run: &Run<'_>, samples: &[T], plan: BlockPlan, blocks: &mut Blocks) {
    let moments = samples.len() / run.channels;
    let mut one: Vec<T> = Vec::with_capacity(plan.block_samples);
    for tile in (0..moments).step_by(plan.tile_samples) {
        let tile_end = moments.min(tile + plan.tile_samples);
        for channel in 0..run.channels {
            for first in (tile..tile_end).step_by(plan.block_samples) {
                let last = tile_end.min(first + plan.block_samples);
                one.clear();
                let of_block = &samples[first * run.channels..last * run.channels];
                one.extend(of_block[channel..].iter().step_by(run.channels));
                let place = BlockPlace {
                    stream_id: run.stream_id,
                    channel: i32::try_from(channel).unwrap_or(i32::MAX),
                    sample_start: run.sample_start + i64::try_from(first).unwrap_or(i64::MAX),
                    event_time_us: run.times_us(first, last),
                    mark: None,
                    identity: None,
                };
                blocks.push(&place, &one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
    use proptest::prelude::*;

    use super::*;

    fn cut_one(samples: &[i16], channels: usize, plan: BlockPlan) -> arrow::array::RecordBatch {
        let run = Run { stream_id: "s", channels, rate_hz: 4.0, sample_start: 100, start_us: Some(1_000_000) };
        let mut blocks = Blocks::default();
        cut(&run, samples, plan, &mut blocks);
        blocks.finish().unwrap()
    }

    #[test]
    fn blocks_stand_by_tile_then_channel_then_time() {
        let samples: Vec<i16> = (0..20).collect();
        let batch = cut_one(&samples, 2, BlockPlan { block_samples: 2, tile_samples: 4 });
        let channels = batch["channel"].as_primitive::<Int32Type>().values().to_vec();
        let starts = batch["sample_start"].as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(channels, [0, 0, 1, 1, 0, 0, 1, 1, 0, 1]);
        assert_eq!(starts, [100, 102, 100, 102, 104, 106, 104, 106, 108, 108]);
        let stops = batch["sample_stop"].as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(stops.last(), Some(&110));
        let times = batch["event_time_start"].as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.value(1), 1_500_000);
        assert!(batch["_offset_first"].is_null(0) && batch["samples_i32"].is_null(0));
    }

    proptest! {
        #[test]
        fn every_sample_stands_once_where_its_index_says(
            samples in proptest::collection::vec(any::<i16>(), 0..400),
            channels in 1_usize..5, block in 1_usize..40, blocks_a_tile in 1_usize..5,
        ) {
            let moments = samples.len() / channels;
            let plan = BlockPlan { block_samples: block, tile_samples: block * blocks_a_tile };
            let batch = cut_one(&samples, channels, plan);
            let mut back = vec![None; moments * channels];
            let lists = batch["samples"].as_list::<i32>();
            for row in 0..batch.num_rows() {
                let channel = batch["channel"].as_primitive::<Int32Type>().value(row) as usize;
                let start = batch["sample_start"].as_primitive::<Int64Type>().value(row) as usize - 100;
                let values = lists.value(row);
                prop_assert!(values.len() <= block);
                for (place, sample) in values.as_primitive::<Int16Type>().values().iter().enumerate() {
                    let cell = &mut back[(start + place) * channels + channel];
                    prop_assert!(cell.replace(*sample).is_none());
                }
            }
            let back: Option<Vec<i16>> = back.into_iter().collect();
            prop_assert_eq!(back.unwrap(), &samples[..moments * channels]);
        }
    }
}

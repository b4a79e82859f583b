//! The law of live samples: what is held of a stream is what was sent of it, to the bit, however flushes cut it.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Float32Type, Int16Type, Int32Type, Int64Type};
use neuralake_core::buffer::{Flush, Homes, Message, PacketBuffer, PacketSpec};
use neuralake_core::contract::Contract;
use neuralake_core::position::{Offset, Partition};
use proptest::prelude::*;

const CHANNELS: u64 = 3;

/// Types of samples: their number in a header, their bytes, and the column that holds them.
const DTYPES: [(u8, usize, &str); 3] = [(1, 2, "samples"), (2, 4, "samples_i32"), (3, 4, "samples_f32")];

/// Where a packet stands, and how it lies.
#[derive(Debug, Clone, Copy)]
struct Sent {
    stream: u8,
    first: u64,
    moments: u64,
    is_channel_major: bool,
}

fn buffer() -> PacketBuffer {
    let spec = PacketSpec {
        table: "implant".to_owned(),
        topic: "implant.raw".to_owned(),
        source: "implant.raw@id".to_owned(),
        max_message_bytes: 1 << 20,
        known: Vec::new(),
        homes: Arc::new(Homes::default()),
    };
    let contract =
        Contract { id: "packets".to_owned(), version: 1, columns: Vec::new(), rules: Vec::new(), warn: Vec::new() };
    PacketBuffer::new(spec, Arc::new(contract), BTreeMap::new())
}

/// Bits of a sample, of which no two are alike by chance: every pattern is a sample, NaN and both zeros too.
fn bits(stream: u8, channel: u64, index: u64, message: u64, bytes: usize) -> u32 {
    let mixed = (u64::from(stream) << 48 | channel << 40 | index << 12 | message).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let high = u32::try_from(mixed >> 32).unwrap();
    if bytes == 2 { high & 0xffff } else { high }
}

fn packet(sent: Sent, message: u64, (number, bytes, _): (u8, usize, &str)) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(b"NLSP");
    packet.extend([1, number, u8::from(sent.is_channel_major), 0]);
    packet.extend([sent.stream; 16]);
    packet.extend(sent.first.to_le_bytes());
    packet.extend(1000.0_f64.to_le_bytes());
    packet.extend(u16::try_from(CHANNELS).unwrap().to_le_bytes());
    packet.extend([0, 0]);
    packet.extend(u32::try_from(sent.moments).unwrap().to_le_bytes());
    packet.extend(0.195_f64.to_le_bytes());
    packet.extend(0_i64.to_le_bytes());
    let by_time = (0..sent.moments).flat_map(|m| (0..CHANNELS).map(move |c| (m, c)));
    let by_channel = (0..CHANNELS).flat_map(|c| (0..sent.moments).map(move |m| (m, c)));
    let places: Vec<_> = if sent.is_channel_major { by_channel.collect() } else { by_time.collect() };
    for (moment, channel) in places {
        let sample = bits(sent.stream, channel, sent.first + moment, message, bytes);
        packet.extend(&sample.to_le_bytes()[..bytes]);
    }
    packet
}

/// Samples as bits, whatever their type.
fn samples(values: &ArrayRef, bytes: usize) -> Vec<u32> {
    match (bytes, values.as_primitive_opt::<Float32Type>()) {
        (2, _) => values.as_primitive::<Int16Type>().values().iter().map(|v| u32::from(v.cast_unsigned())).collect(),
        (_, Some(reals)) => reals.values().iter().map(|v| v.to_bits()).collect(),
        _ => values.as_primitive::<Int32Type>().values().iter().map(|v| v.cast_unsigned()).collect(),
    }
}

/// A sample of a channel of a stream by its index.
type Place = (String, u64, u64);

/// All samples held, each with the first offset of its block and whether it is marked.
fn held(flushes: &[Flush], (_, bytes, column): (u8, usize, &str)) -> Vec<(Place, i64, bool, u32)> {
    let mut found = Vec::new();
    for batch in flushes.iter().flat_map(|flush| &flush.rows) {
        for row in 0..batch.num_rows() {
            let stream = batch["stream_id"].as_string::<i32>().value(row).to_owned();
            let channel = u64::try_from(batch["channel"].as_primitive::<Int32Type>().value(row)).unwrap();
            let start = u64::try_from(batch["sample_start"].as_primitive::<Int64Type>().value(row)).unwrap();
            let offset = batch["_offset_first"].as_primitive::<Int64Type>().value(row);
            let values = samples(&batch[column].as_list::<i32>().value(row), bytes);
            let is_marked = batch["mark"].is_valid(row);
            found.extend((start..).zip(values).map(|(at, v)| ((stream.clone(), channel, at), offset, is_marked, v)));
        }
    }
    found
}

fn sent() -> impl Strategy<Value = Sent> {
    // Most stand on a grid, where packets go on from one another, come late or come twice.
    let places = prop_oneof![3 => (0_u64..15).prop_map(|at| (at * 10, 10)), 1 => (0_u64..150, 1_u64..25)];
    (1_u8..3, places, any::<bool>()).prop_map(|(stream, (first, moments), is_channel_major)| Sent {
        stream,
        first,
        moments,
        is_channel_major,
    })
}

proptest! {
    #[test]
    fn samples_held_are_the_samples_sent(
        packets in prop::collection::vec((sent(), any::<bool>()), 1..40),
        dtype in prop::sample::select(&DTYPES[..]),
    ) {
        let mut buffer = buffer();
        let mut flushes = Vec::new();
        let mut delivered: HashMap<Place, Vec<u32>> = HashMap::new();
        for (offset, (sent, ends_flush)) in packets.iter().enumerate() {
            let message = offset as u64;
            let value = packet(*sent, message, dtype);
            buffer.push(&Message { partition: Partition::new(0), offset: Offset(offset as i64), value: &value }, 5);
            for (index, channel) in (0..sent.moments).flat_map(|m| (0..CHANNELS).map(move |c| (sent.first + m, c))) {
                let id = format!("{:02x}", sent.stream).repeat(16);
                let name = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
                let sample = bits(sent.stream, channel, index, message, dtype.1);
                delivered.entry((name, channel, index)).or_default().push(sample);
            }
            if *ends_flush {
                flushes.push(buffer.take().unwrap());
            }
        }
        flushes.push(buffer.take().unwrap());
        let mut found: HashMap<Place, Vec<(i64, bool, u32)>> = HashMap::new();
        for (place, offset, is_marked, sample) in held(&flushes, dtype) {
            found.entry(place).or_default().push((offset, is_marked, sample));
        }
        prop_assert_eq!(found.len(), delivered.len());
        for (place, all) in delivered {
            let Some(mut found) = found.remove(&place) else { panic!("{place:?} is not held") };
            // A reader takes the block that was delivered first.
            found.sort_by_key(|(offset, ..)| *offset);
            prop_assert_eq!(found[0].2, all[0], "{:?}", &place);
            prop_assert!(found.iter().filter(|(_, is_marked, _)| !is_marked).count() <= 1, "{:?}", &place);
            let (mut found, mut all): (Vec<_>, _) = (found.into_iter().map(|(.., sample)| sample).collect(), all);
            found.sort_unstable();
            all.sort_unstable();
            prop_assert_eq!(found, all, "{:?}", &place);
        }
    }
}

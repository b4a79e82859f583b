//! Samples of one gap-free run, gathered channel by channel from packets.

use super::block::{BlockPlace, Blocks};
use super::sample::{Dtype, Sample};
use crate::decode::packet::{Layout, Packet};

/// Channels of a packet in time order that are turned at once: a cache line of 16-bit samples.
const TILE_CHANNELS: usize = 32;
/// Moments that are turned at once.
const TILE_MOMENTS: usize = 128;

/// A run under construction.
#[derive(Debug)]
pub(crate) enum Gathered {
    Int16(Vec<Vec<i16>>),
    Int32(Vec<Vec<i32>>),
    Float32(Vec<Vec<f32>>),
}

impl Gathered {
    /// An empty run of the packet's channels, with room for so many samples of each.
    pub(crate) fn new(packet: &Packet<'_>, room: usize) -> Self {
        let channels = packet.shape.channels;
        match packet.shape.dtype {
            Dtype::Int16 => Self::Int16(roomy(channels, room)),
            Dtype::Int32 => Self::Int32(roomy(channels, room)),
            Dtype::Float32 | Dtype::Float64 => Self::Float32(roomy(channels, room)),
        }
    }

    /// Take the samples of a packet in; it has the type and channels of the first.
    pub(crate) fn append(&mut self, packet: &Packet<'_>) {
        match self {
            Self::Int16(channels) => append(channels, packet, i16::from_le_bytes),
            Self::Int32(channels) => append(channels, packet, i32::from_le_bytes),
            Self::Float32(channels) => append(channels, packet, f32::from_le_bytes),
        }
    }

    /// Cut into blocks of at most so many samples, as even as they can be, channel after channel.
    pub(crate) fn cut<'a>(
        &self,
        most: usize,
        blocks: &mut Blocks,
        place: impl Fn(usize, usize, usize) -> BlockPlace<'a>,
    ) {
        match self {
            Self::Int16(channels) => cut(channels, most, blocks, place),
            Self::Int32(channels) => cut(channels, most, blocks, place),
            Self::Float32(channels) => cut(channels, most, blocks, place),
        }
    }
}

fn roomy<T>(channels: usize, room: usize) -> Vec<Vec<T>> {
    (0..channels).map(|_| Vec::with_capacity(room)).collect()
}

fn cut<'a, T: Sample>(
    channels: &[Vec<T>],
    most: usize,
    blocks: &mut Blocks,
    place: impl Fn(usize, usize, usize) -> BlockPlace<'a>,
) {
    for (number, samples) in channels.iter().enumerate() {
        let parts = samples.len().div_ceil(most).max(1);
        let length = samples.len().div_ceil(parts).max(1);
        for (part, block) in samples.chunks(length).enumerate() {
            let first = part * length;
            blocks.push(&place(number, first, first + block.len()), block);
        }
    }
}

/// Bytes to samples, each channel to its own.
fn append<T: Sample, const N: usize>(channels: &mut [Vec<T>], packet: &Packet<'_>, read: impl Fn([u8; N]) -> T + Copy) {
    let (samples, _) = packet.samples.as_chunks::<N>();
    match packet.layout {
        Layout::ChannelMajor => {
            for (channel, part) in channels.iter_mut().zip(samples.chunks_exact(packet.moments)) {
                channel.extend(part.iter().map(|bytes| read(*bytes)));
            }
        }
        Layout::TimeMajor => {
            // A few moments of all channels stay in the cache while they are turned.
            for moments in samples.chunks(packet.shape.channels * TILE_MOMENTS) {
                for (number, group) in channels.chunks_mut(TILE_CHANNELS).enumerate() {
                    append_tile(group, number * TILE_CHANNELS, moments, packet.shape.channels, read);
                }
            }
        }
    }
}

/// Take the samples of a few channels out of a few moments, each of which holds `count`. Read channel by channel, each
/// sample of a wide packet would cost a cache line of its own.
fn append_tile<T: Sample, const N: usize>(
    channels: &mut [Vec<T>],
    first: usize,
    moments: &[[u8; N]],
    count: usize,
    read: impl Fn([u8; N]) -> T + Copy,
) {
    let mut tile = [[T::default(); TILE_MOMENTS]; TILE_CHANNELS];
    for (moment, all) in moments.chunks_exact(count).take(TILE_MOMENTS).enumerate() {
        for (row, bytes) in tile.iter_mut().zip(&all[first..]) {
            row[moment] = read(*bytes);
        }
    }
    for (channel, row) in channels.iter_mut().zip(&tile) {
        channel.extend_from_slice(&row[..moments.len() / count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::packet::tests::packet;

    #[test]
    fn both_orders_of_samples_are_gathered_alike_around_the_size_of_a_tile() {
        for (channels, moments) in [(1, 1), (1, 97), (31, 33), (32, 32), (33, 31), (70, 45), (64, 128), (40, 300)] {
            let sample = |channel: usize, moment: usize| (channel * 100 + moment) as i16;
            let wanted: Vec<Vec<i16>> =
                (0..channels).map(|channel| (0..moments).map(|moment| sample(channel, moment)).collect()).collect();
            let in_time: Vec<i16> = (0..moments).flat_map(|m| (0..channels).map(move |c| sample(c, m))).collect();
            for (layout, samples) in [(0, &in_time), (1, &wanted.concat())] {
                let bytes = packet(1, 0, channels as u16, samples, layout);
                let packet = Packet::read(&bytes).unwrap();
                let mut gathered = Gathered::new(&packet, 50);
                gathered.append(&packet);
                gathered.append(&packet);
                let Gathered::Int16(found) = gathered else { panic!("int16") };
                let twice: Vec<Vec<i16>> = wanted.iter().map(|samples| samples.repeat(2)).collect();
                assert_eq!(found, twice, "{channels} channels, {moments} moments, layout {layout}");
            }
        }
    }
}

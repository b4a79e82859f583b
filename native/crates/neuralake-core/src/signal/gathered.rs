//! Samples of one gap-free run, gathered channel by channel from packets.

use super::block::{BlockPlace, Blocks};
use super::sample::{Dtype, Sample};
use crate::decode::packet::{Layout, Packet};

/// A run under construction.
#[derive(Debug)]
pub(crate) enum Gathered {
    Int16(Vec<Vec<i16>>),
    Int32(Vec<Vec<i32>>),
    Float32(Vec<Vec<f32>>),
}

impl Gathered {
    pub(crate) fn new(packet: &Packet<'_>) -> Self {
        let channels = packet.shape.channels;
        match packet.shape.dtype {
            Dtype::Int16 => Self::Int16(vec![Vec::new(); channels]),
            Dtype::Int32 => Self::Int32(vec![Vec::new(); channels]),
            Dtype::Float32 | Dtype::Float64 => Self::Float32(vec![Vec::new(); channels]),
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

/// Bytes to samples, each channel to its own; a packet of time order is small enough to stay in the cache meanwhile.
fn append<T: Sample, const N: usize>(channels: &mut [Vec<T>], packet: &Packet<'_>, read: fn([u8; N]) -> T) {
    let (samples, _) = packet.samples.as_chunks::<N>();
    match packet.layout {
        Layout::ChannelMajor => {
            for (channel, part) in channels.iter_mut().zip(samples.chunks_exact(packet.moments)) {
                channel.extend(part.iter().map(|bytes| read(*bytes)));
            }
        }
        Layout::TimeMajor => {
            let count = channels.len();
            for (number, channel) in channels.iter_mut().enumerate() {
                channel.extend(samples[number..].iter().step_by(count).map(|bytes| read(*bytes)));
            }
        }
    }
}

//! A sample packet: a header of 64 bytes, little-endian, then samples. `docs/reference/sample-packets.md` draws it.
//!
//! What a packet says is judged by itself alone: the header against its own length and range. What it says against
//! the packets before it is judged where those are known.

use super::MessageFault;
use crate::signal::Dtype;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 4] = b"NLSP";
const VERSION: u8 = 1;
const HAS_DEVICE_TIME: u8 = 1;

/// How the samples of a packet lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All channels of a moment together.
    TimeMajor,
    /// All moments of a channel together.
    ChannelMajor,
}

/// What every packet of one stream says alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Type of the samples.
    pub dtype: Dtype,
    /// Sampling rate.
    pub rate_hz: f64,
    /// Channels.
    pub channels: usize,
    /// Microvolts of one count.
    pub gain_to_uv: f64,
}

impl Shape {
    /// What another packet says otherwise.
    #[must_use]
    pub fn fault_of(&self, other: &Self) -> Option<MessageFault> {
        if self.dtype != other.dtype {
            Some(MessageFault::PacketDtypeChanged)
        } else if self.channels != other.channels {
            Some(MessageFault::PacketChannelsChanged)
        } else if self.rate_hz.to_bits() != other.rate_hz.to_bits() {
            Some(MessageFault::PacketRateChanged)
        } else if self.gain_to_uv.to_bits() != other.gain_to_uv.to_bits() {
            Some(MessageFault::PacketGainChanged)
        } else {
            None
        }
    }
}

/// One packet, its samples still as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Its stream.
    pub stream: [u8; 16],
    /// What it says alike with its stream.
    pub shape: Shape,
    /// Index of its first sample.
    pub first: i64,
    /// Samples of each channel (> 0).
    pub moments: usize,
    /// How they lie.
    pub layout: Layout,
    /// Time of the first sample by the device, in UTC microseconds.
    pub device_time_us: Option<i64>,
    /// The samples.
    pub samples: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Read a packet.
    ///
    /// # Errors
    /// The first thing about it that cannot be.
    pub fn read(value: &'a [u8]) -> Result<Self, MessageFault> {
        let (header, samples) = value.split_at_checked(HEADER_BYTES).ok_or(MessageFault::PacketHeader)?;
        if &field::<4>(header, 0) != MAGIC || header[4] != VERSION || field::<2>(header, 42) != [0, 0] {
            return Err(MessageFault::PacketHeader);
        }
        let dtype = match header[5] {
            1 => Dtype::Int16,
            2 => Dtype::Int32,
            3 => Dtype::Float32,
            _ => return Err(MessageFault::PacketDtype),
        };
        let layout = match header[6] {
            0 => Layout::TimeMajor,
            1 => Layout::ChannelMajor,
            _ => return Err(MessageFault::PacketLayout),
        };
        let device_time_us = match header[7] {
            0 => None,
            HAS_DEVICE_TIME => Some(i64::from_le_bytes(field(header, 56))),
            _ => return Err(MessageFault::PacketHeader),
        };
        let rate_hz = f64::from_le_bytes(field(header, 32));
        if !(rate_hz.is_finite() && rate_hz > 0.0) {
            return Err(MessageFault::PacketRate);
        }
        let gain_to_uv = f64::from_le_bytes(field(header, 48));
        if !(gain_to_uv.is_finite() && gain_to_uv != 0.0) {
            return Err(MessageFault::PacketGain);
        }
        let channels = usize::from(u16::from_le_bytes(field(header, 40)));
        let moments = u32::from_le_bytes(field(header, 44)) as usize;
        if channels == 0 || moments == 0 {
            return Err(MessageFault::PacketEmpty);
        }
        let told = channels.checked_mul(moments).and_then(|count| count.checked_mul(dtype.bytes()));
        if told != Some(samples.len()) {
            return Err(MessageFault::PacketLength);
        }
        let first = i64::try_from(u64::from_le_bytes(field(header, 24))).map_err(|_| MessageFault::PacketIndex)?;
        if i64::try_from(moments).ok().and_then(|count| first.checked_add(count)).is_none() {
            return Err(MessageFault::PacketIndex);
        }
        let shape = Shape { dtype, rate_hz, channels, gain_to_uv };
        Ok(Self { stream: field(header, 8), shape, first, moments, layout, device_time_us, samples })
    }

    /// Index after its last sample.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.first + i64::try_from(self.moments).unwrap_or(0)
    }
}

/// A field of the header, which is known to be long enough.
fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn packet(stream: u8, first: u64, channels: u16, samples: &[i16], layout: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend([VERSION, 1, layout, 0]);
        bytes.extend([stream; 16]);
        bytes.extend(first.to_le_bytes());
        bytes.extend(1000.0_f64.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend((samples.len() as u32 / u32::from(channels.max(1))).to_le_bytes());
        bytes.extend(0.195_f64.to_le_bytes());
        bytes.extend(0_i64.to_le_bytes());
        samples.iter().for_each(|sample| bytes.extend(sample.to_le_bytes()));
        bytes
    }

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let bytes = packet(7, 1_234, 2, &[1, 2, 3, 4, 5, 6], 0);
        let read = Packet::read(&bytes).unwrap();
        assert_eq!((read.stream, read.first, read.moments, read.end()), ([7; 16], 1_234, 3, 1_237));
        assert_eq!(read.shape, Shape { dtype: Dtype::Int16, rate_hz: 1000.0, channels: 2, gain_to_uv: 0.195 });
        assert_eq!(read.device_time_us, None);
    }

    #[test]
    fn a_header_that_lies_is_told_by_its_lie() {
        let good = packet(7, 0, 2, &[1, 2, 3, 4], 0);
        let lie = |at: usize, bytes: &[u8]| {
            let mut bad = good.clone();
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            Packet::read(&bad).unwrap_err()
        };
        assert_eq!(lie(0, b"XXXX"), MessageFault::PacketHeader);
        assert_eq!(lie(4, &[2]), MessageFault::PacketHeader);
        assert_eq!(lie(5, &[9]), MessageFault::PacketDtype);
        assert_eq!(lie(6, &[2]), MessageFault::PacketLayout);
        assert_eq!(lie(7, &[4]), MessageFault::PacketHeader);
        assert_eq!(lie(24, &u64::MAX.to_le_bytes()), MessageFault::PacketIndex);
        assert_eq!(lie(24, &(i64::MAX as u64).to_le_bytes()), MessageFault::PacketIndex);
        assert_eq!(lie(32, &f64::NAN.to_le_bytes()), MessageFault::PacketRate);
        assert_eq!(lie(32, &(-1.0_f64).to_le_bytes()), MessageFault::PacketRate);
        assert_eq!(lie(40, &0_u16.to_le_bytes()), MessageFault::PacketEmpty);
        assert_eq!(lie(40, &3_u16.to_le_bytes()), MessageFault::PacketLength);
        assert_eq!(lie(44, &u32::MAX.to_le_bytes()), MessageFault::PacketLength);
        assert_eq!(lie(48, &0.0_f64.to_le_bytes()), MessageFault::PacketGain);
        assert_eq!(Packet::read(&good[..good.len() - 1]).unwrap_err(), MessageFault::PacketLength);
        assert_eq!(Packet::read(&good[..10]).unwrap_err(), MessageFault::PacketHeader);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Packet::read(&bytes);
        }

        #[test]
        fn no_change_of_the_header_makes_it_fall(at in 0_usize..64, to in any::<u8>()) {
            let mut bytes = packet(1, 5, 2, &[1, 2, 3, 4], 1);
            bytes[at] = to;
            if let Ok(read) = Packet::read(&bytes) {
                prop_assert_eq!(read.samples.len(), read.moments * read.shape.channels * read.shape.dtype.bytes());
            }
        }
    }
}

//! Integers as Parquet's DELTA_BINARY_PACKED, a block of 128 at a time.
//!
//! [Parquet, Encodings: delta encoding](https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTAENC).
//! The general writer takes 4 ns for each value; samples are written once and by the billion.

use bitpacking::{BitPacker, BitPacker1x};

const BLOCK: usize = 128;
const MINIBLOCK: usize = BitPacker1x::BLOCK_LEN;
const MINIBLOCKS: usize = BLOCK / MINIBLOCK;

/// Integers of 32 bits under encoding. Differences wrap around, as the format has them.
#[derive(Debug)]
pub(super) struct DeltaEncoder {
    first: i32,
    last: i32,
    count: u64,
    deltas: [i32; BLOCK],
    filled: usize,
    blocks: Vec<u8>,
}

impl Default for DeltaEncoder {
    fn default() -> Self {
        Self { first: 0, last: 0, count: 0, deltas: [0; BLOCK], filled: 0, blocks: Vec::new() }
    }
}

impl DeltaEncoder {
    /// Take values in, after those before.
    pub(super) fn extend<T: Copy + Into<i32>>(&mut self, values: &[T]) {
        let mut rest = values;
        if self.count == 0
            && let [first, others @ ..] = rest
        {
            (self.first, self.last, rest) = ((*first).into(), (*first).into(), others);
        }
        self.count += values.len() as u64;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.filled));
            let mut last = self.last;
            for (delta, value) in self.deltas[self.filled..].iter_mut().zip(now) {
                let value: i32 = (*value).into();
                *delta = value.wrapping_sub(last);
                last = value;
            }
            self.last = last;
            self.filled += now.len();
            if self.filled == BLOCK {
                self.close_block();
            }
            rest = later;
        }
    }

    /// Everything taken in, with its header. What comes next begins anew.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.close_block();
        let mut page = Vec::with_capacity(self.blocks.len() + 16);
        put_varint(&mut page, BLOCK as u64);
        put_varint(&mut page, MINIBLOCKS as u64);
        put_varint(&mut page, self.count);
        put_varint(&mut page, zigzag(self.first));
        page.append(&mut self.blocks);
        let blocks = std::mem::take(&mut self.blocks);
        *self = Self { blocks, ..Self::default() };
        page
    }

    /// Write the block that is open. Of the last one only the miniblocks that hold values are there, each whole.
    fn close_block(&mut self) {
        if self.filled == 0 {
            return;
        }
        let least = self.deltas[..self.filled].iter().copied().min().unwrap_or(0);
        self.deltas[self.filled..].fill(least);
        put_varint(&mut self.blocks, zigzag(least));
        let widths = self.blocks.len();
        self.blocks.extend([0; MINIBLOCKS]);
        for (number, deltas) in self.deltas[..self.filled.next_multiple_of(MINIBLOCK)].chunks(MINIBLOCK).enumerate() {
            let mut above = [0_u32; MINIBLOCK];
            for (above, delta) in above.iter_mut().zip(deltas) {
                *above = delta.wrapping_sub(least).cast_unsigned();
            }
            let packer = BitPacker1x::new();
            let width = packer.num_bits(&above);
            let mut packed = [0_u8; MINIBLOCK * 4];
            let bytes = packer.compress(&above, &mut packed, width);
            self.blocks[widths + number] = width;
            self.blocks.extend(&packed[..bytes]);
        }
        self.filled = 0;
    }
}

/// Small numbers of either sign as small ones without.
fn zigzag(value: i32) -> u64 {
    ((i64::from(value) << 1) ^ (i64::from(value) >> 63)).cast_unsigned()
}

/// Seven bits a byte, the lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

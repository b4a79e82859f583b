//! The bytes of one frame: a header and the messages of one write.
//!
//! All numbers are little-endian.
//!
//! | bytes | header |
//! |---|---|
//! | 0..4 | `NLJ2` |
//! | 4..8 | CRC32C of topic incarnation, partition, segment base, position in the file, bytes 8..44 |
//! | 8..12 | CRC32C of the body |
//! | 12..16 | length of the body |
//! | 16..24 | offset of the first message |
//! | 24..32 | timestamp, microseconds since 1970, UTC |
//! | 32..36 | number of messages |
//! | 36..44 | position in the file below which all was synced when this frame was written |
//!
//! The body holds per message: length of the key (`u32::MAX`: none), length of the value, key, value.
//!
//! The checksum covers where the frame stands, so bytes that look like a frame elsewhere (a copy inside a message, a
//! segment under a wrong name) are never taken for one.

use uuid::Uuid;

use super::error::{JournalError, Result};

pub(super) const HEADER_BYTES: usize = 44;
pub(super) const MAGIC: [u8; 4] = *b"NLJ2";
const CHECKED_FROM: usize = 8;
const ENTRY_BYTES: usize = 8;
const NO_KEY: u32 = u32::MAX;

/// The part of a checksum that ties bytes to topic incarnation, partition and file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn new(incarnation: Uuid, partition: u32, file: u64) -> Self {
        let crc = crc32c::crc32c(incarnation.as_bytes());
        let crc = crc32c::crc32c_append(crc, &partition.to_le_bytes());
        Self(crc32c::crc32c_append(crc, &file.to_le_bytes()))
    }

    pub(super) fn checksum(self, position: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &position.to_le_bytes()), bytes)
    }
}

/// A header whose checksum matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    body_crc: u32,
    pub(super) body_bytes: u32,
    pub(super) first_offset: u64,
    pub(super) timestamp_us: i64,
    pub(super) messages: u32,
    /// Every byte of the file below was on disk before this frame was written.
    pub(super) synced_to: u64,
}

impl Header {
    /// The header at the start of `bytes`, which stand at `position` in the file; `None` if there is none.
    pub(super) fn decode(bytes: &[u8], seed: Seed, position: u64) -> Option<Self> {
        let checked = bytes.get(CHECKED_FROM..HEADER_BYTES)?;
        let mut rest = bytes;
        if take::<4>(&mut rest)? != MAGIC {
            return None;
        }
        if u32::from_le_bytes(take(&mut rest)?) != seed.checksum(position, checked) {
            return None;
        }
        Some(Self {
            body_crc: u32::from_le_bytes(take(&mut rest)?),
            body_bytes: u32::from_le_bytes(take(&mut rest)?),
            first_offset: u64::from_le_bytes(take(&mut rest)?),
            timestamp_us: i64::from_le_bytes(take(&mut rest)?),
            messages: u32::from_le_bytes(take(&mut rest)?),
            synced_to: u64::from_le_bytes(take(&mut rest)?),
        })
    }

    pub(super) fn matches(&self, body: &[u8]) -> bool {
        body.len() == self.body_bytes as usize && crc32c::crc32c(body) == self.body_crc
    }

    pub(super) fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }

    pub(super) fn next_offset(&self) -> u64 {
        self.first_offset.saturating_add(u64::from(self.messages))
    }
}

/// Take key and value of the first message off `body`; `None` if its lengths do not fit.
#[inline]
pub(super) fn take_message<'a>(body: &mut &'a [u8]) -> Option<(Option<&'a [u8]>, &'a [u8])> {
    let key_bytes = u32::from_le_bytes(take(body)?);
    let value_bytes = u32::from_le_bytes(take(body)?) as usize;
    let key = if key_bytes == NO_KEY { None } else { Some(body.split_off(..key_bytes as usize)?) };
    Some((key, body.split_off(..value_bytes)?))
}

#[inline]
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

/// One frame in the making; its place is filled in when it is written.
#[derive(Debug)]
pub(super) struct FrameBuilder {
    bytes: Vec<u8>,
    messages: u32,
}

impl FrameBuilder {
    fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], messages: 0 }
    }

    pub(super) fn messages(&self) -> u32 {
        self.messages
    }

    /// Bytes of the frame if one more message of `message_bytes` came in.
    fn bytes_with(&self, message_bytes: usize) -> usize {
        self.bytes.len() + ENTRY_BYTES + message_bytes
    }

    /// Add a message; the caller keeps key, value and frame below `u32::MAX`.
    #[inline]
    fn push(&mut self, key: Option<&[u8]>, value: &[u8]) {
        let mut lengths = [0; ENTRY_BYTES];
        lengths[..4].copy_from_slice(&key.map_or(NO_KEY, |key| key.len() as u32).to_le_bytes());
        lengths[4..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&lengths);
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value);
        self.messages += 1;
    }

    /// No message comes in any more: fill in what does not depend on the frame's place.
    fn finish(&mut self, timestamp_us: i64) {
        let (header, body) = self.bytes.split_at_mut(HEADER_BYTES);
        header[..4].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        header[12..16].copy_from_slice(&(body.len() as u32).to_le_bytes());
        header[24..32].copy_from_slice(&timestamp_us.to_le_bytes());
        header[32..36].copy_from_slice(&self.messages.to_le_bytes());
    }

    /// Fill in the rest and hand out the frame, to be written at `position`.
    pub(super) fn seal(&mut self, seed: Seed, position: u64, first_offset: u64, synced_to: u64) -> &[u8] {
        let header = &mut self.bytes[..HEADER_BYTES];
        header[16..24].copy_from_slice(&first_offset.to_le_bytes());
        header[36..44].copy_from_slice(&synced_to.to_le_bytes());
        let crc = seed.checksum(position, &header[CHECKED_FROM..]);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }
}

/// The messages of one append, as frames that wait for their place.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) frames: Vec<FrameBuilder>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Batch {
    /// Encode messages (key, value) into frames of at most `frame_bytes`, save a message that is larger by itself.
    pub(super) fn encode<'a, I>(messages: I, timestamp_us: i64, frame_bytes: usize, limit: usize) -> Result<Self>
    where
        I: IntoIterator<Item = (Option<&'a [u8]>, &'a [u8])>,
    {
        let mut batch = Self { frames: Vec::new(), messages: 0, bytes: 0 };
        let mut frame = FrameBuilder::new();
        for (key, value) in messages {
            let bytes = key.map_or(0, <[u8]>::len).saturating_add(value.len());
            if bytes > limit {
                return Err(JournalError::MessageTooLarge { bytes, limit });
            }
            if frame.messages > 0 && frame.bytes_with(bytes) > frame_bytes {
                batch.take(std::mem::replace(&mut frame, FrameBuilder::new()), timestamp_us);
            }
            frame.push(key, value);
        }
        batch.take(frame, timestamp_us);
        Ok(batch)
    }

    fn take(&mut self, mut frame: FrameBuilder, timestamp_us: i64) {
        if frame.messages > 0 {
            frame.finish(timestamp_us);
            self.messages += u64::from(frame.messages);
            self.bytes += frame.bytes.len() as u64;
            self.frames.push(frame);
        }
    }
}

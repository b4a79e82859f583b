//! Sample packets that wait for their flush, joined into blocks.
//!
//! A packet that begins where its stream stands goes on with the run that is open; one that begins later leaves a gap
//! and opens another; one that begins earlier was late or is repeated, and is kept apart under a mark. At a flush every
//! run is cut into blocks: a block spans neither a gap nor a commit. Which samples are kept, and which of them a reader
//! takes for the first delivered, does not depend on where flushes fall.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::identity::{Place, Source};
use super::rejects::Rejects;
use super::{Flush, Message, Spans};
use crate::CoreError;
use crate::contract::Contract;
use crate::decode::packet::{Packet, Shape};
use crate::decode::{MessageFault, UnknownFields};
use crate::position::{Offset, Partition};
use crate::signal::{BlockPlace, Blocks, Gathered, Identity, LiveGap, LiveStream, rows};

/// Seconds of a block at most: a flush a second makes one block of each channel, not one and a crumb.
const BLOCK_S: f64 = 1.5;
/// Bytes of a run beside its samples.
const RUN_BYTES: usize = 128;
/// Mark of blocks whose samples came after later ones: late, or delivered again.
const BEHIND: &str = "behind";
/// What is counted of packets that stay: those behind, and those after a gap.
const COUNT_BEHIND: &str = "packet|behind";
const COUNT_GAP: &str = "packet|gap";

/// A stream that the table knows already.
#[derive(Debug, Clone)]
pub struct KnownStream {
    /// Its id.
    pub id: [u8; 16],
    /// What its packets say alike.
    pub shape: Shape,
    /// Index after the highest sample it has had.
    pub next: i64,
    /// Partition it comes on, if the table has noted it.
    pub partition: Option<Partition>,
}

/// Which partition each stream comes on: one for all buffers of a job, each of which sees some partitions.
#[derive(Debug, Default)]
pub struct Homes(Mutex<HashMap<[u8; 16], Partition>>);

impl Homes {
    /// The partitions that a table has noted.
    #[must_use]
    pub fn of(known: &[KnownStream]) -> Self {
        let noted = known.iter().filter_map(|stream| Some((stream.id, stream.partition?)));
        Self(Mutex::new(noted.collect()))
    }

    /// Take a stream for a partition; false where another has it.
    fn claim(&self, stream: [u8; 16], partition: Partition) -> bool {
        // A claim is one insertion: a thread that panicked left nothing half done.
        let mut homes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *homes.entry(stream).or_insert(partition) == partition
    }
}

/// What a packet buffer writes for, and what is known at its start.
#[derive(Debug, Clone)]
pub struct PacketSpec {
    /// Table of the blocks.
    pub table: String,
    /// Topic of the packets.
    pub topic: String,
    /// The topic and its incarnation, as blocks name it.
    pub source: String,
    /// A larger message is a dead letter.
    pub max_message_bytes: usize,
    /// Streams that the table knows.
    pub known: Vec<KnownStream>,
    /// Shared by the buffers of the job.
    pub homes: Arc<Homes>,
}

/// Collects sample packets of one job until its policy asks for a flush.
#[derive(Debug)]
pub struct PacketBuffer {
    spec: PacketSpec,
    contract: Arc<Contract>,
    source: Source,
    streams: HashMap<[u8; 16], Stream>,
    closed: Vec<Run>,
    new_streams: Vec<LiveStream>,
    gaps: Vec<LiveGap>,
    warnings: BTreeMap<String, u64>,
    rejects: Rejects,
    spans: Spans,
    messages: u64,
    blocks: usize,
    bytes: usize,
    first_at_us: Option<i64>,
}

/// Where a stream stands.
#[derive(Debug)]
struct Stream {
    name: Arc<str>,
    shape: Shape,
    partition: Option<Partition>,
    next: i64,
    has_moved: bool,
    has_settled: bool,
    /// Samples of a channel that its next run is likely to have.
    room: usize,
    run: Option<Run>,
    behind: Option<Run>,
}

/// A gap-free run of one stream.
#[derive(Debug)]
struct Run {
    stream: Arc<str>,
    rate_hz: f64,
    first: i64,
    end: i64,
    start_us: Option<i64>,
    partition: i32,
    offsets: (i64, i64),
    mark: Option<&'static str>,
    samples: Gathered,
}

impl PacketBuffer {
    /// A buffer for one job, from the given positions.
    #[must_use]
    pub fn new(spec: PacketSpec, contract: Arc<Contract>, positions: BTreeMap<Partition, Offset>) -> Self {
        let streams = spec.known.iter().map(|known| (known.id, Stream::new(known.id, known.shape, known.next)));
        Self {
            streams: streams.collect(),
            source: Source::new(spec.source.clone()),
            spec,
            contract,
            closed: Vec::new(),
            new_streams: Vec::new(),
            gaps: Vec::new(),
            warnings: BTreeMap::new(),
            rejects: Rejects::default(),
            spans: Spans::new(positions),
            messages: 0,
            blocks: 0,
            bytes: 0,
            first_at_us: None,
        }
    }

    /// Take one message in. `now_us` is the wall clock in UTC microseconds.
    pub fn push(&mut self, message: &Message<'_>, now_us: i64) {
        self.first_at_us.get_or_insert(now_us);
        self.messages += 1;
        self.spans.cover(message);
        if let Err(fault) = self.push_packet(message, now_us) {
            let reasons = std::iter::once(fault.rule_id());
            self.rejects.push(Place::of(message, now_us), None, Some(message.value), reasons);
        }
    }

    /// Blocks waiting, as far as they are begun, and rejected packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks + self.rejects.len()
    }

    /// Whether nothing was delivered since the last flush.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Bytes waiting.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.rejects.bytes()
    }

    /// When the oldest waiting message came in.
    #[must_use]
    pub fn first_at_us(&self) -> Option<i64> {
        self.first_at_us
    }

    /// Take everything out as one flush and go on from its end.
    ///
    /// # Errors
    /// `Batch` when Arrow refuses the columns, which no message can cause.
    pub fn take(&mut self) -> Result<Flush, CoreError> {
        let bytes = self.bytes();
        let mut marks = BTreeMap::new();
        for stream in self.streams.values_mut() {
            if let Some(run) = &stream.run {
                let samples = usize::try_from(run.end - run.first).unwrap_or(0);
                // Flushes come a little early or late.
                stream.room = samples + samples / 8;
            }
            self.closed.extend(stream.run.take());
            self.closed.extend(stream.behind.take());
            if std::mem::take(&mut stream.has_moved) {
                marks.insert(next_key(&stream.name), stream.next);
            }
            if let (true, Some(partition)) = (std::mem::take(&mut stream.has_settled), stream.partition) {
                marks.insert(home_key(&stream.name), i64::from(partition.number));
            }
        }
        // Sorted as readers look for them; of two runs at one place the first delivered comes first.
        self.closed.sort_by(|a, b| (&a.stream, a.first, a.offsets).cmp(&(&b.stream, b.first, b.offsets)));
        let mut blocks = Blocks::default();
        for run in self.closed.drain(..) {
            run.cut(&self.spec.source, &mut blocks);
        }
        let rows = if blocks.is_empty() { Vec::new() } else { vec![blocks.finish()?] };
        let beside = rows_beside(&mut self.new_streams, &mut self.gaps, &self.spec)?;
        let dead_letters = std::mem::take(&mut self.rejects.dead_letters);
        let reasons = std::mem::take(&mut self.rejects.counts);
        let rejects = self.rejects.finish(&self.contract, &mut self.source)?;
        self.first_at_us = None;
        (self.blocks, self.bytes) = (0, 0);
        Ok(Flush {
            rows,
            rejects,
            spans: self.spans.take(),
            messages: std::mem::take(&mut self.messages),
            dead_letters,
            reasons,
            warnings: std::mem::take(&mut self.warnings),
            unknown: UnknownFields::default(),
            bytes,
            beside,
            marks,
        })
    }

    fn push_packet(&mut self, message: &Message<'_>, now_us: i64) -> Result<(), MessageFault> {
        if message.value.is_empty() {
            return Err(MessageFault::Empty);
        }
        if message.value.len() > self.spec.max_message_bytes {
            return Err(MessageFault::Size);
        }
        let packet = Packet::read(message.value)?;
        let home = self.streams.get(&packet.stream).and_then(|stream| stream.partition);
        let is_home = home
            .map_or_else(|| self.spec.homes.claim(packet.stream, message.partition), |home| home == message.partition);
        if !is_home {
            return Err(MessageFault::PacketPartition);
        }
        let stream = self.streams.entry(packet.stream).or_insert_with(|| {
            let mut stream = Stream::new(packet.stream, packet.shape, packet.first);
            stream.has_moved = true;
            self.new_streams.push(LiveStream {
                id: stream.name.to_string(),
                shape: packet.shape,
                sample_start: packet.first,
                start_us: packet.device_time_us,
                arrived_us: now_us,
            });
            stream
        });
        stream.has_settled |= stream.partition.replace(message.partition).is_none();
        if let Some(fault) = stream.shape.fault_of(&packet.shape) {
            return Err(fault);
        }
        if packet.first < stream.next {
            *self.warnings.entry(COUNT_BEHIND.to_owned()).or_default() += 1;
            self.closed.extend(stream.take_behind(&packet, message));
        } else {
            if packet.first > stream.next {
                *self.warnings.entry(COUNT_GAP.to_owned()).or_default() += 1;
                self.gaps.push(LiveGap {
                    stream_id: stream.name.to_string(),
                    rate_hz: packet.shape.rate_hz,
                    sample_start: stream.next,
                    sample_stop: packet.first,
                });
                self.closed.extend(stream.close());
            }
            if stream.run.is_none() {
                // A run behind that began before this one must not go on into what this one holds.
                self.closed.extend(stream.behind.take());
                self.blocks += packet.shape.channels;
                self.bytes += packet.shape.channels * RUN_BYTES;
            }
            Run::grow(&mut stream.run, (&stream.name, None, stream.room), &packet, message);
            stream.next = packet.end();
            stream.has_moved = true;
        }
        self.bytes += packet.samples.len();
        Ok(())
    }
}

fn rows_beside(
    streams: &mut Vec<LiveStream>,
    gaps: &mut Vec<LiveGap>,
    spec: &PacketSpec,
) -> Result<super::Beside, CoreError> {
    let found = rows(streams, gaps, (&spec.topic, &spec.table))?;
    streams.clear();
    gaps.clear();
    Ok(found.into_iter().map(|(table, batch)| (table, vec![batch])).collect())
}

/// Under which key a table remembers where a stream stands.
#[must_use]
pub fn next_key(stream: &str) -> String {
    format!("stream/{stream}")
}

/// Under which key a table remembers on which partition a stream comes.
#[must_use]
pub fn home_key(stream: &str) -> String {
    format!("stream/{stream}/partition")
}

impl Stream {
    fn new(id: [u8; 16], shape: Shape, next: i64) -> Self {
        let name = Arc::from(uuid_text(id));
        Self {
            name,
            shape,
            partition: None,
            next,
            has_moved: false,
            has_settled: false,
            room: 0,
            run: None,
            behind: None,
        }
    }

    /// End the open runs. One behind ends with the other: of what it holds nothing must have come after what the next
    /// run will hold.
    fn close(&mut self) -> impl Iterator<Item = Run> + use<> {
        self.run.take().into_iter().chain(self.behind.take())
    }

    /// Take in a packet that begins before where the stream stands; gives the runs it ends.
    fn take_behind(&mut self, packet: &Packet<'_>, message: &Message<'_>) -> Vec<Run> {
        let mut ended = Vec::new();
        if packet.end() > self.next {
            // It holds new samples too: what follows them is another run, so that each run holds what came in order.
            ended.extend(self.close());
            Run::grow(&mut self.behind, (&self.name, Some(BEHIND), 0), packet, message);
            ended.extend(self.behind.take());
            self.next = packet.end();
            self.has_moved = true;
            return ended;
        }
        if self.behind.as_ref().is_some_and(|run| run.end != packet.first) {
            ended.extend(self.behind.take());
        }
        Run::grow(&mut self.behind, (&self.name, Some(BEHIND), 0), packet, message);
        ended
    }
}

impl Run {
    /// Add a packet to a run that ends where it begins, or begin one with it.
    fn grow(
        run: &mut Option<Self>,
        (stream, mark, room): (&Arc<str>, Option<&'static str>, usize),
        packet: &Packet<'_>,
        message: &Message<'_>,
    ) {
        let run = run.get_or_insert_with(|| Self {
            stream: Arc::clone(stream),
            rate_hz: packet.shape.rate_hz,
            first: packet.first,
            end: packet.first,
            start_us: packet.device_time_us,
            partition: message.partition.number,
            offsets: (message.offset.0, message.offset.0),
            mark,
            samples: Gathered::new(packet, room),
        });
        run.samples.append(packet);
        run.end = packet.end();
        run.offsets.1 = message.offset.0;
    }

    fn cut(self, source: &str, blocks: &mut Blocks) {
        // Rates are finite and above zero; a block of a slow stream still has one sample.
        let most = ((self.rate_hz * BLOCK_S) as usize).max(1);
        self.samples.cut(most, blocks, |channel, first, last| BlockPlace {
            stream_id: &self.stream,
            channel: i32::try_from(channel).unwrap_or(i32::MAX),
            sample_start: self.first + i64::try_from(first).unwrap_or(i64::MAX),
            event_time_us: self.times_us(first, last),
            mark: self.mark,
            identity: Some(Identity { source, partition: self.partition, offsets: self.offsets }),
        });
    }

    fn times_us(&self, first: usize, last: usize) -> Option<(i64, i64)> {
        let after = |count: usize| (count as f64 * 1e6 / self.rate_hz).round() as i64;
        let start_us = self.start_us?;
        Some((start_us.saturating_add(after(first)), start_us.saturating_add(after(last))))
    }
}

/// A stream's id as text.
fn uuid_text(id: [u8; 16]) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int16Type, Int32Type, Int64Type};
    use proptest::prelude::*;

    use super::*;
    use crate::decode::packet::tests::packet;
    use crate::signal::SignalTable;

    const CHANNELS: usize = 3;

    fn buffer() -> PacketBuffer {
        let spec = PacketSpec {
            table: "implant".to_owned(),
            topic: "implant.raw".to_owned(),
            source: "implant.raw@id".to_owned(),
            max_message_bytes: 1 << 20,
            known: Vec::new(),
            homes: Arc::default(),
        };
        let contract =
            Contract { id: "packets".to_owned(), version: 1, columns: Vec::new(), rules: Vec::new(), warn: Vec::new() };
        PacketBuffer::new(spec, Arc::new(contract), BTreeMap::new())
    }

    /// A sample that says what it is: its channel, its index and the message that brought it.
    fn sample(channel: usize, index: i64, message: usize) -> i16 {
        (index * 31 + channel as i64 * 7 + message as i64 * 1009) as i16
    }

    fn message(first: i64, moments: usize, number: usize, layout: u8) -> Vec<u8> {
        let mut samples = Vec::new();
        let cells = |outer: usize, inner: usize| (0..outer).flat_map(move |a| (0..inner).map(move |b| (a, b)));
        if layout == 0 {
            samples.extend(cells(moments, CHANNELS).map(|(m, c)| sample(c, first + m as i64, number)));
        } else {
            samples.extend(cells(CHANNELS, moments).map(|(c, m)| sample(c, first + m as i64, number)));
        }
        packet(9, first as u64, CHANNELS as u16, &samples, layout)
    }

    /// Every sample of every block: (channel, index, first offset, mark, value).
    fn held(flushes: &[Flush]) -> Vec<(i32, i64, i64, bool, i16)> {
        let mut found = Vec::new();
        for batch in flushes.iter().flat_map(|flush| &flush.rows) {
            let lists = batch["samples"].as_list::<i32>();
            for row in 0..batch.num_rows() {
                let values = lists.value(row);
                let start = batch["sample_start"].as_primitive::<Int64Type>().value(row);
                let channel = batch["channel"].as_primitive::<Int32Type>().value(row);
                let offset = batch["_offset_first"].as_primitive::<Int64Type>().value(row);
                let has_mark = batch["mark"].is_valid(row);
                let values = values.as_primitive::<Int16Type>();
                found.extend((0..).zip(values.values()).map(|(at, v)| (channel, start + at, offset, has_mark, *v)));
            }
        }
        found
    }

    fn run(packets: &[Vec<u8>], cuts: &[bool]) -> Vec<Flush> {
        let mut buffer = buffer();
        let mut flushes = Vec::new();
        for ((offset, value), cut) in (0..).zip(packets).zip(cuts.iter().cycle()) {
            buffer.push(&Message { partition: Partition::new(0), offset: Offset(offset), value }, 5);
            if *cut {
                flushes.push(buffer.take().unwrap());
            }
        }
        flushes.push(buffer.take().unwrap());
        flushes
    }

    #[test]
    fn packets_of_a_second_become_one_block_of_each_channel() {
        let packets: Vec<_> = (0..50).map(|n| message(n as i64 * 20, 20, n, (n % 2) as u8)).collect();
        let flushes = run(&packets, &[false]);
        let [flush] = flushes.as_slice() else { panic!("one flush") };
        assert_eq!(flush.row_count(), CHANNELS);
        assert_eq!(flush.beside[&SignalTable::Channels][0].num_rows(), CHANNELS);
        assert_eq!(flush.marks["stream/09090909-0909-0909-0909-090909090909"], 1000);
        let batch = &flush.rows[0];
        assert_eq!(batch["_offset_last"].as_primitive::<Int64Type>().value(0), 49);
    }

    #[test]
    fn a_gap_cuts_the_block_and_is_told() {
        let packets = [message(0, 10, 0, 0), message(30, 10, 1, 0)];
        let [flush] = &run(&packets, &[false])[..] else { panic!("one flush") };
        assert_eq!(flush.row_count(), 2 * CHANNELS);
        assert_eq!(flush.warnings[COUNT_GAP], 1);
        let gap = &flush.beside[&SignalTable::Intervals][0];
        assert_eq!(gap["sample_start"].as_primitive::<Int64Type>().value(0), 10);
        assert_eq!(gap["sample_stop"].as_primitive::<Int64Type>().value(0), 30);
    }

    #[test]
    fn what_came_late_or_again_is_kept_under_a_mark() {
        let packets = [message(0, 10, 0, 0), message(20, 10, 1, 0), message(10, 10, 2, 0), message(0, 10, 3, 0)];
        let flushes = run(&packets, &[false]);
        assert_eq!(flushes[0].warnings[COUNT_BEHIND], 2);
        let marked = held(&flushes).into_iter().filter(|(.., has_mark, _)| *has_mark).count();
        assert_eq!(marked, 2 * 10 * CHANNELS);
    }

    #[test]
    fn a_packet_unlike_its_stream_is_a_dead_letter() {
        let good = message(0, 10, 0, 0);
        let mut other = message(10, 10, 1, 0);
        other[32..40].copy_from_slice(&2000.0_f64.to_le_bytes());
        let flushes = run(&[good, other, vec![], vec![1, 2, 3]], &[false]);
        assert_eq!(flushes[0].dead_letters, 3);
        let reasons: Vec<_> = flushes[0].reasons.keys().map(String::as_str).collect();
        assert_eq!(reasons, ["message|empty", "packet|header", "packet|rate_changed"]);
    }

    #[test]
    fn a_stream_has_one_partition_whichever_buffer_sees_it_and_the_table_notes_it() {
        let (mut one, mut other) = (buffer(), buffer());
        other.spec.homes = Arc::clone(&one.spec.homes);
        let value = message(0, 10, 0, 0);
        one.push(&Message { partition: Partition::new(3), offset: Offset(0), value: &value }, 5);
        other.push(&Message { partition: Partition::new(4), offset: Offset(0), value: &value }, 5);
        let (kept, refused) = (one.take().unwrap(), other.take().unwrap());
        let key = home_key("09090909-0909-0909-0909-090909090909");
        assert_eq!((kept.row_count(), kept.marks[&key]), (CHANNELS, 3));
        assert_eq!((refused.row_count(), refused.reasons["packet|partition_changed"]), (0, 1));
        assert!(refused.marks.is_empty() && refused.beside.values().all(Vec::is_empty));

        // A job that starts again knows it from the table.
        let shape = Packet::read(&value).unwrap().shape;
        let known = KnownStream { id: [9; 16], shape, next: 10, partition: Some(Partition::new(3)) };
        let mut again = buffer();
        again.spec.homes = Arc::new(Homes::of(&[known]));
        again.push(&Message { partition: Partition::new(4), offset: Offset(1), value: &message(10, 10, 1, 0) }, 5);
        assert_eq!(again.take().unwrap().reasons["packet|partition_changed"], 1);
    }

    #[test]
    fn a_run_behind_does_not_outlive_the_opening_of_another() {
        // The flush comes after the second message: the third is behind, the fourth opens a run, the fifth repeats it.
        let packets: Vec<_> = [0, 20, 10, 30, 20, 30].iter().zip(0..).map(|(at, n)| message(*at, 10, n, 0)).collect();
        let flushes = run(&packets, &[false, true, false, false, false, false]);
        let at_30: Vec<_> = held(&flushes).into_iter().filter(|(c, i, ..)| (*c, *i) == (0, 30)).collect();
        let first = at_30.iter().min_by_key(|(_, _, offset, ..)| *offset).unwrap();
        assert_eq!(first.4, sample(0, 30, 3));
    }

    proptest! {
        /// Any split of a stream into flushes keeps the same samples, under the same marks, and the reader's rule (the
        /// lowest first offset wins) picks the first delivered.
        #[test]
        fn flushes_change_no_sample(
            // Half of them on a grid, where packets go on from one another.
            places in proptest::collection::vec(
                prop_oneof![(0_i64..120, 1_usize..30, 0_u8..2), (0_i64..12).prop_map(|at| (at * 10, 10, 0))], 1..25
            ),
            cuts in proptest::collection::vec(any::<bool>(), 1..9),
        ) {
            let packets: Vec<_> =
                (0..).zip(&places).map(|(n, (first, moments, layout))| message(*first, *moments, n, *layout)).collect();
            let (whole, split) = (run(&packets, &[false]), run(&packets, &cuts));
            let plain = |flushes: &[Flush]| {
                let mut all: Vec<_> = held(flushes).into_iter().map(|(c, i, _, mark, v)| (c, i, mark, v)).collect();
                all.sort_unstable();
                all
            };
            prop_assert_eq!(plain(&whole), plain(&split));
            let gaps = |flushes: &[Flush]| -> u64 { flushes.iter().filter_map(|f| f.warnings.get(COUNT_GAP)).sum() };
            prop_assert_eq!(gaps(&whole), gaps(&split));
            for flushes in [whole, split] {
                let mut first: HashMap<(i32, i64), (i64, i16)> = HashMap::new();
                for (channel, index, offset, _, value) in held(&flushes) {
                    let best = first.entry((channel, index)).or_insert((offset, value));
                    if offset < best.0 {
                        *best = (offset, value);
                    }
                }
                for ((channel, index), (_, value)) in first {
                    let (number, _) = places
                        .iter()
                        .enumerate()
                        .find(|(_, (at, moments, _))| (*at..*at + *moments as i64).contains(&index))
                        .unwrap();
                    prop_assert_eq!(value, sample(channel as usize, index, number));
                }
            }
        }
    }
}

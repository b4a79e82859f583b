//! From the bytes of a message to the rows of a batch.

mod cell;
mod column;
mod flat;
mod ipc;
mod json;
pub mod packet;
mod unknown;
mod unknown_columns;

pub(crate) use cell::Cell;
pub(crate) use column::{ColumnBuilder, judge};
pub(crate) use ipc::{IpcStream, RowWriter, check_text_bytes, read as read_ipc};
pub(crate) use json::{Cells, RowReader, lines};
pub(crate) use unknown::UnknownCells;
pub use unknown::{UnknownField, UnknownFields};
pub(crate) use unknown_columns::UnknownColumns;

/// How the rows of a message are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowEncoding {
    /// Lines of JSON.
    Json,
    /// One Arrow IPC stream.
    Arrow,
}

/// Why a message is a dead letter.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) fault: MessageFault,
    /// Rules that its columns break as a whole, as `Plan::id` takes them.
    pub(crate) rules: Vec<usize>,
}

impl From<MessageFault> for Refusal {
    fn from(fault: MessageFault) -> Self {
        Self { fault, rules: Vec::new() }
    }
}

/// Whole-message faults: such a message is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFault {
    /// No value, or nothing but white space.
    Empty,
    /// Larger than the declared size.
    Size,
    /// Not UTF-8.
    Utf8,
    /// Not JSON.
    Json,
    /// JSON, but not an object.
    Object,
    /// No Arrow IPC stream begins here.
    ArrowHeader,
    /// A stream of numbers with the high byte first.
    ArrowByteOrder,
    /// It ends before its own lengths or its end mark say so.
    ArrowTruncated,
    /// Bytes after the end mark.
    ArrowTrailing,
    /// Lengths that reach beyond what they are of.
    ArrowLength,
    /// Compressed buffers.
    ArrowCompressed,
    /// Metadata or buffers that hold no columns of their schema.
    ArrowBatch,
    /// Columns that are not those of the contract.
    ArrowSchema,
    /// No header of a sample packet, or one of another version.
    PacketHeader,
    /// A type of samples that there is not.
    PacketDtype,
    /// A layout that there is not.
    PacketLayout,
    /// A rate that is no number above zero.
    PacketRate,
    /// A gain that is zero or no number.
    PacketGain,
    /// No channel, or no sample.
    PacketEmpty,
    /// Another length than the header tells.
    PacketLength,
    /// A sample index beyond what can be counted.
    PacketIndex,
    /// Another type than its stream has.
    PacketDtypeChanged,
    /// Other channels than its stream has.
    PacketChannelsChanged,
    /// Another rate than its stream has.
    PacketRateChanged,
    /// Another gain than its stream has.
    PacketGainChanged,
    /// Another partition than its stream came on.
    PacketPartition,
}

impl MessageFault {
    /// Rule id of the fault.
    #[must_use]
    pub fn rule_id(self) -> &'static str {
        match self {
            Self::Empty => "message|empty",
            Self::Size => "message|size",
            Self::Utf8 => "message|utf8",
            Self::Json => "message|json",
            Self::Object => "message|object",
            Self::ArrowHeader => "arrow|header",
            Self::ArrowByteOrder => "arrow|byte_order",
            Self::ArrowTruncated => "arrow|truncated",
            Self::ArrowTrailing => "arrow|trailing",
            Self::ArrowLength => "arrow|length",
            Self::ArrowCompressed => "arrow|compressed",
            Self::ArrowBatch => "arrow|batch",
            Self::ArrowSchema => "arrow|schema",
            Self::PacketHeader => "packet|header",
            Self::PacketDtype => "packet|dtype",
            Self::PacketLayout => "packet|layout",
            Self::PacketRate => "packet|rate",
            Self::PacketGain => "packet|gain",
            Self::PacketEmpty => "packet|empty",
            Self::PacketLength => "packet|length",
            Self::PacketIndex => "packet|index",
            Self::PacketDtypeChanged => "packet|dtype_changed",
            Self::PacketChannelsChanged => "packet|channels_changed",
            Self::PacketRateChanged => "packet|rate_changed",
            Self::PacketGainChanged => "packet|gain_changed",
            Self::PacketPartition => "packet|partition_changed",
        }
    }
}

//! The run of offsets that a flush covers in each partition.

use std::collections::BTreeMap;

use super::Message;
use crate::position::{Offset, Partition, Span};

/// Spans of the messages taken in since the last flush.
#[derive(Debug)]
pub(super) struct Spans {
    resumed: BTreeMap<Partition, Offset>,
    spans: BTreeMap<Partition, Span>,
}

impl Spans {
    pub(super) fn new(positions: BTreeMap<Partition, Offset>) -> Self {
        Self { resumed: positions, spans: BTreeMap::new() }
    }

    /// Extend the span of the message's partition up to it.
    pub(super) fn cover(&mut self, message: &Message<'_>) {
        let to = message.offset.next();
        if let Some(span) = self.spans.get_mut(&message.partition) {
            span.to = to;
            return;
        }
        let from = self.resumed.get(&message.partition).copied().unwrap_or(message.offset);
        self.spans.insert(message.partition, Span { from, to });
    }

    /// The spans as they stand.
    pub(super) fn so_far(&self) -> BTreeMap<Partition, Span> {
        self.spans.clone()
    }

    /// Take the spans out and go on from their ends.
    pub(super) fn take(&mut self) -> BTreeMap<Partition, Span> {
        let spans = std::mem::take(&mut self.spans);
        self.resumed.extend(spans.iter().map(|(partition, span)| (*partition, span.to)));
        spans
    }
}

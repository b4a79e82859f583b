//! A queue of librdkafka that some partitions deliver into, emptied many messages at a time.
//!
//! The safe client hands out one message a call, with two timers and an event object each: profiled, that was half of
//! what a reading thread did. A queue of one's own also lets several threads read one client, each its partitions.

#![allow(unsafe_code)] // librdkafka's own interface; each call says why it is sound

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use neuralake_core::buffer::Message;
use neuralake_core::position::{Offset, Partition};
use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_consume_queue, rd_kafka_message_destroy, rd_kafka_message_t,
    rd_kafka_queue_destroy, rd_kafka_queue_forward, rd_kafka_queue_get_partition, rd_kafka_queue_new, rd_kafka_queue_t,
    rd_kafka_resp_err_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use super::kafka_ffi::leader_epoch;

/// Most messages taken from librdkafka at a time.
const BATCH: usize = 4096;

/// What a queue holds.
pub(super) enum Entry<'a> {
    /// A message, borrowed from the client until the next one is asked for, and the leader epoch it was written under.
    Message(Message<'a>, Option<i32>),
    /// What happened to a partition.
    Event(Partition, RDKafkaErrorCode),
}

/// A queue and the client it belongs to.
pub(super) struct Queue<C: ConsumerContext + 'static> {
    queue: NonNull<rd_kafka_queue_t>,
    taken: Taken,
    // Dropped last: a queue must not outlive its client.
    client: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread; this one is used from one at a time, by `&mut self`.
unsafe impl<C: ConsumerContext> Send for Queue<C> {}

impl<C: ConsumerContext> Queue<C> {
    /// A queue that these partitions deliver into, instead of the client's own. Call it before they are assigned.
    ///
    /// `None` when librdkafka is out of memory, or does not take the topic's name.
    pub(super) fn over(
        client: &Arc<BaseConsumer<C>>,
        topic: &str,
        partitions: impl IntoIterator<Item = Partition>,
    ) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let native = client.client().native_ptr();
        // SAFETY: `native` is a live client for as long as `client` is, and this value keeps it.
        let queue = NonNull::new(unsafe { rd_kafka_queue_new(native) })?;
        let own = Self { queue, taken: Taken(Vec::with_capacity(BATCH)), client: Arc::clone(client) };
        for partition in partitions {
            // SAFETY: as above; the name is NUL-terminated and copied. The handle is counted by librdkafka, and given
            // back once the forwarding stands.
            unsafe {
                let from = NonNull::new(rd_kafka_queue_get_partition(native, topic.as_ptr(), partition.number))?;
                rd_kafka_queue_forward(from.as_ptr(), own.queue.as_ptr());
                rd_kafka_queue_destroy(from.as_ptr());
            }
        }
        Some(own)
    }

    /// Hand over what there is, up to some thousands; wait at most `wait` for the first. Returns how many.
    pub(super) fn drain(&mut self, wait: Duration, limit: usize, each: &mut dyn FnMut(Entry<'_>)) -> usize {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // The batch call waits until it is full: the first message is waited for alone.
        // SAFETY: the queue lives as long as `self`; what is taken from it is freed by `Taken`.
        let Some(first) = NonNull::new(unsafe { rd_kafka_consume_queue(self.queue.as_ptr(), wait_ms) }) else {
            return 0;
        };
        self.taken.0.push(first);
        self.taken.fill(self.queue, limit.min(BATCH) - 1);
        for message in &self.taken.0 {
            // SAFETY: the message is ours until `clear` frees it, and what is borrowed from it ends with this turn.
            each(entry(unsafe { message.as_ref() }));
        }
        let count = self.taken.0.len();
        self.taken.clear();
        count
    }
}

impl<C: ConsumerContext> Drop for Queue<C> {
    fn drop(&mut self) {
        self.taken.clear();
        // SAFETY: made by `over`, given back once. The client is alive: its field is dropped after this.
        unsafe { rd_kafka_queue_destroy(self.queue.as_ptr()) };
        let _ = &self.client;
    }
}

/// Messages taken from the client and not yet freed; freed also when a turn unwinds.
struct Taken(Vec<NonNull<rd_kafka_message_t>>);

impl Taken {
    fn fill(&mut self, queue: NonNull<rd_kafka_queue_t>, limit: usize) {
        let start = self.0.len();
        self.0.reserve(limit);
        // SAFETY: room for `limit` pointers was reserved behind the `start` that are there; librdkafka writes as many
        // as it returns, each non-null, and `NonNull` has the layout of the pointer.
        unsafe {
            let room = self.0.as_mut_ptr().add(start).cast::<*mut rd_kafka_message_t>();
            let count = rd_kafka_consume_batch_queue(queue.as_ptr(), 0, room, limit);
            self.0.set_len(start + usize::try_from(count).unwrap_or(0));
        }
    }

    fn clear(&mut self) {
        for message in self.0.drain(..) {
            // SAFETY: taken from a queue, freed once.
            unsafe { rd_kafka_message_destroy(message.as_ptr()) };
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.clear();
    }
}

fn entry(message: &rd_kafka_message_t) -> Entry<'_> {
    let partition = Partition::new(message.partition);
    if message.err != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Entry::Event(partition, message.err.into());
    }
    let value = if message.payload.is_null() {
        &[][..]
    } else {
        // SAFETY: librdkafka says where the value is and how long, for as long as the message lives.
        unsafe { std::slice::from_raw_parts(message.payload.cast::<u8>(), message.len) }
    };
    Entry::Message(Message { partition, offset: Offset(message.offset), value }, leader_epoch(message))
}

//! What librdkafka tells and rdkafka hides: topic ids, leader epochs, the place of an end.
//!
//! Every pointer made here is freed here, before the call returns or when its owner is dropped; every owner keeps the
//! client alive that made it. librdkafka is thread-safe by its own promise (INTRODUCTION.md, "Threads and callbacks").

#![allow(unsafe_code)] // the interface is C; what each call relies on stands beside it

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use neuralake_core::position::{Offset, Partition};
use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use uuid::Uuid;

/// A topic as the broker describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) id: Uuid,
    pub(super) partitions: usize,
}

/// A question about a topic, on its way to the broker.
pub(super) struct Question<C: ClientContext> {
    queue: NonNull<c::rd_kafka_queue_t>,
    _client: Arc<Client<C>>,
}

// SAFETY: a queue may be used from any thread, and the client it belongs to lives as long as this value.
unsafe impl<C: ClientContext> Send for Question<C> {}

impl<C: ClientContext> Question<C> {
    /// Ask without waiting. `None` when a name holds a zero byte, or memory is short.
    pub(super) fn ask(client: &Arc<Client<C>>, topic: &str, within: Duration) -> Option<Self> {
        let name = CString::new(topic).ok()?;
        let mut names = [name.as_ptr()];
        let native = client.native_ptr();
        // SAFETY: `native` is a live client. The collection copies the names, the request copies collection and
        // options, so all three may be freed right after; none is used when it is null.
        unsafe {
            let queue = NonNull::new(c::rd_kafka_queue_new(native))?;
            let question = Self { queue, _client: Arc::clone(client) };
            let topics = NonNull::new(c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()))?;
            let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
            let options = c::rd_kafka_AdminOptions_new(native, kind);
            if !options.is_null() {
                let mut reason = [0; 128];
                // A time that is out of range leaves the default, which is a time-out too.
                c::rd_kafka_AdminOptions_set_request_timeout(options, millis(within), reason.as_mut_ptr(), 128);
            }
            c::rd_kafka_DescribeTopics(native, topics.as_ptr(), options, queue.as_ptr());
            c::rd_kafka_TopicCollection_destroy(topics.as_ptr());
            if !options.is_null() {
                c::rd_kafka_AdminOptions_destroy(options);
            }
            Some(question)
        }
    }

    /// Wait for the answer; `None` when the time is up first.
    pub(super) fn answer(&self, within: Duration) -> Option<Result<Described, RDKafkaErrorCode>> {
        // SAFETY: the queue lives. The result, its topics, their ids and errors belong to the event and are read
        // before it is destroyed; the pointers that may be null are looked at first.
        unsafe {
            let event = NonNull::new(c::rd_kafka_queue_poll(self.queue.as_ptr(), millis(within)))?;
            let answer = described(event.as_ptr());
            c::rd_kafka_event_destroy(event.as_ptr());
            Some(answer)
        }
    }
}

impl<C: ClientContext> Drop for Question<C> {
    fn drop(&mut self) {
        // SAFETY: made by `ask`, destroyed once, and before the client: fields are dropped after this.
        unsafe { c::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// SAFETY: `event` is a live event.
unsafe fn described(event: *mut c::rd_kafka_event_t) -> Result<Described, RDKafkaErrorCode> {
    // SAFETY: as the caller promises; a result that is null is of another kind and never looked into.
    unsafe {
        let code = c::rd_kafka_event_error(event);
        if code.is_error() {
            return Err(code.into());
        }
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::InvalidType);
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count != 1 {
            return Err(RDKafkaErrorCode::UnknownTopicOrPartition);
        }
        let topic = *topics;
        let error = c::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() && c::rd_kafka_error_code(error).is_error() {
            return Err(c::rd_kafka_error_code(error).into());
        }
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Err(RDKafkaErrorCode::UnsupportedVersion);
        }
        let high = c::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
        let low = c::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
        let mut partitions = 0;
        c::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        Ok(Described { id: Uuid::from_u64_pair(high, low), partitions })
    }
}

/// Leader epoch under which a message was written; `None` from a broker that does not tell.
pub(super) fn leader_epoch(message: &c::rd_kafka_message_t) -> Option<i32> {
    // SAFETY: messages are made by librdkafka alone, and a borrowed one is not freed yet.
    let epoch = unsafe { c::rd_kafka_message_leader_epoch(message) };
    (epoch >= 0).then_some(epoch)
}

/// Say under which leader epoch the messages before each place were read, in the order of the list.
pub(super) fn set_leader_epochs(list: &mut TopicPartitionList, epochs: &[Option<i32>]) {
    let native = list.ptr();
    // SAFETY: `native` is the list's own live struct, borrowed alone; `elems` holds `cnt` elements.
    unsafe {
        let count = usize::try_from((*native).cnt).unwrap_or(0);
        for (at, epoch) in epochs.iter().enumerate().take(count) {
            if let Some(epoch) = epoch {
                c::rd_kafka_topic_partition_set_leader_epoch((*native).elems.add(at), *epoch);
            }
        }
    }
}

/// Where a consumer stands after its next message or the end it met; `None` when the time is up first.
pub(super) struct Seen {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) error: Option<RDKafkaErrorCode>,
}

/// Take the next message of a consumer that nobody else polls, and keep only its place.
pub(super) fn next_place<C: ClientContext>(consumer: &Client<C>, wait: Duration) -> Option<Seen> {
    // SAFETY: a live consumer; the message is freed before the return and nothing of it is kept.
    unsafe {
        let message = NonNull::new(c::rd_kafka_consumer_poll(consumer.native_ptr(), millis(wait)))?;
        let found = message.as_ref();
        let is_end = found.err == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF;
        let error = (found.err.is_error() && !is_end).then(|| found.err.into());
        let seen = Seen { partition: Partition::new(found.partition), offset: Offset(found.offset), error };
        c::rd_kafka_message_destroy(message.as_ptr());
        Some(seen)
    }
}

fn millis(within: Duration) -> i32 {
    i32::try_from(within.as_millis()).unwrap_or(i32::MAX)
}

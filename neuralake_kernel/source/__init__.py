"""Recordings, topics and the way from one to the other.

``read`` opens a recording and ``replay`` streams it into a topic; a ``Producer`` sends messages to
Kafka or to the journal; ``create_topic``, ``end_offsets``, ``topic_incarnation`` and
``is_caught_up`` tell what a topic is and how far it goes.

Importing this package loads no reader, no engine and no plotting library: each is imported by the
call that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from neuralake_kernel.source.acks import Acks, AtRisk
from neuralake_kernel.source.band import Band, Segment, bands, pieces
from neuralake_kernel.source.broker import Broker
from neuralake_kernel.source.caught_up import is_caught_up
from neuralake_kernel.source.formats import read
from neuralake_kernel.source.packet import PacketStream, encode_packets
from neuralake_kernel.source.producer import Producer
from neuralake_kernel.source.producing import ProduceReport, produce
from neuralake_kernel.source.reach import open_producer
from neuralake_kernel.source.recording import Recording
from neuralake_kernel.source.replaying import ReplayHandle, replay
from neuralake_kernel.source.report import PartitionRange, ReplayReport
from neuralake_kernel.source.signal import (
    Annotation,
    Arrival,
    Channel,
    Gap,
    Quality,
    StartTime,
    Units,
    sample_at,
)
from neuralake_kernel.source.spool import Spool, SpoolChoice, SpoolStatus
from neuralake_kernel.source.topic import (
    create_topic,
    delete_before,
    end_offsets,
    first_offsets,
    incarnation_bits,
    topic_incarnation,
)

if TYPE_CHECKING:
    from neuralake_kernel.source.journal import JournalProducer
    from neuralake_kernel.source.kafka_producer import KafkaProducer
    from neuralake_kernel.source.keeping import Consumer, Journal, RetentionPolicy, TrimReport

__all__ = [
    "Acks",
    "Annotation",
    "Arrival",
    "AtRisk",
    "Band",
    "Broker",
    "Channel",
    "Consumer",
    "Gap",
    "Journal",
    "JournalProducer",
    "KafkaProducer",
    "PacketStream",
    "PartitionRange",
    "ProduceReport",
    "Producer",
    "Quality",
    "Recording",
    "ReplayHandle",
    "ReplayReport",
    "RetentionPolicy",
    "Segment",
    "Spool",
    "SpoolChoice",
    "SpoolStatus",
    "StartTime",
    "TrimReport",
    "Units",
    "bands",
    "create_topic",
    "delete_before",
    "encode_packets",
    "end_offsets",
    "first_offsets",
    "incarnation_bits",
    "is_caught_up",
    "open_producer",
    "pieces",
    "produce",
    "read",
    "replay",
    "sample_at",
    "topic_incarnation",
]

_LAZY = {
    "Consumer": "keeping",
    "Journal": "keeping",
    "JournalProducer": "journal",
    "KafkaProducer": "kafka_producer",
    "RetentionPolicy": "keeping",
    "TrimReport": "keeping",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

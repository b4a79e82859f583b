"""What a source needs to know of a broker, and what every kind of broker can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuralake_kernel.source.acks import Acks
    from neuralake_kernel.source.producer import Producer

__all__ = ["Broker", "Driver"]


class Broker(Protocol):
    """A broker to reach; the stack's ``BrokerSpec`` is one."""

    @property
    def kind(self) -> str:
        """``"journal"`` or ``"kafka"``."""

    @property
    def directory(self) -> Path | str | None:
        """Folder of the journal; empty or None for Kafka."""

    @property
    def options(self) -> Mapping[str, str]:
        """Client options by their librdkafka names; empty for the journal."""


class Driver(Protocol):
    """What every kind of broker can do with its topics."""

    def create_topic(self, topic: str, partitions: int) -> str:
        """Make a topic or find it made; returns its incarnation."""

    def incarnation(self, topic: str) -> str:
        """Tell one life of a topic from the next."""

    def offsets(self, topic: str) -> dict[int, tuple[int, int]]:
        """First offset held, and the offset after the last message, of each partition."""

    def is_read(self, topic: str, places: Mapping[int, int]) -> bool:
        """Tell whether a read-committed reader at the places meets the end before a message."""

    def open_producer(self, topic: str, *, acks: Acks = "durable") -> Producer:
        """Open a producer on a topic."""

"""Into the topics: rows, recordings at the device's own rhythm, and the spool in front of Kafka."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from neuralake_kernel.catalog import declaration_of
from neuralake_kernel.errors import SourceError, UsageError
from neuralake_kernel.ingest import DrainSpec, SpoolHandle, start_drainer
from neuralake_kernel.source import (
    Acks,
    ProduceReport,
    Recording,
    ReplayHandle,
    Spool,
    SpoolChoice,
    create_topic,
    produce,
    read,
    replay,
    topic_incarnation,
)
from neuralake_kernel.stack import BrokerSpec, RestartPolicy
from neuralake_kernel.workbench.base import Base

__all__ = ["Sending", "ensure_topic"]


class Sending(Base):
    """What sends messages; see `Workbench`."""

    def replay(
        self,
        recording: Recording | str | Path,
        *,
        into: type,
        topic: str | None = None,
        speed: float | None = 1.0,
        event_time: Literal["original", "rebased"] = "original",
        **options: Any,  # noqa: ANN401 - those of source.replay, by name
    ) -> ReplayHandle:
        """Stream a recording into the topic of a table, at the device's own rhythm.

        Parameters
        ----------
        recording
            What to send, or the path of its file.
        into
            A class under ``@nl.table``; columns are matched by name.
        topic
            Which of the table's topics; without it the first.
        speed
            Times the device's rhythm; None: as fast as possible.
        event_time
            ``original``, or ``rebased`` so that the first sample is now.
        **options
            ``session``, ``key``, ``sent_to``, ``progress`` and ``stop`` of `neuralake_kernel.source.replay`.

        Raises
        ------
        UsageError
            ``columns-missing``: the recording lacks a column the table requires; ``topic-not-read``. Nothing was sent.
        """
        declared, chosen = declaration_of(into), self._topic_of(into, topic)
        ensure_topic(self.broker, chosen)
        return replay(
            recording if isinstance(recording, Recording) else read(recording),
            chosen,
            self.broker,
            columns=[column.name for column in declared.contract.columns],
            required=[column.name for column in declared.contract.columns if not column.nullable],
            encoding=declared.encoding,
            speed=speed,
            event_time=event_time,
            **options,
        )

    def produce(  # noqa: PLR0913 - each is a choice of the person who sends
        self,
        table: str | type,
        rows: object,
        *,
        topic: str | None = None,
        acks: Acks = "durable",
        key: str | None = None,
        spool: bool = False,
        progress: Callable[[ProduceReport], None] | None = None,
        stop: threading.Event | None = None,
    ) -> ProduceReport:
        """Send rows to the topic of a table and wait until they are acked.

        Parameters
        ----------
        table
            A class under ``@nl.table``, or the name of a table that is declared or whose job was started in this home.
        rows
            A frame, an Arrow stream, or an iterable of dicts or of bytes; an iterable may be endless.
        topic
            Which of the table's topics; without it the first.
        acks
            ``durable``: nothing acked is lost by the end of a process, and on Kafka nothing is doubled by a retry.
            ``buffered`` and ``none`` promise less and wait less.
        key
            Column whose value is the message's key and picks its partition.
        spool
            To a journal of this machine first, where acks come from; a drainer under the supervisor sends it on to
            Kafka exactly once, also after an absence of the broker or a death of its own. ``lab.spool`` tells how much
            waits. Not on the embedded profile, whose topics are journals.
        progress
            Called with a report at most five times a second, and once at the end.
        stop
            An event that ends the sending when it is set.

        Returns
        -------
        ProduceReport
            Messages, bytes, times of acks, and the offsets acked.

        Raises
        ------
        UsageError
            ``columns-missing``, ``rows-unknown``, ``acks-unknown``, ``topic-not-read``, ``spool-needs-kafka``.
        SourceError
            ``broker-away``, or what the journal says.
        CatalogError
            The table is not known here.
        """
        known, chosen = self._known(table), self._topic_of(table, topic)
        broker = self._into_spool(chosen) if spool else self.broker
        if not spool:
            ensure_topic(broker, chosen)
        return produce(
            rows,
            chosen,
            broker,
            columns=list(known.columns),
            required=[name for name, is_nullable in known.columns.items() if not is_nullable],
            encoding=known.encoding,
            acks=acks,
            key=key,
            progress=progress,
            stop=stop,
        )

    def spool(
        self,
        table: str | type,
        *,
        topic: str | None = None,
        on_missing: SpoolChoice = "fail",
        restart: RestartPolicy | None = None,
        faults: Path | None = None,
    ) -> SpoolHandle:
        """Start the drainer of a table's spool, or find it running.

        Parameters
        ----------
        table, topic
            As `produce` has them; each topic has a spool of its own.
        on_missing
            What to do when the spool has sent before and the topic cannot tell what it has, being made anew or having
            deleted it: ``fail``; ``resend``, which loses nothing and may double; ``skip``, which doubles nothing and
            may lose.
        restart
            Waits between restarts after a crash.
        faults
            Plan of deaths for fault tests.

        Returns
        -------
        SpoolHandle
            ``status().waiting`` are the messages in the spool and not yet in Kafka.

        Raises
        ------
        UsageError
            ``spool-needs-kafka``, ``topic-not-read``.
        """
        chosen = self._topic_of(table, topic)
        spool = self._spool_of(chosen)
        spool.ensure(self.broker)
        spec = DrainSpec(chosen, self.broker, on_missing, faults)
        return start_drainer(self.home, self.stack.supervisor, spec, restart=restart)

    def _spool_of(self, topic: str) -> Spool:
        if self.broker.kind != "kafka":
            message = f"Cannot spool {topic}: this workbench's topics are journals already."
            hint = "Produce without spool; acks='durable' is on disk."
            raise UsageError(message, code="spool-needs-kafka", hint=hint)
        return Spool(self.home / "spool", topic)

    def _into_spool(self, topic: str) -> BrokerSpec:
        """Make the spool and start its drainer, unless it runs."""
        spool = self._spool_of(topic)
        spool.ensure(self.broker)
        running = self.stack.supervisor.find(f"{topic}.spool")
        if running is None or not running.is_running:
            start_drainer(self.home, self.stack.supervisor, DrainSpec(topic, self.broker))
        return BrokerSpec.journal(self.home / "spool")


def ensure_topic(broker: BrokerSpec, topic: str) -> None:
    """Make a topic of one partition unless it is there, with however many."""
    try:
        topic_incarnation(broker, topic)
    except SourceError as error:
        if error.code not in {"topic-missing", "journal-topic-missing"}:
            raise
        create_topic(broker, topic)

"""Into the tables: jobs, recordings, rejects that hold the contract by now, and what a topic may let go."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from neuralake_kernel.catalog import TopicRetention, TopicTrim, declaration_of, trim_topic
from neuralake_kernel.errors import UsageError
from neuralake_kernel.ingest import (
    AddReport,
    IngestPolicy,
    JobHandle,
    JobSpec,
    OnMissing,
    RequeueReport,
    add_recording,
    known_tables,
    probe_store,
    requeue_rejects,
    start_job,
)
from neuralake_kernel.query import StoredRecording
from neuralake_kernel.source import Recording, create_topic, read
from neuralake_kernel.stack import RestartPolicy
from neuralake_kernel.terminal import Terminal
from neuralake_kernel.workbench.reading import Reading
from neuralake_kernel.workbench.sending import ensure_topic

__all__ = ["Ingesting"]

LONG_ADD_S = 2.0


class Ingesting(Reading):
    """What fills tables; see `Workbench`."""

    def ingest(
        self,
        table: type,
        *,
        policy: IngestPolicy | None = None,
        partitions: int | None = None,
        on_missing: OnMissing | None = None,
        restart: RestartPolicy | None = None,
        faults: Path | None = None,
    ) -> JobHandle:
        """Start the job of a declared table, or find it running.

        Topics, contract, Delta table and catalog entry come from the one declaration; topics and table are made if they
        are not there. A topic declared since the last start begins where the policy says; one declared no more is told
        (`TopicLeftWarning`), and what was read of it stays.

        Parameters
        ----------
        table
            A class under ``@nl.table``.
        policy
            When to flush, where to start.
        partitions
            Of each topic (> 0). Without it a topic that is there is taken as it is, and one that is made now has one.
        on_missing
            What this start does where a topic does not hold a position of the table any more, because messages were
            deleted, the log lost its tail, or the topic was made anew: ``fail`` with an error that names it, or go on
            with the ``earliest`` message not read yet or the next one produced (``latest``). The table records what
            was left out; later starts fail again. Without it the settings decide.
        restart
            Waits between restarts after a crash.
        faults
            Plan of deaths for fault tests.

        Returns
        -------
        JobHandle
            The job; it runs under the supervisor and outlives this process.

        Raises
        ------
        StackError
            The store does not answer or fails the probe.
        SourceError
            The broker is away.
        CatalogError
            The class is not declared.
        """
        declared = declaration_of(table)
        probe_store(self.store)
        for topic in declared.topics:
            if partitions is None:
                ensure_topic(self.broker, topic)
            else:
                create_topic(self.broker, topic, partitions)
        spec = JobSpec(
            table=declared.name,
            topics=declared.topics,
            contract=declared.contract,
            encoding=declared.encoding,
            store=self.store,
            broker=self.broker,
            policy=self._completed(policy or IngestPolicy()),
            on_missing=on_missing or self.settings.on_missing,
            faults=faults,
        )
        return start_job(self.home, self.stack.supervisor, spec, restart=restart)

    def add(
        self,
        recording: Recording | str | Path,
        *,
        origin: str | None = None,
        licence: str | None = None,
        progress: Callable[[AddReport], None] | None = None,
        faults: Path | None = None,
    ) -> StoredRecording:
        """Put a recording straight into the lake, published in one commit.

        Adding the same content again gives what is published already. A failure or an interrupt publishes nothing.

        Parameters
        ----------
        recording
            What to add, or the path of its file.
        origin, licence
            Where it came from and what may be done with it; kept beside it.
        progress
            Called after each piece; without it a long ``add`` shows a line of its own.
        faults
            Plan of deaths for fault tests.

        Returns
        -------
        StoredRecording
            The recording as the lake holds it.

        Raises
        ------
        SourceError
            The file cannot be read, or changed meanwhile.
        StackError
            The store does not answer or fails the probe.
        CommitError
            A table cannot be written.
        """
        given = recording if isinstance(recording, Recording) else read(recording)
        probe_store(self.store)
        content_hash = add_recording(
            self.store,
            given,
            origin=origin,
            licence=licence,
            progress=progress or AddLine(),
            faults=faults,
        )
        return self.recording(content_hash)

    def requeue(self, table: str | type, *, faults: Path | None = None) -> RequeueReport:
        """Bring rejects that hold the contract by now into the table, each once.

        The job of the table may run meanwhile. The second time nothing moves.

        Parameters
        ----------
        table
            A class under ``@nl.table``; by a name, the contract is that of the job started last.
        faults
            Plan of deaths for fault tests.

        Raises
        ------
        UsageError
            ``contract-missing``: a name, and no job of it was started here.
        CatalogError
            The class is not declared.
        CommitError
            The log says no, or cannot be read; what was committed before has moved.
        StackError
            The store does not answer (retryable).
        """
        if isinstance(table, str):
            return requeue_rejects(self.home, self.store, table, faults=faults)
        declared = declaration_of(table)
        return requeue_rejects(
            self.home, self.store, declared.name, declared.contract, encoding=declared.encoding, faults=faults
        )

    def trim(self, table: str | type, *, topic: str | None = None, retention: TopicRetention) -> TopicTrim:
        """Delete the messages of a Kafka topic that every table on it has committed.

        A table counts if it is declared on the topic, was started on it here, or holds a position in it; one without a
        position needs every message. Tables of other lakes on the same broker are not known here.

        Parameters
        ----------
        table
            A table of the topic: its class under ``@nl.table``, or its name.
        topic
            Which of the table's topics; it must be said where there are several.
        retention
            ``committed``: what the lowest position of all tables lets go.

        Raises
        ------
        UsageError
            ``kafka-only``: the topics are the journal's, which ``lab.journal`` trims; ``retention-invalid``;
            ``topic-not-read``, ``topic-unnamed``.
        CatalogError
            The table is unknown, or the store is away: then nothing is deleted.
        SourceError
            The topic is missing, or the broker is away.
        """
        chosen, topics = self._topic_of(table, topic), self._known(table).topics
        if topic is None and len(topics) > 1:
            message = f"Cannot tell which topic to trim: the table reads {', '.join(topics)}."
            raise UsageError(message, code="topic-unnamed", hint="pass topic=….")
        started = known_tables(self.home, chosen)
        return trim_topic(self.catalog, self.broker, chosen, retention=retention, started=started)

    def _completed(self, policy: IngestPolicy) -> IngestPolicy:
        """Fill in what the policy leaves to the settings."""
        if policy.disk_reserve_bytes is not None:
            return policy
        return replace(policy, disk_reserve_bytes=self.settings.disk_reserve_bytes)


class AddLine:
    """Tells how far a long ``add`` has come, by tenths; a short one says nothing."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._terminal = Terminal()

    def __call__(self, report: AddReport) -> None:
        """Show one report."""
        if time.monotonic() - self._began < LONG_ADD_S:
            return
        percent = 100 * report.samples // max(report.samples_total, 1)
        self._terminal.show(f"adding {report.name}: {percent} %", step=f"{percent // 10}")
        if report.samples == report.samples_total:
            self._terminal.clear()

"""The workbench: stack, topics, tables and questions in the one object a notebook holds.

Opening starts nothing. Several notebooks may open the same state folder; they share its services and jobs, which
belong to the supervisor and not to any kernel.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from neuralake_kernel.catalog import (
    Catalog,
    TopicRetention,
    TopicTrim,
    VerifyReport,
    declaration_of,
    trim_topic,
    verify_table,
)
from neuralake_kernel.contract import CheckReport, check_rows
from neuralake_kernel.errors import CatalogError, SourceError, UsageError
from neuralake_kernel.ingest import (
    AddReport,
    DrainSpec,
    IngestPolicy,
    JobHandle,
    JobSpec,
    KnownJob,
    OnMissing,
    RequeueReport,
    SpoolHandle,
    add_recording,
    known_job,
    known_tables,
    probe_store,
    requeue_rejects,
    start_drainer,
    start_job,
)
from neuralake_kernel.query import (
    ColdSql,
    Freshness,
    HotSql,
    Quarantine,
    QueryPolicy,
    RecordingList,
    Result,
    SampleFiles,
    StoredRecording,
    TableReader,
    check_freshness,
)
from neuralake_kernel.settings import Settings
from neuralake_kernel.source import (
    Acks,
    Journal,
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
from neuralake_kernel.stack import BrokerSpec, RestartPolicy, Stack, StoreSpec
from neuralake_kernel.terminal import Terminal
from neuralake_kernel.view import RateHistory, Snapshot, build_snapshot, read_reports

if TYPE_CHECKING:
    from neuralake_kernel.view import MonitorWidget

__all__ = ["TableReader", "Workbench", "open"]

HOME_FORMAT = 1
_ENGINES = ("hot", "cold")
_LONG_ADD_S = 2.0


def open(  # noqa: A001 - nl.open reads as it should
    *, profile: str | None = None, home: str | Path | None = None, settings: Settings | None = None
) -> "Workbench":
    """Open a workbench; starts nothing.

    Parameters
    ----------
    profile
        ``embedded`` (no servers), ``local`` (MinIO and Kafka on this machine) or ``remote`` (endpoints by settings);
        without it the settings decide.
    home
        State folder; without it the settings decide.
    settings
        All settings at once, instead of the two above.

    Returns
    -------
    Workbench
        Ready to use; ``close`` it or use it in ``with``.

    Raises
    ------
    UsageError
        A setting cannot be used, or the folder was written by a newer version.
    """
    return Workbench(settings or Settings(profile=profile, home=home))


class Workbench:
    """A lake, a broker and what runs between them. ``nl.open`` makes it.

    Parameters
    ----------
    settings
        What it is opened with.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home.absolute()
        _check_home(self.home)
        self.stack = Stack(
            self.home, tools_dir=settings.tools_dir, policy=settings.stack_policy(), store_probe=probe_store
        )
        self._rates = RateHistory()
        self._lock = Lock()
        self._catalog: Catalog | None = None
        self._cold: ColdSql | None = None
        self._samples = SampleFiles()

    @property
    def store(self) -> StoreSpec:
        """Where the lake is."""
        return self.stack.store

    @property
    def broker(self) -> BrokerSpec:
        """Where the topics are."""
        return self.stack.broker

    @property
    def journal(self) -> Journal:
        """Who reads the topics of the journal, and what they keep (embedded profile).

        Raises
        ------
        UsageError
            ``journal-only``: the topics are Kafka's.
        """
        return Journal(self.broker)

    @property
    def catalog(self) -> Catalog:
        """Declared and stored tables with their facts."""
        with self._lock:
            if self._catalog is None:
                self._catalog = Catalog(self.store)
            return self._catalog

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

        Topic, contract, Delta table and catalog entry come from the one declaration; topic and table are made if they
        are not there.

        Parameters
        ----------
        table
            A class under ``@nl.table``.
        policy
            When to flush, where to start.
        partitions
            Of the topic (> 0). Without it a topic that is there is taken as it is, and one that is made now has one.
        on_missing
            What this start does where the topic does not hold a position of the table any more, because messages were
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
        if partitions is None:
            _make_topic(self.broker, declared.topic)
        else:
            create_topic(self.broker, declared.topic, partitions)
        spec = JobSpec(
            table=declared.name,
            topic=declared.topic,
            contract=declared.contract,
            encoding=declared.encoding,
            store=self.store,
            broker=self.broker,
            policy=self._completed(policy or IngestPolicy()),
            on_missing=on_missing or self.settings.on_missing,
            faults=faults,
        )
        return start_job(self.home, self.stack.supervisor, spec, restart=restart)

    def check(self, table: type, rows: Any) -> CheckReport:  # noqa: ANN401 - whatever Polars makes a frame of
        """Try rows against the contract of a table, before they are sent.

        Parameters
        ----------
        table
            A class under ``@nl.table``.
        rows
            A Polars or pandas frame, an Arrow table, or a mapping of columns; columns are found by name.

        Returns
        -------
        CheckReport
            True when every row would reach the table; else counts by reason, and the rows at fault.

        Raises
        ------
        CatalogError
            The class is not declared.
        """
        return check_rows(declaration_of(table).contract, rows)

    def quarantine(self, table: str | type) -> Quarantine:
        """Read what breaks the contract of a table: ``lab.quarantine(X).lazy()``, or show it.

        Raises
        ------
        CatalogError
            ``table-unknown``, with the nearest names in the hint.
        """
        return Quarantine(self.catalog.snapshots, self.catalog.resolve(table))

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
        return requeue_rejects(self.home, self.store, declared.name, declared.contract, faults=faults)

    def trim(self, table: str | type, *, retention: TopicRetention) -> TopicTrim:
        """Delete the messages of a Kafka topic that every table on it has committed.

        A table counts if it is declared on the topic, was started on it here, or holds a position in it; one without a
        position needs every message. Tables of other lakes on the same broker are not known here.

        Parameters
        ----------
        table
            A table of the topic: its class under ``@nl.table``, or its name.
        retention
            ``committed``: what the lowest position of all tables lets go.

        Raises
        ------
        UsageError
            ``kafka-only``: the topics are the journal's, which ``lab.journal`` trims; ``retention-invalid``.
        CatalogError
            The table is unknown, or the store is away: then nothing is deleted.
        SourceError
            The topic is missing, or the broker is away.
        """
        topic = self._topic_of(table)
        started = known_tables(self.home, topic)
        return trim_topic(self.catalog, self.broker, topic, retention=retention, started=started)

    def _topic_of(self, table: str | type) -> str:
        name = self.catalog.resolve(table)
        declared = self.catalog.declarations.get(name)
        if declared is not None:
            return declared.topic
        known = known_job(self.home, name)
        if known is None:
            message = f"Cannot tell the topic of {name}: it is not declared, and no job of it was started here."
            raise UsageError(message, code="topic-unknown", hint="Import the module that declares it.")
        return known.topic

    def _completed(self, policy: IngestPolicy) -> IngestPolicy:
        """Fill in what the policy leaves to the settings."""
        if policy.disk_reserve_bytes is not None:
            return policy
        return replace(policy, disk_reserve_bytes=self.settings.disk_reserve_bytes)

    def replay(
        self,
        recording: Recording | str | Path,
        *,
        into: type,
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
        speed
            Times the device's rhythm; None: as fast as possible.
        event_time
            ``original``, or ``rebased`` so that the first sample is now.
        **options
            ``session``, ``key``, ``sent_to``, ``progress`` and ``stop`` of `neuralake_kernel.source.replay`.

        Raises
        ------
        UsageError
            ``columns-missing``: the recording lacks a column the table requires. Nothing was sent.
        """
        declared = declaration_of(into)
        _make_topic(self.broker, declared.topic)
        return replay(
            recording if isinstance(recording, Recording) else read(recording),
            declared.topic,
            self.broker,
            columns=[column.name for column in declared.contract.columns],
            required=[column.name for column in declared.contract.columns if not column.nullable],
            speed=speed,
            event_time=event_time,
            **options,
        )

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
            progress=progress or _AddLine(),
            faults=faults,
        )
        return self.recording(content_hash)

    def recordings(self) -> RecordingList:
        """List the published recordings."""
        return RecordingList(self.catalog.snapshots, self._samples)

    def recording(self, name: str) -> StoredRecording:
        """Give one published recording by name or id.

        Raises
        ------
        CatalogError
            ``recording-unknown``, with the nearest names in the hint.
        """
        return self.recordings().find(name)

    def produce(  # noqa: PLR0913 - each is a choice of the person who sends
        self,
        table: str | type,
        rows: object,
        *,
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
            ``columns-missing``, ``rows-unknown``, ``acks-unknown``, ``spool-needs-kafka``.
        SourceError
            ``broker-away``, or what the journal says.
        CatalogError
            The table is not known here.
        """
        known = self._known(table)
        broker = self._into_spool(known.topic) if spool else self.broker
        if not spool:
            _make_topic(broker, known.topic)
        return produce(
            rows,
            known.topic,
            broker,
            columns=list(known.columns),
            required=[name for name, is_nullable in known.columns.items() if not is_nullable],
            acks=acks,
            key=key,
            progress=progress,
            stop=stop,
        )

    def spool(
        self,
        table: str | type,
        *,
        on_missing: SpoolChoice = "fail",
        restart: RestartPolicy | None = None,
        faults: Path | None = None,
    ) -> SpoolHandle:
        """Start the drainer of a table's spool, or find it running.

        Parameters
        ----------
        table
            As `produce` has it.
        on_missing
            What to do when the spool has sent before and Kafka has forgotten how far: ``fail``; ``resend``, which loses
            nothing and may double; ``skip``, which doubles nothing and may lose.
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
            ``spool-needs-kafka``.
        """
        topic = self._known(table).topic
        spool = self._spool_of(topic)
        spool.ensure(self.broker)
        spec = DrainSpec(topic, self.broker, on_missing, faults)
        return start_drainer(self.home, self.stack.supervisor, spec, restart=restart)

    def table(self, table: str | type) -> TableReader:
        """Read a table: ``lab.table(X).lazy()``.

        Raises
        ------
        CatalogError
            ``table-unknown``, with the nearest names in the hint.
        """
        return TableReader(self.catalog, self.catalog.resolve(table), self.home)

    def sql(
        self,
        sql: str,
        *,
        engine: Literal["hot", "cold"] = "hot",
        version: int | Mapping[str, int] | None = None,
        freshness: Freshness = "committed",
        policy: QueryPolicy | None = None,
    ) -> Result:
        """Ask one SELECT.

        Parameters
        ----------
        sql
            One SELECT over tables of the catalog.
        engine
            ``hot``: DataFusion in this process. ``cold``: the Spark Connect server of the settings, else one on this
            machine, started if need be.
        version
            Version to read where one table is asked, or versions by name.
        freshness
            ``committed``, or ``live``: with what jobs on this machine have not committed yet (hot only).
        policy
            Limits on rows, bytes and time.

        Raises
        ------
        QueryError
            The gate refused it, the engine failed, or a limit was passed.
        CatalogError
            A table or version is not there.
        """
        if engine not in _ENGINES:
            message = f"Cannot ask the engine {engine!r}: there are {' and '.join(_ENGINES)}."
            raise UsageError(message, code="engine-unknown")
        if check_freshness(freshness, version) == "live":
            if engine == "cold":
                message = "Cannot read live on Spark: it reads what is committed."
                raise UsageError(message, code="freshness", hint='use engine="hot", or freshness="committed".')
            return HotSql(self.catalog).sql(sql, live=lambda name: self.table(name).live(), policy=policy)
        asked = self._cold_sql() if engine == "cold" else HotSql(self.catalog)
        return asked.sql(sql, version=version, policy=policy)

    def hot(self, sql: str, **options: Any) -> Result:  # noqa: ANN401 - those of `sql`
        """Ask DataFusion; short for ``sql(…, engine="hot")``."""
        return self.sql(sql, engine="hot", **options)

    def cold(self, sql: str, **options: Any) -> Result:  # noqa: ANN401 - those of `sql`
        """Ask Spark; short for ``sql(…, engine="cold")``."""
        return self.sql(sql, engine="cold", **options)

    def verify(self, table: str | type, *, expect: Path | str | None = None) -> VerifyReport:
        """Check the law on a table and its quarantine: each message, and each row of it, exactly once.

        Parameters
        ----------
        table
            Which one.
        expect
            JSON lines of what was sent, as ``replay(sent_to=…)`` writes them.

        Raises
        ------
        CatalogError
            The table is not there.
        """
        return verify_table(self.store, self.catalog.resolve(table), expect=expect)

    def snapshot(self) -> Snapshot:
        """What services and jobs are doing now, as the views draw it."""
        return build_snapshot(
            profile=self.settings.profile,
            now_s=time.time(),
            history=self._rates,
            processes=self.stack.supervisor.status(),
            reports=read_reports(self.home),
        )

    def monitor(self) -> "MonitorWidget":
        """Show services and jobs live in a cell."""
        from neuralake_kernel.view import MonitorWidget

        return MonitorWidget(self.snapshot)

    def close(self) -> None:
        """Let go of what this object holds; services and jobs run on. May be called twice."""
        with self._lock:
            if self._cold is not None:
                self._cold.close()
                self._cold = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Profile only: nothing is asked for it."""
        return f"Workbench(profile={self.settings.profile!r})"

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

    def _known(self, table: str | type) -> KnownJob:
        """Topic and columns of a table, by its declaration, else by its job."""
        found = None
        if isinstance(table, str) and table not in self.catalog.declarations:
            found = known_job(self.home, table)
            if found is None:
                self.catalog.resolve(table)
                message = f"Cannot tell the topic of {table}: it is not declared here, and its job never ran here."
                raise CatalogError(message, code="table-undeclared", hint="Declare it, or start its job once.")
        if found is None:
            declared = self.catalog.declarations[table] if isinstance(table, str) else declaration_of(table)
            found = KnownJob(declared.topic, {column.name: column.nullable for column in declared.contract.columns})
        return found

    def _cold_sql(self) -> ColdSql:
        given, catalog = self.settings.spark, self.catalog
        spark = given.spec() if given is not None else self.stack.ensure_spark()
        with self._lock:
            if self._cold is None:
                self._cold = ColdSql(catalog, url=spark.url, token=spark.token)
            return self._cold


class _AddLine:
    """Tells how far a long ``add`` has come, by tenths; a short one says nothing."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._terminal = Terminal()

    def __call__(self, report: AddReport) -> None:
        """Show one report."""
        if time.monotonic() - self._began < _LONG_ADD_S:
            return
        percent = 100 * report.samples // max(report.samples_total, 1)
        self._terminal.show(f"adding {report.name}: {percent} %", step=f"{percent // 10}")
        if report.samples == report.samples_total:
            self._terminal.clear()


def _make_topic(broker: BrokerSpec, topic: str) -> None:
    """Make a topic of one partition unless it is there, with however many."""
    try:
        topic_incarnation(broker, topic)
    except SourceError as error:
        if error.code not in {"topic-missing", "journal-topic-missing"}:
            raise
        create_topic(broker, topic)


def _check_home(home: Path) -> None:
    """Refuse a state folder that a newer version wrote; stamp a new one."""
    import json

    stamp = home / "format.json"
    if stamp.exists():
        found = json.loads(stamp.read_text(encoding="utf-8")).get("format_version")
        if found != HOME_FORMAT:
            message = f"Cannot open {home}: its format is {found}, this version reads {HOME_FORMAT}."
            raise UsageError(message, code="home-format", hint="Use the version that wrote it, or another home.")
        return
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".format.{os.getpid()}.tmp"
    temporary.write_text(json.dumps({"format_version": HOME_FORMAT}), encoding="utf-8")
    temporary.replace(stamp)

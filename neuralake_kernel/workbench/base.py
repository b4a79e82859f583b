"""What every part of a workbench stands on: its settings, stack, broker and catalog."""

import json
import os
import time
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from neuralake_kernel.catalog import Catalog, declaration_of
from neuralake_kernel.errors import CatalogError, UsageError
from neuralake_kernel.ingest import KnownJob, known_job, probe_store
from neuralake_kernel.query import ColdSql, SampleFiles
from neuralake_kernel.settings import Settings
from neuralake_kernel.source import Journal
from neuralake_kernel.stack import BrokerSpec, Stack, StoreSpec
from neuralake_kernel.view import RateHistory, Snapshot, build_snapshot, read_reports

if TYPE_CHECKING:
    from neuralake_kernel.view import MonitorWidget

__all__ = ["Base"]

HOME_FORMAT = 1


class Base:
    """The state that the parts share; see `Workbench`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home.absolute()
        check_home(self.home)
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

    def _known(self, table: str | type) -> KnownJob:
        """Topics and columns of a table, by its declaration, else by its job."""
        found = None
        if isinstance(table, str) and table not in self.catalog.declarations:
            found = known_job(self.home, table)
            if found is None:
                self.catalog.resolve(table)
                message = f"Cannot tell the topics of {table}: it is not declared here, and its job never ran here."
                raise CatalogError(message, code="table-undeclared", hint="Declare it, or start its job once.")
        if found is None:
            declared = self.catalog.declarations[table] if isinstance(table, str) else declaration_of(table)
            columns = {column.name: column.nullable for column in declared.contract.columns}
            found = KnownJob(declared.topics, columns, declared.encoding)
        return found

    def _topic_of(self, table: str | type, topic: str | None) -> str:
        """The topic of a table that was named, else its first."""
        known = self._known(table)
        if topic is None:
            return known.topic
        if topic not in known.topics:
            shown = table if isinstance(table, str) else table.__name__
            message = f"Cannot take topic {topic!r} for {shown}: it reads {', '.join(known.topics)}."
            raise UsageError(message, code="topic-not-read", hint="name one of these, or declare it: topics=[…].")
        return topic


def check_home(home: Path) -> None:
    """Refuse a state folder that a newer version wrote; stamp a new one."""
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

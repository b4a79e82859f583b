"""The stack of a workbench: its profile's services, started and stopped as one.

``embedded`` has no services: lake and journal are folders, and starting does nothing. ``local`` runs a store (MinIO
or versitygw) and Kafka through the supervisor, and Spark Connect once it is asked for. ``remote`` runs none and hands
out the given endpoints. Several notebooks may hold a stack of one state folder; they share the services.
"""

import html
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from neuralake_kernel.errors import StackError, UsageError
from neuralake_kernel.stack.bucket import ensure_bucket
from neuralake_kernel.stack.client import Supervisor
from neuralake_kernel.stack.doctor import DoctorReport, examine
from neuralake_kernel.stack.endpoint import BrokerSpec, StoreSpec
from neuralake_kernel.stack.install import Progress, StackProgress, ensure_tool, quiet
from neuralake_kernel.stack.kafka import kafka_broker, kafka_spec, wait_for_broker
from neuralake_kernel.stack.local_store import StoreProgram, local_store, local_store_spec
from neuralake_kernel.stack.programs import find_java
from neuralake_kernel.stack.record import ServiceRecord, check_port, load_record
from neuralake_kernel.stack.spark import SparkSpec, spark_endpoint, spark_spec
from neuralake_kernel.stack.spec import ProcessSpec, ProcessStatus
from neuralake_kernel.stack.state import lock_file

__all__ = ["Stack", "StackPolicy", "StackStatus"]

Profile = Literal["embedded", "local", "remote"]
_HOPELESS_CRASHES = 4
_PORT_OF = {"minio": ("store",), "versitygw": ("store",), "kafka": ("broker", "controller"), "spark": ("spark",)}


@dataclass(frozen=True, slots=True)
class StackPolicy:
    """What is wanted of a stack.

    Parameters
    ----------
    profile
        ``embedded``, ``local`` or ``remote``.
    store_program
        Which store the local profile runs: ``minio`` or ``versitygw``.
    bucket
        Bucket of the lake on the local store.
    store_port, broker_port, controller_port, spark_port
        Ports of the local services; chosen and kept when None.
    store, broker
        The given endpoints of the ``remote`` profile.
    ready_timeout_s
        How long a service may take until it is ready.
    """

    profile: Profile = "embedded"
    store_program: StoreProgram = "minio"
    bucket: str = "lake"
    store_port: int | None = None
    broker_port: int | None = None
    controller_port: int | None = None
    spark_port: int | None = None
    store: StoreSpec | None = None
    broker: BrokerSpec | None = None
    ready_timeout_s: float = 90.0

    def __post_init__(self) -> None:
        """Refuse a profile that does not exist, or a remote one without its endpoints."""
        if self.profile not in {"embedded", "local", "remote"}:
            message = f"Cannot use profile {self.profile!r}: there are embedded, local and remote."
            raise UsageError(message, code="profile-unknown")
        if self.profile == "remote" and (self.store is None or self.broker is None):
            message = "Cannot use profile 'remote': its store or its broker is not given."
            hint = "Set NEURALAKE_STORE__URI and NEURALAKE_BROKER__OPTIONS, or use the profile local."
            raise UsageError(message, code="profile-incomplete", hint=hint)

    @property
    def ports(self) -> dict[str, int | None]:
        """Ports asked for, by use."""
        return {
            "store": self.store_port,
            "broker": self.broker_port,
            "controller": self.controller_port,
            "spark": self.spark_port,
        }


@dataclass(frozen=True, slots=True)
class StackStatus:
    """The services and jobs of a state folder at one moment.

    Parameters
    ----------
    profile
        The stack's profile.
    processes
        Services and jobs, in the order in which they were first started.
    """

    profile: Profile
    processes: tuple[ProcessStatus, ...]

    @property
    def services(self) -> tuple[ProcessStatus, ...]:
        """The services among the processes."""
        return tuple(status for status in self.processes if status.kind == "service")

    @property
    def jobs(self) -> tuple[ProcessStatus, ...]:
        """The jobs among the processes."""
        return tuple(status for status in self.processes if status.kind == "job")

    @property
    def is_ready(self) -> bool:
        """Whether every service runs and answers; true when there is none."""
        return all(status.is_ready for status in self.services)

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON, without a secret."""
        return {"profile": self.profile, "processes": [status.to_json() for status in self.processes]}

    def __str__(self) -> str:
        """One line per process; the same text for the same states."""
        lines = [f"profile {self.profile}" if self.processes else f"profile {self.profile}: no processes"]
        for status in self.processes:
            reason = f"  {status.reason}" if status.reason else ""
            lines.append(f"  {status.kind:<8}{status.name:<16}{status.state}{reason}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:left'>{html.escape(text)}</td>"
                for text in (status.name, status.kind, status.state, status.endpoint, status.reason)
            )
            + "</tr>"
            for status in self.processes
        )
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in ("name", "kind", "state", "at", "reason"))
        return f"<p>profile <b>{self.profile}</b></p><table><tr>{head}</tr>{rows}</table>"


class Stack:
    """Services of one state folder.

    Parameters
    ----------
    home
        State folder.
    tools_dir
        The tools cache, shared by all state folders.
    policy
        Profile, ports, endpoints.
    store_probe
        Called with the store once it is reachable, to refuse one that cannot keep the laws of commits.

    Examples
    --------
    >>> import tempfile
    >>> stack = Stack(tempfile.mkdtemp(), tools_dir=tempfile.mkdtemp())
    >>> stack.start()
    profile embedded: no processes
    """

    def __init__(
        self,
        home: Path | str,
        *,
        tools_dir: Path | str,
        policy: StackPolicy | None = None,
        store_probe: Callable[[StoreSpec], None] | None = None,
    ) -> None:
        self.home = Path(home).absolute()
        self.tools_dir = Path(tools_dir).absolute()
        self.policy = policy or StackPolicy()
        self.supervisor = Supervisor(self.home)
        self._store_probe = store_probe

    @property
    def profile(self) -> Profile:
        """Its profile."""
        return self.policy.profile

    @property
    def store(self) -> StoreSpec:
        """Where the lake is; for ``local`` also before the store runs."""
        if self.policy.profile == "remote" and self.policy.store is not None:
            return self.policy.store
        if self.policy.profile == "local":
            return local_store(self._record(), bucket=self.policy.bucket)
        return StoreSpec.local(self.home / "lake")

    @property
    def broker(self) -> BrokerSpec:
        """Where the topics are; for ``local`` also before the broker runs."""
        if self.policy.profile == "remote" and self.policy.broker is not None:
            return self.policy.broker
        if self.policy.profile == "local":
            return kafka_broker(self._record())
        return BrokerSpec.journal(self.home / "journal")

    def start(self, progress: Progress | None = None) -> StackStatus:
        """Install what is missing, start the services and wait until they answer; what runs stays untouched.

        Parameters
        ----------
        progress
            Is told each step.

        Raises
        ------
        StackError
            A program is missing (``go-missing``, ``java-missing``, ``maven-missing``), a port is taken
            (``port-in-use``), the lake was begun with the other store (``store-switched``), or a service did not
            become ready (``service-not-ready``). What already runs keeps running.
        """
        show = progress or quiet
        if self.policy.profile == "local":
            self._start_local(show)
        if self._store_probe is not None:
            show(StackProgress("store", "probing"))
            self._store_probe(self.store)
        return self.status()

    def ensure_spark(self, progress: Progress | None = None) -> SparkSpec:
        """Start the local Spark Connect server over this stack's store unless it runs, and wait until it listens.

        Raises
        ------
        StackError
            As :meth:`start`; also ``pyspark-missing``.
        """
        show = progress or quiet
        java = find_java().path
        jars = ensure_tool("spark", tools_dir=self.tools_dir, progress=progress)
        record = self._record()
        with self._starting():
            self._start_services({"spark": lambda: spark_spec(java, jars, self.home, record, self.store)}, record, show)
        self._wait_ready("spark", show)
        return spark_endpoint(record)

    def stop(self) -> StackStatus:
        """Stop the jobs, then the services, then the supervisor; data and settings stay."""
        self.supervisor.shutdown()
        return self.status()

    def status(self) -> StackStatus:
        """What every service and job is doing; brings a dead supervisor back when something should run."""
        return StackStatus(self.policy.profile, self.supervisor.status())

    def logs(self, name: str, lines: int = 100) -> str:
        """Last lines of a service's or job's log."""
        return self.supervisor.logs(name, lines)

    def doctor(self) -> DoctorReport:
        """What is installed, what is missing and how to get it; starts and installs nothing."""
        ports = self._record().ports if self.policy.profile == "local" else {}
        running = {status.name for status in self.supervisor.recorded() if status.pid is not None}
        held = {use for name in running for use in _PORT_OF.get(name, ())}
        free = {use: port for use, port in ports.items() if use not in held}
        return examine(self.home, self.tools_dir, ports=free, store=self.policy.store_program)

    def __str__(self) -> str:
        """The status as text."""
        return str(self.status())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def _record(self) -> ServiceRecord:
        return load_record(self.home, ports=self.policy.ports)

    def _starting(self) -> Any:  # noqa: ANN401 - a context manager
        folder = self.home / "services"
        folder.mkdir(parents=True, exist_ok=True)
        return lock_file(folder / "start.lock", timeout_s=self.policy.ready_timeout_s)

    def _start_local(self, show: Progress) -> None:
        java = find_java().path
        store = self.policy.store_program
        program = ensure_tool(store, tools_dir=self.tools_dir, progress=show)
        jars = ensure_tool("kafka", tools_dir=self.tools_dir, progress=show)
        record = self._record()
        # Two notebooks may start at once; the second finds everything running.
        with self._starting():
            specs = {
                store: lambda: local_store_spec(store, program, self.home, record),
                "kafka": lambda: kafka_spec(java, jars, self.home, record),
            }
            self._start_services(specs, record, show)
        self._wait_ready(store, show)
        ensure_bucket(self.store)
        self._wait_ready("kafka", show)
        show(StackProgress("kafka", "listing topics"))
        wait_for_broker(self.broker, timeout_s=self.policy.ready_timeout_s)

    def _start_services(
        self, specs: Mapping[str, Callable[[], ProcessSpec]], record: ServiceRecord, show: Progress
    ) -> None:
        running = {status.name for status in self.supervisor.status() if status.pid is not None}
        for name in specs:
            if name not in running:
                for use in _PORT_OF[name]:
                    check_port(name, record.ports[use], setting=f"NEURALAKE_STACK__{use.upper()}_PORT")
        for name, build in specs.items():
            show(StackProgress(name, "starting"))
            self.supervisor.start(build())

    def _wait_ready(self, name: str, show: Progress) -> None:
        show(StackProgress(name, "waiting until ready"))
        began = time.monotonic()
        status = self.supervisor.wait(name, timeout_s=0.0)
        crashes = status.restarts
        while not status.is_ready and status.is_running and time.monotonic() - began < self.policy.ready_timeout_s:
            if status.restarts - crashes >= _HOPELESS_CRASHES:
                break
            status = self.supervisor.wait(name, timeout_s=1.0)
        if not status.is_ready:
            reason = status.reason or self.supervisor.logs(name, 5) or "its log is empty"
            message = f"Cannot use {name}: {status.state} after {time.monotonic() - began:.0f} s ({reason})."
            hint = f"neuralake logs {name} shows more; it is tried again with growing waits until it is stopped."
            raise StackError(message, code="service-not-ready", hint=hint, context={"name": name}, retryable=True)
        show(StackProgress(name, "ready", 1, 1))

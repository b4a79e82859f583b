"""A whole job, and its start under the supervisor.

The spec goes to ``<home>/jobs/<table>/spec.json`` (mode 0600: it holds credentials) and the worker's report comes back
beside it. Starting a job that runs already with the same spec changes nothing; with another spec it is stopped and
started again.
"""

import json
import os
import secrets
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from neuralake_kernel.contract import Contract, Encoding
from neuralake_kernel.errors import StackError, UsageError
from neuralake_kernel.ingest.handle import JobHandle
from neuralake_kernel.ingest.known import known_job
from neuralake_kernel.ingest.policy import IngestPolicy
from neuralake_kernel.ingest.probe import native_store
from neuralake_kernel.stack import BrokerSpec, ProcessSpec, RestartPolicy, StoreSpec, Supervisor, check_port, free_port

__all__ = ["JobSpec", "OnMissing", "TopicLeftWarning", "start_job"]

OnMissing = Literal["fail", "earliest", "latest"]


class TopicLeftWarning(UserWarning):
    """A topic that a table was filled from is declared no more."""


_STOP_S = 90.0
# As much as a Delta transaction can hold, and no sign.
_TOKEN_BITS = 63


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Topics into one table.

    Parameters
    ----------
    table
        Name of the table, and so of the job.
    topics
        Its topics; they share contract and encoding.
    contract
        What a row must be.
    store, broker
        Where the lake and the topics are.
    policy
        How the job behaves.
    on_missing
        What this start does where a topic does not hold a position of the table any more: ``fail``, or go on with
        the ``earliest`` message that was not read, or with the next one produced (``latest``).
    token
        Names the choice, so that it is spent once: the table remembers it.
    faults
        Plan of deaths for fault tests: a file of lines ``point nth``.
    encoding
        What its messages hold: ``json``, ``arrow`` or ``packets``.
    """

    table: str
    topics: tuple[str, ...]
    contract: Contract
    store: StoreSpec = field(repr=False)
    broker: BrokerSpec = field(repr=False)
    policy: IngestPolicy = field(default_factory=IngestPolicy)
    on_missing: OnMissing = "fail"
    token: int = field(default_factory=lambda: secrets.randbits(_TOKEN_BITS))
    faults: Path | None = None
    encoding: Encoding = "json"

    def __post_init__(self) -> None:
        """Refuse a choice that is none."""
        if self.on_missing not in get_args(OnMissing):
            message = f"Cannot start a job with on_missing={self.on_missing!r}: expected one of {get_args(OnMissing)}."
            raise UsageError(message, code="ingest-policy")

    def to_json(self) -> dict[str, Any]:
        """Return the spec as the worker reads it; it holds credentials."""
        source: dict[str, Any]
        if self.broker.kind == "journal":
            source = {"kind": "journal", "directory": self.broker.directory}
        else:
            source = {"kind": "kafka", "options": dict(self.broker.options)}
        return {
            "job": self.table,
            "topics": list(self.topics),
            "encoding": self.encoding,
            "store": native_store(self.store),
            "source": source,
            "contract": self.contract.to_json(),
            "start": self.policy.start,
            "on_missing": {"choice": self.on_missing, "token": self.token},
            "flush": self.policy.flush.native(),
            "readers": self.policy.reader_threads,
            "max_message_bytes": self.policy.max_message_bytes,
            "deadline_s": self.policy.deadline_s,
            "checkpoint_every": self.policy.checkpoint_every,
            "kill_plan": None if self.faults is None else str(self.faults),
        }


def start_job(home: Path, supervisor: Supervisor, spec: JobSpec, *, restart: RestartPolicy | None = None) -> JobHandle:
    """Start a job under the supervisor, or find it running.

    A job that runs needs no choice: one given for it is dropped, and another one is no reason to start it again.

    Parameters
    ----------
    home
        State folder of the workbench.
    supervisor
        Its supervisor.
    spec
        The job.
    restart
        Waits between restarts after a crash.

    Returns
    -------
    JobHandle
        The running job.

    Raises
    ------
    StackError
        The supervisor could not be started.
    """
    folder = home / "jobs" / spec.table
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "spec.json"
    running = supervisor.find(spec.table)
    is_running = running is not None and running.is_running
    here = {"metrics_port": _metrics_port(path, is_running=is_running), "disk": _disk(home, spec)}
    wanted = spec.to_json() | here
    if running is not None and is_running and path.exists():
        written = json.loads(path.read_text(encoding="utf-8"))
        may_keep = running.is_ready or spec.on_missing == "fail"
        if may_keep and _without_choice(written) == _without_choice(wanted):
            return JobHandle(home, supervisor, spec.table, spec.topics, spec.broker)
    _tell_left(home, spec)
    if is_running:
        supervisor.stop(spec.table)
    write_private(path, json.dumps(wanted, indent=2))
    # What a former worker said is not what this one says.
    (folder / "report.json").unlink(missing_ok=True)
    supervisor.start(
        ProcessSpec(
            name=spec.table,
            kind="job",
            argv=(sys.executable, "-m", "neuralake_kernel.ingest.worker", str(path)),
            stop_timeout_s=_STOP_S,
            restart=restart or RestartPolicy(),
            endpoint=", ".join(spec.topics),
        )
    )
    return JobHandle(home, supervisor, spec.table, spec.topics, spec.broker)


def _tell_left(home: Path, spec: JobSpec) -> None:
    former = known_job(home, spec.table)
    for topic in () if former is None else former.topics:
        if topic not in spec.topics:
            warnings.warn(
                f"Job {spec.table} no longer reads topic {topic}: its rows and positions stay in the table, and when"
                " the topic is declared again it is read on from there.",
                TopicLeftWarning,
                stacklevel=4,
            )


def _disk(home: Path, spec: JobSpec) -> dict[str, Any]:
    """What the job fills on this machine: the state folder (journal, data of the services) and a lake of its own."""
    lake = spec.store.path
    if lake is not None:
        lake.mkdir(parents=True, exist_ok=True)
    paths = [str(path) for path in (home, lake) if path is not None]
    return {"paths": paths, "reserve_bytes": spec.policy.disk_reserve_bytes}


def _metrics_port(path: Path, *, is_running: bool) -> int:
    """Port of the job's metrics: the one it had, unless somebody else has taken it while the job was down."""
    try:
        port = int(json.loads(path.read_bytes())["metrics_port"])
        if not is_running:
            check_port(path.parent.name, port, setting="")
    except (FileNotFoundError, KeyError, ValueError, StackError):
        return free_port()
    return port


def _without_choice(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "on_missing"}


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole, for its owner alone: a reader sees the old one or the new one."""
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)

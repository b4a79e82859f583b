"""What a supervised process is, what it is doing, and how both cross the socket and the state file.

Frozen values only, standard library only: the supervisor, which must stay small, imports this module and little else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neuralake_kernel.errors import UsageError

__all__ = ["ProcessSpec", "ProcessStatus", "ReadyProbe", "RestartPolicy"]

ProcessKind = Literal["service", "job"]
ProcessState = Literal["starting", "ready", "backoff", "stopping", "stopped", "fatal", "fenced"]

FINAL_EXIT_CODES: Mapping[int, str] = {70: "fatal", 71: "fenced"}


@dataclass(frozen=True, slots=True)
class ReadyProbe:
    """How the supervisor learns that a process is ready.

    Parameters
    ----------
    kind
        ``http``: a GET of ``target`` answers 2xx. ``tcp``: ``target`` (``host:port``) accepts a connection.
        ``file``: ``target`` exists and is not older than the process.
    target
        A plain ``http://host:port/path``, a ``host:port``, or an absolute path.
    """

    kind: Literal["http", "tcp", "file"]
    target: str


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How long to wait before a crashed process is started again.

    Parameters
    ----------
    initial_s
        First wait; it doubles with each crash.
    max_s
        Longest wait.
    reset_after_s
        A process that was ready this long starts over at ``initial_s``.
    """

    initial_s: float = 0.1
    max_s: float = 5.0
    reset_after_s: float = 10.0

    def wait_s(self, failures: int) -> float:
        """Wait before the next start after so many crashes in a row (at least one)."""
        exponent = min(max(failures, 1) - 1, 32)
        return float(min(self.initial_s * 2**exponent, self.max_s))


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process the supervisor shall run.

    Parameters
    ----------
    name
        Unique in the state folder; letters, digits, ``-``, ``_`` and ``.``.
    kind
        ``service`` runs until it is stopped, whatever its exit code. A ``job`` that exits with 0 has finished.
    argv
        Program and arguments; never a secret, since anyone on the machine can read them.
    env
        Variables added to the supervisor's own environment; the place for secrets.
    cwd
        Working directory; the state folder when empty.
    ready
        How to learn that it is ready; without one it counts as ready once it runs.
    stop_timeout_s
        Time between SIGTERM and SIGKILL.
    restart
        Waits between restarts after a crash.
    final_exit_codes
        Exit codes after which it stays down, and the state each one means.
    endpoint
        Address shown to people; without a secret.
    scratch
        Folder emptied before each start, for a program that leaves files behind when it is killed; none when empty.
    """

    name: str
    kind: ProcessKind
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str = ""
    ready: ReadyProbe | None = None
    stop_timeout_s: float = 10.0
    restart: RestartPolicy = RestartPolicy()
    final_exit_codes: Mapping[int, str] = field(default_factory=lambda: dict(FINAL_EXIT_CODES))
    endpoint: str = ""
    scratch: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot become a process or a log file name."""
        plain = self.name.replace("-", "").replace("_", "").replace(".", "")
        if not plain.isalnum() or self.name.startswith("."):
            message = f"Cannot use {self.name!r} as a process name: letters, digits, '-', '_' and '.' are allowed."
            raise UsageError(message, code="process-name", context={"name": self.name})
        if not self.argv:
            message = f"Cannot run process {self.name!r}: its command is empty."
            raise UsageError(message, code="process-command", context={"name": self.name})

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON; it holds the environment, so it is as secret as that."""
        return {
            "name": self.name,
            "kind": self.kind,
            "argv": list(self.argv),
            "env": dict(self.env),
            "cwd": self.cwd,
            "ready": None if self.ready is None else {"kind": self.ready.kind, "target": self.ready.target},
            "stop_timeout_s": self.stop_timeout_s,
            "restart": {
                "initial_s": self.restart.initial_s,
                "max_s": self.restart.max_s,
                "reset_after_s": self.restart.reset_after_s,
            },
            "final_exit_codes": {str(code): state for code, state in self.final_exit_codes.items()},
            "endpoint": self.endpoint,
            "scratch": self.scratch,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ProcessSpec":
        """Build the value from what :meth:`to_json` gave."""
        ready = value["ready"]
        return cls(
            name=value["name"],
            kind=value["kind"],
            argv=tuple(value["argv"]),
            env=dict(value["env"]),
            cwd=value["cwd"],
            ready=None if ready is None else ReadyProbe(ready["kind"], ready["target"]),
            stop_timeout_s=value["stop_timeout_s"],
            restart=RestartPolicy(**value["restart"]),
            final_exit_codes={int(code): state for code, state in value["final_exit_codes"].items()},
            endpoint=value["endpoint"],
            scratch=value["scratch"],
        )


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What one process is doing.

    Parameters
    ----------
    name, kind, endpoint
        As declared in its :class:`ProcessSpec`.
    state
        ``starting``, ``ready``, ``backoff`` (crashed, starts again soon), ``stopping``, ``stopped``, or down for good
        by its own word: ``fatal``, ``fenced``.
    pid
        Its process id while it runs.
    restarts
        Starts after a crash, since it was asked for.
    started_at
        Seconds since the epoch, UTC, of the present start.
    rss_bytes
        Resident memory while it runs.
    reason
        Why it is not ready: exit code or signal, and the last lines of its log.
    """

    name: str
    kind: ProcessKind
    state: ProcessState
    pid: int | None = None
    restarts: int = 0
    started_at: float | None = None
    endpoint: str = ""
    rss_bytes: int | None = None
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether it runs and answers."""
        return self.state == "ready"

    @property
    def is_running(self) -> bool:
        """Whether the supervisor means it to run: starting, ready or about to start again."""
        return self.state in {"starting", "ready", "backoff"}

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON; it never holds a secret."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ProcessStatus":
        """Build the value from what :meth:`to_json` gave; unknown keys of a newer supervisor are ignored."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})

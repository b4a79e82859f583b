"""Files of the supervisor in a state folder: recorded processes, secret, address and locks.

``<home>/supervisor/`` is 0700 and its files 0600, since the recorded environments hold credentials. Every write
replaces the file whole, so a reader sees the old state or the new one; ``serve.lock`` is held by the one living
supervisor, ``spawn.lock`` by the client that starts it.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.spec import ProcessSpec

__all__ = ["Recorded", "SupervisorFiles", "lock_file", "write_private"]

FORMAT = 1


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


@contextlib.contextmanager
def lock_file(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold an exclusive lock on a file; it falls with the process, whatever kills it.

    Raises
    ------
    StackError
        Another process held it until the deadline (``lock-busy``).
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    message = f"Cannot lock {path}: another process has held it for {timeout_s:g} s."
                    hint = "Another notebook or command is at work here; try again when it is done."
                    raise StackError(message, code="lock-busy", hint=hint, retryable=True) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One process as the state file remembers it.

    Parameters
    ----------
    spec
        What to run.
    wanted
        Whether it shall run.
    final
        ``fatal`` or ``fenced`` when it ended itself for good, else empty.
    reason
        Why it is down.
    pid, pid_started
        Its last process and that process' start time, by which a leftover is told from a stranger with the same id.
    """

    spec: ProcessSpec
    wanted: bool = True
    final: str = ""
    reason: str = ""
    pid: int | None = None
    pid_started: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON; as secret as the spec's environment."""
        return {
            "spec": self.spec.to_json(),
            "wanted": self.wanted,
            "final": self.final,
            "reason": self.reason,
            "pid": self.pid,
            "pid_started": self.pid_started,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Recorded":
        """Build the value from what :meth:`to_json` gave."""
        recorded = cls(spec=ProcessSpec.from_json(value["spec"]))
        return replace(recorded, **{name: value[name] for name in ("wanted", "final", "reason", "pid", "pid_started")})


@dataclass(frozen=True, slots=True)
class SupervisorFiles:
    """Paths below ``<home>`` that the supervisor and its clients share.

    Parameters
    ----------
    home
        State folder of one workbench.
    """

    home: Path

    @property
    def folder(self) -> Path:
        """Private folder of the supervisor."""
        return self.home / "supervisor"

    @property
    def state(self) -> Path:
        """Recorded processes."""
        return self.folder / "state.json"

    @property
    def secret(self) -> Path:
        """What a client must know to be answered."""
        return self.folder / "secret"

    @property
    def address(self) -> Path:
        """Where the living supervisor listens."""
        return self.folder / "address.json"

    @property
    def serve_lock(self) -> Path:
        """Held by the living supervisor."""
        return self.folder / "serve.lock"

    @property
    def spawn_lock(self) -> Path:
        """Held by the client that starts one."""
        return self.folder / "spawn.lock"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.home / "logs"

    def log(self, name: str) -> Path:
        """Log of one process; ``supervisor`` is the supervisor's own."""
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """Make the folders and the secret where they are missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.logs.mkdir(exist_ok=True)
        if not self.secret.exists():
            write_private(self.secret, os.urandom(24).hex())

    def read_secret(self) -> str:
        """Read the secret; empty when there is none yet."""
        try:
            return self.secret.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def read_state(self) -> tuple[str, dict[str, Recorded]]:
        """Read the token of our processes and what is recorded of each.

        Raises
        ------
        StackError
            The file is damaged (``state-damaged``) or of a newer format (``state-format``).
        """
        try:
            value = json.loads(self.state.read_text(encoding="utf-8"))
            if value["format"] != FORMAT:
                message = f"Cannot read {self.state}: format {value['format']}, this version knows {FORMAT}."
                raise StackError(
                    message, code="state-format", hint="Update the workbench, or use another state folder."
                )
            processes = {name: Recorded.from_json(entry) for name, entry in value["processes"].items()}
            return value["token"], processes
        except FileNotFoundError:
            return "", {}
        except (ValueError, KeyError, TypeError) as fault:
            message = f"Cannot read the recorded processes in {self.state}: {fault}."
            hint = "Move that file away; services and jobs are then started anew by the next call that asks for them."
            raise StackError(message, code="state-damaged", hint=hint) from fault

    def write_state(self, token: str, processes: dict[str, Recorded]) -> None:
        """Record the token and the processes."""
        entries = {name: recorded.to_json() for name, recorded in processes.items()}
        write_private(self.state, json.dumps({"format": FORMAT, "token": token, "processes": entries}, indent=1))

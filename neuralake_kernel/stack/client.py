"""The supervisor as its clients see it: kernels, the Jupyter server extension and the command line.

Each call opens its own connection, so one object serves any thread. A call that finds the supervisor dead while its
recorded state says that something should run brings it back first, whichever call it is; when nothing is wanted, a
question is answered from the record and nothing is started.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuralake_kernel import errors
from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.logfile import tail
from neuralake_kernel.stack.procinfo import TOKEN_VARIABLE, sweep
from neuralake_kernel.stack.protocol import PROTOCOL, connect, decode, encode
from neuralake_kernel.stack.spec import ProcessSpec, ProcessState, ProcessStatus
from neuralake_kernel.stack.state import Recorded, SupervisorFiles, lock_file

__all__ = ["Supervisor"]

_ANSWER_S = 30.0
_START_S = 20.0
_WAIT_SLICE_S = 5.0
# A stop is bounded by the stop time-outs of the processes, which jobs may set high for a last flush.
_STOP_S = 3600.0
_ATTEMPTS = 5


class Supervisor:
    """Client of the supervisor of one state folder.

    Parameters
    ----------
    home
        State folder; made when something is started first.

    Examples
    --------
    >>> import tempfile
    >>> Supervisor(tempfile.mkdtemp()).status()
    ()
    """

    def __init__(self, home: Path | str) -> None:
        self.home = Path(home).absolute()
        self._files = SupervisorFiles(self.home)

    def __repr__(self) -> str:
        """Name the state folder."""
        return f"Supervisor({str(self.home)!r})"

    @property
    def is_running(self) -> bool:
        """Whether a supervisor of this folder answers; starts none."""
        return self._ask("hello", {}) is not None

    @property
    def pid(self) -> int | None:
        """Process id of the living supervisor; starts none."""
        return (self._ask("hello", {}) or {}).get("pid")

    @property
    def rss_bytes(self) -> int | None:
        """Resident memory of the living supervisor; starts none."""
        return (self._ask("hello", {}) or {}).get("rss_bytes")

    def ensure(self) -> None:
        """Start the supervisor unless it runs; it resumes what is recorded as wanted.

        Raises
        ------
        StackError
            It did not come up (``supervisor-start``) or its recorded state cannot be read (``state-damaged``).
        """
        if self.is_running:
            return
        self._files.create()
        with lock_file(self._files.spawn_lock, timeout_s=_START_S):
            deadline = time.monotonic() + _START_S
            # Whoever held the lock may have started it.
            while not self.is_running:
                self._files.read_state()
                self._spawn()
                if self._came_up(min(deadline, time.monotonic() + _START_S / 4)):
                    return
                if time.monotonic() >= deadline:
                    message = f"Cannot start the supervisor of {self.home}: it did not answer within {_START_S:g} s."
                    hint = f"Its log says why: {self._files.log('supervisor')}"
                    last = "; ".join(tail(self._files.log("supervisor"), 3))
                    raise StackError(message, code="supervisor-start", hint=hint, context={"log": last}, retryable=True)

    def status(self) -> tuple[ProcessStatus, ...]:
        """What every recorded process is doing."""
        answer = self._ask("status", {})
        if answer is None:
            recorded = self._recorded()
            if not any(entry.wanted for entry in recorded.values()):
                return tuple(map(_as_status, recorded.values()))
            answer = self._call("status", {})
        return tuple(map(ProcessStatus.from_json, answer))

    def recorded(self) -> tuple[ProcessStatus, ...]:
        """What every recorded process is doing, or was last known to do; starts and brings back nothing."""
        answer = self._ask("status", {})
        if answer is None:
            return tuple(map(_as_status, self._recorded().values()))
        return tuple(map(ProcessStatus.from_json, answer))

    def find(self, name: str) -> ProcessStatus | None:
        """Look one process up by its name; None when there is none."""
        return next((status for status in self.status() if status.name == name), None)

    def start(self, spec: ProcessSpec) -> ProcessStatus:
        """Record the process as wanted and start it; does nothing when it already runs by the same spec.

        Returns as soon as it is recorded; :meth:`wait` waits until it is ready.
        """
        return ProcessStatus.from_json(self._call("start", {"spec": spec.to_json()}))

    def wait(
        self,
        name: str,
        *,
        timeout_s: float,
        states: Iterable[ProcessState] = ("ready", "stopped", "fatal", "fenced"),
    ) -> ProcessStatus:
        """Wait until a process is in one of the states or the time is over; return its last status."""
        deadline = time.monotonic() + timeout_s
        wanted = sorted(states)
        while True:
            # In slices, so that a supervisor that dies meanwhile is brought back.
            slice_s = max(0.0, min(_WAIT_SLICE_S, deadline - time.monotonic()))
            arguments = {"name": name, "states": wanted, "timeout_s": slice_s}
            status = ProcessStatus.from_json(self._call("wait", arguments))
            if status.state in wanted or time.monotonic() >= deadline:
                return status

    def stop(self, name: str) -> ProcessStatus:
        """Stop a process and wait until it is down; it stays recorded, and stays down."""
        return ProcessStatus.from_json(self._call("stop", {"name": name}, answer_s=_STOP_S))

    def restart(self, name: str) -> ProcessStatus:
        """Stop a process and start it again."""
        return ProcessStatus.from_json(self._call("restart", {"name": name}))

    def remove(self, name: str) -> None:
        """Forget a process that is down.

        Raises
        ------
        StackError
            It runs (``process-running``) or is not recorded (``process-unknown``).
        """
        self._call("remove", {"name": name})

    def shutdown(self) -> None:
        """Stop every process, jobs first, then the supervisor; nothing is brought back until it is asked for."""
        if not self._files.folder.exists():
            return
        with lock_file(self._files.spawn_lock, timeout_s=_START_S):
            if self._ask("shutdown", {}, answer_s=_STOP_S) is None and not self.is_running:
                # Nobody lives to be asked, so what it left is swept and its record changed here.
                token, recorded = self._files.read_state()
                if recorded:
                    sweep(token, {entry.pid: entry.pid_started for entry in recorded.values() if entry.pid is not None})
                    unwanted = {name: replace(entry, wanted=False) for name, entry in recorded.items()}
                    self._files.write_state(token, unwanted)
            self._wait_for_its_leave()

    def logs(self, name: str, lines: int = 100) -> str:
        """Last lines of a process' log; ``supervisor`` names the supervisor's own."""
        # Asking brings it back when something should run.
        self.status()
        if name != "supervisor" and name not in self._recorded():
            known = ", ".join(["supervisor", *self._recorded()])
            message = f"Cannot show the log of {name!r}; there are: {known}."
            raise StackError(message, code="process-unknown", hint="neuralake status lists them.")
        return "\n".join(tail(self._files.log(name), lines))

    # --- finding it, bringing it back -----------------------------------------------------------------------------

    def _recorded(self) -> dict[str, Recorded]:
        return self._files.read_state()[1]

    def _wait_for_its_leave(self) -> None:
        deadline = time.monotonic() + _ANSWER_S
        while self._files.address.exists() and self.is_running and time.monotonic() < deadline:
            time.sleep(0.01)

    def _spawn(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
        package_parent = Path(errors.__file__).parent.parent
        descriptor = os.open(self._files.log("supervisor"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            first = subprocess.Popen(
                [sys.executable, "-m", "neuralake_kernel.stack.supervisor", str(self.home)],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                # `-m` looks here first, so a package that is not installed is found as well.
                cwd=package_parent,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        first.wait()

    def _came_up(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            if self.is_running:
                return True
            time.sleep(0.01)
        return False

    # --- one call -------------------------------------------------------------------------------------------------

    def _call(self, call: str, arguments: dict[str, Any], *, answer_s: float = _ANSWER_S) -> Any:  # noqa: ANN401 - JSON
        """Ask a supervisor that must be there: start or bring back a dead one, wait for a leaving one to be gone.

        Every call may be asked twice, so one that was perhaps heard before the supervisor died is asked again.
        """
        for _ in range(_ATTEMPTS):
            try:
                answer = self._ask(call, arguments, answer_s=answer_s)
            except StackError as fault:
                if fault.code != "supervisor-ends":
                    raise
                self._wait_for_its_leave()
                continue
            if answer is not None:
                return answer
            self.ensure()
        message = f"Cannot ask the supervisor of {self.home}: it went away {_ATTEMPTS} times during {call!r}."
        hint = f"Its log says why: {self._files.log('supervisor')}"
        raise StackError(message, code="supervisor-away", hint=hint, retryable=True)

    def _ask(self, call: str, arguments: dict[str, Any], *, answer_s: float = _ANSWER_S) -> Any:  # noqa: ANN401 - JSON
        """Ask once; None when nobody lives to answer."""
        answer = self._exchange(call, arguments, answer_s=answer_s)
        if answer is None:
            return None
        if not answer["ok"]:
            error = answer["error"]
            found = getattr(errors, error["class"], StackError)
            raise found(error["message"], code=error["code"], hint=error["hint"])
        return answer["value"]

    def _exchange(self, call: str, arguments: dict[str, Any], *, answer_s: float) -> dict[str, Any] | None:
        """Ask once; None when nobody answers."""
        try:
            address = json.loads(self._files.address.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        channel = connect(address, timeout_s=answer_s)
        if channel is None:
            return None
        request = {"protocol": PROTOCOL, "secret": self._files.read_secret(), "call": call, "args": arguments}
        with contextlib.closing(channel):
            try:
                channel.sendall(encode(request))
                with channel.makefile("rb") as file:
                    line = file.readline()
            except TimeoutError:
                message = f"Cannot ask the supervisor of {self.home}: no answer to {call!r} within {answer_s:g} s."
                hint = "Halted (SIGSTOP), or the machine overloaded? It may be killed: the next call brings it back."
                raise StackError(message, code="supervisor-silent", hint=hint, retryable=True) from None
            except OSError:
                return None
        return decode(line) if line.endswith(b"\n") else None


def _as_status(entry: Recorded) -> ProcessStatus:
    state: ProcessState = "fatal" if entry.final == "fatal" else "fenced" if entry.final == "fenced" else "stopped"
    return ProcessStatus(
        name=entry.spec.name,
        kind=entry.spec.kind,
        state=state,
        endpoint=entry.spec.endpoint,
        reason=entry.reason,
    )

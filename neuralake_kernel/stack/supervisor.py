"""The supervisor process: ``python -m neuralake_kernel.stack.supervisor <home>``.

It owns the services and jobs of one state folder, outside every kernel: in a session of its own and forked twice, so
that neither a cell's interrupt nor a kernel's restart reaches it. One lives per folder, by a lock held for life. It
starts, waits until ready, watches, restarts with back-off, keeps logs and stops. Its children die with it; a later
one sweeps what was left, then resumes what is recorded as wanted. It leaves by itself when nothing is wanted and
nobody asks, and when its folder is deleted. Standard library only, one thread: the death signal is bound to the
thread that starts.
"""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.logfile import rotate
from neuralake_kernel.stack.probe import Probe
from neuralake_kernel.stack.process import SupervisedProcess
from neuralake_kernel.stack.procinfo import TOKEN_VARIABLE, rss_bytes, sweep
from neuralake_kernel.stack.protocol import PROTOCOL, bind, unbind
from neuralake_kernel.stack.server import Connection, Server
from neuralake_kernel.stack.spawn import lifeline_if_needed, spawn
from neuralake_kernel.stack.spec import ProcessSpec
from neuralake_kernel.stack.state import Recorded, SupervisorFiles, write_private

__all__ = ["SupervisorProcess", "main"]

TICK_S = 2.0
IDLE_EXIT_S = 60.0
LOCK_WAIT_S = 2.0
_DONE = {"ready", "stopped", "fatal", "fenced"}


class SupervisorProcess:
    """The loop and the calls it answers.

    Parameters
    ----------
    files
        Of the state folder; the caller holds its ``serve_lock``.
    """

    def __init__(self, files: SupervisorFiles) -> None:
        self._files = files
        self._selector = selectors.DefaultSelector()
        token, recorded = files.read_state()
        self._token = token or os.urandom(16).hex()
        pids = {entry.pid: entry.pid_started for entry in recorded.values() if entry.pid is not None}
        swept = sweep(self._token, pids)
        if swept:
            self._say(f"swept leftovers {swept}")
        self._lifeline = lifeline_if_needed()
        self._processes = {name: self._process(entry) for name, entry in recorded.items()}
        self._waiting: list[tuple[Connection, Callable[[], Any], float]] = []
        self._probes: dict[str, Probe] = {}
        self._persists = True
        self._ends = False
        self._dirty = True
        self._unrecorded = False
        self._last_call = time.monotonic()
        self._next_tick = 0.0

    def run(self) -> None:
        """Serve until shut down, signalled or left without work."""
        _clear_address(self._files)
        listener, address = bind(self._files.folder)
        server = Server(listener, self._files.read_secret(), self._selector, self._call)
        self._watch_signals()
        self._record()
        write_private(self._files.address, json.dumps({**address, "pid": os.getpid()}))
        self._say(f"started, pid {os.getpid()}")
        try:
            while not (self._ends and self._all_down()):
                self._advance(time.monotonic())
                for key, events in self._selector.select(self._timeout(time.monotonic())):
                    if isinstance(key.data, Server):
                        key.data.accept()
                    elif isinstance(key.data, Connection):
                        server.serve(key.data, events)
                    elif isinstance(key.data, Probe):
                        key.data.advance()
                    else:
                        os.read(key.fd, 512)
            self._answer_waiting(time.monotonic())
        finally:
            self._say("ended")
            server.close()
            _clear_address(self._files)

    # --- the loop -------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        for process in self._processes.values():
            before = process.state
            if process.advance(now=now):
                self._dirty = True
                if process.state != before:
                    self._say(f"{process.name}: {before} -> {process.state} {process.recorded.reason}".rstrip())
        self._register_probes()
        if self._ends:
            self._stop_in_order(now)
        if self._dirty:
            self._record()
        self._answer_waiting(now)
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            self._tick(now)

    def _register_probes(self) -> None:
        present = {name: process.probe for name, process in self._processes.items() if process.probe is not None}
        for name, probe in list(self._probes.items()):
            if present.get(name) is not probe or probe.answer is not None:
                # Only here is its socket closed: closed before, its descriptor could name another one already.
                self._selector.unregister(probe.channel)
                probe.channel.close()
                del self._probes[name]
        for name, probe in present.items():
            if probe.answer is None and name in self._probes:
                self._selector.modify(probe.channel, probe.events, probe)
            elif probe.answer is None:
                self._selector.register(probe.channel, probe.events, probe)
                self._probes[name] = probe

    def _timeout(self, now: float) -> float:
        if self._ends and self._all_down():
            return 0.0
        dues = [due for process in self._processes.values() if (due := process.due_in(now=now)) is not None]
        dues += [deadline - now for _, _, deadline in self._waiting]
        dues += [0.0 for process in self._processes.values() if process.probe and process.probe.answer is not None]
        return max(0.0, min([self._next_tick - now, *dues]))

    def _tick(self, now: float) -> None:
        self._dirty = self._dirty or self._unrecorded
        with contextlib.suppress(OSError):
            for name in [*self._processes, "supervisor"]:
                rotate(self._files.log(name))
        if not self._files.state.exists():
            self._say("the state folder was deleted")
            self._persists = False
            self._ends = True
        idle = all(process.is_down and not process.recorded.wanted for process in self._processes.values())
        if idle and not self._waiting and now - self._last_call > IDLE_EXIT_S:
            self._ends = True

    def _stop_in_order(self, now: float) -> None:
        """Jobs first: they need the services for their last commit."""
        jobs = [process for process in self._processes.values() if process.spec.kind == "job"]
        services = [process for process in self._processes.values() if process.spec.kind == "service"]
        for process in jobs if not all(job.is_down for job in jobs) else jobs + services:
            if process.recorded.wanted or process.state in {"starting", "ready", "backoff"}:
                process.stop(now=now)
                self._dirty = True

    def _all_down(self) -> bool:
        return all(process.is_down and not process.recorded.wanted for process in self._processes.values())

    def _record(self) -> None:
        self._dirty = False
        if not self._persists:
            return
        recorded = {name: process.recorded for name, process in self._processes.items()}
        try:
            self._files.write_state(self._token, recorded)
        except OSError as fault:
            # A full disk must not take the services down; the next tick tries again.
            self._say(f"cannot record the state: {fault.strerror}")
            self._unrecorded = True
        else:
            self._unrecorded = False

    def _answer_waiting(self, now: float) -> None:
        unanswered = []
        for connection, attempt, deadline in self._waiting:
            value = attempt()
            if value is None and now < deadline and connection.is_open:
                unanswered.append((connection, attempt, deadline))
            else:
                connection.answer({"ok": True, "value": value})
        self._waiting = unanswered

    def _watch_signals(self) -> None:
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        self._selector.register(read_end, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

        def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
            # What is wanted stays recorded: the next call brings it back.
            self._persists = False
            self._ends = True

        def nothing(number: int, frame: FrameType | None) -> None:
            """Wake the loop; unlike SIG_IGN this is not inherited by children."""

        signal.signal(signal.SIGTERM, leave)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, nothing)

    def _say(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # Unbuffered and allowed to fail: a full disk must not end the supervisor.
        with contextlib.suppress(OSError):
            os.write(2, f"{stamp} {text}\n".encode())

    # --- the calls ------------------------------------------------------------------------------------------------

    def _call(self, connection: Connection, call: str, arguments: dict[str, Any]) -> None:
        self._last_call = now = time.monotonic()
        if call == "status":
            connection.answer({"ok": True, "value": self._status()})
        elif call == "hello":
            value = {"pid": os.getpid(), "protocol": PROTOCOL, "rss_bytes": rss_bytes(os.getpid())}
            connection.answer({"ok": True, "value": value})
        elif call == "start":
            self._start(connection, ProcessSpec.from_json(arguments["spec"]), now)
        elif call == "wait":
            self._wait(connection, arguments["name"], arguments.get("states"), now + float(arguments["timeout_s"]))
        elif call == "stop":
            process = self._named(arguments["name"])
            process.stop(now=now)
            self._dirty = True
            self._answer_when(
                connection, process, {"stopped", "fatal", "fenced"}, now + process.spec.stop_timeout_s + 5
            )
        elif call == "restart":
            process = self._named(arguments["name"])
            process.restart(now=now)
            self._dirty = True
            connection.answer({"ok": True, "value": process.status().to_json()})
        elif call == "remove":
            self._remove(connection, arguments["name"])
        elif call == "shutdown":
            self._ends = True
            self._waiting.append((connection, lambda: True if self._all_down() else None, now + 3600.0))
        else:
            raise StackError(f"Cannot answer {call!r}: the supervisor knows no such call.", code="supervisor-call")

    def _status(self) -> list[dict[str, Any]]:
        return [process.status().to_json() for process in self._processes.values()]

    def _start(self, connection: Connection, spec: ProcessSpec, now: float) -> None:
        if self._ends:
            raise StackError("Cannot start: the supervisor is being shut down.", code="supervisor-ends", retryable=True)
        process = self._processes.get(spec.name)
        if process is None:
            process = self._processes[spec.name] = self._process(Recorded(spec=spec))
        elif process.spec != spec or not process.status().is_running:
            process.want(spec, now=now)
        process.advance(now=now)
        # Recorded before it is answered: what was answered survives a kill -9.
        self._record()
        connection.answer({"ok": True, "value": process.status().to_json()})

    def _wait(self, connection: Connection, name: str, states: list[str] | None, deadline: float) -> None:
        self._answer_when(connection, self._named(name), set(states or _DONE), deadline)

    def _answer_when(
        self, connection: Connection, process: SupervisedProcess, states: set[str], deadline: float
    ) -> None:
        def attempt() -> dict[str, Any] | None:
            is_over = process.state in states or time.monotonic() >= deadline
            return process.status().to_json() if is_over else None

        self._waiting.append((connection, attempt, deadline))

    def _remove(self, connection: Connection, name: str) -> None:
        process = self._named(name)
        if not process.is_down or process.recorded.wanted:
            message = f"Cannot remove {name}: it is {process.state}."
            raise StackError(message, code="process-running", hint=f"Stop it first: neuralake down {name}.")
        del self._processes[name]
        self._record()
        connection.answer({"ok": True, "value": True})

    def _named(self, name: str) -> SupervisedProcess:
        try:
            return self._processes[name]
        except KeyError:
            known = ", ".join(self._processes) or "none"
            message = f"Cannot find a process named {name!r}; there are: {known}."
            raise StackError(message, code="process-unknown", hint="neuralake status lists them.") from None

    def _process(self, recorded: Recorded) -> SupervisedProcess:
        environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}

        def start(spec: ProcessSpec) -> Any:  # noqa: ANN401 - a Popen, whose class is not imported for its name
            log = self._files.log(spec.name)
            return spawn(
                spec,
                token=self._token,
                log=log,
                home=self._files.home,
                environment=environment,
                lifeline=self._lifeline,
            )

        return SupervisedProcess(recorded, self._files, start)


def _clear_address(files: SupervisorFiles) -> None:
    try:
        unbind(json.loads(files.address.read_text(encoding="utf-8")), files.folder)
        files.address.unlink()
    except (OSError, ValueError):
        pass


def main(arguments: list[str]) -> int:
    """Leave the caller's session, take the folder's lock and serve; 0 when another one already does."""
    if os.fork():
        # The caller waits for this first process; the second has no parent that could interrupt it.
        os._exit(0)
    files = SupervisorFiles(Path(arguments[0]))
    os.umask(0o077)
    os.chdir(files.home)
    lock = os.open(files.serve_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _takes(lock):
        SupervisorProcess(files).run()
    return 0


def _takes(lock: int) -> bool:
    """Try for a moment: a supervisor that is leaving holds the lock a little longer than its socket."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""One supervised process: its present state, and what each event makes of it.

The class owns no loop and no clock of its own. The supervisor tells it the time and what happened; it starts, signals
and judges. Its laws: an exit the process names itself final stays down, any other end of a wanted process is followed
by a start after the back-off, and a stop ends in SIGKILL to the whole process group once its time is over.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace

from neuralake_kernel.stack.logfile import tail
from neuralake_kernel.stack.probe import Probe
from neuralake_kernel.stack.procinfo import rss_bytes, start_time
from neuralake_kernel.stack.spec import ProcessSpec, ProcessState, ProcessStatus
from neuralake_kernel.stack.state import Recorded, SupervisorFiles

__all__ = ["SupervisedProcess"]

PROBE_EVERY_S = 0.05
_REASON_LINES = 5
_REASON_CHARACTERS = 1000

Spawn = Callable[[ProcessSpec], "subprocess.Popen[bytes]"]


class SupervisedProcess:
    """State machine of one recorded process.

    Parameters
    ----------
    recorded
        Spec and wish; replaced as things happen, and what the state file shall hold.
    files
        Where its log is.
    spawn
        Starts the spec and returns the child.
    """

    def __init__(self, recorded: Recorded, files: SupervisorFiles, spawn: Spawn) -> None:
        self.recorded = recorded
        self.state: ProcessState = "stopped"
        self.child: subprocess.Popen[bytes] | None = None
        self.probe: Probe | None = None
        self.restarts = 0
        self._files = files
        self._spawn = spawn
        self._failures = 0
        self._started_at = 0.0
        self._ready_since: float | None = None
        self._next_start: float | None = None
        self._next_probe = 0.0
        self._kill_at: float | None = None
        if recorded.final in {"fatal", "fenced"}:
            self.state = "fatal" if recorded.final == "fatal" else "fenced"
        elif recorded.wanted:
            self.state = "starting"
            self._next_start = 0.0

    @property
    def spec(self) -> ProcessSpec:
        """What it runs."""
        return self.recorded.spec

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    @property
    def is_down(self) -> bool:
        """Whether no process of it is left."""
        return self.child is None

    def status(self) -> ProcessStatus:
        """What it is doing now."""
        pid = self.child.pid if self.child is not None else None
        return ProcessStatus(
            name=self.name,
            kind=self.spec.kind,
            state=self.state,
            pid=pid,
            restarts=self.restarts,
            started_at=self._started_at if pid is not None else None,
            endpoint=self.spec.endpoint,
            rss_bytes=rss_bytes(pid) if pid is not None else None,
            reason=self.recorded.reason,
        )

    def want(self, spec: ProcessSpec, *, now: float) -> None:
        """Wish it to run by this spec, whatever it ended with before."""
        self.recorded = Recorded(spec=spec, pid=self.recorded.pid, pid_started=self.recorded.pid_started)
        self.restarts = self._failures = 0
        self._next_start = now
        if self.child is None:
            self.state = "starting"
        self._terminate(now)

    def stop(self, *, now: float) -> None:
        """Wish it down: SIGTERM now, SIGKILL when its time is over."""
        self.recorded = replace(self.recorded, wanted=False)
        self._next_start = None
        self._terminate(now)

    def restart(self, *, now: float) -> None:
        """Stop it and start it again at once."""
        self.recorded = replace(self.recorded, wanted=True, final="", reason="")
        self._failures = 0
        self._next_start = now
        if self.child is None:
            self.state = "starting"
        self._terminate(now)

    def _terminate(self, now: float) -> None:
        self.probe = None
        if self.child is None:
            if not self.recorded.wanted and self.state not in {"fatal", "fenced"}:
                self.state = "stopped"
            return
        if self.state != "stopping":
            self.state = "stopping"
            self._kill_at = now + self.spec.stop_timeout_s
            with contextlib.suppress(ProcessLookupError):
                self.child.send_signal(signal.SIGTERM)

    def advance(self, *, now: float) -> bool:
        """Do what is due; tell whether anything changed that others may wait for."""
        before = (self.state, self.recorded)
        if self.child is not None:
            code = self._exit_code(self.child)
            if code is not None:
                self._ended(code, now)
            elif self.state == "stopping":
                self._kill_if_late(now)
            else:
                self._watch(now)
        if self.child is None and self._next_start is not None and now >= self._next_start:
            self._start(now)
        return before != (self.state, self.recorded)

    def due_in(self, *, now: float) -> float | None:
        """Seconds until it wants to be advanced without an event; None when it can wait for ever."""
        dues = [self._kill_at]
        if self.child is None:
            dues.append(self._next_start)
        elif self.state == "starting":
            dues.append(self.probe.deadline if self.probe is not None else self._next_probe)
        elif self.state == "ready" and self._failures and self._ready_since is not None:
            dues.append(self._ready_since + self.spec.restart.reset_after_s)
        waits = [max(0.0, due - now) for due in dues if due is not None]
        return min(waits) if waits else None

    def _start(self, now: float) -> None:
        self._next_start = self._ready_since = self._kill_at = None
        self._started_at = time.time()
        self._next_probe = now
        self.state = "starting"
        try:
            self.child = self._spawn(self.spec)
        except OSError as fault:
            self._crashed(f"cannot run {self.spec.argv[0]}: {fault.strerror}", now)
            return
        self.recorded = replace(self.recorded, pid=self.child.pid, pid_started=start_time(self.child.pid))
        if self.spec.ready is None:
            self._became_ready(now)

    def _became_ready(self, now: float) -> None:
        self.state = "ready"
        self.recorded = replace(self.recorded, reason="")
        self._ready_since = now

    def _watch(self, now: float) -> None:
        if self.state == "ready":
            self._forgive(now)
            return
        if self.probe is not None and self.probe.answer is None and now >= self.probe.deadline:
            self.probe.answer = False
        if self.probe is not None and self.probe.answer is not None:
            is_ready = self.probe.answer
            self.probe = None
            self._next_probe = now + PROBE_EVERY_S
            if is_ready:
                self._became_ready(now)
                return
        if self.probe is None and now >= self._next_probe and self.spec.ready is not None:
            self.probe = Probe(self.spec.ready, started_at=self._started_at)

    def _forgive(self, now: float) -> None:
        if self._ready_since is not None and now - self._ready_since >= self.spec.restart.reset_after_s:
            self._failures = 0

    def _kill_if_late(self, now: float) -> None:
        if self.child is not None and self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._kill_group(self.child.pid)

    def _kill_group(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    def _exit_code(self, child: "subprocess.Popen[bytes]") -> int | None:
        if hasattr(os, "waitid"):
            # Look without reaping: while the zombie keeps the group's id, killing the group can hit no stranger.
            if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self._kill_group(child.pid)
        return child.poll()

    def _ended(self, code: int, now: float) -> None:
        self.probe = None
        self.child = None
        self._kill_at = None
        self.recorded = replace(self.recorded, pid=None, pid_started="")
        final = self.spec.final_exit_codes.get(code, "")
        if self.state == "stopping" and not final:
            self.recorded = replace(self.recorded, reason="")
            self.state = "starting" if self.recorded.wanted else "stopped"
        elif final in {"fatal", "fenced"}:
            self.state = "fatal" if final == "fatal" else "fenced"
            self._next_start = None
            self.recorded = replace(self.recorded, wanted=False, final=final, reason=self._reason(f"exit code {code}"))
        elif code == 0 and self.spec.kind == "job":
            self.state = "stopped"
            self.recorded = replace(self.recorded, wanted=False, reason="")
        else:
            end = f"exit code {code}" if code >= 0 else f"killed by {_signal_name(-code)}"
            self._crashed(self._reason(end), now)

    def _crashed(self, reason: str, now: float) -> None:
        self._forgive(now)
        self._failures += 1
        self.restarts += 1
        self.state = "backoff"
        self.recorded = replace(self.recorded, reason=reason)
        self._next_start = now + self.spec.restart.wait_s(self._failures)

    def _reason(self, end: str) -> str:
        lines = [line.strip() for line in tail(self._files.log(self.name), _REASON_LINES) if line.strip()]
        return "; ".join([end, *lines])[:_REASON_CHARACTERS]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

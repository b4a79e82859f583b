"""What the machine says of a process: is it the one we started, how much memory does it hold.

A process id is reused, so a leftover is known by its start time and by the token in its environment; one of the two
alone would let a sweep kill a stranger. Linux reads ``/proc``; elsewhere ``ps`` gives the start time and the memory.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["TOKEN_VARIABLE", "has_token", "is_alive", "pids_with_token", "rss_bytes", "start_time", "sweep"]

TOKEN_VARIABLE = "NEURALAKE_TOKEN"  # noqa: S105 - the name of a variable
_PROC = Path("/proc")
_IS_LINUX = sys.platform.startswith("linux")


def start_time(pid: int) -> str:
    """Start time of a process in the system's own words; empty when it is gone."""
    if not _IS_LINUX:
        return _ps(pid, "lstart")
    try:
        line = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return ""
    # The command may hold spaces and brackets; the fields after the last one are numbers. 22nd field of all.
    return line.rpartition(")")[2].split()[19]


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    if not _IS_LINUX:
        return bool(_ps(pid, "lstart")) and not _ps(pid, "state").startswith("Z")
    try:
        line = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return False
    return line.rpartition(")")[2].split()[0] not in {"Z", "X"}


def rss_bytes(pid: int) -> int | None:
    """Resident memory of a process; None when it is gone."""
    if not _IS_LINUX:
        kib = _ps(pid, "rss")
        return int(kib) * 1024 if kib.isdigit() else None
    try:
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def has_token(pid: int, token: str) -> bool | None:
    """Whether the process was started with our token; None where the system does not say."""
    if not _IS_LINUX:
        return None
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{TOKEN_VARIABLE}={token}".encode() in environment.split(b"\0")


def pids_with_token(token: str) -> Iterator[int]:
    """Processes that run with our token; none where the system does not say."""
    if not _IS_LINUX or not token:
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and has_token(int(entry.name), token) and is_alive(int(entry.name)):
            yield int(entry.name)


def sweep(token: str, recorded: dict[int, str], *, timeout_s: float = 10.0) -> list[int]:
    """Kill what an earlier supervisor left behind; return the process ids.

    Parameters
    ----------
    token
        Token of this state folder's processes.
    recorded
        Start time by process id, as the state file has them.
    timeout_s
        How long to wait until the killed ones are gone.
    """
    leftovers = set(pids_with_token(token))
    for pid, started in recorded.items():
        if started and start_time(pid) == started and has_token(pid, token) is not False:
            leftovers.add(pid)
    leftovers.discard(os.getpid())
    for pid in leftovers:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + timeout_s
    while any(is_alive(pid) for pid in leftovers) and time.monotonic() < deadline:
        time.sleep(0.01)
    return sorted(leftovers)


def _ps(pid: int, column: str) -> str:
    answer = subprocess.run(
        ["/bin/ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()

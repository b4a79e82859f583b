"""Logs of supervised processes: written by the processes themselves, kept small by the supervisor.

A process appends to its file directly, so its last words survive both its own death and the supervisor's. A file past
``MAX_BYTES`` is copied to ``.1`` and cut to nothing, which the append mode of its writer allows; lines written in the
instant between the two can be lost.
"""

import os
from collections import deque
from pathlib import Path

__all__ = ["open_log", "rotate", "tail"]

MAX_BYTES = 8 * 1024 * 1024
KEPT = 3
_TAIL_BYTES = 256 * 1024


def open_log(path: Path) -> int:
    """Open for appending, readable by its owner only; return the descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def rotate(path: Path, *, max_bytes: int = MAX_BYTES) -> bool:
    """Move a log that grew too large aside; tell whether it was."""
    try:
        if path.stat().st_size <= max_bytes:
            return False
    except FileNotFoundError:
        return False
    for number in range(KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    source = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        target = os.open(path.with_name(f"{path.name}.1"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            while block := os.read(source, 1 << 18):
                os.write(target, block)
        finally:
            os.close(target)
        os.ftruncate(source, 0)
    finally:
        os.close(source)
    return True


def tail(path: Path, lines: int) -> list[str]:
    """Last lines of a log, reaching into the one before it; empty when there is none."""
    found: deque[str] = deque(maxlen=lines)
    for candidate in (path.with_name(f"{path.name}.1"), path):
        try:
            with candidate.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            continue
        found.extend(text.splitlines())
    return list(found)

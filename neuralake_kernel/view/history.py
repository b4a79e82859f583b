"""Rates from counters: what a report counts, seen twice, is a speed.

A rolling window per job, in memory only. A counter that falls means that a new worker counts from
nothing again: its past is dropped, so a restart never shows as a negative or a huge rate.
"""

from collections import deque
from dataclasses import dataclass, field

__all__ = ["RateHistory", "Rates"]


@dataclass(frozen=True)
class Rates:
    """Speeds of one job at one moment; None until two readings exist.

    ``points`` holds (seconds from the present, rows per second), oldest first.
    """

    rows_s: float | None
    messages_s: float | None
    commits_s: float | None
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Reading:
    at_s: float
    rows: int
    messages: int
    commits: int


@dataclass
class _Track:
    readings: deque[_Reading] = field(default_factory=deque)
    points: deque[tuple[float, float]] = field(default_factory=deque)


class RateHistory:
    """Rolling window of the counters of every job.

    Parameters
    ----------
    window_s
        Age of the oldest point kept for the sparkline, in seconds.
    average_s
        Length of time one rate is averaged over: long enough to smooth a flush a second, short
        enough to follow a burst.
    spacing_s
        Least distance of two points, so that the picture's size does not depend on how often it
        is asked for.
    """

    def __init__(self, *, window_s: float = 60.0, average_s: float = 2.0, spacing_s: float = 0.5) -> None:
        self._window_s = window_s
        self._average_s = average_s
        self._spacing_s = spacing_s
        self._tracks: dict[str, _Track] = {}

    def add(self, job: str, at_s: float, *, rows: int, messages: int, commits: int) -> None:
        """Take one reading of a job's counters; an older or repeated one changes nothing."""
        track = self._tracks.setdefault(job, _Track())
        if track.readings:
            last = track.readings[-1]
            if at_s <= last.at_s:
                return
            if rows < last.rows or messages < last.messages or commits < last.commits:
                track.readings.clear()
        track.readings.append(_Reading(at_s, rows, messages, commits))
        while len(track.readings) > 2 and track.readings[1].at_s <= at_s - self._average_s:
            track.readings.popleft()

    def rates(self, job: str, now_s: float) -> Rates:
        """Speeds of a job at ``now_s``; they sink towards nought when its reports stop."""
        track = self._tracks.get(job)
        if track is None:
            return Rates(None, None, None, ())
        current = self._current(track, now_s)
        if current is not None:
            last_at_s = track.points[-1][0] if track.points else float("-inf")
            if now_s - last_at_s >= self._spacing_s:
                track.points.append((now_s, current[0]))
        while track.points and track.points[0][0] < now_s - self._window_s:
            track.points.popleft()
        points = tuple((round(at_s - now_s, 1), round(rate, 1)) for at_s, rate in track.points)
        rows_s, messages_s, commits_s = current or (None, None, None)
        return Rates(rows_s, messages_s, commits_s, points)

    def forget(self, jobs: set[str]) -> None:
        """Drop every job that is not among ``jobs``."""
        for job in set(self._tracks) - jobs:
            del self._tracks[job]

    def _current(self, track: _Track, now_s: float) -> tuple[float, float, float] | None:
        if len(track.readings) < 2:
            return None
        first, last = track.readings[0], track.readings[-1]
        # A worker reports at least once a second while it works: a longer silence is time in
        # which nothing was counted.
        elapsed_s = max(last.at_s, now_s - 1.0) - first.at_s
        if now_s - last.at_s > 2 * self._average_s:
            return (0.0, 0.0, 0.0)
        return (
            (last.rows - first.rows) / elapsed_s,
            (last.messages - first.messages) / elapsed_s,
            (last.commits - first.commits) / elapsed_s,
        )

"""A recording through topic and ingestor into its table, watched in one line of the terminal."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from neuralake_kernel.errors import NeuralakeError
from neuralake_kernel.ingest import JobHandle, JobReport
from neuralake_kernel.source import ReplayHandle, ReplayReport
from neuralake_kernel.terminal import Terminal

__all__ = ["CATCH_UP_S", "Streamed", "stream"]

#: A job that has not caught up with a few megabytes by then is ill.
CATCH_UP_S: Final = 60.0
_LOOK_S: Final = 0.05
_BAR: Final = 16


@dataclass(frozen=True, slots=True)
class Streamed:
    """What was sent and what the job said at the end; ``first_row_at`` by the monotonic clock."""

    sent: ReplayReport
    report: JobReport
    first_row_at: float


def _wait_until_running(job: JobHandle, terminal: Terminal) -> None:
    """Let the worker take its epoch first, so that the stream is seen from its first message."""
    deadline = time.monotonic() + CATCH_UP_S
    while job.report().state == "starting" and time.monotonic() < deadline:
        if terminal.is_live:
            terminal.show("   the worker starts …", step="worker")
        time.sleep(_LOOK_S)


class _Watch:
    """Draws the line, and notes when the first row was there."""

    def __init__(self, terminal: Terminal, total: int) -> None:
        self._terminal = terminal
        self._total = total
        self._began = time.monotonic()
        self.first_row_at: float | None = None

    def draw(self, sent: int, report: JobReport) -> None:
        if report.committed_rows and self.first_row_at is None:
            self.first_row_at = time.monotonic()
        paint = self._terminal.paint
        done, way = (round(_BAR * count / self._total) for count in (report.committed_rows, sent))
        bar = paint("━" * done, "green") + paint("━" * (way - done), "yellow") + paint("─" * (_BAR - way), "dim")
        rate = report.committed_rows / max(time.monotonic() - self._began, 1e-3)
        self._terminal.show(
            f"   {bar} {sent:>6,} sent {report.committed_rows:>6,} committed"
            f" {rate:>6,.0f} rows/s  lag {max(0, sent - report.committed_messages):>5,}",
            step=f"stream {report.commits}",
        )


def stream(job: JobHandle, start: Callable[[], ReplayHandle], terminal: Terminal) -> Streamed:
    """Replay a recording, and wait until its job has caught up.

    Parameters
    ----------
    job
        The job that reads its topic.
    start
        Starts the replay.
    terminal
        Where to show it.

    Raises
    ------
    NeuralakeError
        Broker or job failed; the replay is stopped.
    """
    _wait_until_running(job, terminal)
    replay = start()
    watch = _Watch(terminal, replay.status().messages_total)
    try:
        while (sent := replay.status()).state == "running":
            watch.draw(sent.messages_sent, job.report())
            time.sleep(_LOOK_S)
        sent = replay.wait()
        report = job.wait(CATCH_UP_S, progress=lambda report: watch.draw(sent.messages_sent, report))
    except BaseException:
        with suppress(NeuralakeError):
            replay.stop()
        raise
    finally:
        terminal.clear()
    return Streamed(sent, report, watch.first_row_at or time.monotonic())

"""Replay a recording through a topic, at the rhythm at which the device delivered it.

Rows go out in the order of delivery; rows that reached the host in one burst go out together. The
replay runs in a thread and may be stopped at any row: what was sent before stays sent, and the
report says up to which offset. On failure of the broker the replay ends, ``wait`` raises, and the
list of what was acked is still written.
"""

from __future__ import annotations

import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neuralake_kernel.errors import UsageError
from neuralake_kernel.source.encoding import encoder
from neuralake_kernel.source.reach import reach
from neuralake_kernel.source.report import ReplayReport, summarised, write_sent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from neuralake_kernel.contract import Encoding
    from neuralake_kernel.source.broker import Broker
    from neuralake_kernel.source.producer import Producer
    from neuralake_kernel.source.recording import Recording

__all__ = ["ReplayHandle", "replay"]

EventTime = Literal["original", "rebased"]
BLOCK_ROWS = 8192
PROGRESS_S = 0.2
# How soon a stop is seen that was set from outside, through the caller's own event.
LOOK_S = 0.1


class ReplayHandle:
    """A running replay. ``replay`` makes it."""

    def __init__(self, work: _Replay) -> None:
        self._work = work
        self._thread = threading.Thread(target=work.run, name=f"replay-{work.topic}", daemon=True)
        self._thread.start()

    def status(self) -> ReplayReport:
        """How far it has come, now."""
        return self._work.report()

    def wait(self, timeout_s: float | None = None) -> ReplayReport:
        """Wait for the end.

        Parameters
        ----------
        timeout_s
            Seconds to wait at most; None: without end. An interrupt of the cell ends the waiting,
            not the replay.

        Returns
        -------
        ReplayReport
            ``state`` is ``finished`` or ``stopped``; ``running`` when the time was too short.

        Raises
        ------
        SourceError
            The broker refused or went away; ``status()`` tells what was acked.
        KeyboardInterrupt
            The interrupt met the replay's own thread.
        """
        self._thread.join(timeout_s)
        if self._work.error is not None:
            raise self._work.error
        return self._work.report()

    def stop(self) -> ReplayReport:
        """Stop after the messages already handed over, and wait for that; may be called twice."""
        self._work.stopping.set()
        return self.wait()

    def __repr__(self) -> str:
        return str(self.status())


def replay(  # noqa: PLR0913 - each is a choice of the person who replays
    recording: Recording,
    topic: str,
    broker: Broker,
    *,
    columns: Sequence[str] | None = None,
    required: Collection[str] = (),
    encoding: Encoding = "json",
    speed: float | None = 1.0,
    event_time: EventTime = "original",
    session: str | None = None,
    key: str | None = None,
    sent_to: str | Path | None = None,
    progress: Callable[[ReplayReport], None] | None = None,
    stop: threading.Event | None = None,
) -> ReplayHandle:
    """Stream a recording into a topic, a message per row.

    Parameters
    ----------
    recording
        What to send.
    topic
        An existing topic.
    broker
        Kafka or a journal.
    columns
        Columns of the table it is meant for; of these the recording's are sent, by name. Without:
        all.
    required
        Columns that must be there, for the table allows no null in them.
    encoding
        What a message holds: ``json`` or ``arrow``.
    speed
        Times the device's own pace (> 0); None: as fast as the broker takes it.
    event_time
        ``"original"``: the recording's. ``"rebased"``: shifted as a whole so that the first row is
        now; distances stay as they are, so with ``speed`` above 1 later rows carry times still to
        come.
    session
        Value of the column ``session``; without: the recording's name.
    key
        Key of every message (Kafka). It picks the partition too, one for the whole recording;
        without: partition 0.
    sent_to
        File for the list of acked messages, JSON lines of topic, partition, offset, rows; ``neuralake
        verify --expect`` reads it.
    progress
        Called with a report from the replay's thread, at most five times a second and once at the
        end.
    stop
        An event that stops the replay when it is set.

    Returns
    -------
    ReplayHandle
        ``status``, ``wait``, ``stop``.

    Raises
    ------
    UsageError
        ``columns-missing``, or a speed or event time that cannot be. Nothing was sent.
    SourceError
        The topic is missing or the broker away. Nothing was sent.
    """
    if speed is not None and not speed > 0:
        msg = f"Cannot replay at speed {speed}: expected more than 0, or None."
        raise UsageError(msg, hint="speed=10 is ten times real time, speed=None as fast as possible.")
    if event_time not in {"original", "rebased"}:
        msg = f"Cannot replay with event_time={event_time!r}: expected 'original' or 'rebased'."
        raise UsageError(msg, hint="event_time='rebased' makes the first row now.")
    frame = recording.rows(session=session)
    chosen = match_columns(frame.columns, columns, required, name=recording.path.name)
    driver = reach(broker)
    partitions = sorted(driver.offsets(topic))
    partition = partitions[zlib.crc32(key.encode()) % len(partitions)] if key else partitions[0]
    return ReplayHandle(
        _Replay(
            frame=frame,
            chosen=chosen,
            encoding=encoding,
            topic=topic,
            producer=driver.open_producer(topic),
            partition=partition,
            key=key.encode() if key else None,
            speed=speed,
            event_time=event_time,
            sent_to=Path(sent_to) if sent_to is not None else None,
            progress=progress,
            outside_stop=stop,
        )
    )


def match_columns(
    found: Sequence[str], wanted: Sequence[str] | None, required: Collection[str], *, name: str
) -> tuple[str, ...]:
    """Choose what to send: the wanted columns that a recording has, in the order wanted.

    Raises
    ------
    UsageError
        ``columns-missing``: a required column is not there, or none of the wanted is.
    """
    missing = [column for column in required if column not in found]
    chosen = tuple(found) if wanted is None else tuple(column for column in wanted if column in found)
    if missing or not chosen:
        what = ", ".join(missing) if missing else "any of the table's columns"
        shown = ", ".join(found[:12]) + (" …" if len(found) > 12 else "")
        msg = f"Cannot send {name} to this table: it has no {what}. Found: {shown}."
        raise UsageError(
            msg,
            code="columns-missing",
            hint="Rename the table's columns, or declare them nullable.",
        )
    return chosen


class _Replay:
    """The work of one replay; all but ``report`` and ``stopping`` belongs to its thread."""

    def __init__(  # noqa: PLR0913 - built in one place, by name
        self,
        *,
        frame: pl.DataFrame,
        chosen: tuple[str, ...],
        encoding: Encoding,
        topic: str,
        producer: Producer,
        partition: int,
        key: bytes | None,
        speed: float | None,
        event_time: EventTime,
        sent_to: Path | None,
        progress: Callable[[ReplayReport], None] | None,
        outside_stop: threading.Event | None,
    ) -> None:
        self.topic = topic
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        self._frame = frame
        self._chosen = chosen
        self._encode = encoder(encoding)
        self._producer = producer
        self._partition = partition
        self._key = key
        self._speed = speed
        self._event_time = event_time
        self._sent_to = sent_to
        self._progress = progress
        self._outside_stop = outside_stop
        self._state: Literal["running", "finished", "stopped", "failed"] = "running"
        self._sent = 0
        self._bytes = 0
        self._began = time.monotonic()
        self._ended: float | None = None
        self._told = self._began

    def report(self) -> ReplayReport:
        partitions = summarised(self._producer.ranges)
        return ReplayReport(
            topic=self.topic,
            session=str(self._frame.item(0, "session")),
            state=self._state,
            messages_total=len(self._frame),
            messages_sent=self._sent,
            bytes_sent=self._bytes,
            acked=sum(part.messages for part in partitions),
            seconds=(self._ended or time.monotonic()) - self._began,
            columns=self._chosen,
            partitions=partitions,
        )

    def run(self) -> None:
        try:
            self._work()
        # An interrupt too: polars hands one to whichever thread is inside it, not to the main thread.
        except BaseException as error:  # noqa: BLE001 - carried to whoever waits; a thread has no caller
            self.error = error
            self._state = "failed"

    def _work(self) -> None:
        try:
            self._send_all()
            self._producer.flush()
        finally:
            self._producer.close()
            self._ended = time.monotonic()
            if self._sent_to is not None:
                write_sent(self._sent_to, self.topic, self._producer.ranges)
        self._state = "finished" if self._sent == len(self._frame) else "stopped"
        if self._progress is not None:
            self._progress(self.report())

    def _send_all(self) -> None:
        frame, due_s = self._timed()
        self._began = time.monotonic()
        while self._sent < len(frame) and not self._is_stopped():
            first = self._sent
            upto = self._due(due_s)
            if upto == first:
                continue
            self._send_block(frame[first:upto])
            self._sent = upto
            self._tell()

    def _send_block(self, frame: pl.DataFrame) -> None:
        import pyarrow.compute as pc

        values = self._encode(frame.select(self._chosen), 1)
        self._producer.send(values, self._partition, key=self._key)
        self._bytes += pc.sum(pc.binary_length(values)).as_py()

    def _timed(self) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        """Rows with the event times asked for, and the second after the start at which each was delivered."""
        import numpy as np
        import polars as pl

        times_us = self._frame.get_column("event_time").dt.epoch("us").to_numpy()
        # A host clock that was set back must not send the replay back.
        due_s = np.maximum.accumulate((times_us - times_us[0]) / 1e6)
        if self._event_time == "original":
            return self._frame, due_s
        shift_us = time.time_ns() // 1000 - int(times_us[0])
        return self._frame.with_columns(pl.col("event_time") + pl.duration(microseconds=shift_us)), due_s

    def _due(self, due_s: NDArray[np.float64]) -> int:
        """Row up to which to send now; waits a while when none is due."""
        import numpy as np

        latest = min(self._sent + BLOCK_ROWS, len(due_s))
        if self._speed is None:
            return latest
        reached_s = (time.monotonic() - self._began) * self._speed
        upto = int(np.searchsorted(due_s, reached_s, side="right"))
        if upto <= self._sent:
            self.stopping.wait(min((due_s[self._sent] - reached_s) / self._speed, LOOK_S))
            return self._sent
        return min(upto, latest)

    def _is_stopped(self) -> bool:
        return self.stopping.is_set() or (self._outside_stop is not None and self._outside_stop.is_set())

    def _tell(self) -> None:
        now = time.monotonic()
        if self._progress is not None and now - self._told >= PROGRESS_S:
            self._told = now
            self._progress(self.report())

"""The raw text log of the OpenBCI GUI, by polars.

Each line is one packet: the board's counter (0-255, wraps), EXG channels in uV, accelerometer in g,
and the time at which the host received it. Packets arrive in bursts that share a time stamp.
Opening reads the comment lines; the first use of a sample parses the file once and keeps its
columns.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from neuralake_kernel.errors import SourceError
from neuralake_kernel.source.signal import Arrival, Channel, Gap, StartTime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralake_kernel.source.signal import Annotation, Units

__all__ = ["OpenbciReader"]

COUNTER_LENGTH = 256
# The ADS1299 saturates at 4.5 V over its largest gain, 24.
RAIL_UV = 4.5e6 / 24
SILENCE_S = 1.0
HEADER_LINES = 64
AXES = "xyz"


class OpenbciReader:
    """One OpenBCI log.

    Parameters
    ----------
    path
        The file; its comment lines and column names are read here.
    """

    annotations: tuple[Annotation, ...] = ()
    display_band_hz: tuple[float, float] | None = (1.0, 40.0)

    def __init__(self, path: Path) -> None:
        self.path = path
        comments, self._columns = _header(path)
        self._lines_before = len(comments) + 1
        rate = re.search(r"Sample Rate\s*=\s*([\d.]+)\s*Hz", "\n".join(comments))
        board = re.search(r"Board\s*=\s*(?:OpenBCI_GUI\$)?(\w+)", "\n".join(comments))
        if rate is None or float(rate[1]) <= 0:
            raise _damaged(path, "its comments name no sample rate, expected a line '%Sample Rate = 250 Hz'")
        self._rate_hz = float(rate[1])
        self.format = " · ".join(filter(None, ["OpenBCI text log", board[1].removeprefix("Board") if board else ""]))
        self.channels = self._describe()
        for needed in ("Sample Index", "Timestamp"):
            if needed not in self._columns:
                raise _damaged(path, f"its column names lack {needed!r}")
        if not any(channel.type == "EEG" for channel in self.channels):
            raise _damaged(path, "its column names hold no 'EXG Channel'")

    @property
    def start(self) -> StartTime:
        """Arrival of the first packet by the host's clock."""
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(self._arrival_us[0]))
        return StartTime(time, "host-clock", "arrival of the first packet at the host")

    @cached_property
    def arrival(self) -> Arrival:
        """Measured rate and bursts, by the host's clock."""
        times_us = self._arrival_us
        span_s = float(times_us[-1] - times_us[0]) / 1e6
        edges = np.flatnonzero(np.diff(times_us)) + 1
        sizes = np.diff(np.concatenate([[0], edges, [len(times_us)]]))
        steps = np.diff(times_us)
        return Arrival(
            measured_rate_hz=(len(times_us) - 1) / span_s if span_s > 0 else self._rate_hz,
            bursts=len(sizes),
            largest_burst_packets=int(sizes.max()),
            longest_silence_s=float(steps.max(initial=0)) / 1e6,
        )

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Jumps of the packet counter and silences of a second or more."""
        # A loss of whole rounds of the counter is invisible to it; the silence then tells.
        steps: NDArray[Any] = np.diff(self._packet.astype(np.int64))
        missing = (steps - 1) % COUNTER_LENGTH
        silence_s = np.diff(self._arrival_us) / 1e6
        places = np.flatnonzero((missing > 0) | (silence_s >= SILENCE_S))
        return tuple(Gap(int(place) + 1, int(missing[place]), float(silence_s[place])) for place in places)

    def n_samples(self, channel: Channel) -> int:  # noqa: ARG002 - alike for all
        """Packets in the whole log; every channel has one sample in each."""
        return len(self._packet)

    def block(self, channels: Sequence[Channel], first: int, last: int, units: Units) -> NDArray[Any]:  # noqa: ARG002 - has one
        """Samples ``[first, last)`` in uV or g, shape (time, channel)."""
        columns = [
            self._frame.get_column(f"c{channel.index}").slice(first, last - first).to_numpy() for channel in channels
        ]
        return np.stack(columns, axis=1)

    def row_columns(self, first: int, last: int, rate_hz: float) -> dict[str, NDArray[Any]]:  # noqa: ARG002 - timed by the host
        """``packet`` (the board's counter) and ``event_time`` (arrival at the host)."""
        return {"packet": self._packet[first:last], "event_time": self._arrival_us[first:last]}

    @cached_property
    def _frame(self) -> pl.DataFrame:
        wanted = [
            self._columns.index("Sample Index"),
            self._columns.index("Timestamp"),
            *(channel.index for channel in self.channels),
        ]
        text = pl.scan_csv(
            self.path,
            has_header=False,
            skip_rows=self._lines_before,
            infer_schema=False,
            new_columns=[f"c{place}" for place in range(len(self._columns))],
            truncate_ragged_lines=True,
        )
        try:
            frame = text.select(
                pl.col(f"c{place}").str.strip_chars().cast(pl.Float64, strict=False) for place in wanted
            ).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _damaged(self.path, f"no table follows its column names ({error})") from error
        broken = frame.select(pl.any_horizontal(pl.all().is_null()).arg_true()).to_series()
        if len(broken):
            raise self._broken(int(broken[0]), len(frame))
        return frame

    @cached_property
    def _packet(self) -> NDArray[np.int16]:
        counter = self._frame.get_column(f"c{self._columns.index('Sample Index')}").to_numpy()
        outside = np.flatnonzero((counter < 0) | (counter >= COUNTER_LENGTH) | (counter != np.floor(counter)))
        if len(outside):
            line = int(outside[0]) + self._lines_before + 1
            raise _damaged(
                self.path,
                f"line {line} has packet counter {counter[outside[0]]:g}, expected 0 to 255",
            )
        return counter.astype(np.int16)

    @cached_property
    def _arrival_us(self) -> NDArray[np.int64]:
        stamps = self._frame.get_column(f"c{self._columns.index('Timestamp')}").to_numpy()
        # Version 5 of the GUI logs milliseconds, later ones seconds with a fraction; both are
        # decades away from each other.
        per_stamp_us = 1e3 if stamps[0] > 1e11 else 1e6
        return np.round(stamps * per_stamp_us).astype(np.int64)

    def _broken(self, row: int, rows: int) -> SourceError:
        line = row + self._lines_before + 1
        if row == rows - 1:
            return SourceError(
                f"Cannot read {self.path}: line {line}, its last, is cut short; expected {len(self._columns)} numbers.",
                code="recording-truncated",
                hint="Copy the file again, or delete the unfinished last line.",
                context={"path": str(self.path), "line": line},
            )
        return _damaged(self.path, f"line {line} lacks a number, expected {len(self._columns)} columns")

    def _describe(self) -> tuple[Channel, ...]:
        found = []
        for index, column in enumerate(self._columns):
            if match := re.fullmatch(r"EXG Channel (\d+)", column):
                name = f"ch{int(match[1]) + 1}"
                found.append(Channel(index, name, "EEG", "uV", self._rate_hz, limits=(-RAIL_UV, RAIL_UV)))
            elif (match := re.fullmatch(r"Accel Channel (\d+)", column)) and int(match[1]) < len(AXES):
                found.append(Channel(index, f"accel_{AXES[int(match[1])]}", "ACCEL", "g", self._rate_hz))
        return tuple(found)


def _header(path: Path) -> tuple[list[str], list[str]]:
    """Comment lines, and the column names that follow them."""
    comments: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if not line.startswith("%"):
                return comments, [name.strip() for name in line.split(",")]
            comments.append(line.strip())
            if len(comments) > HEADER_LINES:
                break
    raise SourceError(
        f"Cannot read {path}: found {len(comments)} comment lines and no column names, expected a table below them.",
        code="recording-truncated",
        hint="The log ends inside its header; copy it again.",
    )


def _damaged(path: Path, found: str) -> SourceError:
    return SourceError(
        f"Cannot read {path}: {found}.",
        code="recording-damaged",
        hint="Fetch the log again, or mend the line by hand.",
    )

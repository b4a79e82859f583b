"""A recording as a notebook holds it: opened lazily, shows itself, gives samples and rows.

Guarantees: opening reads the header only; nothing is ever written to the file; the same call gives
the same samples. The sample clock counts delivered samples at the nominal rate; a gap is stated in
``gaps`` and never filled. On failure a ``SourceError`` says what was found in the file, a
``UsageError`` what was asked wrongly.
"""

from __future__ import annotations

import difflib
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from neuralake_kernel.errors import UsageError
from neuralake_kernel.source.signal import sample_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import polars as pl
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from neuralake_kernel.source.signal import (
        Annotation,
        Arrival,
        Channel,
        Gap,
        Quality,
        StartTime,
        Units,
    )

__all__ = ["Reader", "Recording"]

DEFAULT_TRACES = 16


class Reader(Protocol):
    """What a file format has to offer; one instance per file."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def format(self) -> str:
        """Format and device in words."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All channels, in the order of the file."""

    @property
    def start(self) -> StartTime:
        """When it began and how far that is to be trusted."""

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """Labels in the file, by time."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Places where samples are missing, by time."""

    @property
    def arrival(self) -> Arrival | None:
        """How samples reached the host; None where the file does not tell."""

    @property
    def display_band_hz(self) -> tuple[float, float] | None:
        """Frequencies a picture shows unless asked otherwise; None: the signal as stored."""

    def n_samples(self, channel: Channel) -> int:
        """Samples of one channel in the whole file."""

    def block(self, channels: Sequence[Channel], first: int, last: int, units: Units) -> NDArray[Any]:
        """Samples ``[first, last)`` of channels of one rate, shape (time, channel)."""

    def row_columns(self, first: int, last: int, rate_hz: float) -> dict[str, NDArray[Any]]:
        """Columns beside the channels, ``event_time`` (us since epoch, UTC, int64) among them."""


class Recording:
    """One recording, read lazily. ``neuralake_kernel.read`` makes it.

    Parameters
    ----------
    reader
        The file behind it.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def path(self) -> Path:
        """The file it is read from."""
        return self._reader.path

    @property
    def name(self) -> str:
        """The file's name without its ending; the ``session`` of its rows."""
        return self.path.stem

    @property
    def format(self) -> str:
        """Format and device in words."""
        return self._reader.format

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel, in the order of the file."""
        return self._reader.channels

    @cached_property
    def main_channels(self) -> tuple[Channel, ...]:
        """The channels at the recording's own rate: what ``samples`` gives when no channel is named."""
        signals = [channel for channel in self.channels if channel.type not in {"ACCEL", "TRIG"}] or list(self.channels)
        return tuple(channel for channel in signals if channel.rate_hz == self.rate_hz)

    @cached_property
    def rate_hz(self) -> float:
        """Nominal sampling rate: that of most channels."""
        rates = [channel.rate_hz for channel in self.channels]
        return max(rates, key=lambda rate: (rates.count(rate), rate))

    @property
    def n_samples(self) -> int:
        """Samples of one channel at ``rate_hz``."""
        return self._reader.n_samples(self.main_channels[0])

    @property
    def duration_s(self) -> float:
        """Seconds of signal by the sample clock."""
        return self.n_samples / self.rate_hz

    @property
    def start(self) -> StartTime:
        """When it began, and how far that is to be trusted."""
        return self._reader.start

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """Labels stored with the signal, by time."""
        return self._reader.annotations

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Places where samples were lost or the device was silent."""
        return self._reader.gaps

    @property
    def arrival(self) -> Arrival | None:
        """How samples reached the host; None where the file does not tell."""
        return self._reader.arrival

    @property
    def display_band_hz(self) -> tuple[float, float] | None:
        """Frequencies its pictures show unless asked otherwise; None: the signal as stored."""
        return self._reader.display_band_hz

    @cached_property
    def quality(self) -> Quality:
        """Flat and clipped channels and missing packets; reads the signal once."""
        from neuralake_kernel.source.quality import judge

        return judge(self)

    def samples(
        self,
        *,
        start: float = 0.0,
        stop: float | None = None,
        channels: Sequence[str] | None = None,
        units: Units = "physical",
    ) -> NDArray[Any]:
        """Samples of a window as one array.

        Parameters
        ----------
        start, stop
            Seconds from the start of the recording, ``0 <= start < stop <= duration_s``. The sample
            at time *t* is inside when ``start <= t < stop``, so neighbouring windows share no
            sample. Without ``stop``: to the end.
        channels
            Names, in the order wanted. Without: the signal channels at ``rate_hz``.
        units
            ``"physical"``: float64 in each channel's ``physical_unit`` (uV for every voltage).
            ``"counts"``: the integers of the file, to the bit (int16 in EDF, int32 in BDF).

        Returns
        -------
        numpy.ndarray
            Shape (time, channel).

        Raises
        ------
        UsageError
            ``unknown-channel``, ``window-outside``, ``mixed-rates`` or ``no-counts``.
        SourceError
            The file is damaged, or was changed or removed since it was opened.
        """
        chosen = self._choose(channels)
        if units not in {"physical", "counts"}:
            msg = f"Cannot read {self.path.name} in units {units!r}: found neither 'physical' nor 'counts'."
            raise UsageError(msg, hint="units='physical' gives uV, units='counts' the integers of the file.")
        if units == "counts" and any(channel.digital_min is None for channel in chosen):
            msg = f"Cannot read counts of {self.path.name}: {self.format} stores physical values only."
            raise UsageError(msg, code="no-counts", hint="Ask for units='physical'.")
        first, last = self._window(start, stop, chosen)
        return self._reader.block(chosen, first, last, units)

    def count(self, channel: Channel) -> int:
        """Samples of one channel in the whole recording."""
        return self._reader.n_samples(channel)

    def stored(self, channels: Sequence[Channel], first: int, last: int, units: Units) -> NDArray[Any]:
        """Samples ``[first, last)`` by index, of channels of one rate.

        Parameters
        ----------
        channels
            Of this recording.
        first, last
            Indices by the sample clock.
        units
            As in ``samples``; nothing is checked here.

        Returns
        -------
        numpy.ndarray
            Shape (time, channel).
        """
        return self._reader.block(channels, first, last, units)

    def time_us(self, sample_index: int, rate_hz: float) -> int | None:
        """Time of a sample in us since the epoch, UTC; None where the start stands for no moment."""
        if self.start.time is None or self.start.trust == "placeholder":
            return None
        times = self._reader.row_columns(sample_index, sample_index + 1, rate_hz)["event_time"]
        return int(times[0])

    def rows(self, *, start: float = 0.0, stop: float | None = None, session: str | None = None) -> pl.DataFrame:
        """Rows of a window in the order of delivery, one per sample (EDF) or packet (OpenBCI).

        Parameters
        ----------
        start, stop
            Seconds, as in ``samples``.
        session
            Value of the column ``session``; without: ``name``.

        Returns
        -------
        polars.DataFrame
            ``session``, ``sample_index`` or ``packet``, ``event_time`` (us, UTC), then one float
            column per channel of the recording's rate, named in lower snake case with its unit:
            ``ch1_uv``, ``fc5_uv``, ``accel_x_g``.
        """
        import polars as pl

        chosen = tuple(channel for channel in self.channels if channel.rate_hz == self.rate_hz)
        first, last = self._window(start, stop, chosen)
        columns = self._reader.row_columns(first, last, self.rate_hz)
        block = self._reader.block(chosen, first, last, "physical")
        named = zip(unique_columns(chosen), block.T, strict=True)
        return pl.DataFrame(
            [
                pl.repeat(session or self.name, last - first, dtype=pl.String, eager=True).alias("session"),
                *(pl.Series(name, values) for name, values in columns.items()),
                *(pl.Series(name, values) for name, values in named),
            ]
        ).with_columns(pl.col("event_time").cast(pl.Datetime("us", "UTC")))

    def plot(
        self,
        *,
        start: float = 0.0,
        duration: float = 10.0,
        channels: Sequence[str] | None = None,
        band_hz: tuple[float, float] | Literal["auto"] | None = "auto",
        theme: Literal["light", "dark"] = "light",
    ) -> Figure:
        """Stacked traces of a window, annotations as marks, with a scale bar.

        Each trace is drawn about its own median; where samples are denser than pixels, the lowest
        and highest of each pixel are drawn, so no spike is lost.

        Parameters
        ----------
        start
            Seconds from the start of the recording.
        duration
            Seconds to show (> 0); cut at the end of the recording.
        channels
            Names, top to bottom. Without: the first sixteen signal channels.
        band_hz
            Frequencies to show, ``(low, high)``; None: the signal as stored. ``"auto"``: as stored
            where the recorder is known to filter (EDF), 1 to 40 Hz where the electrodes are
            DC-coupled (OpenBCI), for drift and mains would hide all else. The picture says which.
        theme
            ``"light"`` or ``"dark"``.

        Returns
        -------
        matplotlib.figure.Figure
            It shows itself in a notebook; pyplot's global state is not touched.
        """
        from neuralake_kernel.source.plot import draw

        if not duration > 0:
            msg = f"Cannot plot {self.path.name}: duration={duration} s, expected more than 0."
            raise UsageError(msg, code="window-outside", hint="Name a duration in seconds, such as duration=4.")
        names = channels or [channel.name for channel in self.main_channels[:DEFAULT_TRACES]]
        band = self.display_band_hz if band_hz == "auto" else band_hz
        stop = min(start + duration, self.duration_s)
        return draw(self, start=start, stop=stop, channels=names, band_hz=band, theme=theme)

    def save_png(
        self,
        path: str | Path,
        *,
        start: float = 0.0,
        duration: float = 10.0,
        channels: Sequence[str] | None = None,
        theme: Literal["light", "dark"] = "light",
    ) -> Path:
        """Write what ``plot`` draws as a PNG file, 1,800 pixels wide; folders are made.

        Returns
        -------
        pathlib.Path
            The file written.
        """
        from pathlib import Path

        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.plot(start=start, duration=duration, channels=channels, theme=theme).savefig(target, format="png", dpi=200)
        return target

    def __repr__(self) -> str:
        """Facts as text; the same for the same file."""
        from neuralake_kernel.source.show import text

        return text(self)

    def _repr_html_(self) -> str:
        from neuralake_kernel.source.show import html

        return html(self)

    def _choose(self, names: Sequence[str] | None) -> tuple[Channel, ...]:
        if names is None:
            return self.main_channels
        if isinstance(names, str) or not names:
            msg = f"Cannot choose channels of {self.path.name}: found {names!r}, expected a list of names."
            raise UsageError(msg, code="unknown-channel", hint='Write channels=["C3"].')
        known = {channel.name: channel for channel in self.channels}
        unknown = [name for name in names if name not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.4) or list(known)[:6]
            asked = ", ".join(map(repr, unknown))
            msg = f"Cannot find channel {asked} in {self.path.name}, which has {len(known)} channels."
            raise UsageError(msg, code="unknown-channel", hint=f"Near names: {', '.join(near)}.")
        chosen = tuple(known[name] for name in names)
        rates = sorted({channel.rate_hz for channel in chosen})
        if len(rates) > 1:
            msg = f"Cannot put channels of different rates into one array: found {rates} Hz in {self.path.name}."
            raise UsageError(msg, code="mixed-rates", hint="Ask for the channels of one rate at a time.")
        return chosen

    def _window(self, start: float, stop: float | None, channels: Sequence[Channel]) -> tuple[int, int]:
        rate_hz, count = channels[0].rate_hz, self._reader.n_samples(channels[0])
        end = count / rate_hz if stop is None else stop
        inside = 0 <= start < end <= (count + 0.5) / rate_hz
        first, last = (sample_at(start, rate_hz), min(sample_at(end, rate_hz), count)) if inside else (0, 0)
        if not inside:
            msg = f"Cannot read {start:g} to {end:g} s of {self.path.name}: it holds 0 to {count / rate_hz:g} s."
            raise UsageError(msg, code="window-outside", hint="Choose 0 <= start < stop <= duration_s.")
        return first, last


def unique_columns(channels: Sequence[Channel]) -> list[str]:
    """Column names of channels; a name met again gets a number."""
    taken: dict[str, int] = {}
    names = []
    for channel in channels:
        name = channel.column
        taken[name] = taken.get(name, 0) + 1
        names.append(name if taken[name] == 1 else f"{name}_{taken[name]}")
    return names

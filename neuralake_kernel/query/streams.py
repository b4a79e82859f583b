"""Channels of a stored recording, chosen by band and by name."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from neuralake_kernel.errors import UsageError
from neuralake_kernel.query.samples import SampleWindow, StoredChannel
from neuralake_kernel.source import Channel, Units, sample_at

__all__ = ["StreamSelection"]

Row = dict[str, Any]

#: Bands that are no signal to look at unless they are named.
_ASIDE: Final = frozenset({"accel", "trig"})


class StreamSelection:
    """Streams of one recording: channels of a kind, over all their segments.

    ``lab.recording(…).streams(…)`` makes it.
    """

    def __init__(
        self,
        recording: str,
        band: str | None,
        streams: Sequence[Row],
        channels: Sequence[Row],
        open_window: Callable[..., SampleWindow],
        extent: Callable[[str, str], tuple[int, int]],
    ) -> None:
        self._recording = recording
        self._open_window = open_window
        self._extent = extent
        self.band = band
        self._streams = {row["stream_id"]: row for row in streams}
        self._stored = _stored_channels(self._streams, channels)

    @cached_property
    def rate_hz(self) -> float:
        """Sampling rate: that of most channels; of the whole recording where no band was chosen."""
        counted = self._stored if self.band is None else self._in_band
        rates = [stored.channel.rate_hz for stored in counted]
        return max(rates, key=lambda rate: (rates.count(rate), rate))

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What ``samples`` gives when no channel is named."""
        return tuple(stored.channel for stored in self._main)

    def samples(
        self,
        *,
        start: float = 0.0,
        stop: float | None = None,
        channels: Sequence[str] | None = None,
        units: Units = "physical",
    ) -> SampleWindow:
        """Choose a window. Nothing of it is read yet.

        Parameters
        ----------
        start, stop
            Seconds from the start of the recording, ``0 <= start < stop``; the sample at time *t* is inside when
            ``start <= t < stop``. Without ``stop``: to the end.
        channels
            Names, in the order wanted, of any band. Without: `channels`.
        units
            ``"physical"``: float64 in each channel's ``physical_unit``; a sample that was never delivered is NaN.
            ``"counts"``: as stored, to the bit.

        Returns
        -------
        SampleWindow
            ``to_numpy()`` reads it; so does ``numpy.asarray``.

        Raises
        ------
        UsageError
            ``unknown-channel``, ``window-outside``, ``mixed-rates`` or ``no-counts``.
        """
        chosen = self._main if channels is None else self._named(channels)
        if units not in {"physical", "counts"}:
            msg = f"Cannot read {self._recording!r} in units {units!r}: found neither 'physical' nor 'counts'."
            raise UsageError(msg, hint="units='physical' gives uV, units='counts' what is stored.")
        if units == "counts" and (len({s.dtype for s in chosen}) > 1 or chosen[0].dtype.startswith("float")):
            msg = f"Cannot read counts of {self._recording!r}: it stores physical values, or several types."
            raise UsageError(msg, code="no-counts", hint="Ask for units='physical', or for channels of one band.")
        first, last, origin = self._window(start, stop, chosen)
        return self._open_window(
            chosen,
            table=self._streams[next(iter(chosen[0].places))]["blocks_table"],
            first=first,
            last=last,
            start_s=(first - origin) / chosen[0].channel.rate_hz,
            units=units,
        )

    def __repr__(self) -> str:
        """Band, rate and channels."""
        names = [channel.name for channel in self.channels]
        shown = ", ".join(names if len(names) <= 10 else [*names[:8], "…", names[-1]])
        return f"{self._recording} {self.band or 'signal'}: {len(names)} channels at {self.rate_hz:g} Hz: {shown}"

    @cached_property
    def _in_band(self) -> tuple[StoredChannel, ...]:
        return tuple(stored for stored in self._stored if self._is_in_band(stored)) or self._stored

    @cached_property
    def _main(self) -> tuple[StoredChannel, ...]:
        return tuple(stored for stored in self._in_band if stored.channel.rate_hz == self.rate_hz)

    def _is_in_band(self, stored: StoredChannel) -> bool:
        band = self._streams[next(iter(stored.places))]["band"]
        return band == self.band if self.band is not None else band not in _ASIDE

    def _named(self, names: Sequence[str]) -> tuple[StoredChannel, ...]:
        known = {stored.channel.name: stored for stored in self._stored}
        if isinstance(names, str) or not names:
            msg = f"Cannot choose channels of {self._recording!r}: found {names!r}, expected a list of names."
            raise UsageError(msg, code="unknown-channel", hint='Write channels=["C3"].')
        unknown = [name for name in names if name not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.4) or list(known)[:6]
            asked = ", ".join(map(repr, unknown))
            msg = f"Cannot find channel {asked} in {self._recording!r}, which has {len(known)} channels."
            raise UsageError(msg, code="unknown-channel", hint=f"Near names: {', '.join(near)}.")
        chosen = tuple(known[name] for name in names)
        rates = sorted({stored.channel.rate_hz for stored in chosen})
        if len(rates) > 1:
            msg = f"Cannot put channels of different rates into one array: found {rates} Hz."
            raise UsageError(msg, code="mixed-rates", hint="Ask for the channels of one rate at a time.")
        return chosen

    def _window(self, start: float, stop: float | None, chosen: tuple[StoredChannel, ...]) -> tuple[int, int, int]:
        rate_hz = chosen[0].channel.rate_hz
        segments = [self._streams[stream] for stream in chosen[0].places]
        # A stream that is live has no end yet: its blocks tell how far it has come.
        extents = [
            (row["sample_start"], row["sample_stop"])
            if row["sample_stop"] is not None
            else self._extent(row["blocks_table"], row["stream_id"])
            for row in segments
        ]
        origin = min(first for first, _ in extents)
        count = max(last for _, last in extents) - origin
        end = count / rate_hz if stop is None else stop
        if not 0 <= start < end <= (count + 0.5) / rate_hz:
            held = f"it holds 0 to {count / rate_hz:g} s"
            msg = f"Cannot read {start:g} to {end:g} s of {self._recording!r}: {held}."
            raise UsageError(msg, code="window-outside", hint="Choose 0 <= start < stop <= duration_s.")
        return origin + sample_at(start, rate_hz), origin + min(sample_at(end, rate_hz), count), origin


def _stored_channels(streams: Mapping[str, Row], channels: Sequence[Row]) -> tuple[StoredChannel, ...]:
    """Join the channels of all segments: one of a recording's channels is one, however often it was cut."""
    found: dict[tuple[int, str], StoredChannel] = {}
    for row in sorted(channels, key=lambda row: (row["source_index"], row["stream_id"])):
        stream = streams[row["stream_id"]]
        key = (row["source_index"], row["name"])
        places = dict(found[key].places) if key in found else {}
        channel = Channel(
            index=row["source_index"],
            name=row["name"],
            type=row["type"],
            physical_unit=row["physical_unit"],
            rate_hz=stream["rate_hz"],
            gain_to_unit=row["gain_to_unit"],
            offset_to_unit=row["offset_to_unit"],
            digital_min=row["digital_min"],
            digital_max=row["digital_max"],
        )
        found[key] = StoredChannel(channel, stream["dtype"], places | {row["stream_id"]: row["channel"]})
    return tuple(found.values())

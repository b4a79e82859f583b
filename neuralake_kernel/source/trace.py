"""What a drawn trace is made of: samples thinned to pixels, and a scale that fits.

Shared by the figure and the picture inside a cell's output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralake_kernel.errors import UsageError
from neuralake_kernel.source.signal import sample_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralake_kernel.source.recording import Recording
    from neuralake_kernel.source.signal import Annotation, Channel

__all__ = ["Traces", "band_pass", "envelope", "nice", "shown_unit", "traces"]


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces of one window, ready to be drawn.

    ``times_s`` has shape (point,), ``values`` (point, channel); values are about each channel's
    median, in steps of ``step`` physical units, so that neighbouring baselines lie 1 apart.
    """

    channels: tuple[Channel, ...]
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    step: float
    unit: str
    start_s: float
    stop_s: float
    samples: int
    annotations: tuple[Annotation, ...]
    band_hz: tuple[float, float] | None

    @property
    def scale(self) -> str:
        """Length of one step, as people write it."""
        if self.unit == "µV" and self.step >= 1000:
            return f"{self.step / 1000:g} mV"
        return f"{self.step:g} {self.unit}"

    @property
    def caption(self) -> str:
        """What is drawn, in one line."""
        parts = [f"{self.start_s:g} to {self.stop_s:g} s", f"{self.channels[0].rate_hz:g} Hz"]
        parts.append(
            "each about its median"
            if self.band_hz is None
            else f"shown through {self.band_hz[0]:g} to {self.band_hz[1]:g} Hz"
        )
        if self.is_thinned:
            parts.append(f"{self.samples:,} samples as min/max")
        return " · ".join(parts)

    @property
    def is_thinned(self) -> bool:
        """True when lowest and highest of a pixel stand for its samples."""
        return len(self.times_s) < self.samples


def traces(
    recording: Recording,
    *,
    start: float,
    stop: float,
    channels: Sequence[str],
    pixels: int,
    band_hz: tuple[float, float] | None,
) -> Traces:
    """Read a window and prepare it for a width in pixels.

    Parameters
    ----------
    recording
        Where to read.
    start, stop
        Seconds.
    channels
        Names, top to bottom.
    pixels
        Width of the drawing (> 0).
    band_hz
        Frequencies to show, ``0 < low < high``; None: as stored.

    Returns
    -------
    Traces
        At most two points a pixel.
    """
    if band_hz is None:
        samples = recording.samples(start=start, stop=stop, channels=channels).astype(np.float64)
    else:
        samples = _banded(recording, start, stop, channels, band_hz)
    by_name = {channel.name: channel for channel in recording.channels}
    chosen = tuple(by_name[name] for name in channels)
    centred = samples - np.median(samples, axis=0)
    step = nice(float(np.median(np.percentile(centred, 99.5, axis=0) - np.percentile(centred, 0.5, axis=0))) * 0.7)
    rate_hz = chosen[0].rate_hz
    first = sample_at(start, rate_hz)
    places, thinned = envelope(centred, pixels)
    units = {shown_unit(channel.physical_unit) for channel in chosen}
    return Traces(
        channels=chosen,
        times_s=(first + places) / rate_hz,
        values=thinned / step,
        step=step,
        unit=units.pop() if len(units) == 1 else "mixed units",
        start_s=start,
        stop_s=stop,
        samples=len(samples),
        annotations=tuple(mark for mark in recording.annotations if start <= mark.start_s < stop),
        band_hz=band_hz,
    )


def _banded(
    recording: Recording,
    start: float,
    stop: float,
    channels: Sequence[str],
    band_hz: tuple[float, float],
) -> NDArray[np.float64]:
    """Samples of a window through a band, read with a margin so that the window's edges do not ring."""
    low_hz, high_hz = band_hz
    if not 0 < low_hz < high_hz:
        msg = f"Cannot show a band of {low_hz:g} to {high_hz:g} Hz: expected 0 < low < high."
        raise UsageError(msg, hint="Write band_hz=(1, 40), or band_hz=None for the signal as stored.")
    wanted = recording.samples(start=start, stop=stop, channels=channels)
    margin_s = 2 / low_hz
    early = max(start - margin_s, 0.0)
    rate_hz = next(channel.rate_hz for channel in recording.channels if channel.name == channels[0])
    wide = recording.samples(start=early, stop=min(stop + margin_s, recording.duration_s), channels=channels)
    skip = sample_at(start, rate_hz) - sample_at(early, rate_hz)
    return band_pass(wide, rate_hz=rate_hz, low_hz=low_hz, high_hz=high_hz)[skip : skip + len(wanted)]


def band_pass(samples: NDArray[Any], *, rate_hz: float, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Keep the frequencies of a band, without delay; for the eye, not for analysis.

    Parameters
    ----------
    samples
        Shape (time, channel).
    rate_hz
        Sampling rate (> 0).
    low_hz, high_hz
        Edges of the band, ``0 < low_hz < high_hz``; the edges are rounded over a fifth of their
        frequency.

    Returns
    -------
    numpy.ndarray
        Shape (time, channel), in the unit of the samples.
    """
    count = len(samples)
    # Mirrored in time, the transform's wrap-around joins each end to itself: no step, so no ringing
    # at the ends.
    mirrored = np.concatenate([samples, samples[::-1]]) - samples.mean(axis=0)
    spectrum = np.fft.rfft(mirrored, axis=0)
    frequencies_hz = np.fft.rfftfreq(len(mirrored), 1 / rate_hz)
    gain = _edge(frequencies_hz, low_hz) * (1 - _edge(frequencies_hz, high_hz))
    return np.fft.irfft(spectrum * gain[:, None], n=len(mirrored), axis=0)[:count]


def _edge(frequencies_hz: NDArray[Any], at_hz: float) -> NDArray[Any]:
    """Gain rising from 0 to 1 around a frequency, as half a cosine."""
    place = np.clip((frequencies_hz - 0.8 * at_hz) / (0.4 * at_hz), 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(np.pi * place)


def envelope(samples: NDArray[np.float64], pixels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thin samples to the lowest and the highest of each pixel.

    Parameters
    ----------
    samples
        Shape (time, channel).
    pixels
        Columns of the drawing (> 0).

    Returns
    -------
    tuple of numpy.ndarray
        Places of the points in samples, shape (point,), and their values, shape (point, channel).
        With no more than two samples a pixel they are the samples themselves.
    """
    count = len(samples)
    if count <= 2 * pixels:
        return np.arange(count, dtype=np.float64), samples
    edges = np.linspace(0, count, pixels + 1).astype(np.int64)[:-1]
    low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    values = np.empty((2 * pixels, samples.shape[1]))
    values[::2], values[1::2] = low, high
    width = count / pixels
    return np.repeat(edges.astype(np.float64), 2) + np.tile([0.0, width / 2], pixels), values


def nice(value: float) -> float:
    """Smallest of 1, 2, 3, 5 times a power of ten that is at least ``value``; 1 where it is not positive."""
    if not (value > 0 and math.isfinite(value)):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 3, 5, 10) if factor * power >= value * (1 - 1e-9))


def shown_unit(unit: str) -> str:
    """A unit as people write it."""
    return unit.replace("u", "µ", 1) if unit in {"uV", "us", "um"} else unit

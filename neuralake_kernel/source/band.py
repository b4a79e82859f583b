"""A recording as its bands: channels of one kind and rate, cut where samples are missing.

This is how a recording is stored: each band of each gap-free segment is one stream. Samples keep the
index of the recording's own sample clock, which counts delivered samples, so that the same window gives
the same samples from the file and from the lake.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from neuralake_kernel.source.recording import Recording
    from neuralake_kernel.source.signal import Channel, Units

__all__ = ["Band", "Segment", "bands", "pieces"]


@dataclass(frozen=True, slots=True)
class Segment:
    """Samples ``[first, last)`` of a band, with none missing between; ``start_us`` is the time of the first."""

    number: int
    first: int
    last: int
    start_us: int | None


@dataclass(frozen=True, slots=True)
class Band:
    """Channels that are stored together.

    ``units`` says what is stored: the counts of the file, or its physical values where it has no
    counts.
    """

    name: str
    rate_hz: float
    dtype: np.dtype[Any]
    units: Units
    channels: tuple[Channel, ...]
    segments: tuple[Segment, ...]


def bands(recording: Recording) -> tuple[Band, ...]:
    """Sort the channels of a recording into bands, in the order of the file.

    Parameters
    ----------
    recording
        Its first samples are read, to see their type.

    Returns
    -------
    tuple of Band
        Each channel stands in one of them.
    """
    groups: dict[tuple[str, float, bool], list[Channel]] = {}
    for channel in recording.channels:
        has_counts = channel.digital_min is not None
        groups.setdefault((channel.type.lower(), channel.rate_hz, has_counts), []).append(channel)
    return tuple(
        _band(recording, name, rate_hz, "counts" if has_counts else "physical", tuple(channels))
        for (name, rate_hz, has_counts), channels in groups.items()
    )


def pieces(recording: Recording, band: Band, segment: Segment, *, most: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give the samples of a segment, ``most`` moments at a time.

    Parameters
    ----------
    recording
        Whose they are.
    band, segment
        Which of them.
    most
        Moments of a piece (> 0).

    Yields
    ------
    tuple
        Index of the first moment, and samples of shape (time, channel), in the order of memory.
    """
    for first in range(segment.first, segment.last, most):
        last = min(first + most, segment.last)
        yield first, recording.stored(band.channels, first, last, band.units)


def _band(recording: Recording, name: str, rate_hz: float, units: Units, channels: tuple[Channel, ...]) -> Band:
    count = recording.count(channels[0])
    cuts = sorted({gap.sample_index for gap in recording.gaps} & set(range(1, count))) if recording.gaps else []
    edges = [0, *cuts, count]
    segments = tuple(
        Segment(number, first, last, recording.time_us(first, rate_hz))
        for number, (first, last) in enumerate(pairwise(edges))
        if first < last
    )
    dtype = recording.stored(channels[:1], 0, min(1, count), units).dtype
    return Band(name, rate_hz, dtype, units, channels, segments)

"""The values a recording is described by; all frozen, none holds samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "Annotation",
    "Arrival",
    "Channel",
    "Gap",
    "Quality",
    "StartTime",
    "Trust",
    "Units",
    "sample_at",
]

Trust = Literal["host-clock", "header", "placeholder"]
Units = Literal["physical", "counts"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a recording.

    ``physical value = gain_to_unit * count + offset_to_unit``, in ``physical_unit``; voltages are
    always in uV. A file that stores physical values has no counts: ``digital_min`` and
    ``digital_max`` are None there.
    """

    index: int
    name: str
    type: str
    physical_unit: str
    rate_hz: float
    gain_to_unit: float = 1.0
    offset_to_unit: float = 0.0
    digital_min: int | None = None
    digital_max: int | None = None
    limits: tuple[float, float] | None = None

    @property
    def column(self) -> str:
        """Name of the channel's column in a row table: lower snake case with its unit."""
        words = "".join(letter if letter.isalnum() and letter.isascii() else " " for letter in self.name.lower())
        unit = "".join(letter for letter in self.physical_unit.lower() if letter.isalnum() and letter.isascii())
        return "_".join([*words.split(), *([unit] if unit else [])])


@dataclass(frozen=True, slots=True)
class StartTime:
    """When a recording began, and how far that can be believed.

    ``host-clock``: stamped by the computer that received the samples. ``header``: written by the
    recorder, without a time zone, taken as UTC. ``placeholder``: the stamp stands for no moment at
    all.
    """

    time: datetime | None
    trust: Trust
    note: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """A label at ``start_s`` from the start of the recording, lasting ``duration_s`` (0: a point)."""

    start_s: float
    duration_s: float
    label: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that were never delivered, between ``sample_index - 1`` and ``sample_index``."""

    sample_index: int
    missing_packets: int
    silence_s: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """How samples reached the host: bursts share one time stamp."""

    measured_rate_hz: float
    bursts: int
    largest_burst_packets: int
    longest_silence_s: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What stands out in the samples from 0 to ``judged_s`` seconds.

    ``flat``: names of the channels that held one value for at least a second. ``clipped``: names of
    the channels that stayed at the limit of their range for at least three samples.
    ``missing_packets``: by the device's own counter over the whole recording; None where there is
    no counter.
    """

    flat: tuple[str, ...]
    clipped: tuple[str, ...]
    missing_packets: int | None
    judged_s: float


def sample_at(time_s: float, rate_hz: float) -> int:
    """First sample at or after a time; a millionth of a sample absorbs the rounding of ``time * rate``."""
    return math.ceil(time_s * rate_hz - 1e-6)

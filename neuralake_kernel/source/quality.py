"""Judge the samples of a recording: flat and clipped channels, missing packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuralake_kernel.source.signal import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralake_kernel.source.recording import Recording
    from neuralake_kernel.source.signal import Channel

__all__ = ["judge", "longest_run"]

FLAT_S = 1.0
CLIPPED_SAMPLES = 3
# 16 M values are 128 MB as float64: what may be held at once to show a recording.
JUDGED_VALUES = 1 << 24


def judge(recording: Recording) -> Quality:
    """Judge the signal channels of a recording.

    Parameters
    ----------
    recording
        Read from its start, at most 16 M samples of all channels together.

    Returns
    -------
    Quality
        ``judged_s`` says how many seconds were read.
    """
    channels = recording.main_channels
    count = min(recording.n_samples, max(JUDGED_VALUES // len(channels), 1))
    judged_s = count / recording.rate_hz
    samples = recording.samples(stop=judged_s)
    flat_samples = max(round(FLAT_S * recording.rate_hz), 2)
    has_counter = recording.arrival is not None
    return Quality(
        flat=_names(channels, [longest_run(_still(trace)) + 1 >= flat_samples for trace in samples.T]),
        clipped=_names(
            channels,
            [_is_clipped(trace, channel) for trace, channel in zip(samples.T, channels, strict=True)],
        ),
        missing_packets=sum(gap.missing_packets for gap in recording.gaps) if has_counter else None,
        judged_s=judged_s,
    )


def longest_run(claims: NDArray[np.bool_]) -> int:
    """Length of the longest run of true values; 0 where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], claims, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _still(trace: NDArray[Any]) -> NDArray[np.bool_]:
    still: NDArray[np.bool_] = trace[1:] == trace[:-1]
    return still


def _is_clipped(trace: NDArray[Any], channel: Channel) -> bool:
    if channel.limits is not None:
        low, high = channel.limits
    elif channel.digital_min is not None and channel.digital_max is not None:
        ends = (channel.digital_min, channel.digital_max)
        low, high = sorted(channel.gain_to_unit * end + channel.offset_to_unit for end in ends)
    else:
        return False
    # Half a step of the converter, or of a logged value, lies between "at the limit" and "just
    # below it".
    slack = abs(channel.gain_to_unit) / 2 if channel.limits is None else 0.05
    return longest_run((trace <= low + slack) | (trace >= high - slack)) >= CLIPPED_SAMPLES


def _names(channels: Sequence[Channel], claims: Sequence[bool]) -> tuple[str, ...]:
    return tuple(channel.name for channel, claim in zip(channels, claims, strict=True) if claim)

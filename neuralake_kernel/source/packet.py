"""Samples to packets, as devices send them: a header of 64 bytes, then the samples. The reference draws the header.

The same samples give the same bytes. What cannot be said in a header is refused before anything is made.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from neuralake_kernel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["PacketStream", "encode_packets"]

#: Magic, version, dtype, layout, flags, stream, first sample, rate, channels, reserved, moments, gain, device time.
HEADER: Final = struct.Struct("<4sBBBB16sQdHHIdq")
MAGIC: Final = b"NLSP"
VERSION: Final = 1
DTYPES: Final = {"int16": 1, "int32": 2, "float32": 3}
LAYOUTS: Final = {"time": 0, "channel": 1}
HAS_DEVICE_TIME: Final = 1
MOST_CHANNELS: Final = 65_535

Layout = Literal["time", "channel"]


@dataclass(frozen=True, slots=True)
class PacketStream:
    """What every packet of one stream says alike.

    ``gain_to_uv`` is the microvolts of one count. ``layout`` is ``"time"`` (all channels of a moment together) or
    ``"channel"``.
    """

    id: uuid.UUID
    rate_hz: float
    gain_to_uv: float = 1.0
    layout: Layout = "time"


def encode_packets(
    stream: PacketStream,
    samples: NDArray[Any],
    *,
    first: int = 0,
    moments: int,
    device_time_us: int | None = None,
) -> Iterator[bytes]:
    """Encode samples as packets.

    Parameters
    ----------
    stream
        Whose samples they are.
    samples
        Shape (time, channel); int16, int32 or float32.
    first
        Index of the first sample (≥ 0).
    moments
        Samples of each channel in a packet (> 0); the last packet may have fewer.
    device_time_us
        Time of the first sample by the device, us since the epoch, UTC; later packets count on by the rate.

    Yields
    ------
    bytes
        One packet.

    Raises
    ------
    UsageError
        ``packet-samples``: another shape or type, or a number that cannot be.
    """
    import numpy as np

    if samples.ndim != 2 or samples.dtype.name not in DTYPES or not 1 <= samples.shape[1] <= MOST_CHANNELS:
        raise _refused(f"found {samples.dtype} of shape {samples.shape}")
    if moments < 1 or first < 0 or not stream.rate_hz > 0 or stream.gain_to_uv == 0:
        raise _refused(f"found moments={moments}, first={first}, rate_hz={stream.rate_hz}, gain={stream.gain_to_uv}")
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    for at in range(0, len(samples), moments):
        part = little[at : at + moments]
        time_us = None if device_time_us is None else device_time_us + round(at * 1e6 / stream.rate_hz)
        header = HEADER.pack(
            MAGIC,
            VERSION,
            DTYPES[samples.dtype.name],
            LAYOUTS[stream.layout],
            0 if time_us is None else HAS_DEVICE_TIME,
            stream.id.bytes,
            first + at,
            stream.rate_hz,
            samples.shape[1],
            0,
            len(part),
            stream.gain_to_uv,
            time_us or 0,
        )
        yield header + np.ascontiguousarray(part if stream.layout == "time" else part.T).tobytes()


def _refused(found: str) -> UsageError:
    return UsageError(
        f"Cannot encode sample packets: {found}.",
        code="packet-samples",
        hint="give int16, int32 or float32 of shape (time, channel), a rate and packet length above 0.",
    )

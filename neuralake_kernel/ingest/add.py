"""A recording straight into the lake: staged in bounded memory, published by one last commit.

Guarantees: readers see the whole recording or nothing of it; the same content is published once, however often
and by however many it is added; what an ``add`` that failed or was killed left behind is never shown. On failure
nothing is published and the same call may be made again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from neuralake_kernel.errors import SourceError
from neuralake_kernel.ingest.probe import Probed, native_store
from neuralake_kernel.ingest.recording_rows import NewRecording, NewStream, batches
from neuralake_kernel.source import Recording, bands, pieces

if TYPE_CHECKING:
    from neuralake_kernel._bridge import Publication

__all__ = ["AddReport", "add_recording"]

#: A block has about a second, but not fewer samples than a point of its envelope stands for.
_BLOCK_S: Final = 1.0
_LEAST_BLOCK: Final = 64
_TILE_BLOCKS: Final = 10
#: A tile is held as a whole while it is cut, and a piece is as many tiles as fit.
_TILE_BYTES: Final = 32 << 20
_PIECE_BYTES: Final = 16 << 20
_HASH_BYTES: Final = 1 << 20
#: How long a commit may stay in doubt.
_DEADLINE_S: Final = 60


@dataclass(frozen=True, slots=True)
class AddReport:
    """How far an ``add`` has come: samples of all channels together."""

    name: str
    samples: int
    samples_total: int


def add_recording(
    store: Probed,
    recording: Recording,
    *,
    origin: str | None = None,
    licence: str | None = None,
    progress: Callable[[AddReport], None] | None = None,
    faults: Path | None = None,
) -> str:
    """Write a recording into the signal tables and publish it.

    Parameters
    ----------
    store
        Where the lake is.
    recording
        What to add.
    origin, licence
        Where it came from and what may be done with it.
    progress
        Called after each piece, from this thread.
    faults
        Plan of deaths for fault tests.

    Returns
    -------
    str
        Hash of its content (SHA-256 of the file), under which it is published now.

    Raises
    ------
    SourceError
        The file cannot be read, or ``recording-changed``: it changed meanwhile.
    CommitError
        A table cannot be written. Nothing is published.
    StackError
        The store does not answer. Nothing is published.
    """
    from neuralake_kernel import _bridge

    before = _stamp(recording.path)
    content_hash = _hash(recording.path)
    publication = _bridge.Publication(json.dumps(native_store(store)), faults)
    if publication.is_published(content_hash):
        return content_hash
    streams = tuple(
        NewStream(publication.new_id(), band, segment) for band in bands(recording) for segment in band.segments
    )
    total = sum((s.segment.last - s.segment.first) * len(s.band.channels) for s in streams)
    done = 0
    for stream in streams:
        for samples in _push(publication, recording, stream):
            done += samples
            if progress is not None:
                progress(AddReport(recording.name, done, total))
    if _stamp(recording.path) != before:
        raise SourceError(
            f"Cannot add {recording.path}: it changed while it was read.",
            code="recording-changed",
            hint="Wait until its program has closed it, then read and add it again.",
            retryable=True,
        )
    added = NewRecording(publication.new_id(), content_hash, recording, streams, origin, licence)
    publication.publish(content_hash, batches(added), _DEADLINE_S)
    return content_hash


def _push(publication: "Publication", recording: Recording, stream: NewStream) -> Iterator[int]:
    """Push a stream piece by piece; gives how many samples each had."""
    import numpy as np
    import pyarrow as pa

    band, segment = stream.band, stream.segment
    moment_bytes = band.dtype.itemsize * len(band.channels)
    block = max(_LEAST_BLOCK, round(_BLOCK_S * band.rate_hz))
    tile = block * min(_TILE_BLOCKS, max(1, _TILE_BYTES // (block * moment_bytes)))
    most = tile * max(1, _PIECE_BYTES // (tile * moment_bytes))
    for first, samples in pieces(recording, band, segment, most=most):
        elapsed_us = round((first - segment.first) * 1e6 / band.rate_hz)
        publication.push(
            pa.array(np.ascontiguousarray(samples).reshape(-1)),
            stream_id=stream.id,
            channels=len(band.channels),
            rate_hz=band.rate_hz,
            sample_start=first,
            start_us=None if segment.start_us is None else segment.start_us + elapsed_us,
            block_samples=block,
            tile_samples=tile,
        )
        yield samples.size


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_HASH_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns

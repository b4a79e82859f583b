"""A window of samples out of the lake: ``(time, channel)``, read when it is asked for.

Guarantees: what was stored, to the bit; each sample once, the first delivered where it was delivered
again; a sample that was never delivered is NaN in physical units and an error in counts, never a number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from neuralake_kernel.errors import UsageError
from neuralake_kernel.query.sample_files import SAMPLE_COLUMNS, Group, SampleFiles, Wanted
from neuralake_kernel.source import Channel, Units

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from deltalake import DeltaTable
    from numpy.typing import NDArray

__all__ = ["ReadPlan", "SampleWindow", "StoredChannel"]


@dataclass(frozen=True, slots=True)
class StoredChannel:
    """A channel as it is stored: in one stream per gap-free segment, under its number there."""

    channel: Channel
    dtype: str
    places: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What a window costs to read: row groups, and bytes of their columns as they are stored."""

    files: int
    row_groups: int
    bytes: int


class SampleWindow:
    """Samples of a window; nothing is read before `to_numpy`, which ``numpy.asarray`` calls too.

    ``lab.recording(…).samples(…)`` makes it.
    """

    def __init__(  # noqa: PLR0913 - made in one place, by name
        self,
        *,
        table: "DeltaTable",
        files: SampleFiles,
        channels: tuple[StoredChannel, ...],
        first: int,
        last: int,
        start_s: float,
        units: Units,
    ) -> None:
        self._table = table
        self._files = files
        self._channels = channels
        self._first = first
        self._last = last
        self._start_s = start_s
        self.units = units

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels, in the order of the columns."""
        return tuple(stored.channel for stored in self._channels)

    @property
    def rate_hz(self) -> float:
        """Sampling rate."""
        return self._channels[0].channel.rate_hz

    @property
    def shape(self) -> tuple[int, int]:
        """Moments and channels."""
        return self._last - self._first, len(self._channels)

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Type of the values: float64 in physical units, as stored in counts."""
        import numpy as np

        return np.dtype(np.float64 if self.units == "physical" else self._channels[0].dtype)

    @property
    def times_s(self) -> "NDArray[np.float64]":
        """Seconds from the start of the recording, by the sample clock; shape (time,)."""
        import numpy as np

        moments: NDArray[np.float64] = self._start_s + np.arange(self.shape[0]) / self.rate_hz
        return moments

    @cached_property
    def plan(self) -> ReadPlan:
        """What reading it costs, by the log and the footers."""
        groups = self._groups
        return ReadPlan(len({group.path for group in groups}), len(groups), sum(group.bytes for group in groups))

    def to_numpy(self) -> "NDArray[Any]":
        """Read it.

        Returns
        -------
        numpy.ndarray
            Shape (time, channel). In physical units a sample that was never delivered is NaN.

        Raises
        ------
        UsageError
            ``gap-in-window``: counts were asked for, and some were never delivered.
        """
        import numpy as np

        values = np.zeros(self.shape, dtype=np.float64 if self.units == "physical" else self.dtype)
        is_held = np.zeros(self.shape, dtype=bool)
        columns = {
            (stream, number): column
            for column, stored in enumerate(self._channels)
            for stream, number in stored.places.items()
        }
        blocks = [
            block
            for table in self._files.read(self._table, self._groups, self._dtypes)
            for block in self._blocks(table, columns)
        ]
        # A signalling NaN is a sample like any other; widening it is no fault of the reader's.
        with np.errstate(invalid="ignore"):
            # Of two blocks that overlap the first delivered stays.
            for block in sorted(blocks, key=lambda block: block.offset):
                here = slice(block.first - self._first, block.first - self._first + len(block.samples))
                is_new = ~is_held[here, block.column]
                scaled = self._scaled(block.samples, self._channels[block.column])
                values[here, block.column][is_new] = scaled[is_new]
                is_held[here, block.column] = True
        for column, twin in self._twins:
            values[:, column], is_held[:, column] = values[:, twin], is_held[:, twin]
        if self.units == "physical":
            values[~is_held] = np.nan
        elif not is_held.all():
            missing = int((~is_held).sum())
            raise UsageError(
                f"Cannot give counts of this window: {missing:,} of {is_held.size:,} samples were never delivered.",
                code="gap-in-window",
                hint='units="physical" gives NaN there; .intervals() of the recording lists known gaps.',
                context={"missing": missing},
            )
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "NDArray[Any]":  # noqa: ANN401
        """Read it, as numpy asks for it."""
        import numpy as np

        if copy is False:
            raise ValueError("samples are read into a new array")
        return np.asarray(self.to_numpy(), dtype=dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        """What is asked for; nothing is read for it."""
        names = [channel.name for channel in self.channels]
        shown = ", ".join(names if len(names) <= 6 else [*names[:4], "…", names[-1]])
        stop_s = self._start_s + self.shape[0] / self.rate_hz
        return (
            f"SampleWindow({self.shape[0]:,} x {self.shape[1]} at {self.rate_hz:g} Hz, "
            f"{self._start_s:g} to {stop_s:g} s, {self.units}: {shown})"
        )

    @cached_property
    def _dtypes(self) -> tuple[str, ...]:
        return tuple(sorted({stored.dtype for stored in self._channels}))

    @cached_property
    def _twins(self) -> list[tuple[int, int]]:
        """Columns asked for again, with the column of the same channel that is filled."""
        filled = {tuple(sorted(stored.places.items())): column for column, stored in enumerate(self._channels)}
        places = [filled[tuple(sorted(stored.places.items()))] for stored in self._channels]
        return [(column, place) for column, place in enumerate(places) if column != place]

    @cached_property
    def _groups(self) -> list[Group]:
        wanted: dict[str, set[int]] = {}
        for stored in self._channels:
            for stream, number in stored.places.items():
                wanted.setdefault(stream, set()).add(number)
        channels = {stream: frozenset(numbers) for stream, numbers in wanted.items()}
        return self._files.groups(self._table, Wanted(channels, self._first, self._last), self._dtypes)

    def _blocks(self, table: "pa.Table", columns: Mapping[tuple[str, int], int]) -> Iterator["_Block"]:
        """Give the parts of a batch's blocks that lie in the window."""
        import numpy as np

        starts = table.column("sample_start").to_numpy()
        stops = table.column("sample_stop").to_numpy()
        offsets = table.column("_offset_first").fill_null(-1).to_numpy()
        lists = {dtype: _Lists(table.column(SAMPLE_COLUMNS[dtype])) for dtype in self._dtypes}
        inside = np.flatnonzero((starts < self._last) & (stops > self._first))
        streams = table.column("stream_id").take(inside).to_pylist()
        numbers = table.column("channel").take(inside).to_pylist()
        for row, place in zip(inside.tolist(), zip(streams, numbers, strict=True), strict=True):
            column = columns.get(place)
            if column is None:
                continue
            start = int(starts[row])
            first, last = max(start, self._first), min(int(stops[row]), self._last)
            samples = lists[self._channels[column].dtype].slice(row, first - start, last - start)
            yield _Block(int(offsets[row]), column, first, samples)

    def _scaled(self, samples: "NDArray[Any]", stored: StoredChannel) -> "NDArray[Any]":
        channel = stored.channel
        if self.units == "counts" or (channel.gain_to_unit == 1 and channel.offset_to_unit == 0):
            return samples
        physical: NDArray[Any] = samples * channel.gain_to_unit + channel.offset_to_unit
        return physical


class _Block(NamedTuple):
    """A part of one block: the message it came with, its column, the index of its first sample."""

    offset: int
    column: int
    first: int
    samples: "NDArray[Any]"


class _Lists:
    """The values of a list column by row, without a copy."""

    def __init__(self, column: "pa.ChunkedArray") -> None:
        import pyarrow as pa

        whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if isinstance(whole, pa.ChunkedArray):
            whole = pa.concat_arrays(whole.chunks)
        self._ends = whole.offsets.to_numpy()
        self._values = whole.values.to_numpy(zero_copy_only=True)

    def slice(self, row: int, first: int, last: int) -> "NDArray[Any]":
        begin = int(self._ends[row])
        found: NDArray[Any] = self._values[begin + first : begin + last]
        return found

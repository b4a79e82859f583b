"""Which row groups of ``signals`` hold a window, and what is read of them.

Files are chosen by the Delta log, row groups by the footers of the chosen files; only then samples are
read, of the wanted types alone. Footers are kept: a data file never changes.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from deltalake import DeltaTable
    from numpy.typing import NDArray

__all__ = ["SAMPLE_COLUMNS", "Group", "SampleFiles", "Wanted"]

#: Column of ``signals`` by type of the samples.
SAMPLE_COLUMNS: Final = {
    "int16": "samples",
    "int32": "samples_i32",
    "float32": "samples_f32",
    "float64": "samples_f64",
}
_PLACE: Final = ("stream_id", "channel", "sample_start", "sample_stop")
_ORDER: Final = "_offset_first"
_FOOTERS_HELD: Final = 512


@dataclass(frozen=True, slots=True)
class Wanted:
    """Channels of some streams, and the window of sample indices ``[first, last)`` wanted of them."""

    channels: Mapping[str, frozenset[int]]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Group:
    """One row group to read: its file, its number there, and bytes of its columns as they are stored."""

    path: str
    number: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Footer:
    """Statistics of the row groups of one file, each of shape (row group,)."""

    metadata: Any
    stream_min: "NDArray[np.str_]"
    stream_max: "NDArray[np.str_]"
    ranges: "NDArray[np.int64]"
    columns: Mapping[str, "NDArray[np.int64]"]


class SampleFiles:
    """Reads blocks out of the files of ``signals``; keeps their footers. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._footers: OrderedDict[str, _Footer] = OrderedDict()

    def groups(self, table: "DeltaTable", wanted: Wanted, dtypes: Iterable[str]) -> list[Group]:
        """Choose the row groups that may hold a part of the window.

        Parameters
        ----------
        table
            ``signals``, opened.
        wanted
            What is asked for.
        dtypes
            Types of its samples.

        Returns
        -------
        list of Group
            In the order of the files.
        """
        files = _filesystem(table)
        columns = [*_PLACE, _ORDER, *(SAMPLE_COLUMNS[dtype] for dtype in dtypes)]
        chosen = []
        for path in _files(table, wanted):
            footer = self._footer(files, table.table_uri, path)
            chosen += [
                Group(path, int(number), sum(int(footer.columns[column][number]) for column in columns))
                for number in _matching(footer, wanted)
            ]
        return chosen

    def read(self, table: "DeltaTable", groups: Sequence[Group], dtypes: Iterable[str]) -> "Iterable[pa.Table]":
        """Read row groups, a file at a time: place and order of each block, and its samples."""
        from pyarrow import parquet

        files = _filesystem(table)
        columns = [*_PLACE, _ORDER, *(SAMPLE_COLUMNS[dtype] for dtype in dtypes)]
        by_file: dict[str, list[int]] = {}
        for group in groups:
            by_file.setdefault(group.path, []).append(group.number)
        for path, numbers in by_file.items():
            footer = self._footer(files, table.table_uri, path)
            with files.open_input_file(path) as stream:
                opened = parquet.ParquetFile(stream, metadata=footer.metadata, pre_buffer=True)
                yield opened.read_row_groups(numbers, columns=columns)

    def _footer(self, files: Any, uri: str, path: str) -> _Footer:  # noqa: ANN401  (pyarrow has no types)
        from pyarrow import parquet

        key = f"{uri}/{path}"
        with self._lock:
            held = self._footers.get(key)
            if held is not None:
                self._footers.move_to_end(key)
                return held
        with files.open_input_file(path) as stream:
            footer = _digest(parquet.read_metadata(stream))
        with self._lock:
            self._footers[key] = footer
            while len(self._footers) > _FOOTERS_HELD:
                self._footers.popitem(last=False)
        return footer


def _filesystem(table: "DeltaTable") -> Any:  # noqa: ANN401  (pyarrow has no types)
    import pyarrow.fs as arrow_fs
    from deltalake.fs import DeltaStorageHandler

    return arrow_fs.PyFileSystem(DeltaStorageHandler.from_table(table._table))  # noqa: SLF001  (its own way)


def _files(table: "DeltaTable", wanted: Wanted) -> list[str]:
    """Files that may hold a part of the window, by what the log says of them."""
    import polars as pl

    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    if not actions.height:
        return []
    kept = actions.filter(
        pl.col("min.sample_start") < wanted.last,
        pl.col("max.sample_stop") > wanted.first,
        pl.any_horizontal(
            (pl.col("min.stream_id") <= stream)
            & (pl.col("max.stream_id") >= stream)
            & (pl.col("min.channel") <= max(channels))
            & (pl.col("max.channel") >= min(channels))
            for stream, channels in wanted.channels.items()
        ),
    )
    return sorted(kept["path"].to_list())


def _digest(metadata: Any) -> _Footer:  # noqa: ANN401  (pyarrow has no types)
    """Turn a footer into columns; a group without statistics may hold anything."""
    import numpy as np

    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    names = [metadata.schema.column(place).path.split(".")[0] for place in range(metadata.num_columns)]
    at = {name: place for place, name in enumerate(names)}

    def bound(group: Any, name: str, which: str, otherwise: object) -> Any:  # noqa: ANN401
        found = group.column(at[name]).statistics
        return getattr(found, which) if found is not None and found.has_min_max else otherwise

    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    return _Footer(
        metadata=metadata,
        stream_min=np.array([bound(group, "stream_id", "min", "") for group in groups], dtype=str),
        stream_max=np.array([bound(group, "stream_id", "max", "\U0010ffff") for group in groups], dtype=str),
        ranges=np.array(
            [
                [
                    bound(group, "channel", "min", low),
                    bound(group, "channel", "max", high),
                    bound(group, "sample_start", "min", low),
                    bound(group, "sample_stop", "max", high),
                ]
                for group in groups
            ],
            dtype=np.int64,
        ).reshape(-1, 4),
        columns={
            name: np.array([group.column(at[name]).total_compressed_size for group in groups], dtype=np.int64)
            for name in at
        },
    )


def _matching(footer: _Footer, wanted: Wanted) -> "NDArray[np.intp]":
    import numpy as np

    lowest, highest, start, stop = footer.ranges.T
    inside = (start < wanted.last) & (stop > wanted.first)
    any_stream = np.zeros(len(inside), dtype=bool)
    for stream, channels in wanted.channels.items():
        has_stream = (footer.stream_min <= stream) & (footer.stream_max >= stream)
        any_stream |= has_stream & (lowest <= max(channels)) & (highest >= min(channels))
    return np.flatnonzero(inside & any_stream)

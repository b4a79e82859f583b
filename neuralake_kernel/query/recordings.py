"""Published recordings: a listing that shows itself, and the way from one to its samples.

Only what a row of ``recordings`` names is seen: an ``add`` under way, or what a killed one left behind, is
not. The row is read first, then tables at or above the versions it names.
"""

import difflib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from neuralake_kernel.catalog import Snapshots, html_card, html_grid
from neuralake_kernel.errors import CatalogError, UsageError
from neuralake_kernel.query.sample_files import SampleFiles
from neuralake_kernel.query.samples import SampleWindow, StoredChannel
from neuralake_kernel.query.streams import StreamSelection
from neuralake_kernel.source import Units

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl

__all__ = ["RecordingList", "StoredRecording"]


class RecordingList:
    """The published recordings of a lake, newest last, as they were when it was asked for.

    Parameters
    ----------
    snapshots
        Held tables of the lake.
    files
        Reader of samples; its footers are shared.
    """

    def __init__(self, snapshots: Snapshots, files: SampleFiles) -> None:
        self._snapshots = snapshots
        self._files = files

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """Rows of ``recordings``."""
        import polars as pl

        if not self._snapshots.is_created("recordings"):
            return pl.DataFrame()
        return pl.scan_delta(self._snapshots.at("recordings")).sort("recording_id").collect()

    def streams(self, band: str | None = None) -> "StreamSelection":
        """Choose the streams of the only recording there is.

        Raises
        ------
        UsageError
            ``recording-ambiguous``: there is none, or more than one.
        """
        if len(self) != 1:
            names = ", ".join(repr(recording.name) for recording in self)
            raise UsageError(
                f"Cannot choose streams: there are {len(self)} recordings.",
                code="recording-ambiguous",
                hint=f"lab.recording(NAME) takes one of {names}." if names else "lab.add(recording) adds one.",
            )
        return self[0].streams(band)

    def find(self, name: str) -> "StoredRecording":
        """Give a recording by name, id or content hash.

        Raises
        ------
        CatalogError
            ``recording-unknown``, with the nearest names in the hint.
        UsageError
            ``recording-ambiguous``: several have this name.
        """
        rows = [
            row
            for row in self.frame.iter_rows(named=True)
            if name in {row["name"], row["recording_id"], row["content_hash"]}
        ]
        if len(rows) > 1:
            raise UsageError(
                f"Cannot choose recording {name!r}: {len(rows)} have this name.",
                code="recording-ambiguous",
                hint="take one by its id: " + ", ".join(row["recording_id"] for row in rows) + ".",
            )
        if not rows:
            known = [str(row["name"]) for row in self.frame.iter_rows(named=True)]
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            raise CatalogError(
                f"Cannot find recording {name!r}: {len(known)} are published, none of that name.",
                code="recording-unknown",
                hint="did you mean " + " or ".join(near) + "?" if near else "lab.recordings() lists them.",
                context={"recording": name},
            )
        return StoredRecording(self._snapshots, self._files, rows[0])

    def __len__(self) -> int:
        return self.frame.height

    def __iter__(self) -> Iterator["StoredRecording"]:
        for row in self.frame.iter_rows(named=True):
            yield StoredRecording(self._snapshots, self._files, row)

    def __getitem__(self, which: int | str) -> "StoredRecording":
        if isinstance(which, str):
            return self.find(which)
        return StoredRecording(self._snapshots, self._files, self.frame.row(which, named=True))

    def __repr__(self) -> str:
        """Names and facts, the same while the recordings are."""
        rows = [_facts(recording) for recording in self]
        if not rows:
            return "recordings: none"
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"recordings: {len(rows)}", *lines])

    def _repr_html_(self) -> str:
        head = ("recording", "format", "start", "duration", "state")
        return html_card("Recordings", f"{len(self)} published", html_grid(head, [_facts(one) for one in self]))


class StoredRecording:
    """One published recording; what it holds is read when it is asked for.

    Parameters
    ----------
    snapshots
        Held tables of the lake.
    files
        Reader of samples.
    row
        Its row of ``recordings``.
    """

    def __init__(self, snapshots: Snapshots, files: SampleFiles, row: dict[str, Any]) -> None:
        self._snapshots = snapshots
        self._files = files
        self._row = row

    @property
    def id(self) -> str:
        """Its id in the lake."""
        return str(self._row["recording_id"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._row["name"])

    @property
    def format(self) -> str:
        """Format and device in words."""
        return str(self._row["format"])

    @property
    def state(self) -> str:
        """``complete``, or what else it is."""
        return str(self._row["state"])

    @property
    def duration_s(self) -> float | None:
        """Seconds by the sample clock; None while they are not known."""
        return None if self._row["duration_s"] is None else float(self._row["duration_s"])

    @property
    def start_time(self) -> "dt.datetime | None":
        """When it began; ``start_trust`` says how far that is to be believed."""
        found: dt.datetime | None = self._row["start_time"]
        return found

    @property
    def start_trust(self) -> str:
        """How far ``start_time`` is to be believed."""
        return str(self._row["start_trust"])

    @property
    def facts(self) -> dict[str, Any]:
        """Its row of ``recordings``: origin, licence, content hash, versions and all."""
        return dict(self._row)

    def streams(self, band: str | None = None) -> "StreamSelection":
        """Choose streams.

        Parameters
        ----------
        band
            ``eeg``, ``ecog``, ``ecg``, ``accel``, ``trig`` …; None: the signal at the recording's own rate.

        Raises
        ------
        UsageError
            ``band-unknown``, with the bands there are in the hint.
        """
        streams, channels = self._rows("streams"), self._rows("channels")
        if band is not None and band not in {row["band"] for row in streams}:
            there = ", ".join(sorted({row["band"] for row in streams}))
            raise UsageError(
                f"Cannot choose streams of {self.name!r}: it has no band {band!r}.",
                code="band-unknown",
                hint=f"it has {there}.",
            )
        return StreamSelection(self.name, band, streams, channels, self._open_samples, self._extent)

    def samples(
        self,
        *,
        start: float = 0.0,
        stop: float | None = None,
        channels: Sequence[str] | None = None,
        units: Units = "physical",
    ) -> SampleWindow:
        """Choose a window of the signal; as ``streams().samples(…)``."""
        return self.streams().samples(start=start, stop=stop, channels=channels, units=units)

    def events(self) -> "pl.DataFrame":
        """Points in time: rows of ``events``, by onset."""
        return self._frame("events").sort("onset_s", maintain_order=True)

    def intervals(self) -> "pl.DataFrame":
        """Spans of time, gaps among them: rows of ``intervals``, by onset."""
        return self._frame("intervals").sort("onset_s", maintain_order=True)

    def _open_samples(self, channels: tuple[StoredChannel, ...], *, table: str, **window: Any) -> SampleWindow:  # noqa: ANN401
        """Make a window over blocks at or above the version this recording stands on; of a live one, the newest."""
        version = int(self._row["signals_version"])
        held = self._snapshots.at(table) if version < 0 else self._snapshots.at_least(table, version)
        return SampleWindow(table=held, files=self._files, channels=channels, **window)

    def _extent(self, table: str, stream: str) -> tuple[int, int]:
        """First and last index of what a stream has in the newest version of a table."""
        import polars as pl

        blocks = pl.scan_delta(self._snapshots.at(table)).filter(pl.col("stream_id") == stream)
        first, last = blocks.select(pl.col("sample_start").min(), pl.col("sample_stop").max()).collect().row(0)
        return int(first or 0), int(last or 0)

    def __repr__(self) -> str:
        """Facts as text; the same for the same recording."""
        name, *rest = _facts(self)
        return f"{name}: " + " · ".join(cell for cell in rest if cell)

    def _repr_html_(self) -> str:
        head = ("band", "rate", "channels", "samples", "stored as")
        bands: dict[tuple[str, float, str], tuple[int, int]] = {}
        for row in self._rows("streams"):
            key = (row["band"], row["rate_hz"], row["dtype"])
            count = (row["sample_stop"] or 0) - (row["sample_start"] or 0)
            bands[key] = (row["n_channels"], bands.get(key, (0, 0))[1] + count)
        rows = [
            (band, f"{rate_hz:g} Hz", str(channels), f"{count:,}", dtype)
            for (band, rate_hz, dtype), (channels, count) in bands.items()
        ]
        return html_card(self.name, repr(self).partition(": ")[2], html_grid(head, rows, numbers=(2, 3)))

    def _rows(self, table: str) -> list[dict[str, Any]]:
        return self._frame(table).to_dicts()

    def _frame(self, table: str) -> "pl.DataFrame":
        import polars as pl

        version = int(self._row[f"{table}_version"])
        held = self._snapshots.at(table) if version < 0 else self._snapshots.at_least(table, version)
        return pl.scan_delta(held).filter(pl.col("recording_id") == self.id).collect()


def _facts(recording: StoredRecording) -> tuple[str, ...]:
    start = recording.start_time
    length = "" if recording.duration_s is None else f"{recording.duration_s:.2f} s"
    stamp = "" if start is None else f"{start:%Y-%m-%d %H:%M:%S} UTC ({recording.start_trust})"
    return recording.name, recording.format, stamp, length, recording.state

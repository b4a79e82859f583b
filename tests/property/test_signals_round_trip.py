"""The law of stored samples: what is read back is what was recorded, for every type, gap, window and choice."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import neuralake_kernel as nl
from neuralake_kernel.source import Annotation, Arrival, Channel, Gap, Recording, StartTime

RATE_HZ = 100.0


class MadeUp:
    """A reader of samples that were made up."""

    arrival: Arrival | None = None
    display_band_hz: tuple[float, float] | None = None
    annotations: tuple[Annotation, ...] = ()
    format = "made up"

    def __init__(self, path: Path, samples: NDArray[Any], gaps: Sequence[int]) -> None:
        self.path = path
        path.write_bytes(samples.tobytes() + repr((samples.dtype, samples.shape, gaps)).encode())
        self._samples = samples
        self.gaps = tuple(Gap(at, 3, 0.03) for at in gaps)
        is_counted = samples.dtype.kind == "i"
        limits = (-1, 1) if is_counted else (None, None)
        self.channels = tuple(
            Channel(place, f"ch{place}", "EEG", "uV", RATE_HZ, 0.1, -3.0, *limits)
            if is_counted
            else Channel(place, f"ch{place}", "EEG", "uV", RATE_HZ)
            for place in range(samples.shape[1])
        )

    @property
    def start(self) -> StartTime:
        return StartTime(datetime(2026, 1, 1, tzinfo=UTC), "host-clock", "")

    def n_samples(self, channel: Channel) -> int:
        return len(self._samples)

    def block(self, channels: Sequence[Channel], first: int, last: int, units: str) -> NDArray[Any]:
        chosen = self._samples[first:last, [channel.index for channel in channels]]
        if units == "counts" or chosen.dtype.kind == "f":
            return chosen
        return chosen * channels[0].gain_to_unit + channels[0].offset_to_unit

    def row_columns(self, first: int, last: int, rate_hz: float) -> dict[str, NDArray[Any]]:
        return {"event_time": np.arange(first, last) * round(1e6 / rate_hz)}


@st.composite
def recordings(draw: st.DrawFn) -> tuple[NDArray[Any], list[int]]:
    dtype = np.dtype(draw(st.sampled_from(["int16", "int32", "float32", "float64"])))
    moments, channels = draw(st.integers(1, 900)), draw(st.integers(1, 5))
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = chance.integers(0, 256, moments * channels * dtype.itemsize, dtype=np.uint8)
    # Every pattern of bits is a sample: the extremes, NaN, infinities and both zeros.
    samples = bits.view(dtype).reshape(moments, channels)
    gaps = draw(st.lists(st.integers(1, moments), max_size=4, unique=True))
    return samples, sorted(gaps)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nl.Workbench]:
    with nl.open(home=tmp_path_factory.mktemp("lake") / "home") as lab:
        yield lab


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recordings(), st.data())
def test_every_window_comes_back_to_the_bit(
    lab: nl.Workbench, tmp_path: Path, recorded: tuple[NDArray[Any], list[int]], data: st.DataObject
) -> None:
    samples, gaps = recorded
    recording = Recording(MadeUp(tmp_path / "made-up.bin", samples, gaps))
    stored = lab.add(recording)
    units = ["physical", "counts"] if samples.dtype.kind == "i" else ["physical"]
    names = [channel.name for channel in recording.channels]
    for _ in range(4):
        first = data.draw(st.integers(0, len(samples) - 1))
        window = {
            "start": first / RATE_HZ,
            "stop": data.draw(st.integers(first + 1, len(samples))) / RATE_HZ,
            "channels": data.draw(st.none() | st.lists(st.sampled_from(names), min_size=1, max_size=6)),
            "units": data.draw(st.sampled_from(units)),
        }
        read, found = recording.samples(**window), stored.samples(**window).to_numpy()
        with np.errstate(invalid="ignore"):
            assert found.tobytes() == read.astype(found.dtype).tobytes()
        assert found.shape == read.shape


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recordings())
def test_a_block_spans_no_gap_and_holds_what_its_row_says(
    lab: nl.Workbench, tmp_path: Path, recorded: tuple[NDArray[Any], list[int]]
) -> None:
    samples, gaps = recorded
    stored = lab.add(Recording(MadeUp(tmp_path / "made-up.bin", samples, gaps)))
    streams = {row["stream_id"] for row in stored.streams()._streams.values()}
    column = {"int16": "samples", "int32": "samples_i32", "float32": "samples_f32", "float64": "samples_f64"}
    seen = 0
    blocks = lab.table("signals").lazy().filter(pl.col("stream_id").is_in(streams)).collect()
    # Not by Python's floats: those quieten a signalling NaN.
    lists = [block.to_numpy() for block in blocks[column[samples.dtype.name]]]
    for row, held in zip(blocks.iter_rows(named=True), lists, strict=True):
        first, last = row["sample_start"], row["sample_stop"]
        assert len(held) == last - first <= max(64, RATE_HZ)
        assert not any(first < at < last for at in gaps)
        assert held.tobytes() == samples[first:last, row["channel"]].tobytes()
        numbers = held[~np.isnan(held)] if held.dtype.kind == "f" else held
        assert (row["min"], row["max"]) == ((numbers.min(), numbers.max()) if len(numbers) else (None, None))
        seen += len(held)
    assert seen == samples.size

"""Laws of recordings and rows: windows are slices, encoding loses nothing, acked offsets stay what they were."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from neuralake_kernel.source import read
from neuralake_kernel.source.encode import encode_rows
from neuralake_kernel.source.producer import Ranges
from neuralake_kernel.source.trace import envelope

DATA = Path(__file__).parents[2] / "notebooks" / "data"
EEG = read(DATA / "eeg-motor-imagery-64ch" / "S001R04.edf")
COUNTS = EEG.samples(units="counts", channels=["C3", "Cz", "Iz"])

floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
rows = st.lists(st.tuples(texts, st.integers(-(2**63), 2**63 - 1), st.none() | floats, times), min_size=1, max_size=30)


@given(st.integers(0, 19_999), st.integers(1, 20_000))
def test_a_window_is_a_slice(first: int, length: int) -> None:
    last = min(first + length, 20_000)
    window = EEG.samples(start=first / 160, stop=last / 160, channels=["C3", "Cz", "Iz"], units="counts")
    np.testing.assert_array_equal(window, COUNTS[first:last])


@given(st.lists(st.floats(0, 125), min_size=3, max_size=3, unique=True))
def test_neighbouring_windows_share_no_sample_and_lose_none(times_s: list[float]) -> None:
    start, middle, stop = sorted(times_s)
    parts = [
        EEG.samples(start=begin, stop=end, channels=["Cz"], units="counts")
        for begin, end in ((start, middle), (middle, stop))
    ]
    whole = EEG.samples(start=start, stop=stop, channels=["Cz"], units="counts")
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(rows)
def test_decoding_an_encoded_row_gives_the_row(values: list[tuple[str, int, float | None, datetime]]) -> None:
    schema = {"session": pl.String, "packet": pl.Int64, "ch1_uv": pl.Float64, "event_time": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(values, schema=schema, orient="row")
    found = [json.loads(message) for message in encode_rows(frame).to_pylist()]
    expected = frame.with_columns(pl.col("event_time").dt.epoch("us")).to_dicts()
    assert found == expected
    assert [list(message) for message in found] == [list(schema)] * len(values)


@given(st.sampled_from([float("nan"), float("inf"), float("-inf")]))
def test_what_is_no_number_becomes_null(value: float) -> None:
    assert encode_rows(pl.DataFrame({"ch1_uv": [value, 1.5]})).to_pylist() == [b'{"ch1_uv":null}', b'{"ch1_uv":1.5}']


@given(st.lists(st.integers(1, 4), min_size=1, max_size=40), st.data())
def test_ranges_hold_each_acked_offset_once(lengths: list[int], data: st.DataObject) -> None:
    ranges, expected, offset = Ranges(), [], 0
    for length in lengths:
        offset += data.draw(st.integers(0, 2))
        ranges.add(3, offset, offset + length)
        expected += range(offset, offset + length)
        offset += length
    pairs = ranges.by_partition[3]
    assert [number for first, end in pairs for number in range(first, end)] == expected
    assert ranges.count == len(expected)
    assert all(left[1] < right[0] for left, right in pairwise(pairs))


@given(st.integers(1, 3000), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_thinning_keeps_the_extremes_and_the_order(count: int, pixels: int, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(size=(count, 2))
    places, values = envelope(samples, pixels)
    assert len(places) == len(values) <= max(2 * pixels, 1)
    assert np.all(np.diff(places) > 0)
    np.testing.assert_array_equal(values.min(axis=0), samples.min(axis=0))
    np.testing.assert_array_equal(values.max(axis=0), samples.max(axis=0))

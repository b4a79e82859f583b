"""OpenBCI logs: packets, bursts, the counter, and what can be wrong with a log."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuralake_kernel.errors import SourceError, UsageError
from neuralake_kernel.source import Recording, read

DATA = Path(__file__).parents[2] / "notebooks" / "data"
LOG = DATA / "openbci-cyton-8ch" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
HEADER_LINES = 5


@pytest.fixture(scope="module")
def board() -> Recording:
    return read(LOG)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return LOG.read_text().splitlines()


def _log(folder: Path, lines: list[str], *, end: str = "\n") -> Path:
    path = folder / "log.txt"
    path.write_text("\n".join(lines) + end)
    return path


def test_facts_of_a_real_log(board: Recording) -> None:
    assert [channel.name for channel in board.channels] == [
        *(f"ch{number}" for number in range(1, 9)),
        *(f"accel_{axis}" for axis in "xyz"),
    ]
    assert (board.rate_hz, board.n_samples) == (250.0, 22_490)
    assert board.arrival is not None
    assert board.arrival.measured_rate_hz == pytest.approx(250.33, abs=0.01)
    assert (board.arrival.bursts, board.arrival.largest_burst_packets) == (14_268, 7)
    assert board.arrival.longest_silence_s == pytest.approx(0.035)
    assert board.start.time == datetime(2019, 5, 15, 16, 0, 53, 329_000, tzinfo=UTC)
    assert board.start.trust == "host-clock"
    assert board.gaps == ()
    assert board.quality.missing_packets == 0


def test_samples_are_the_numbers_of_the_file(board: Recording, lines: list[str]) -> None:
    fields = lines[HEADER_LINES + 100].split(",")
    found = board.samples(start=100 / 250, stop=101 / 250)
    assert found.tolist() == [[float(field) for field in fields[1:9]]]
    assert board.samples(start=100 / 250, stop=101 / 250, channels=["accel_y"])[0, 0] == float(fields[10])


def test_rows_match_the_table_of_the_board(board: Recording, lines: list[str]) -> None:
    rows = board.rows()
    assert rows.schema == {
        "session": pl.String,
        "packet": pl.Int16,
        "event_time": pl.Datetime("us", "UTC"),
        **{f"ch{number}_uv": pl.Float64 for number in range(1, 9)},
        **{f"accel_{axis}_g": pl.Float64 for axis in "xyz"},
    }
    assert len(rows) == len(lines) - HEADER_LINES
    assert rows.get_column("packet").to_list()[254:258] == [254, 255, 0, 1]
    assert rows.item(0, "event_time") == datetime(2019, 5, 15, 16, 0, 53, 329_000, tzinfo=UTC)
    assert rows.item(0, "session") == LOG.stem
    assert board.rows(stop=1, session="s1").get_column("session").unique().to_list() == ["s1"]


def test_a_log_has_no_counts(board: Recording) -> None:
    with pytest.raises(UsageError) as caught:
        board.samples(units="counts")
    assert caught.value.code == "no-counts"


def test_lost_packets_and_silences_are_gaps(tmp_path: Path, lines: list[str]) -> None:
    kept = (
        lines[: HEADER_LINES + 300]
        + lines[HEADER_LINES + 310 : HEADER_LINES + 1000]
        + lines[HEADER_LINES + 2024 : 4000]
    )
    recording = read(_log(tmp_path, kept))
    assert [(gap.sample_index, gap.missing_packets) for gap in recording.gaps] == [(300, 10), (990, 0)]
    assert recording.gaps[1].silence_s > 4
    assert recording.quality.missing_packets == 10
    assert "2 places" in repr(recording)


def test_seconds_with_a_fraction_are_understood(tmp_path: Path, lines: list[str]) -> None:
    def in_seconds(line: str) -> str:
        fields = line.split(",")
        fields[22] = f" {int(fields[22]) / 1000:.6f}"
        return ",".join(fields)

    path = _log(tmp_path, lines[:HEADER_LINES] + [in_seconds(line) for line in lines[HEADER_LINES:50]])
    assert read(path).start.time == datetime(2019, 5, 15, 16, 0, 53, 329_000, tzinfo=UTC)


def test_a_railed_channel_is_clipped(tmp_path: Path, lines: list[str]) -> None:
    def railed(line: str) -> str:
        fields = line.split(",")
        fields[3] = " -187500.02"
        return ",".join(fields)

    path = _log(tmp_path, lines[:HEADER_LINES] + [railed(line) for line in lines[HEADER_LINES:800]])
    assert read(path).quality.clipped == ("ch3",)
    assert read(path).quality.flat == ("ch3",)


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        (lambda lines: lines[:3], "recording-truncated", "no column names"),
        (lambda lines: lines[:HEADER_LINES], "recording-damaged", "no table"),
        (lambda lines: [*lines[:200], lines[200][:40]], "recording-truncated", "line 201"),
        (lambda lines: [*lines[:100], "1, x, 3", *lines[100:200]], "recording-damaged", "line 101"),
        (lambda lines: [*lines[:60], "400" + lines[60][lines[60].index(",") :]], "recording-damaged", "400"),
        (lambda lines: [line for line in lines[:60] if "Sample Rate" not in line], "recording-damaged", "sample rate"),
        (lambda lines: [line.replace("Timestamp", "Time") for line in lines[:60]], "recording-damaged", "'Timestamp'"),
        (lambda lines: [line.replace("EXG", "EEG") for line in lines[:60]], "recording-damaged", "EXG Channel"),
    ],
)
def test_a_bad_log_is_one_clear_error(tmp_path: Path, lines: list[str], change, code: str, named: str) -> None:
    path = _log(tmp_path, change(lines), end="")
    with pytest.raises(SourceError) as caught:
        read(path).rows()
    assert caught.value.code == code
    assert named in str(caught.value)
    assert caught.value.hint


def test_opening_reads_the_header_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl, "scan_csv", lambda *_a, **_k: pytest.fail("the table was read"))
    assert len(read(LOG).channels) == 11
    assert np.isclose(read(LOG).rate_hz, 250.0)

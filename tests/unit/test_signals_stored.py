"""A recording in the lake is the recording that was read: every sample, window and label, to the bit."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyedflib
import pytest
from deltalake import DeltaTable
from pyarrow import parquet

import neuralake_kernel as nl
from neuralake_kernel.errors import CatalogError, SourceError, UsageError
from neuralake_kernel.query import SampleWindow
from neuralake_kernel.source import Recording

DATA = Path(__file__).parents[2] / "notebooks" / "data"
EDF = DATA / "eeg-motor-imagery-64ch" / "S001R04.edf"
OPENBCI = DATA / "openbci-cyton-8ch" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[nl.Workbench]:
    with nl.open(home=tmp_path / "home") as lab:
        yield lab


def header(label: str, rate_hz: float, *, limit: int) -> dict[str, object]:
    return {
        "label": label,
        "dimension": "uV",
        "sample_frequency": rate_hz,
        "physical_min": -200.0,
        "physical_max": 200.0,
        "digital_min": -limit - 1,
        "digital_max": limit,
        "transducer": "",
        "prefilter": "",
    }


def write_bdf(path: Path, *, seconds: int = 25) -> Path:
    """Two rates and a trigger line, over all of 24 bits."""
    chance = np.random.default_rng(7)
    rates = [("Fc5", 256), ("C3", 256), ("EMG leg", 128), ("Status", 256)]
    limit = (1 << 23) - 1
    samples = [chance.integers(-limit - 1, limit, rate * seconds, dtype=np.int32) for _, rate in rates]
    with pyedflib.EdfWriter(str(path), len(rates), file_type=pyedflib.FILETYPE_BDFPLUS) as writer:
        writer.setSignalHeaders([header(label, rate, limit=limit) for label, rate in rates])
        writer.setStartdatetime(datetime(2024, 3, 1, 12))  # noqa: DTZ001 - BDF has no zone
        writer.writeSamples(samples, digital=True)
        writer.writeAnnotation(0.5, -1, "button")
        writer.writeAnnotation(2.0, 3.5, "trial")
    return path


def equal(stored: SampleWindow, read: np.ndarray) -> bool:
    found = stored.to_numpy()
    return found.dtype == read.dtype and found.shape == read.shape and found.tobytes() == read.tobytes()


@pytest.mark.parametrize(("start", "stop"), [(0.0, None), (12.3, 16.0), (9.999, 10.001), (124.9, 125.0)])
@pytest.mark.parametrize("channels", [None, ["C3", "Cz"], ["Iz", "Fc5", "Iz"]])
@pytest.mark.parametrize("units", ["counts", "physical"])
def test_any_window_of_an_edf(
    added: tuple[Recording, nl.Workbench],
    start: float,
    stop: float | None,
    channels: list[str] | None,
    units: str,
) -> None:
    read, lab = added
    stored = lab.recordings().streams("eeg").samples(start=start, stop=stop, channels=channels, units=units)
    assert equal(stored, read.samples(start=start, stop=stop, channels=channels, units=units))


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Recording, nl.Workbench]]:
    """Give an EDF that was added, and the lake that has it."""
    recording = nl.read(EDF)
    with nl.open(home=tmp_path_factory.mktemp("lake") / "home") as lab:
        lab.add(recording, origin="PhysioNet", licence="ODC-BY")
        yield recording, lab


def test_24_bits_and_several_rates(lab: nl.Workbench, tmp_path: Path) -> None:
    recording = nl.read(write_bdf(tmp_path / "wide.bdf"))
    stored = lab.add(recording)
    for units in ("counts", "physical"):
        for names in (None, ["C3"], ["Status", "Fc5"], ["EMG leg"]):
            assert equal(stored.samples(channels=names, units=units), recording.samples(channels=names, units=units))
    assert stored.samples(units="counts").dtype == np.int32
    assert [channel.name for channel in stored.streams("emg").channels] == ["EMG leg"]
    with pytest.raises(UsageError) as refused:
        stored.samples(channels=["C3", "EMG leg"])
    assert refused.value.code == "mixed-rates"


def test_physical_values_of_a_text_log(lab: nl.Workbench) -> None:
    recording = nl.read(OPENBCI)
    stored = lab.add(recording)
    for names in (None, ["ch8", "ch1"], ["accel_y"]):
        assert equal(
            stored.samples(start=1.1, stop=33.0, channels=names),
            recording.samples(start=1.1, stop=33.0, channels=names),
        )
    with pytest.raises(UsageError) as refused:
        stored.samples(units="counts")
    assert refused.value.code == "no-counts"


def test_missing_packets_cut_the_stream_and_stand_in_intervals(lab: nl.Workbench, tmp_path: Path) -> None:
    lines = OPENBCI.read_text().splitlines(keepends=True)[:800]
    # The counter jumps here, and the packets 300 to 309 of the table were never delivered.
    holed = tmp_path / "holed.txt"
    holed.write_text("".join(lines[:305] + lines[315:]))
    recording = nl.read(holed)
    assert len(recording.gaps) == 1
    stored = lab.add(recording)
    assert equal(stored.samples(), recording.samples())
    streams = lab.table("streams").lazy().filter(pl.col("band") == "eeg").sort("segment").collect()
    at = recording.gaps[0].sample_index
    assert streams["sample_start"].to_list() == [0, at]
    assert streams["sample_stop"].to_list() == [at, recording.n_samples]
    gap = stored.intervals().row(0, named=True)
    assert (gap["kind"], gap["sample_start"], gap["value_number"]) == ("gap", at, 10.0)
    across = lab.table("signals").lazy().filter(pl.col("sample_start") < at, pl.col("sample_stop") > at).collect()
    assert across.is_empty()


def test_labels_stand_in_events_and_intervals(lab: nl.Workbench, tmp_path: Path) -> None:
    stored = lab.add(write_bdf(tmp_path / "wide.bdf"))
    assert stored.events().select("onset_s", "label").rows() == [(0.5, "button")]
    assert stored.intervals().select("onset_s", "duration_s", "label").rows() == [(2.0, 3.5, "trial")]


def test_the_same_content_is_published_once(lab: nl.Workbench, tmp_path: Path) -> None:
    first = lab.add(EDF)
    renamed = tmp_path / "another name.edf"
    renamed.write_bytes(EDF.read_bytes())
    assert lab.add(renamed).id == first.id
    assert len(lab.recordings()) == 1
    assert lab.table("signals").version == first.facts["signals_version"]


def test_its_row_names_the_versions_it_stands_on(added: tuple[Recording, nl.Workbench]) -> None:
    _, lab = added
    facts = lab.recordings()[0].facts
    for table in ("streams", "channels", "signals", "events", "intervals"):
        assert facts[f"{table}_version"] == lab.table(table).version
    assert (facts["origin"], facts["licence"], facts["state"]) == ("PhysioNet", "ODC-BY", "complete")


def test_a_reader_of_an_older_version_refreshes_first(lab: nl.Workbench, tmp_path: Path) -> None:
    held = lab.add(EDF)
    assert held.samples(start=0.0, stop=1.0).to_numpy().size > 0
    bdf = write_bdf(tmp_path / "later.bdf")
    with nl.open(home=lab.home) as other:
        later = other.add(bdf)
    # The row of `recordings` is newer than the blocks that this workbench holds, and names their version.
    stored, read = lab.recording(str(later.id)), nl.read(bdf)
    window = {"start": 0.0, "stop": 2.0, "channels": ["C3"], "units": "counts"}
    assert equal(stored.samples(**window), read.samples(**window))


def test_a_file_that_changes_meanwhile_is_not_published(lab: nl.Workbench, tmp_path: Path) -> None:
    changing = tmp_path / "growing.edf"
    changing.write_bytes(EDF.read_bytes())
    with pytest.raises(SourceError) as refused:
        lab.add(changing, progress=lambda _: os.utime(changing))
    assert refused.value.code == "recording-changed"
    assert len(lab.recordings()) == 0
    assert lab.add(EDF).name == "S001R04"


def test_an_interrupt_publishes_nothing(lab: nl.Workbench) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab.add(EDF, progress=interrupt)
    assert len(lab.recordings()) == 0


def test_a_window_reads_only_the_row_groups_it_needs(lab: nl.Workbench, tmp_path: Path) -> None:
    """Bytes are counted by the kernel of the system: all that this process read while the window was."""
    chance = np.random.default_rng(3)
    path, rate = tmp_path / "long.edf", 1000
    with pyedflib.EdfWriter(str(path), 16, file_type=pyedflib.FILETYPE_EDF) as writer:
        writer.setSignalHeaders([header(f"EEG {place}", rate, limit=32767) for place in range(16)])
        writer.setStartdatetime(datetime(2024, 3, 1, 12))  # noqa: DTZ001 - EDF has no zone
        writer.writeSamples(
            [chance.integers(-32768, 32767, 600 * rate, dtype=np.int32) for _ in range(16)], digital=True
        )
    stored = lab.add(path)
    window = stored.samples(start=300, stop=301, channels=["EEG 3"], units="counts")
    size = sum(file.stat().st_size for file in (lab.home / "lake" / "signals").rglob("*.parquet"))
    window.plan  # noqa: B018 - the footers are read here, once
    before = bytes_read()
    samples = window.to_numpy()
    cost = bytes_read() - before
    assert equal(window, nl.read(path).samples(start=300, stop=301, channels=["EEG 3"], units="counts"))
    assert len(samples) == rate
    assert window.plan.row_groups == 1
    assert size > 15e6
    # Reading also looks at the ends of the file.
    assert cost <= window.plan.bytes + 200_000
    assert cost < size / 4


def bytes_read() -> int:
    facts = Path("/proc/self/io").read_text().split()
    return int(facts[facts.index("rchar:") + 1])


def test_row_groups_are_cut_by_bytes_and_samples_have_no_statistics(added: tuple[Recording, nl.Workbench]) -> None:
    _, lab = added
    table = DeltaTable((lab.home / "lake" / "signals").as_uri())
    footer = parquet.read_metadata(lab.home / "lake" / "signals" / table.get_add_actions()["path"][0].as_py())
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    assert len(groups) > 1
    assert all(group.total_byte_size < 4 << 20 for group in groups)
    for column in range(footer.num_columns):
        chunk = groups[0].column(column)
        is_list = ".list." in chunk.path_in_schema
        assert chunk.is_stats_set != is_list, chunk.path_in_schema
        assert chunk.has_offset_index
    logged = set(pl.DataFrame(table.get_add_actions(flatten=True)).columns)
    assert {"min.stream_id", "max.channel", "min.sample_start", "max.sample_stop"} <= logged
    assert not any("samples" in name for name in logged)


def test_nothing_is_read_before_it_is_asked_for(added: tuple[Recording, nl.Workbench]) -> None:
    _, lab = added
    window = lab.recording("S001R04").samples(start=1, stop=2)
    assert window.shape == (160, 64)
    assert window.times_s[[0, -1]].tolist() == [1.0, 2.0 - 1 / 160]
    assert "_groups" not in vars(window)
    assert repr(window) == "SampleWindow(160 x 64 at 160 Hz, 1 to 2 s, physical: Fc5, Fc3, Fc1, Fcz, …, Iz)"


def test_the_listing_shows_itself(added: tuple[Recording, nl.Workbench]) -> None:
    _, lab = added
    recordings = lab.recordings()
    assert repr(recordings).splitlines()[0] == "recordings: 1"
    assert "S001R04" in repr(recordings)
    assert "125.00 s" in repr(recordings)
    for shown in (recordings, recordings[0]):
        assert shown._repr_html_().startswith('<div class="nl-card">')
    described = {entry.name: entry.description for entry in lab.catalog if entry.state == "stored"}
    assert set(described) == {"recordings", "streams", "channels", "signals", "events", "intervals"}
    assert all(described.values())


def test_an_empty_lake_has_no_recordings(lab: nl.Workbench) -> None:
    assert repr(lab.recordings()) == "recordings: none"
    with pytest.raises(UsageError) as refused:
        lab.recordings().streams()
    assert refused.value.code == "recording-ambiguous"


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda lab: lab.recording("S001R05"), "recording-unknown"),
        (lambda lab: lab.recording("S001R04").streams("lfp"), "band-unknown"),
        (lambda lab: lab.recording("S001R04").samples(channels=["C33"]), "unknown-channel"),
        (lambda lab: lab.recording("S001R04").samples(start=125, stop=126), "window-outside"),
    ],
)
def test_what_cannot_be_is_told(added: tuple[Recording, nl.Workbench], ask: object, code: str) -> None:
    with pytest.raises((CatalogError, UsageError)) as refused:
        ask(added[1])  # type: ignore[operator]
    assert refused.value.code == code
    assert refused.value.hint


def test_tables_keep_what_was_written_for_every_question(added: tuple[Recording, nl.Workbench]) -> None:
    read, lab = added
    counted = lab.sql("SELECT sum(sample_stop - sample_start) AS n, max(max) AS high FROM signals").to_polars()
    assert counted["n"].item() == read.n_samples * 64
    assert counted["high"].item() == read.samples(units="counts").max()
    joined = lab.sql(
        "WITH s AS (SELECT * FROM streams) SELECT s.band, r.name FROM s JOIN recordings r USING (recording_id)"
    )
    assert joined.to_polars().rows() == [("eeg", "S001R04")]

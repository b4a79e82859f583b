"""EDF files: what is read is what stands in the file, and what is wrong with one is said."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from neuralake_kernel.errors import SourceError, UsageError
from neuralake_kernel.source import Annotation, Recording, read

DATA = Path(__file__).parents[2] / "notebooks" / "data"
EDF = DATA / "eeg-motor-imagery-64ch" / "S001R04.edf"
FIRST_COUNTS_FC5 = [-5, -12, -77, -66, -45]


@pytest.fixture
def eeg() -> Recording:
    return read(EDF)


def _write(
    path: Path, channels: list[dict[str, object]], samples: list[np.ndarray], kind: int, *, label: str = ""
) -> Path:
    with pyedflib.EdfWriter(str(path), len(channels), file_type=kind) as writer:
        writer.setSignalHeaders(channels)
        writer.setStartdatetime(datetime(2024, 3, 1, 12))  # noqa: DTZ001 - EDF has no zone
        writer.writeSamples(samples, digital=True)
        if label:
            writer.writeAnnotation(0.5, -1, label)
    return path


def _header(label: str, rate_hz: float, unit: str = "uV", *, limit: int = 32767) -> dict[str, object]:
    return {
        "label": label,
        "dimension": unit,
        "sample_frequency": rate_hz,
        "physical_min": -200.0,
        "physical_max": 200.0,
        "digital_min": -limit - 1,
        "digital_max": limit,
        "transducer": "",
        "prefilter": "",
    }


def test_header_of_a_real_recording(eeg: Recording) -> None:
    assert [channel.name for channel in eeg.channels[:5]] == ["Fc5", "Fc3", "Fc1", "Fcz", "Fc2"]
    assert {(channel.physical_unit, channel.rate_hz, channel.type) for channel in eeg.channels} == {
        ("uV", 160.0, "EEG")
    }
    assert (len(eeg.channels), eeg.n_samples, eeg.duration_s) == (64, 20_000, 125.0)
    assert eeg.start.time == datetime(2009, 8, 12, 16, 15, tzinfo=UTC)
    assert eeg.start.trust == "placeholder"


def test_annotations_of_a_real_recording(eeg: Recording) -> None:
    assert len(eeg.annotations) == 30
    assert eeg.annotations[:2] == (Annotation(0.0, 4.2, "T0"), Annotation(4.2, 4.1, "T2"))


def test_opening_reads_no_samples(eeg: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        pytest.fail("a sample was read")

    monkeypatch.setattr(pyedflib.EdfReader, "readSignal", refuse)
    assert read(EDF).n_samples == eeg.n_samples


def test_counts_are_those_of_the_file_to_the_bit(eeg: Recording) -> None:
    header_bytes, per_record = 256 * 66, [160] * 64 + [27]
    layout = np.fromfile(EDF, dtype="<i2", offset=header_bytes)
    records = layout.reshape(125, -1)
    assert records.shape[1] >= sum(per_record[:64])
    expected = records[:, : 64 * 160].reshape(125, 64, 160).transpose(0, 2, 1).reshape(20_000, 64)

    counts = eeg.samples(units="counts")

    assert counts.dtype == np.int16
    assert counts[:5, 0].tolist() == FIRST_COUNTS_FC5
    np.testing.assert_array_equal(counts, expected)


def test_physical_values_agree_with_edflib(eeg: Recording) -> None:
    with pyedflib.EdfReader(str(EDF)) as file:
        expected = file.readSignal(10, 1000, 500)
    found = eeg.samples(start=1000 / 160, stop=1500 / 160, channels=["Cz"])
    assert found.shape == (500, 1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-9)


def test_channels_come_in_the_order_asked(eeg: Recording) -> None:
    pair = eeg.samples(start=12, stop=16, channels=["Cz", "C3"])
    assert pair.shape == (640, 2)
    np.testing.assert_array_equal(pair[:, 1:], eeg.samples(start=12, stop=16, channels=["C3"]))


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ({"channels": ["Cz", "C33"]}, "unknown-channel", "C3"),
        ({"channels": "Cz"}, "unknown-channel", "list"),
        ({"channels": []}, "unknown-channel", "list"),
        ({"start": -1}, "window-outside", "0 to 125 s"),
        ({"start": 5, "stop": 5}, "window-outside", "0 to 125 s"),
        ({"start": 120, "stop": 126}, "window-outside", "0 to 125 s"),
        ({"start": math.nan}, "window-outside", "0 to 125 s"),
        ({"stop": math.inf}, "window-outside", "0 to 125 s"),
        ({"units": "volt"}, "usage", "counts"),
    ],
)
def test_a_wrong_question_is_named(eeg: Recording, arguments: dict[str, object], code: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        eeg.samples(**arguments)
    assert caught.value.code == code
    assert named in str(caught.value)
    assert caught.value.hint


def test_a_bdf_keeps_24_bits(tmp_path: Path) -> None:
    counts = np.array([-8_388_608, -1, 0, 1, 8_388_607] * 20, dtype=np.int32)
    header = _header("Cz", 100, limit=8_388_607)
    path = _write(tmp_path / "one.bdf", [header], [counts], pyedflib.FILETYPE_BDFPLUS, label="blink")
    found = read(path).samples(units="counts")
    assert read(path).annotations == (Annotation(0.5, 0.0, "blink"),)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found[:, 0], counts)


def test_millivolts_become_microvolts_and_rates_stay_apart(tmp_path: Path) -> None:
    headers = [_header("EEG Cz", 200), _header("EEG Pz", 200), _header("ECG", 100, "mV"), _header("Temp", 1, "degC")]
    samples = [
        np.full(200 * 2, 10, np.int32),
        np.zeros(400, np.int32),
        np.full(200, 10, np.int32),
        np.zeros(2, np.int32),
    ]
    path = _write(tmp_path / "rates.edf", headers, samples, pyedflib.FILETYPE_EDFPLUS)
    # pyedflib writes no fraction of a second; EDF+ keeps it in the time of each record.
    content = path.read_bytes()
    for second in (b"0", b"1"):
        content = content.replace(b"+%b\x14\x14\x00\x00\x00" % second, b"+%b.25\x14\x14" % second)
    path.write_bytes(content)
    recording = read(path)
    cz, _, ecg, temp = recording.channels
    assert (ecg.type, ecg.physical_unit, temp.physical_unit, temp.type) == ("ECG", "uV", "degC", "MISC")
    assert ecg.gain_to_unit == pytest.approx(1000 * cz.gain_to_unit)
    assert recording.samples().shape == (400, 2)
    assert recording.samples(channels=["ECG"])[0, 0] == pytest.approx(1000 * recording.samples()[0, 0])
    assert recording.rows().columns == ["session", "sample_index", "event_time", "eeg_cz_uv", "eeg_pz_uv"]
    assert (recording.start.trust, recording.start.time.microsecond) == ("header", 250_000)
    with pytest.raises(UsageError) as caught:
        recording.samples(channels=["EEG Cz", "ECG"])
    assert caught.value.code == "mixed-rates"


def test_flat_and_clipped_channels_are_named(tmp_path: Path) -> None:
    wave = (1000 * np.sin(np.arange(600))).astype(np.int32)
    dead, railed = wave.copy(), wave.copy()
    dead[100:320], railed[40:45] = 7, 32767
    headers = [_header(name, 200) for name in ("good", "dead", "railed")]
    recording = read(_write(tmp_path / "bad.edf", headers, [wave, dead, railed], pyedflib.FILETYPE_EDFPLUS))
    assert recording.quality.flat == ("dead",)
    assert recording.quality.clipped == ("railed",)
    assert "flat: dead, clipped: railed" in repr(recording)


def _cut(path: Path, size: int) -> Path:
    path.write_bytes(EDF.read_bytes()[:size])
    return path


def _patched(path: Path, place: int, text: bytes) -> Path:
    content = bytearray(EDF.read_bytes())
    content[place : place + len(text)] = text
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(
    ("make", "code", "named"),
    [
        (lambda folder: folder / "away.edf", "recording-missing", "nothing there"),
        (lambda folder: folder, "recording-missing", "a folder"),
        (lambda folder: _cut(folder / "x.edf", 0), "recording-empty", "0 bytes"),
        (lambda folder: _cut(folder / "x.edf", 100), "recording-truncated", "100"),
        (lambda folder: _cut(folder / "x.edf", 9_000), "recording-truncated", "9,000"),
        (lambda folder: _cut(folder / "x.edf", 1_000_000), "recording-truncated", "47 of 125 records"),
        (lambda folder: _patched(folder / "x.edf", 0, b"PK\x03\x04"), "recording-unknown-format", "OpenBCI"),
        (lambda folder: _patched(folder / "x.edf", 192, b"EDF+D"), "recording-unsupported", "EDF+C"),
        (lambda folder: _patched(folder / "x.edf", 236, b"-1      "), "recording-truncated", "-1 records"),
        (lambda folder: _patched(folder / "x.edf", 236, b"124     "), "recording-damaged", "expects"),
        (lambda folder: _patched(folder / "x.edf", 236, b"many    "), "recording-damaged", "no number"),
        (lambda folder: _patched(folder / "x.edf", 252, b"-5  "), "recording-damaged", "-5 signals"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, make, code: str, named: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(make(tmp_path))
    assert caught.value.code == code
    assert named in str(caught.value)
    assert caught.value.hint

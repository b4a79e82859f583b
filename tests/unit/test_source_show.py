"""How a recording shows itself: text, HTML and figure."""

import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from neuralake_kernel.errors import UsageError
from neuralake_kernel.source import Recording, read
from neuralake_kernel.source.trace import band_pass, envelope, nice

DATA = Path(__file__).parents[2] / "notebooks" / "data"


@pytest.fixture(scope="module")
def eeg() -> Recording:
    return read(DATA / "eeg-motor-imagery-64ch" / "S001R04.edf")


@pytest.fixture(scope="module")
def board() -> Recording:
    return read(DATA / "openbci-cyton-8ch" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt")


def _traces(figure: Figure) -> list[np.ndarray]:
    (lines,) = (part for part in figure.axes[0].collections if isinstance(part, LineCollection))
    return lines.get_segments()


def _words(figure: Figure) -> list[str]:
    return [text.get_text() for text in [*figure.axes[0].texts, *figure.texts]]


def test_text_is_stable(eeg: Recording) -> None:
    assert repr(eeg) == (
        "Recording S001R04.edf (EDF+ · BCI2000)\n"
        "  channels  64 EEG in µV: Fc5, Fc3, Fc1, Fcz, Fc2, Fc4 … Iz\n"
        "  sampling  160 Hz; 20,000 samples a channel, 125.00 s\n"
        "  start     2009-08-12 16:15:00.000 UTC (placeholder: the same stamp stands in many files; "
        "it is no moment in time)\n"
        "  events    30 annotations: 15 T0, 8 T1, 7 T2\n"
        "  gaps      none\n"
        "  quality   no flat channel, no clipped channel"
    )


def test_text_tells_how_a_board_delivered(board: Recording) -> None:
    shown = repr(board)
    assert "250 Hz nominal, 250.33 Hz measured" in shown
    assert "14,268 bursts of 1 to 7 packets" in shown
    assert "0 packets missing by the counter" in shown


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


@pytest.mark.parametrize("which", ["eeg", "board"])
def test_html_stands_alone_and_follows_the_theme(which: str, request: pytest.FixtureRequest) -> None:
    recording = request.getfixturevalue(which)
    shown = recording._repr_html_()
    tags = _Tags()
    tags.feed(shown)
    assert tags.open == []
    assert tags.seen.count("polyline") == 8
    assert not re.search(r"https?:|<script|<link|<img|url\(", shown)
    assert "var(--jp-ui-font-color1, currentColor)" in shown
    assert not re.search(r'(fill|stroke|color)[=:]"?(black|white|#000|#fff)', shown)
    assert ("shown through 1 to 40 Hz" in shown) == (which == "board")
    assert len(shown) < 100_000


def test_a_file_name_cannot_inject_html(board: Recording, tmp_path: Path) -> None:
    path = tmp_path / "<script>&.txt"
    path.write_text("\n".join(board.path.read_text().splitlines()[:600]))
    assert "<script>" not in read(path)._repr_html_()


def test_plot_draws_what_was_asked(eeg: Recording) -> None:
    figure = eeg.plot(start=12, duration=4, channels=["C3", "Cz"])
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["C3", "Cz"]
    assert axes.get_xlim() == (12, 16)
    assert {"T1", "S001R04.edf", "2 of 64 channels"} <= set(_words(figure))
    traces = _traces(figure)
    assert [len(trace) for trace in traces] == [640, 640]
    # In steps of the scale bar, a trace is the samples about their median.
    step_uv = float(next(word for word in _words(figure) if word.endswith(" µV")).split()[0])
    samples = eeg.samples(start=12, stop=16, channels=["C3"])[:, 0]
    np.testing.assert_allclose(traces[0][:, 1] * step_uv, samples - np.median(samples))
    np.testing.assert_allclose(traces[0][:, 0], 12 + np.arange(640) / 160)


def test_plot_leaves_pyplot_alone(eeg: Recording) -> None:
    before = dict(mpl.rcParams)
    figure = eeg.plot(duration=1)
    assert dict(mpl.rcParams) == before
    assert type(figure.canvas) is FigureCanvasAgg
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_dense_window_is_thinned_to_the_extremes(board: Recording) -> None:
    figure = board.plot(duration=1000, band_hz=None, channels=["ch1"])
    (trace,) = _traces(figure)
    samples = board.samples(channels=["ch1"])[:, 0]
    assert len(trace) < len(samples)
    assert np.ptp(trace[:, 1]) > 0
    scale = next(word for word in _words(figure) if word.endswith(" mV"))
    assert np.ptp(trace[:, 1]) * float(scale.split()[0]) * 1000 == pytest.approx(np.ptp(samples))


def test_the_band_is_said_and_can_be_switched_off(board: Recording) -> None:
    assert any("1 to 40 Hz" in word for word in _words(board.plot(duration=2)))
    assert not any("40 Hz" in word for word in _words(board.plot(duration=2, band_hz=None)))


@pytest.mark.parametrize(
    "arguments",
    [{"duration": 0}, {"start": 500}, {"theme": "pink"}, {"channels": ["nope"]}, {"band_hz": (40, 1)}],
)
def test_a_wrong_plot_is_named(eeg: Recording, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        eeg.plot(**arguments)
    assert caught.value.hint


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_save_png(eeg: Recording, tmp_path: Path, theme: str) -> None:
    path = eeg.save_png(tmp_path / "made" / "traces.png", theme=theme)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(path.read_bytes()[16:20]) == 1800


def test_envelope_keeps_a_single_spike() -> None:
    samples = np.zeros((100_000, 1))
    samples[77_777] = 5.0
    places, values = envelope(samples, 500)
    assert values.shape == (1000, 1)
    assert values.max() == 5.0
    assert abs(places[int(values.argmax())] - 77_777) <= 200


def test_band_pass_keeps_the_band_and_drops_the_rest() -> None:
    times_s = np.arange(5000) / 250
    kept = np.sin(2 * np.pi * 10 * times_s)
    wide = kept + 3 * np.sin(2 * np.pi * 60 * times_s) + 1000 + 20 * times_s
    found = band_pass(wide[:, None], rate_hz=250, low_hz=1, high_hz=40)[:, 0]
    np.testing.assert_allclose(found[500:-500], kept[500:-500], atol=0.15)


@pytest.mark.parametrize(("value", "expected"), [(0, 1), (0.9, 1), (1, 1), (1.2, 2), (250, 300), (6e-4, 1e-3)])
def test_nice(value: float, expected: float) -> None:
    assert nice(value) == pytest.approx(expected)

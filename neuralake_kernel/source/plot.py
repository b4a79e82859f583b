"""Stacked traces as a matplotlib figure, drawn through the object interface only."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuralake_kernel.errors import UsageError
from neuralake_kernel.source.trace import traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from neuralake_kernel.source.recording import Recording
    from neuralake_kernel.source.trace import Traces

__all__ = ["TraceFigure", "draw"]

WIDTH_IN = 9.0
TRACE_IN = 0.34
BELOW_IN = 0.52
ABOVE_IN = 0.4
MARKS_IN = 0.2
PIXELS = 1600
RIGHT = 0.955
MAX_LABEL_IN = 1.1


@dataclass(frozen=True, slots=True)
class _Theme:
    face: str
    ink: str
    faint: str
    rule: str
    trace: str


THEMES = {
    "light": _Theme(face="#ffffff", ink="#1b1f24", faint="#5f6770", rule="#e4e7eb", trace="#1565c0"),
    "dark": _Theme(face="#111111", ink="#e8eaed", faint="#a3aab2", rule="#2c3035", trace="#64b5f6"),
}


class TraceFigure(Figure):
    """A figure that shows itself in a notebook without pyplot."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=120)
        return stream.getvalue()


def draw(
    recording: Recording,
    *,
    start: float,
    stop: float,
    channels: Sequence[str],
    band_hz: tuple[float, float] | None,
    theme: str,
) -> TraceFigure:
    """Draw stacked traces of a window.

    Parameters
    ----------
    recording
        Where to read.
    start, stop
        Seconds.
    channels
        Names, top to bottom.
    band_hz
        Frequencies to show; None: as stored.
    theme
        ``"light"`` or ``"dark"``.

    Returns
    -------
    TraceFigure
        9 inches wide, as high as the number of traces asks.

    Raises
    ------
    UsageError
        The theme, a channel or the window is not there.
    """
    if theme not in THEMES:
        msg = f"Cannot plot in theme {theme!r}: expected one of {', '.join(THEMES)}."
        raise UsageError(msg, hint='Write theme="dark".')
    colours = THEMES[theme]
    shown = traces(recording, start=start, stop=stop, channels=channels, pixels=PIXELS, band_hz=band_hz)
    above_in = ABOVE_IN + (MARKS_IN if shown.annotations else 0.0)
    height_in = above_in + BELOW_IN + TRACE_IN * max(len(channels), 4)
    figure = TraceFigure(figsize=(WIDTH_IN, height_in), facecolor=colours.face)
    FigureCanvasAgg(figure)
    longest = max(len(channel.name) for channel in shown.channels)
    left = (0.25 + min(0.085 * longest, MAX_LABEL_IN)) / WIDTH_IN
    axes = figure.add_axes(
        (left, BELOW_IN / height_in, RIGHT - left, 1 - (above_in + BELOW_IN) / height_in),
        facecolor=colours.face,
    )
    _frame(axes, shown, colours)
    _lines(axes, shown, colours)
    _marks(axes, shown, colours)
    _scale_bar(axes, shown, colours)
    count = f"{len(shown.channels)} of {len(recording.channels)} channels"
    figure.text(
        left,
        1 - 0.2 / height_in,
        recording.path.name,
        color=colours.ink,
        weight="bold",
        size=9.5,
        va="center",
    )
    figure.text(RIGHT, 1 - 0.2 / height_in, count, color=colours.faint, size=8, va="center", ha="right")
    figure.text(left, 0.13 / height_in, "seconds from start", color=colours.faint, size=8, va="center")
    figure.text(RIGHT, 0.13 / height_in, shown.caption, color=colours.faint, size=8, va="center", ha="right")
    return figure


def _frame(axes: Axes, shown: Traces, colours: _Theme) -> None:
    count = len(shown.channels)
    axes.set_xlim(shown.start_s, shown.stop_s)
    # The outer traces get the room they need, up to a step and a half: beyond that they are cut
    # like any other.
    top = min(max(float(shown.values[:, 0].max()) + 0.1, 0.8), 1.5)
    bottom = min(max(0.1 - float(shown.values[:, -1].min()), 0.8), 1.5)
    axes.set_ylim(1 - count - bottom, top)
    axes.set_yticks([-place for place in range(count)], [channel.name for channel in shown.channels])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10]))
    axes.grid(visible=True, axis="x", color=colours.rule, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="both", length=0, labelcolor=colours.faint, labelsize=8.5, pad=6)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _lines(axes: Axes, shown: Traces, colours: _Theme) -> None:
    lines = [np.column_stack([shown.times_s, values - place]) for place, values in enumerate(shown.values.T)]
    width = 0.45 if shown.is_thinned else 0.75
    axes.add_collection(
        LineCollection(lines, colors=colours.trace, linewidths=width, capstyle="round", joinstyle="round")
    )


def _marks(axes: Axes, shown: Traces, colours: _Theme) -> None:
    for mark in shown.annotations:
        axes.axvline(mark.start_s, color=colours.faint, linewidth=0.8, linestyle=(0, (3, 2)), zorder=3)
        axes.annotate(
            mark.label,
            xy=(mark.start_s, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, 1),
            textcoords="offset points",
            color=colours.ink,
            size=8,
            va="bottom",
            annotation_clip=True,
        )


def _scale_bar(axes: Axes, shown: Traces, colours: _Theme) -> None:
    """One step as an upright bar, right of the lowest traces so that it hides none."""
    low = -len(shown.channels) + 0.5
    beside = axes.get_yaxis_transform()
    axes.plot(
        [1.01, 1.01],
        [low, low + 1],
        transform=beside,
        color=colours.ink,
        linewidth=1.8,
        solid_capstyle="butt",
        clip_on=False,
    )
    axes.text(
        1.018,
        low + 0.5,
        shown.scale,
        transform=beside,
        rotation=90,
        ha="left",
        va="center",
        color=colours.ink,
        size=8,
    )

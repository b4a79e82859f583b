"""A recording as text and as a table with its first traces, for a cell's output.

The text is the same for the same file. The HTML asks for nothing outside itself and takes its
colours from JupyterLab's variables, so that it follows the theme; elsewhere it takes the text
colour of the page.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from neuralake_kernel.source.trace import shown_unit, traces

if TYPE_CHECKING:
    from neuralake_kernel.source.recording import Recording
    from neuralake_kernel.source.trace import Traces

__all__ = ["html", "text"]

SHOWN_NAMES = 6
SHOWN_TRACES = 8
SHOWN_S = 4.0
WIDTH, LEFT, RIGHT, ROW, TOP, SPARE, BOTTOM = 900, 64, 60, 30, 18, 8, 22
INK = "var(--jp-ui-font-color1, currentColor)"
FAINT = "var(--jp-ui-font-color2, currentColor)"
RULE = "var(--jp-border-color2, rgba(128, 128, 128, 0.3))"
TRACE = "var(--jp-brand-color1, #2a7de1)"


def text(recording: Recording) -> str:
    """Facts of a recording, one a line."""
    lines = [f"Recording {recording.path.name} ({recording.format})"]
    lines += [f"  {name:<9} {value}" for name, value in facts(recording)]
    return "\n".join(lines)


def facts(recording: Recording) -> list[tuple[str, str]]:
    """Names and values of the facts, in the order shown."""
    rows = [
        ("channels", _channels(recording)),
        ("sampling", _sampling(recording)),
        ("start", _start(recording)),
    ]
    if recording.arrival is not None:
        bursts, largest = recording.arrival.bursts, recording.arrival.largest_burst_packets
        silence_ms = recording.arrival.longest_silence_s * 1000
        arrival = f"{bursts:,} bursts of 1 to {largest} packets, longest silence {silence_ms:.0f} ms"
        rows.append(("arrival", arrival))
    if recording.annotations:
        counts = sorted(Counter(mark.label for mark in recording.annotations).items())
        kinds = ", ".join(f"{count} {label}" for label, count in counts[:SHOWN_NAMES])
        more = f" and {len(counts) - SHOWN_NAMES} kinds more" if len(counts) > SHOWN_NAMES else ""
        rows.append(("events", f"{len(recording.annotations)} annotations: {kinds}{more}"))
    return [*rows, ("gaps", _gaps(recording)), ("quality", _quality(recording))]


def html(recording: Recording) -> str:
    """Facts as a table, the first traces below."""
    head = f"text-align:left;font-weight:500;color:{FAINT};padding:1px 14px 1px 0;vertical-align:top"
    rows = "".join(
        f'<tr><th style="{head}">{name}</th><td style="text-align:left;padding:1px 0">{escape(value)}</td></tr>'
        for name, value in facts(recording)
    )
    return (
        f'<div style="color:{INK};font-family:var(--jp-ui-font-family, sans-serif)">'
        f'<div style="margin:4px 0"><b>{escape(recording.path.name)}</b> '
        f'<span style="color:{FAINT}">{escape(recording.format)}</span></div>'
        f'<table style="border-collapse:collapse;color:inherit;font-size:0.92em">{rows}</table>'
        f"{_picture(recording)}</div>"
    )


def _channels(recording: Recording) -> str:
    groups: dict[tuple[str, str], list[str]] = {}
    for channel in recording.channels:
        groups.setdefault((channel.type, shown_unit(channel.physical_unit)), []).append(channel.name)
    return "; ".join(
        f"{len(names)} {kind} in {unit or 'no unit'}: {_shortened(names)}" for (kind, unit), names in groups.items()
    )


def _shortened(names: list[str]) -> str:
    # Leaving out one or two names would save no room.
    if len(names) <= SHOWN_NAMES + 2:
        return ", ".join(names)
    return f"{', '.join(names[:SHOWN_NAMES])} … {names[-1]}"


def _sampling(recording: Recording) -> str:
    rate = f"{recording.rate_hz:g} Hz"
    if recording.arrival is not None:
        rate += f" nominal, {recording.arrival.measured_rate_hz:.2f} Hz measured by the host's clock"
    others = sorted({channel.rate_hz for channel in recording.channels} - {recording.rate_hz})
    rate += f" (others at {', '.join(f'{other:g}' for other in others)} Hz)" if others else ""
    return f"{rate}; {recording.n_samples:,} samples a channel, {recording.duration_s:.2f} s"


def _start(recording: Recording) -> str:
    start = recording.start
    stamp = (
        "unknown" if start.time is None else f"{start.time:%Y-%m-%d %H:%M:%S}.{start.time.microsecond // 1000:03d} UTC"
    )
    return f"{stamp} ({start.trust}: {start.note})"


def _gaps(recording: Recording) -> str:
    gaps = recording.gaps
    if not gaps:
        return "none"
    first = gaps[0]
    places = "place" if len(gaps) == 1 else "places"
    at_s = first.sample_index / recording.rate_hz
    return (
        f"{len(gaps)} {places}; the first at {at_s:.2f} s, "
        f"{first.missing_packets} packets missing, {first.silence_s:.2f} s of silence"
    )


def _quality(recording: Recording) -> str:
    quality = recording.quality
    parts = [
        f"flat: {_shortened(list(quality.flat))}" if quality.flat else "no flat channel",
        f"clipped: {_shortened(list(quality.clipped))}" if quality.clipped else "no clipped channel",
    ]
    if quality.missing_packets is not None:
        parts.append(f"{quality.missing_packets:,} packets missing by the counter")
    judged = "" if quality.judged_s >= recording.duration_s else f" (first {quality.judged_s:.0f} s)"
    return ", ".join(parts) + judged


def _picture(recording: Recording) -> str:
    names = [channel.name for channel in recording.main_channels[:SHOWN_TRACES]]
    stop = min(SHOWN_S, recording.duration_s)
    width = WIDTH - LEFT - RIGHT
    shown = traces(
        recording,
        start=0.0,
        stop=stop,
        channels=names,
        pixels=width // 2,
        band_hz=recording.display_band_hz,
    )
    height = TOP + ROW * len(names) + SPARE + BOTTOM
    style = "max-width:100%;height:auto;font-size:11px;font-family:inherit"
    label = f"First traces of {escape(recording.path.name)}"
    opening = f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" aria-label="{label}" style="{style}">'
    drawn = [*_marks(shown, height), *(_trace(shown, place) for place in range(len(names))), *_frame(shown, height)]
    caption = f'<div style="color:{FAINT};font-size:0.85em;padding-left:{LEFT}px">{shown.caption}</div>'
    return "".join([opening, *drawn, "</svg>", caption])


def _x(shown: Traces, time_s: float) -> float:
    return LEFT + (time_s - shown.start_s) / (shown.stop_s - shown.start_s) * (WIDTH - LEFT - RIGHT)


def _trace(shown: Traces, place: int) -> str:
    middle = TOP + ROW * (place + 0.5)
    # A trace may cross its neighbours, never the picture's edge.
    lowest = TOP + ROW * len(shown.channels) + SPARE
    points = " ".join(
        f"{_x(shown, time_s):.1f},{min(max(middle - value * ROW, 2.0), lowest):.1f}"
        for time_s, value in zip(shown.times_s.tolist(), shown.values[:, place].tolist(), strict=True)
    )
    name = escape(shown.channels[place].name)
    return (
        f'<text x="{LEFT - 8}" y="{middle + 4:g}" text-anchor="end" fill="{FAINT}">{name}</text>'
        f'<polyline points="{points}" fill="none" stroke="{TRACE}" stroke-width="1" stroke-linejoin="round"/>'
    )


def _marks(shown: Traces, height: int) -> list[str]:
    parts = []
    for mark in shown.annotations:
        x = _x(shown, mark.start_s)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - BOTTOM}" stroke="{FAINT}" stroke-dasharray="3 3"/>'
        )
        parts.append(f'<text x="{x + 4:.1f}" y="12" fill="{INK}">{escape(mark.label)}</text>')
    return parts


def _frame(shown: Traces, height: int) -> list[str]:
    base, bar_x = height - BOTTOM, WIDTH - RIGHT + 10
    parts = [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" stroke="{RULE}"/>']
    last = int(shown.stop_s)
    parts += [
        f'<text x="{_x(shown, second):.1f}" y="{base + 14}" text-anchor="middle" fill="{FAINT}">{second} s</text>'
        for second in range(int(shown.start_s), last + 1)
    ]
    parts.append(f'<line x1="{bar_x}" x2="{bar_x}" y1="{base - ROW}" y2="{base}" stroke="{INK}" stroke-width="2"/>')
    parts.append(f'<text x="{bar_x + 6}" y="{base - ROW / 2 + 4:g}" fill="{INK}">{shown.scale}</text>')
    return parts

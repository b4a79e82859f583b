"""What a terminal shows: lines, aligned tables, colours, and one line that changes in place.

Colours and changing lines are for people at a terminal alone. Into a file or a pipe, under ``NO_COLOR`` or on a dumb
terminal, the same facts come as plain lines, one after another.
"""

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, Protocol, TextIO

__all__ = ["Step", "Style", "Terminal"]

Style = Literal["bold", "dim", "red", "green", "yellow", "cyan"]

_CODES: Final[Mapping[str, str]] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;]*m")
#: Longest line that is still read with ease.
_WIDEST: Final = 100
_NARROWEST: Final = 40
#: A changing line is drawn at most this often: more is not seen, and costs time on a slow terminal.
_REDRAW_S: Final = 0.05
_CLEAR: Final = "\r\x1b[2K"


class Step(Protocol):
    """A step of something that takes long; the stack's ``StackProgress`` is one."""

    @property
    def part(self) -> str:
        """What it concerns."""

    @property
    def step(self) -> str:
        """What is being done; ``ready`` is the last step of a part."""


class Terminal:
    """One stream that people read; safe to use from several threads.

    Parameters
    ----------
    stream
        Where to write; without it standard output.
    width
        Columns to fill (≥ 40); without it those of the terminal, at most 100.
    """

    def __init__(self, stream: TextIO | None = None, *, width: int | None = None) -> None:
        self._stream = stream or sys.stdout
        self.is_live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self.has_colour = self.is_live and not os.environ.get("NO_COLOR")
        found = width or shutil.get_terminal_size((_WIDEST, 24)).columns
        # The last column is left free: some terminals wrap when it is written.
        self.width = max(_NARROWEST, min(found - 1, _WIDEST))
        self._lock = threading.Lock()
        self._is_line_open = False
        self._drawn_at = 0.0
        self._last_step = ""

    def say(self, text: str = "") -> None:
        """Write whole lines; a line that changes in place is replaced by them."""
        with self._lock:
            opening = _CLEAR if self._is_line_open else ""
            self._is_line_open = False
            self._write(f"{opening}{text}\n")

    def show(self, text: str, *, step: str) -> None:
        """Show a state that changes.

        Parameters
        ----------
        text
            The state now; cut at the terminal's width.
        step
            What the state belongs to. At a terminal the line changes in place; elsewhere a line is written
            whenever the step is another one than before.
        """
        with self._lock:
            is_new = step != self._last_step
            self._last_step = step
            if not self.is_live:
                if is_new:
                    self._write(f"{text}\n")
                return
            now = time.monotonic()
            if is_new or now - self._drawn_at >= _REDRAW_S:
                self._drawn_at = now
                self._is_line_open = True
                self._write(f"{_CLEAR}{self._cut(text)}")

    def show_step(self, step: Step) -> None:
        """Show a step of a start or an installation; a part that is ready keeps its line."""
        if step.step == "ready":
            self.say(f"{self.paint('●', 'green')} {step.part}: ready")
        else:
            self.show(f"{self.paint('◔', 'yellow')} {step}", step=f"{step.part} {step.step}")

    def clear(self) -> None:
        """Take a line that changes in place away."""
        with self._lock:
            self._last_step = ""
            if self._is_line_open:
                self._is_line_open = False
                self._write(_CLEAR)

    def paint(self, text: str, *styles: Style) -> str:
        """Give the text in colour where colours are wanted."""
        if not self.has_colour or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"

    def table(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        right: Iterable[str] = (),
        indent: int = 0,
    ) -> str:
        """Align columns; the last one is cut where the terminal ends.

        Parameters
        ----------
        head
            Names of the columns.
        rows
            Cells as text or as numbers; coloured text keeps its place.
        right
            Names of the columns that end in one line, as numbers do.
        indent
            Spaces before each line.
        """
        texts = [[str(cell) for cell in row] for row in rows]
        ends = set(right)
        widths = [max(map(_length, column)) for column in zip(head, *texts, strict=True)]
        lines = [self.paint(self._joined(head, widths, head, ends), "dim")]
        lines += [self._joined(row, widths, head, ends) for row in texts]
        return "\n".join(" " * indent + self._cut(line, less=indent) for line in lines)

    def records(self, rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, indent: int = 0) -> str:
        """Align the rows of an answer: numbers end in one line, times are UTC, an absent value is a dash.

        Parameters
        ----------
        rows
            Values by column.
        columns
            Columns in order.
        indent
            Spaces before each line.
        """
        numbers = [name for name in columns if all(isinstance(row[name], int | float | None) for row in rows)]
        cells = [[_value_text(row[name]) for name in columns] for row in rows]
        return self.table(columns, cells, right=numbers, indent=indent)

    def _joined(self, cells: Sequence[str], widths: Sequence[int], head: Sequence[str], ends: set[str]) -> str:
        padded = [
            " " * (width - _length(cell)) + cell if name in ends else cell + " " * (width - _length(cell))
            for cell, width, name in zip(cells, widths, head, strict=True)
        ]
        return "  ".join(padded).rstrip()

    def _cut(self, text: str, *, less: int = 0) -> str:
        room = self.width - less
        if not self.is_live or _length(text) <= room:
            return text
        plain = _ESCAPE.sub("", text)
        return plain[: room - 1] + "…"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _value_text(value: object) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}" if 0.01 <= abs(value) < 1e9 or value == 0 else f"{value:.6g}"
    if isinstance(value, datetime):
        # To the millisecond: an answer is read here, not stored.
        return value.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _length(text: str) -> int:
    return len(_ESCAPE.sub("", text))

"""How the demonstration is told: numbered chapters, wrapped text, code and tables, within 80 columns where it can."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from neuralake_kernel.terminal import Terminal

__all__ = ["Story"]

_INDENT: Final = 3
#: Width of a fact's name, where a recording or a report tells facts.
_FACT: Final = 10


class Story:
    """Tells a demonstration in a terminal.

    Parameters
    ----------
    terminal
        Where to.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter += 1
        self.terminal.say(
            f"\n{self.terminal.paint(f'{self._chapter:<2}', 'cyan')} {self.terminal.paint(title, 'bold')}"
        )

    def text(self, text: str) -> None:
        """Write lines, each wrapped under its own indent; a fact (`name  value`) under its value."""
        for line in text.splitlines():
            own = _INDENT + len(line) - len(line.lstrip())
            hang = own + (_FACT if own > _INDENT and "  " in line.strip() else 0)
            wrapped = textwrap.fill(
                line.strip(), self.terminal.width, initial_indent=" " * own, subsequent_indent=" " * hang
            )
            self.terminal.say(wrapped)

    def code(self, text: str) -> None:
        """Write code as it could be typed."""
        for line in text.splitlines():
            self.terminal.say(f"{' ' * _INDENT}{self.terminal.paint(line, 'cyan')}".rstrip())

    def wait(self, text: str) -> None:
        """Say at a terminal that something takes its time; it goes when the next line comes."""
        if self.terminal.is_live:
            self.terminal.show(" " * _INDENT + self.terminal.paint(text, "dim"), step=text)

    def claim(self, text: str, *, holds: bool) -> None:
        """Write what was promised and whether it held."""
        sign = self.terminal.paint("●", "green") if holds else self.terminal.paint("✕", "red")
        lines = textwrap.wrap(text, self.terminal.width - _INDENT - 2)
        self.terminal.say(f"{' ' * _INDENT}{sign} " + f"\n{' ' * (_INDENT + 2)}".join(lines))

    def rows(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Write the rows of an answer."""
        self.terminal.say(self.terminal.records(rows, columns, indent=_INDENT))

    def quiet(self, text: str) -> None:
        """Write what only the curious read."""
        self.terminal.say(" " * _INDENT + self.terminal.paint(text, "dim"))

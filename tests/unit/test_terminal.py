"""What people see at a terminal, and what a file gets instead."""

import io
import re
from dataclasses import dataclass

import pytest

from neuralake_kernel.terminal import Terminal


class Screen(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Step:
    part: str
    step: str
    done: int = 0

    def __str__(self) -> str:
        return f"{self.part}: {self.step} {self.done}"


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def seen(stream: io.StringIO) -> list[str]:
    """Lines as they stand on the screen at the end."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    return [line.rpartition("\r\x1b[2K")[2] for line in text.split("\n")]


def test_a_file_gets_neither_colours_nor_moves() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    for count in range(3):
        terminal.show_step(Step("minio", "compiling", count))
    terminal.show_step(Step("minio", "ready"))
    terminal.clear()
    terminal.say(terminal.paint("done", "green"))
    assert stream.getvalue() == "◔ minio: compiling 0\n● minio: ready\ndone\n"


def test_at_a_terminal_one_line_changes_in_place_and_whole_lines_stay() -> None:
    stream = Screen()
    terminal = Terminal(stream, width=60)
    terminal.show_step(Step("minio", "starting"))
    terminal.show_step(Step("minio", "waiting until ready"))
    assert seen(stream) == ["◔ minio: waiting until ready 0"]
    terminal.show_step(Step("minio", "ready"))
    terminal.show("gone", step="x")
    terminal.clear()
    assert seen(stream) == ["● minio: ready", ""]


def test_a_changing_line_never_wraps() -> None:
    stream = Screen()
    Terminal(stream, width=50).show("x" * 200, step="long")
    assert len(seen(stream)[0]) == 49


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert Terminal(Screen()).paint("ready", "green") == "ready"


def test_a_table_is_aligned_whatever_is_coloured() -> None:
    terminal = Terminal(Screen(), width=80)
    text = terminal.table(("name", "rows"), [(terminal.paint("a", "red"), 1), ("long name", 12_345)], right=("rows",))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert plain == ["name        rows", "a              1", "long name  12345"]
    assert "\x1b[31m" in text


def test_rows_of_an_answer_show_absent_values_and_thousands() -> None:
    rows = [{"n": 22490, "mean": 62052.053, "who": "s1"}, {"n": 1, "mean": None, "who": b"\xff"}]
    lines = Terminal(io.StringIO(), width=80).records(rows, ("n", "mean", "who")).splitlines()
    assert lines == [
        "     n        mean  who",
        "22,490  62,052.053  s1",
        "     1           \N{EN DASH}  \N{REPLACEMENT CHARACTER}",
    ]

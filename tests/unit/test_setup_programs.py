"""Set-up names what a machine lacks, with the way to get it, before it builds anything."""

from pathlib import Path

import pytest

from scripts.programs import BUILD_PROGRAMS, STACK_PROGRAMS, Program, complaint, require
from scripts.steps import StepError

ALL = BUILD_PROGRAMS + STACK_PROGRAMS


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a PATH with nothing on it but what a test puts there."""
    monkeypatch.setattr("scripts.places.BIN", tmp_path / "no-venv")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(machine: Path, name: str, body: str) -> None:
    program = machine / name
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


@pytest.mark.usefixtures("machine")
def test_a_bare_machine_hears_of_everything_at_once() -> None:
    with pytest.raises(StepError) as caught:
        require(ALL)
    text = str(caught.value)
    for program in ALL:
        assert f"{program.name} is not on PATH: {program.how}" in text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("java version 17.0.15", None),
        ("openjdk version 21", None),
        ("java version 11.0.2", "Java is 11.0.2, 17 or newer is needed"),
        ("java version 1.8.0", "Java is 1.8.0, 17 or newer is needed"),
        ("", "Java is of an unknown version, 17 or newer is needed"),
    ],
)
def test_an_old_version_is_told_from_a_new_one(machine: Path, said: str, expected: str | None) -> None:
    java = next(program for program in STACK_PROGRAMS if program.name == "Java")
    put(machine, "java", f"echo '{said}' >&2")
    told = complaint(java)
    if expected is None:
        assert told is None
    else:
        assert told is not None
        assert told.startswith(expected)
        assert java.how in told


def test_colours_before_the_version_are_no_version(machine: Path) -> None:
    maven = next(program for program in STACK_PROGRAMS if program.name == "Maven")
    put(machine, "mvn", r"printf '\033[1mApache Maven 3.8.7\033[m\n'")
    assert complaint(maven) is None


def test_a_program_that_fails_is_told_with_its_own_words(machine: Path) -> None:
    put(machine, "cargo", "echo 'rustup could not choose a version' >&2; exit 1")
    cargo = Program("cargo", ("cargo", "--version"), (1, 95), "install rustup")
    assert complaint(cargo) == ("cargo does not run (rustup could not choose a version): install rustup")

"""Take each law out of the code and see its test go red: ``make mutations``.

The mutations stand in ``tests/mutations.toml``. They are applied one by one to a copy of the project under
``build/mutations``, so that the tree at hand is never left without a law. First every test is seen green there; then
each mutation must compile, and its test must fail. One whose text is not found is an error.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import native
from scripts.places import BUILD, PACKAGE, PYTHON, ROOT, environment
from scripts.steps import Outcome, StepError, say, stop, summary

CATALOGUE = ROOT / "tests" / "mutations.toml"
COPY = BUILD / "mutations"
#: Never that of the tree at hand: cargo tells clones in one target folder apart by the times of their files alone, so
#: that a library without a law could pass for the whole one.
TARGET = BUILD / "mutations.target"
FACTS = BUILD / "mutations.json"
MODULE = "_native.abi3.so"
#: A test that hangs without its law is red.
LIMIT_S = 600
#: The first build compiles every dependency anew.
BUILD_LIMIT_S = 3600
OF_PYTHON = ("tests/", "neuralake_kernel/")
#: Our crates are compiled anew for each mutation, and quickly; what they depend on is compiled once, as for the wheel.
QUICKLY = [
    word
    for crate in ("neuralake-core", "neuralake-lake", "neuralake-stream", "neuralake-py")
    for word in ("--config", f"profile.release.package.{crate}.opt-level=0")
]


@dataclass(frozen=True)
class Mutation:
    """One law taken out.

    Parameters
    ----------
    name
        What the code does then, in a few words.
    file, old, new
        Where the law stands, its text, and what takes its place.
    test
        The test that must fail: a node of pytest, or ``path::name`` of a Rust test below ``native/crates``.
    """

    name: str
    file: str
    old: str
    new: str
    test: str

    @property
    def path(self) -> Path:
        """The file, below the project's root."""
        return Path(self.file) if self.file.startswith(OF_PYTHON) else Path("native/crates") / self.file

    @property
    def is_rust(self) -> bool:
        """Whether what changes has to be compiled."""
        return self.path.suffix == ".rs"

    @property
    def is_tested_in_rust(self) -> bool:
        """Whether its test is one of cargo's."""
        return not self.test.startswith("tests/")

    def applied(self, text: str) -> str:
        """Return the file's text without the law.

        Raises
        ------
        StepError
            The text is not there, or not once.
        """
        old, new = self.old.removeprefix("\n"), self.new.removeprefix("\n")
        if text.count(old) != 1 or old == new:
            message = f"mutation {self.name}: its text stands {text.count(old)} times in {self.path}, expected once."
            raise StepError(f"{message}\n  Hint: bring tests/mutations.toml up to the code.")
        return text.replace(old, new)


def catalogue() -> list[Mutation]:
    """Read every mutation."""
    return [Mutation(**entry) for entry in tomllib.loads(CATALOGUE.read_text())["mutation"]]


def copy_project() -> None:
    """Bring the copy up to the tree at hand; what is alike keeps its time, so that cargo builds little."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {Path(name) for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    for name in wanted:
        source, target = ROOT / name, COPY / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    shutil.copy(PACKAGE / MODULE, COPY / PACKAGE.name / MODULE)


@contextmanager
def without(mutation: Mutation) -> Iterator[None]:
    """The copy without one law."""
    path = COPY / mutation.path
    whole = path.read_text()
    path.write_text(mutation.applied(whole))
    try:
        yield
    finally:
        path.write_text(whole)


def cargo(*words: str) -> list[str | Path]:
    """Cargo's words over the copy."""
    manifest = COPY / "native" / "Cargo.toml"
    return ["cargo", *words, native.PROFILE, "--locked", "-q", "--manifest-path", manifest, *QUICKLY]


def cargo_test(test: str) -> list[str | Path]:
    """Cargo's words for one test, as far as the name of its test program.

    All crates in one selection: by itself a crate would ask for fewer features of what it depends on, and all of that
    be compiled once more.
    """
    path, _, _ = test.partition("::")
    _, kind, *rest = Path(path).parts
    target = ("--test", Path(rest[-1]).stem) if kind == "tests" else ("--lib",)
    return [*cargo("test"), "--workspace", "--exclude", "neuralake-py", *target]


def build(mutations: Iterable[Mutation]) -> None:
    """Compile what the tests of these mutations run.

    Raises
    ------
    StepError
        It does not compile: a mutation that proves nothing.
    """
    mutations = list(mutations)
    commands = {tuple(cargo_test(one.test)) for one in mutations if one.is_tested_in_rust}
    for command in sorted(commands, key=str):
        words: list[str | Path] = [*command, "--no-run"]
        _must(words)
    if any(one.is_rust and not one.is_tested_in_rust for one in mutations):
        _must([*cargo("build"), "-p", "neuralake-py"])
        built = TARGET / "release" / "lib_native.so"
        # A new file: a process may hold the old one.
        (COPY / PACKAGE.name / MODULE).unlink(missing_ok=True)
        shutil.copy(built, COPY / PACKAGE.name / MODULE)


def _must(command: Sequence[str | Path]) -> None:
    code, said = _run(command, limit_s=BUILD_LIMIT_S)
    if code != 0:
        message = f"`{' '.join(map(str, command))}` ended with exit code {code}.\n{said[-3000:]}"
        raise StepError(message)


def _run(command: Sequence[str | Path], *, limit_s: int = LIMIT_S) -> tuple[int, str]:
    own = {"CARGO_TARGET_DIR": str(TARGET), "PYTHONPATH": str(COPY), "PYTHONDONTWRITEBYTECODE": "1"}
    env = environment() | own
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=COPY,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no end within {limit_s} s"
    return done.returncode, done.stdout + done.stderr


def passes(test: str) -> tuple[bool, str]:
    """Run one test in the copy; whether it passed, and what it said."""
    if test.startswith("tests/"):
        code, said = _run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", test])
        if code > 1:
            message = f"pytest cannot run {test}:\n{said[-3000:]}"
            raise StepError(message)
        return code == 0, said
    name = test.rpartition("::")[2]
    code, said = _run([*cargo_test(test), "--", name])
    if "running 1 test" not in said and "running 2 tests" not in said:
        message = f"no Rust test {test}:\n{said[-2000:]}"
        raise StepError(message)
    return code == 0, said


def see_all_green(mutations: Sequence[Mutation]) -> None:
    """Run every test over the whole code: one that is red already proves nothing."""
    say("── every test, over the whole code")
    build(mutations)
    for test in sorted({one.test for one in mutations}):
        green, said = passes(test)
        if not green:
            message = f"{test} is red without any mutation:\n{said[-3000:]}"
            raise StepError(message)


def reason(said: str) -> str:
    """What a red test says first: whoever reads the run sees whether it is red for its law."""
    lines = said.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("E  "):
            return line[1:].strip()[:160]
        if " panicked at " in line and number + 1 < len(lines):
            return lines[number + 1].strip()[:160]
    return lines[-1][:160] if lines else "no word"


def see_red(mutation: Mutation) -> Outcome:
    """Take one law out and run its test."""
    started = time.monotonic()
    with without(mutation):
        if mutation.is_rust:
            build([mutation])
        green, said = passes(mutation.test)
    seconds = time.monotonic() - started
    remark = "its test stayed green" if green else f"red: {reason(said)}"
    say(f"   {mutation.name}, {seconds:.0f} s, {remark}")
    return Outcome(mutation.name, not green, seconds, remark)


def main() -> None:
    """Run the command line."""
    mutations = catalogue()
    parser = argparse.ArgumentParser(prog="make mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a mutation; all without one")
    parser.add_argument("--skip-green", action="store_true", help="do not first run every test over the whole code")
    asked = parser.parse_args()
    unknown = set(asked.names) - {one.name for one in mutations}
    if unknown:
        parser.error(f"no mutation {', '.join(sorted(unknown))}")
    chosen = [one for one in mutations if not asked.names or one.name in asked.names]
    outcomes = []
    try:
        copy_project()
        for one in chosen:
            one.applied((COPY / one.path).read_text())
        if not asked.skip_green:
            see_all_green(chosen)
        for one in chosen:
            outcomes.append(see_red(one))
            known = json.loads(FACTS.read_text()) if FACTS.exists() else {}
            FACTS.write_text(json.dumps(known | {one.name: outcomes[-1].passed}, indent=1) + "\n")
            if one.is_rust and not one.is_tested_in_rust:
                shutil.copy(PACKAGE / MODULE, COPY / PACKAGE.name / MODULE)
    except StepError as error:
        stop(error)
    sys.exit(0 if summary(outcomes) else 1)


if __name__ == "__main__":
    main()

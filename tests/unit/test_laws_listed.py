"""The page of laws names tests that exist, and every mutation beside the test that must see it."""

import re
from pathlib import Path

import pytest

from scripts.mutations import Mutation, catalogue

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "concepts" / "laws.md"
ROWS = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if re.match(r"\| [A-Z]\d+ \|", line)]
TESTS = sorted({test for row in ROWS for test in re.findall(r"`([^`]+::[^`]+)`", row[2])})
MUTATIONS = catalogue()


def base(test: str) -> str:
    """A test without its parameters."""
    return test.partition("[")[0]


def test_the_page_has_its_laws() -> None:
    numbers = [row[0].strip() for row in ROWS]
    assert len(numbers) == len(set(numbers)) > 50
    assert all("`" in row[2] for row in ROWS), "a law that no test holds"


@pytest.mark.parametrize("test", TESTS)
def test_every_test_named_is_there(test: str) -> None:
    path, _, name = test.rpartition("::")
    is_python = path.startswith("tests/")
    text = (ROOT / path if is_python else ROOT / "native" / "crates" / path).read_text()
    assert re.search(rf"^\s*(async )?(def|fn) {name}\(", text, re.MULTILINE), f"{path} has no {name}"


def test_every_mutation_stands_beside_the_test_that_sees_it() -> None:
    told = {name: row[2] for row in ROWS for name in re.findall(r"`([^`]+)`", row[3])}
    assert set(told) == {one.name for one in MUTATIONS}
    for one in MUTATIONS:
        assert f"`{base(one.test)}`" in told[one.name], one.name


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_every_mutation_finds_its_law(mutation: Mutation) -> None:
    text = (ROOT / mutation.path).read_text()
    assert mutation.applied(text) != text

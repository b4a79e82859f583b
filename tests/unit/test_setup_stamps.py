"""A step runs again when anything it was made from changed, and only then."""

from pathlib import Path

import pytest

from scripts import stamps


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(stamps, "ROOT", tmp_path)
    monkeypatch.setattr(stamps, "STAMPS", tmp_path / "stamps")
    folder = tmp_path / "sources"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.rs").write_text("a")
    (folder / "deep" / "b.rs").write_text("b")
    return folder


def test_the_same_sources_have_the_same_mark(sources: Path) -> None:
    mark = stamps.fingerprint([sources])
    (sources / "a.rs").write_text("a")
    assert stamps.fingerprint([sources]) == mark


@pytest.mark.parametrize("change", ["edit", "add", "rename", "fact"])
def test_every_change_gives_another_mark(sources: Path, change: str) -> None:
    before = stamps.fingerprint([sources], "3.11")
    if change == "edit":
        (sources / "deep" / "b.rs").write_text("c")
    elif change == "add":
        (sources / "deep" / "c.rs").write_text("")
    elif change == "rename":
        (sources / "a.rs").rename(sources / "z.rs")
    assert stamps.fingerprint([sources], "3.12" if change == "fact" else "3.11") != before


def test_what_a_build_leaves_among_its_sources_does_not_count(sources: Path) -> None:
    before = stamps.fingerprint([sources])
    for folder in stamps.SKIPPED_FOLDERS:
        (sources / folder).mkdir()
        (sources / folder / "product").write_text("")
    assert stamps.fingerprint([sources]) == before


def test_a_step_is_fresh_while_its_mark_and_its_products_stand(sources: Path) -> None:
    product = sources.parent / "product"
    assert not stamps.is_fresh("step", "mark", [product])
    stamps.record("step", "mark")
    assert not stamps.is_fresh("step", "mark", [product])
    product.touch()
    assert stamps.is_fresh("step", "mark", [product])
    assert not stamps.is_fresh("step", "another", [product])

"""The lock belongs to pyproject.toml and names no host; both environments follow it."""

import re
import shutil
from pathlib import Path

import pytest

from scripts import environments, lock
from scripts.steps import StepError


@pytest.fixture
def clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a folder with copies of the files that must agree."""
    for name in ("pyproject.toml", "requirements.lock.txt", "environment.yml"):
        shutil.copy(lock.ROOT / name, tmp_path / name)
    twins = (tmp_path / "environment.yml", tmp_path / "twin.yml")
    shutil.copy(*twins)
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setattr(lock, "LOCK", tmp_path / "requirements.lock.txt")
    monkeypatch.setattr(environments, "TWINS", twins)
    return tmp_path


@pytest.mark.usefixtures("clone")
def test_what_is_committed_agrees() -> None:
    lock.check()
    environments.check()


def test_a_new_requirement_makes_the_lock_stale(clone: Path) -> None:
    project = clone / "pyproject.toml"
    project.write_text(project.read_text().replace('"numpy>=2,<3"', '"numpy>=2.1,<3"'))
    with pytest.raises(StepError, match="make lock"):
        lock.check()


def test_other_sections_of_the_project_do_not(clone: Path) -> None:
    project = clone / "pyproject.toml"
    project.write_text(project.read_text() + "\n[tool.other]\nkey = 1\n")
    lock.check()


def test_a_host_in_the_lock_is_refused(clone: Path) -> None:
    path = clone / "requirements.lock.txt"
    path.write_text(path.read_text() + "--index-url https://mirror.example/simple\n")
    with pytest.raises(StepError, match="names a host"):
        lock.check()


def test_the_environments_are_one_file(clone: Path) -> None:
    (clone / "twin.yml").write_text("name: other\n")
    with pytest.raises(StepError, match="differ"):
        environments.check()


def test_a_pin_beside_the_lock_is_told(clone: Path) -> None:
    for name in ("environment.yml", "twin.yml"):
        text = (clone / name).read_text()
        (clone / name).write_text(re.sub(r"polars==\S+", "polars==0.1", text))
    with pytest.raises(StepError, match=r"polars==0\.1 \(locked: "):
        environments.check()

"""What every test may use: a workbench home of its own, and waiting without sleeping.

Each test carries the marker of the folder it stands in, so ``-m fault`` and ``tests/fault`` are the same set.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

TESTS = Path(__file__).parent
POLL_S = 0.02


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        item.add_marker(folder)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings and the data of whoever runs the tests out of them.

    The cache stays: programs and jars are installed once per machine.
    """
    for name in [name for name in os.environ if name.startswith("NEURALAKE_")]:
        if name != "NEURALAKE_TOOLS_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def home() -> Iterator[Path]:
    """Give an empty state folder whose path leaves room for a socket's name (108 bytes on Linux)."""
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "home"


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Give the one way of waiting: a condition and a deadline."""

    def wait(condition: Callable[[], object], *, timeout_s: float = 30, what: str = "") -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"still waiting for {what or condition} after {timeout_s} s")
            time.sleep(POLL_S)

    return wait

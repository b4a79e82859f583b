"""Workbenches for the fault tests: a fresh embedded one each, and one local stack that all of them share.

The shared stack is killed in every way; each test that comes after proves that it was left whole.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import neuralake_kernel as nl
from neuralake_kernel.workbench import Workbench


@pytest.fixture
def embedded(home: Path) -> Iterator[Workbench]:
    with nl.open(profile="embedded", home=home) as lab:
        yield lab
        lab.stack.stop()


@pytest.fixture(scope="session")
def local() -> Iterator[Workbench]:
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        lab = nl.open(profile="local", home=Path(folder) / "home")
        try:
            lab.stack.start()
            yield lab
        finally:
            lab.stack.stop()
            lab.close()


@pytest.fixture(params=["embedded", "local"])
def lab(request: pytest.FixtureRequest) -> Workbench:
    return request.getfixturevalue(request.param)

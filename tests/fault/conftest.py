"""Workbenches for the fault tests: a fresh embedded one each, and local stacks that the tests share.

The one on MinIO lives as long as the run; the one on versitygw only for the tests that are asked of every store.

The shared stack is killed in every way; each test that comes after proves that it was left whole.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

import neuralake_kernel as nl
from neuralake_kernel.stack import STORE_PROGRAMS
from neuralake_kernel.workbench import Workbench
from tests.stacks import started


@pytest.fixture
def embedded(home: Path) -> Iterator[Workbench]:
    with nl.open(profile="embedded", home=home) as lab:
        yield lab
        lab.stack.stop()


@pytest.fixture(scope="session")
def local() -> Iterator[Workbench]:
    with started() as lab:
        yield lab


@pytest.fixture(scope="module", params=STORE_PROGRAMS)
def every_store(request: pytest.FixtureRequest) -> Iterator[Workbench]:
    if request.param == "minio":
        yield request.getfixturevalue("local")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURALAKE_STACK__STORE", request.param)
        with started() as lab:
            yield lab


@pytest.fixture(params=["embedded", "local"])
def lab(request: pytest.FixtureRequest) -> Workbench:
    return request.getfixturevalue(request.param)

"""Workbenches for the fault tests: a fresh embedded one each, and local stacks that the tests share.

The one on MinIO lives as long as the run; the one on versitygw only for the tests that are asked of every store.

The shared stack is killed in every way; each test that comes after proves that it was left whole.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

import neuralake_kernel as nl
from neuralake_kernel.settings import BrokerSettings, Settings, StoreSettings
from neuralake_kernel.stack import STORE_PROGRAMS
from neuralake_kernel.workbench import Workbench
from tests.fault.proxy import Proxy
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


@pytest.fixture
def proxy(local: Workbench) -> Iterator[Proxy]:
    with Proxy(local.store.endpoint) as proxy:
        yield proxy


@pytest.fixture
def behind_proxy(local: Workbench, proxy: Proxy, home: Path) -> Iterator[Workbench]:
    """A workbench of another machine, with the proxy before its store."""
    store = StoreSettings(
        uri=local.store.uri,
        endpoint=proxy.endpoint,
        access_key_id=local.store.access_key_id,
        secret_access_key=SecretStr(local.store.secret_access_key),
        allow_http=True,
    )
    broker = BrokerSettings(options={name: SecretStr(value) for name, value in local.broker.options.items()})
    with nl.open(settings=Settings(profile="remote", home=home, store=store, broker=broker)) as lab:
        yield lab
        lab.stack.stop()


@pytest.fixture(params=["embedded", "local"])
def lab(request: pytest.FixtureRequest) -> Workbench:
    return request.getfixturevalue(request.param)

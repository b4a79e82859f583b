"""Workbenches for the fault tests: a fresh embedded one each, and local stacks that the tests share.

There is one on each store that may serve the local profile: ``local`` on MinIO, ``versitygw`` on that. They are killed
in every way; each test that comes after proves that they were left whole.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

import neuralake_kernel as nl
from neuralake_kernel.settings import BrokerSettings, Settings, StoreSettings
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


@pytest.fixture(scope="session")
def versitygw() -> Iterator[Workbench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURALAKE_STACK__STORE", "versitygw")
        with started() as lab:
            assert lab.stack.policy.store_program == "versitygw"
            yield lab


@pytest.fixture(params=["local", "versitygw"])
def every_store(request: pytest.FixtureRequest) -> Workbench:
    return request.getfixturevalue(request.param)


@pytest.fixture
def proxied(local: Workbench) -> Workbench:
    """The workbench whose store is behind the proxy."""
    return local


@pytest.fixture
def proxy(proxied: Workbench) -> Iterator[Proxy]:
    with Proxy(proxied.store.endpoint) as proxy:
        yield proxy


@pytest.fixture
def behind_proxy(proxied: Workbench, proxy: Proxy, home: Path) -> Iterator[Workbench]:
    """A workbench of another machine, with the proxy before its store."""
    store = StoreSettings(
        uri=proxied.store.uri,
        endpoint=proxy.endpoint,
        access_key_id=proxied.store.access_key_id,
        secret_access_key=SecretStr(proxied.store.secret_access_key),
        allow_http=True,
    )
    broker = BrokerSettings(options={name: SecretStr(value) for name, value in proxied.broker.options.items()})
    with nl.open(settings=Settings(profile="remote", home=home, store=store, broker=broker)) as lab:
        yield lab
        lab.stack.stop()


@pytest.fixture(params=["embedded", "local", "versitygw"])
def lab(request: pytest.FixtureRequest) -> Workbench:
    return request.getfixturevalue(request.param)

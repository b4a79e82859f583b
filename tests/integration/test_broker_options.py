"""Options of Kafka's client pass through under librdkafka's names; a bad one is named, its value never."""

import json
from collections.abc import Iterator
from pathlib import Path

import dataframely as dy
import pytest

import neuralake_kernel as nl
from neuralake_kernel import _bridge
from neuralake_kernel.catalog import declaration_of
from neuralake_kernel.errors import SourceError, UsageError
from neuralake_kernel.ingest import JobSpec
from neuralake_kernel.settings import BrokerSettings, Settings, StoreSettings
from neuralake_kernel.source import create_topic, open_producer, topic_incarnation
from neuralake_kernel.stack import BrokerSpec
from neuralake_kernel.workbench import Workbench
from tests.stacks import started

SECRET = "99999999"


@nl.table(topic="options.raw", name="options", description="One number.")
class Numbers(dy.Schema):
    n = dy.Int64(nullable=False)


@pytest.fixture(scope="module")
def local_lab() -> Iterator[Workbench]:
    with started() as lab:
        yield lab


@pytest.fixture
def remote(local_lab: Workbench, home: Path) -> Iterator[Workbench]:
    """The local services as somebody else's: reached by settings alone."""
    store = local_lab.store
    settings = Settings(
        profile="remote",
        home=home,
        broker=BrokerSettings(options=local_lab.broker.options | {"client.id": "neuralake-test"}),
        store=StoreSettings(
            uri=f"{store.uri}/remote",
            endpoint=store.endpoint,
            region=store.region,
            access_key_id=store.access_key_id,
            secret_access_key=store.secret_access_key,
            allow_http=store.allow_http,
        ),
    )
    with nl.open(settings=settings) as lab:
        yield lab
        lab.stack.stop()


def test_credentials_of_a_remote_broker_reach_every_client(remote: Workbench) -> None:
    assert remote.broker.options["security.protocol"].startswith("SASL")
    create_topic(remote.broker, "options.raw")
    with open_producer(remote.broker, "options.raw") as producer:
        producer.send([json.dumps({"n": n}).encode() for n in range(100)])
    with remote.ingest(Numbers) as job:
        assert job.wait(60).caught_up
        assert remote.verify(Numbers).messages == 100


def test_wrong_credentials_are_no_secret_told(remote: Workbench) -> None:
    wrong = BrokerSpec(kind="kafka", options=remote.broker.options | {"sasl.password": "hunter2-and-more"})
    with pytest.raises(SourceError) as caught:
        topic_incarnation(wrong, "options.raw")
    assert caught.value.code == "broker-away"
    assert "hunter2" not in str(caught.value)


BAD = [
    ({"fetch.wait.max.ms": SECRET}, "fetch.wait.max.ms"),
    ({"no.such.option": SECRET}, "no.such.option"),
    ({"security.protocol": SECRET}, "security.protocol"),
]


@pytest.mark.parametrize(("options", "name"), BAD)
def test_a_bad_option_is_named_before_anything_is_asked(options: dict[str, str], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        topic_incarnation(BrokerSpec(kind="kafka", options={"bootstrap.servers": "127.0.0.1:1"} | options), "t")
    assert caught.value.code == "broker-option"
    assert name in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("options", "name"), BAD)
def test_the_worker_names_a_bad_option_too(options: dict[str, str], name: str, home: Path) -> None:
    with nl.open(home=home) as lab:
        broker = BrokerSpec(kind="kafka", options={"bootstrap.servers": "127.0.0.1:1"} | options)
        contract = declaration_of(Numbers).contract
        spec = JobSpec(table="options", topics=("options.raw",), contract=contract, store=lab.store, broker=broker)
    job = _bridge.Job.start(json.dumps(spec.to_json()))
    assert job.wait(30) == "fatal"
    error = json.loads(job.report())["error"]
    assert error["code"] == "source-refused"
    assert name in error["message"]
    assert SECRET not in json.dumps(error)

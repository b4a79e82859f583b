"""The Kafka driver while a broker settles who leads a partition: it asks again."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from neuralake_kernel.errors import SourceError
from neuralake_kernel.source.kafka import KafkaDriver

if TYPE_CHECKING:
    from collections.abc import Iterable

SETTLING = [
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
]


class Admin:
    """An admin client of one partition that answers with these errors, then with offset 7."""

    def __init__(self, errors: Iterable[int]) -> None:
        self.errors = list(errors)

    def describe_topics(self, _topics: object, **_: object) -> dict[str, Future[Any]]:
        return {"t": _settled(SimpleNamespace(partitions=[SimpleNamespace(id=0)], topic_id="id"))}

    def list_offsets(self, places: dict[Any, Any], **_: object) -> dict[Any, Future[Any]]:
        if self.errors:
            refused: Future[Any] = Future()
            refused.set_exception(KafkaException(KafkaError(self.errors.pop(0))))
            return dict.fromkeys(places, refused)
        return dict.fromkeys(places, _settled(SimpleNamespace(offset=7)))


def _settled(value: object) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def test_a_partition_that_finds_its_leader_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    admin, driver = Admin(SETTLING), KafkaDriver({"bootstrap.servers": "127.0.0.1:1"})
    monkeypatch.setattr(driver, "_admin", lambda: admin)
    assert driver.offsets("t") == {0: (7, 7)}
    assert not admin.errors


def test_a_refusal_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin([KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_LEADER_EPOCH])
    driver = KafkaDriver({"bootstrap.servers": "127.0.0.1:1"})
    monkeypatch.setattr(driver, "_admin", lambda: admin)
    with pytest.raises(SourceError) as raised:
        driver.offsets("t")
    assert raised.value.code == "broker-refused"
    assert admin.errors == [KafkaError.UNKNOWN_LEADER_EPOCH]

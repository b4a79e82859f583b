"""How a drainer takes what Kafka answers: gone on with, stopped for good, or told as what it is."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from confluent_kafka import KafkaError, KafkaException

from neuralake_kernel.errors import FencedError, SourceError
from neuralake_kernel.source import Spool, drain, drain_session
from neuralake_kernel.source.drain import Drainer
from neuralake_kernel.source.drain_session import TRANSACTION_S, Session
from neuralake_kernel.source.kafka import KafkaDriver


@pytest.fixture
def drainer(tmp_path: Path) -> Iterator[Drainer]:
    spool = Spool(tmp_path, "numbers")
    spool.driver.create_topic("numbers", 1)
    drainer = Drainer(
        spool, SimpleNamespace(kind="kafka", directory=None, options={"bootstrap.servers": "127.0.0.1:1"})
    )
    yield drainer
    drainer.close()


def ended(drainer: Drainer, monkeypatch: pytest.MonkeyPatch, code: int, *, after_s: float = 0) -> str:
    """Run a drainer whose session ends in an error; gives its trouble if it goes on."""
    stopping, clock = threading.Event(), time.clock_gettime(drain.CLOCK)

    def fail(*_: object) -> None:
        stopping.set()
        monkeypatch.setattr(drain.time, "clock_gettime", lambda _clock: clock + after_s)
        raise KafkaException(KafkaError(code))

    class Failing(Session):
        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(drain, "Session", Failing)
    monkeypatch.setattr(drain, "AGAIN_S", 0)
    monkeypatch.setattr(drainer, "_drain", fail)
    drainer.run(stopping)
    return drainer.trouble


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.INVALID_TXN_STATE,
        KafkaError._STATE,
        KafkaError._PURGE_QUEUE,
    ],
)
def test_what_a_new_session_may_mend_is_told_and_gone_on_with(
    drainer: Drainer, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    assert "Cannot drain the spool of 'numbers'" in ended(drainer, monkeypatch, code)


@pytest.mark.parametrize(
    "code",
    [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_TIMESTAMP, KafkaError.TOPIC_AUTHORIZATION_FAILED],
)
def test_what_no_other_try_changes_stops_it(drainer: Drainer, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with pytest.raises(SourceError) as refused:
        ended(drainer, monkeypatch, code)
    assert refused.value.code == "broker-refused"


@pytest.mark.parametrize("code", [KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH])
def test_a_drainer_that_slept_through_its_transaction_is_not_fenced_by_another(
    drainer: Drainer, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    assert ended(drainer, monkeypatch, code, after_s=TRANSACTION_S + 1)
    with pytest.raises(FencedError):
        ended(drainer, monkeypatch, code, after_s=TRANSACTION_S - 1)


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_a_session_that_could_not_begin_leaves_no_client_that_begins_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a client would take the transactional id from the sessions after it, once the broker is back."""
    monkeypatch.setattr(drain_session, "ANSWER_TIMEOUT_S", 0.2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        driver = KafkaDriver({"bootstrap.servers": f"127.0.0.1:{closed.getsockname()[1]}"})

        def fails() -> None:
            with pytest.raises(KafkaException), Session(driver, "numbers", "spool"):
                pass

        fails()
        before = threads()
        for _ in range(3):
            fails()
        assert threads() <= before


def test_a_place_is_told_before_the_end_so_that_waiting_is_never_too_low(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "numbers")
    spool.driver.create_topic("numbers", 1)
    asked: list[str] = []

    def recorded(name: str, of: Any) -> Any:
        return lambda *args: (asked.append(name), of(*args))[1]

    monkeypatch.setattr(spool, "drained", recorded("place", spool.drained))
    monkeypatch.setattr(spool.driver, "offsets", recorded("end", spool.driver.offsets))
    assert spool.status().waiting == 0
    assert asked == ["place", "end"]

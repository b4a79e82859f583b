"""The local profile with real MinIO and Kafka: one stack for the file, killed in every way.

The tests run in order on one state folder, so each one also proves that the ones before left the stack whole.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack import BrokerSpec, ProcessStatus, Stack, StackPolicy, StackProgress, StoreSpec, Supervisor
from neuralake_kernel.stack.bucket import ensure_bucket
from neuralake_kernel.stack.kafka import wait_for_broker
from neuralake_kernel.stack.procinfo import is_alive, pids_with_token
from neuralake_kernel.stack.record import load_record
from neuralake_kernel.stack.state import SupervisorFiles

Wait = Callable[..., None]
FRAME = pl.DataFrame({"packet": [1, 2, 3]})


@pytest.fixture(scope="module")
def tools_dir() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("NEURALAKE_TOOLS_DIR") or Path(cache) / "neuralake" / "tools")


@pytest.fixture(scope="module")
def stack(tools_dir: Path) -> Iterator[Stack]:
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "home", tools_dir=tools_dir, policy=StackPolicy("local"))
        other = Stack(stack.home, tools_dir=tools_dir, policy=StackPolicy("local"))
        # Two notebooks start it at once: one starts, the other finds it running.
        with ThreadPoolExecutor(2) as threads:
            for started in [threads.submit(stack.start), threads.submit(other.start)]:
                assert started.result().is_ready
        assert [status.restarts for status in stack.status().services] == [0, 0]
        yield stack
        stack.stop()


def services(stack: Stack) -> dict[str, ProcessStatus]:
    return {status.name: status for status in stack.status().services}


def topics(stack: Stack, timeout_s: float = 30) -> set[str]:
    return set(wait_for_broker(stack.broker, timeout_s=timeout_s))


def kill_and_wait(stack: Stack, name: str, wait_until: Wait) -> ProcessStatus:
    before = services(stack)[name]
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: services(stack)[name].pid not in {None, before.pid}, what=f"a new {name}")
    status = stack.supervisor.wait(name, timeout_s=60, states=["ready"])
    assert status.restarts == before.restarts + 1
    return status


def test_a_start_brings_a_bucket_and_a_broker(stack: Stack) -> None:
    assert {name: status.state for name, status in services(stack).items()} == {"minio": "ready", "kafka": "ready"}
    FRAME.write_delta(stack.store.table_uri("kept"), storage_options=stack.store.delta_options())
    admin = AdminClient(dict(stack.broker.options))
    admin.create_topics([NewTopic("kept", num_partitions=2)])["kept"].result(30)
    assert "kept" in topics(stack)


def test_a_second_start_changes_nothing(stack: Stack, tools_dir: Path) -> None:
    before = services(stack)
    seen: list[StackProgress] = []
    probed: list[StoreSpec] = []
    other = Stack(stack.home, tools_dir=tools_dir, policy=StackPolicy("local"), store_probe=probed.append)
    other.start(seen.append)
    assert {name: status.pid for name, status in services(other).items()} == {
        name: status.pid for name, status in before.items()
    }
    assert [str(progress) for progress in seen][-3:] == ["kafka: ready 1/1", "kafka: listing topics", "store: probing"]
    assert probed == [stack.store]


def test_only_the_generated_credentials_open_the_doors(stack: Stack) -> None:
    wrong = StoreSpec(
        stack.store.uri, endpoint=stack.store.endpoint, access_key_id="neuralake", secret_access_key="guess"
    )
    with pytest.raises(StackError) as refused:
        ensure_bucket(wrong)
    assert refused.value.code == "store-bucket"
    with pytest.raises(StackError) as away:
        wait_for_broker(BrokerSpec("kafka", options={**stack.broker.options, "sasl.password": "guess"}), timeout_s=1)
    assert away.value.code == "broker-away"
    no_login = {"bootstrap.servers": stack.broker.endpoint, "log_level": "0"}
    with pytest.raises(KafkaException):
        AdminClient(no_login).list_topics(timeout=2)


def test_no_secret_can_be_seen_from_outside(stack: Stack) -> None:
    secrets = set(load_record(stack.home).credentials.values()) - {"neuralake"}
    shown = [repr(stack), stack._repr_html_(), repr(stack.store), repr(stack.broker), str(stack.doctor())]
    shown += [stack.logs(name, 1000) for name in ("minio", "kafka", "supervisor")]
    shown += [
        Path(f"/proc/{status.pid}/cmdline").read_text() for status in services(stack).values() if status.pid is not None
    ]
    assert len(secrets) == 4
    assert [text for text in shown for secret in secrets if secret in text] == []


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    found = 0
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        lines = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        ports = set(load_record(stack.home).ports.values())
        for line in lines:
            address, _, port = line[1].partition(":")
            if line[3] == "0A" and int(port, 16) in ports:
                found += 1
                assert address in {loopback, f"0000000000000000FFFF0000{loopback}"}
    assert found >= 3


def test_a_killed_store_comes_back_with_its_objects(stack: Stack, wait_until: Wait) -> None:
    kill_and_wait(stack, "minio", wait_until)
    ensure_bucket(stack.store)
    kept = pl.read_delta(stack.store.table_uri("kept"), storage_options=stack.store.delta_options())
    assert kept["packet"].to_list() == [1, 2, 3]


def test_a_killed_broker_comes_back_with_its_messages(stack: Stack, wait_until: Wait) -> None:
    producer = Producer({**stack.broker.options, "log_level": "0"})
    producer.produce("kept", b"{}", partition=1)
    assert producer.flush(30) == 0
    kill_and_wait(stack, "kafka", wait_until)
    assert "kept" in topics(stack)
    producer.produce("kept", b"{}", partition=1)
    assert producer.flush(60) == 0


def test_a_killed_supervisor_takes_all_with_it_and_the_next_status_brings_all_back(
    stack: Stack, wait_until: Wait
) -> None:
    before = services(stack)
    endpoints = (stack.store, stack.broker.endpoint)
    pid = stack.supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    pids = [status.pid for status in before.values() if status.pid is not None]
    assert len(pids) == 2
    wait_until(lambda: not any(map(is_alive, [pid, *pids])), timeout_s=5, what="the death of all")
    token, _ = SupervisorFiles(stack.home).read_state()
    assert list(pids_with_token(token)) == []
    # Another client, as the sidebar's poll would be.
    assert {status.name for status in Supervisor(stack.home).status()} == {"minio", "kafka"}
    for name in before:
        assert stack.supervisor.wait(name, timeout_s=60, states=["ready"]).is_ready
    assert (stack.store, stack.broker.endpoint) == endpoints
    assert "kept" in topics(stack)
    ensure_bucket(stack.store)
    kept = pl.read_delta(stack.store.table_uri("kept"), storage_options=stack.store.delta_options())
    assert kept["packet"].to_list() == [1, 2, 3]


def test_a_stop_leaves_no_process_and_nothing_comes_back(stack: Stack) -> None:
    token, _ = SupervisorFiles(stack.home).read_state()
    assert len(list(pids_with_token(token))) == 2
    assert {status.state for status in stack.stop().services} == {"stopped"}
    assert list(pids_with_token(token)) == []
    assert {status.state for status in stack.status().services} == {"stopped"}
    assert not stack.supervisor.is_running


def test_a_taken_port_is_one_clear_error(stack: Stack) -> None:
    stack.stop()
    port = load_record(stack.home).ports["store"]
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        with pytest.raises(StackError) as taken:
            stack.start()
        findings = {finding.name: finding for finding in stack.doctor().findings}
    assert taken.value.code == "port-in-use"
    assert "NEURALAKE_STACK__STORE_PORT" in taken.value.hint
    assert not findings["store port"].is_ok
    assert {status.state for status in stack.status().services} == {"stopped"}


def test_a_start_after_a_stop_finds_everything_again(stack: Stack) -> None:
    assert stack.start().is_ready
    assert "kept" in topics(stack)
    kept = pl.read_delta(stack.store.table_uri("kept"), storage_options=stack.store.delta_options())
    assert kept["packet"].to_list() == [1, 2, 3]

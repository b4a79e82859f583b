"""Topics that lose what was acked: a log cut as a power cut leaves it, a topic made anew under its old name."""

import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow.fs as arrow_fs
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from neuralake_kernel.errors import SourceError
from neuralake_kernel.ingest import JobHandle
from neuralake_kernel.source import create_topic, topic_incarnation
from neuralake_kernel.stack import BrokerSpec
from neuralake_kernel.workbench import Workbench

# Of a record batch: base offset and the length of what follows these 12 bytes.
BATCH_HEAD = struct.Struct(">qi")


def cut_log(lab: Workbench, topic: str, offset: int) -> None:
    """Stop Kafka, cut partition 0 before the batch at an offset, as if its last pages had never reached the disk."""
    lab.stack.supervisor.stop("kafka")
    data = lab.home / "services" / "kafka" / "data"
    (log,) = (data / f"{topic}-0").glob("*.log")
    with log.open("r+b") as file:
        file.truncate(_place_of(file.read(), offset))
    # Without these the broker looks at its logs as it does after a power cut.
    for stale in (data / ".kafka_cleanshutdown", data / "recovery-point-offset-checkpoint"):
        stale.unlink(missing_ok=True)
    lab.stack.start()


def _place_of(log: bytes, offset: int) -> int:
    place = 0
    while place < len(log):
        base, length = BATCH_HEAD.unpack_from(log, place)
        if base >= offset:
            return place
        place += BATCH_HEAD.size + length
    raise AssertionError(f"no batch begins at {offset}")


def delete_before(broker: BrokerSpec, topic: str, offset: int) -> None:
    """Delete messages as retention does."""
    place, admin = TopicPartition(topic, 0, offset), _admin(broker)
    admin.delete_records([place])[place].result(30)


def make_anew(broker: BrokerSpec, topic: str, wait_until: Callable[..., None]) -> None:
    """Delete a topic and make it again under its name."""
    admin = _admin(broker)
    admin.delete_topics([topic])[topic].result(30)

    def is_gone() -> bool:
        try:
            topic_incarnation(broker, topic)
        except SourceError as error:
            return error.code == "topic-missing"
        return False

    wait_until(is_gone, what="the deletion")
    create_topic(broker, topic)


@contextmanager
def halted(job: JobHandle) -> Iterator[None]:
    """The worker sleeps, as on a machine whose lid is closed."""
    pid = job.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def remove_table(lab: Workbench, table: str) -> None:
    """Delete a table with its quarantine, as somebody does who wants to begin anew."""
    for name in (table, f"{table}__quarantine"):
        files = _files_of(lab, name)
        for info in files.get_file_info(arrow_fs.FileSelector("", recursive=True)):
            if info.is_file:
                files.delete_file(info.path)


def clean_log(lab: Workbench, table: str) -> int:
    """Delete the commits below a table's last checkpoint, as log clean-up does; gives how many."""
    files = _files_of(lab, table)
    names = [info.path for info in files.get_file_info(arrow_fs.FileSelector("_delta_log"))]
    last = max(int(name.rpartition("/")[2].partition(".")[0]) for name in names if ".checkpoint." in name)
    commits = [name for name in names if name.endswith(".json") and name.rpartition("/")[2].partition(".")[0].isdigit()]
    old = [name for name in commits if int(name.rpartition("/")[2].partition(".")[0]) < last]
    for name in old:
        files.delete_file(name)
    return len(old)


def _files_of(lab: Workbench, name: str) -> arrow_fs.PyFileSystem:
    table = DeltaTable(lab.store.table_uri(name), storage_options=lab.store.delta_options() or None)
    return arrow_fs.PyFileSystem(DeltaStorageHandler.from_table(table._table))


def _admin(broker: BrokerSpec) -> AdminClient:
    """Hold it until the answer is there: an unheld client takes its questions with it."""
    return AdminClient({**broker.options, "log_level": 0})

"""Bad input of every kind, in one table: one clear error each, or a quarantined message; nothing stored is lost.

A real embedded job reads the messages; after each case the law's checker is asked about everything it holds.
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dataframely as dy
import polars as pl
import pytest

import neuralake_kernel as nl
from neuralake_kernel.errors import CatalogError, NeuralakeError, QueryError, SourceError, StackError, UsageError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobHandle
from neuralake_kernel.source import create_topic, open_producer
from neuralake_kernel.stack import BrokerSpec, Stack, StackPolicy, ensure_tool
from neuralake_kernel.workbench import Workbench
from scripts.programs import BUILD_PROGRAMS, require
from scripts.steps import StepError

ROOT = Path(__file__).resolve().parents[2]
EDF = ROOT / "notebooks" / "data" / "eeg-motor-imagery-64ch" / "S001R04.edf"
TOPIC = "bad.input"
GOOD = {"session": "s1", "packet": 1, "event_time": "2026-01-01T00:00:00Z", "ch1_uv": 1.5}


@nl.table(topic=TOPIC, description="What the cases send to.")
class BadInput(dy.Schema):
    session = dy.String(nullable=False)
    packet = dy.Int16(nullable=False, min=0, max=255)
    event_time = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    ch1_uv = dy.Float32(nullable=True)


@dataclass(frozen=True)
class Lab:
    """A workbench with a running job, and the list of what was sent to it."""

    workbench: Workbench
    job: JobHandle
    sent_to: Path

    def send(self, message: bytes, rows: int = 1) -> int:
        with open_producer(self.workbench.broker, TOPIC) as producer:
            producer.send([message])
            producer.flush()
            offset = producer.ranges[0][0][0]
        with self.sent_to.open("a") as file:
            file.write(json.dumps({"partition": 0, "offset": offset, "rows": rows}) + "\n")
        return offset

    def quarantined(self, offset: int) -> dict[str, object]:
        assert self.job.wait(30).positions[0] == offset + 1
        frame = self.workbench.table("bad_input__quarantine").lazy(identity=True).filter(pl.col("_offset") == offset)
        return frame.collect().row(0, named=True)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with (
        TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder,
        nl.open(profile="embedded", home=Path(folder) / "home") as workbench,
    ):
        job = workbench.ingest(BadInput, policy=IngestPolicy(flush=FlushPolicy(max_age_s=0.05)))
        lab = Lab(workbench, job, Path(folder) / "sent.ndjson")
        lab.send(json.dumps(GOOD).encode())
        yield lab
        workbench.stack.stop()


@dataclass(frozen=True)
class Rejected:
    """A message, the rule it breaks, and the row that is quarantined (None: the whole message)."""

    message: bytes
    rule: str
    row: int | None
    rows: int = 1


@dataclass(frozen=True)
class Refused:
    """Something that cannot be right, its error, and what the text names of it."""

    attempt: Callable[["Surroundings"], object]
    error: type[Exception]
    code: str | None
    names: str


@dataclass(frozen=True)
class Surroundings:
    """What an attempt may use and change."""

    lab: Lab
    tmp_path: Path
    monkeypatch: pytest.MonkeyPatch


def line(**changes: object) -> bytes:
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value is not None}).encode()


def listener() -> AbstractContextManager[socket.socket]:
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    return closing(holder)


def start_on_a_taken_port(given: Surroundings) -> None:
    tools = nl.Settings().tools_dir
    with listener() as holder:
        policy = StackPolicy("local", store_port=holder.getsockname()[1])
        Stack(given.tmp_path / "home", tools_dir=tools, policy=policy).start()


def without_programs(given: Surroundings) -> Path:
    empty = given.tmp_path / "nothing"
    empty.mkdir()
    given.monkeypatch.setenv("PATH", str(empty))
    return empty


def start_without_java(given: Surroundings) -> None:
    Stack(given.tmp_path / "home", tools_dir=without_programs(given), policy=StackPolicy("local")).start()


def install_without_go(given: Surroundings) -> None:
    ensure_tool("minio", tools_dir=without_programs(given))


def set_up_without_node(given: Surroundings) -> None:
    without_programs(given)
    require([program for program in BUILD_PROGRAMS if program.name == "Node.js"])


def open_with_file(given: Surroundings, text: str) -> None:
    given.monkeypatch.chdir(given.tmp_path)
    Path("neuralake.toml").write_text(text)
    nl.open(home=given.tmp_path / "home")


def open_with_variable(given: Surroundings, name: str, value: str) -> None:
    given.monkeypatch.setenv(name, value)
    nl.open(home=given.tmp_path / "home")


def ingest_with_the_store_away(given: Surroundings) -> None:
    with listener() as holder:
        port = holder.getsockname()[1]
    store = {
        "uri": "s3://lake",
        "endpoint": f"http://127.0.0.1:{port}",
        "access_key_id": "someone",
        "secret_access_key": "something",
        "allow_http": True,
    }
    options = {"bootstrap.servers": f"127.0.0.1:{port}"}
    settings = nl.Settings(profile="remote", home=given.tmp_path / "home", store=store, broker={"options": options})
    with nl.open(settings=settings) as workbench:
        workbench.ingest(BadInput)


def read_cut_edf(given: Surroundings) -> None:
    cut = given.tmp_path / "cut.edf"
    cut.write_bytes(EDF.read_bytes()[:100_000])
    nl.read(cut)


def declare_twice(_given: Surroundings) -> None:
    @nl.table(topic="another.topic", name="bad_input")
    class Another(dy.Schema):
        packet = dy.Int16()


def use_an_unknown_client_option(_given: Surroundings) -> None:
    create_topic(BrokerSpec("kafka", options={"bootstrap.servers": "127.0.0.1:9", "no.such.option": "1"}), TOPIC)


def copy_out(given: Surroundings) -> None:
    given.lab.workbench.sql(f"COPY bad_input TO '{given.tmp_path}/stolen.csv'")


BAD_INPUT: dict[str, Rejected | Refused] = {
    "poison JSON": Rejected(b'{"session": "s1", "packet"', "message|json", None),
    "empty message": Rejected(b"", "message|empty", None),
    "no object": Rejected(b"[1, 2]", "message|object", None),
    "not UTF-8": Rejected(b'{"session": "\xff"}', "message|utf8", None),
    "missing column": Rejected(line(event_time=None), "event_time|nullability", 0),
    "wrong type": Rejected(line(ch1_uv="high"), "ch1_uv|dtype", 0),
    "value out of bounds": Rejected(line(packet=300), "packet|max", 0),
    "one bad row of two": Rejected(line() + b"\n" + line(packet=-1), "packet|min", 1, rows=2),
    "port in use": Refused(start_on_a_taken_port, StackError, "port-in-use", "NEURALAKE_STACK__STORE_PORT"),
    "missing Java": Refused(start_without_java, StackError, "java-missing", "openjdk"),
    "missing Go": Refused(install_without_go, StackError, "go-missing", "go.dev"),
    # Set-up runs before the package is there, and has an error of its own.
    "missing Node": Refused(set_up_without_node, StepError, None, "nodejs.org"),
    "broken settings file": Refused(
        lambda given: open_with_file(given, "profile = [broken"), UsageError, "settings-unreadable", "neuralake.toml"
    ),
    "unknown setting in the file": Refused(
        lambda given: open_with_file(given, "[stack]\nstore_prot = 9000\n"),
        UsageError,
        "settings-invalid",
        "STORE_PROT",
    ),
    "setting out of range": Refused(
        lambda given: open_with_variable(given, "NEURALAKE_STACK__STORE_PORT", "80"),
        UsageError,
        "settings-invalid",
        "NEURALAKE_STACK__STORE_PORT",
    ),
    "remote without endpoints": Refused(
        lambda given: open_with_variable(given, "NEURALAKE_PROFILE", "remote"),
        UsageError,
        "profile-incomplete",
        "NEURALAKE_STORE__URI",
    ),
    "store away at start": Refused(ingest_with_the_store_away, StackError, "store-unreachable", "127.0.0.1"),
    "unknown client option": Refused(use_an_unknown_client_option, UsageError, "broker-option", "no.such.option"),
    "unknown table": Refused(
        lambda given: given.lab.workbench.sql("SELECT * FROM bad_imput"), CatalogError, "table-unknown", "bad_input"
    ),
    "two statements": Refused(
        lambda given: given.lab.workbench.sql("SELECT 1; SELECT 2"), QueryError, "sql-not-a-select", "SELECT"
    ),
    "COPY": Refused(copy_out, QueryError, "sql-not-a-select", "COPY"),
    "truncated EDF": Refused(read_cut_edf, SourceError, "recording-truncated", "cut.edf"),
    "no recording": Refused(
        lambda given: nl.read(given.tmp_path / "no.edf"), SourceError, "recording-missing", "no.edf"
    ),
    "one table declared twice": Refused(declare_twice, CatalogError, "table-name-taken", "bad_input"),
}


@pytest.mark.parametrize("case", BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_told_or_kept_and_nothing_is_lost(
    case: Rejected | Refused, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(case, Rejected):
        kept = lab.quarantined(lab.send(case.message, case.rows))
        raw = case.message if case.row is None else case.message.splitlines()[case.row]
        assert (kept["raw"], kept["reasons"], kept["_row"]) == (raw, [case.rule], case.row)
    else:
        with monkeypatch.context() as patch, pytest.raises(case.error) as refused:
            case.attempt(Surroundings(lab, tmp_path, patch))
        assert type(refused.value) is case.error
        assert case.names in str(refused.value)
        if isinstance(refused.value, NeuralakeError):
            assert refused.value.code == case.code
            assert refused.value.message
            assert refused.value.hint
        assert not (tmp_path / "stolen.csv").exists()
    assert lab.job.status().state == "ready"
    report = lab.workbench.verify(BadInput, expect=lab.sent_to)
    assert report.ok, str(report)
    assert report.expected == len(lab.sent_to.read_text().splitlines())

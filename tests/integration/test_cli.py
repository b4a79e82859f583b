"""The command on the embedded profile: every verb, its facts, its errors, its exit codes."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dataframely as dy
import pytest

import neuralake_kernel as nl
from neuralake_kernel.cli import main
from neuralake_kernel.cli.command import build_parser
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.source import open_producer

ROOT = Path(__file__).resolve().parents[2]
VERBS = (
    "up",
    "down",
    "status",
    "logs",
    "doctor",
    "install",
    "catalog",
    "query",
    "verify",
    "produce",
    "journal",
    "requeue",
    "settings",
    "demo",
)


@nl.table(topic="cli.packets", description="What the command is asked about.")
class CliPackets(dy.Schema):
    session = dy.String(nullable=False)
    packet = dy.Int16(nullable=False, min=0, max=255)


@dataclass(frozen=True)
class Said:
    """What a command wrote and how it ended."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def lake() -> Iterator[Path]:
    """A state folder with one table: two good rows and one in quarantine; its job runs."""
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        with nl.open(profile="embedded", home=home) as workbench:
            job = workbench.ingest(CliPackets, policy=IngestPolicy(flush=FlushPolicy(max_age_s=0.05)))
            with open_producer(workbench.broker, "cli.packets") as producer:
                producer.send([json.dumps({"session": "s1", "packet": packet}).encode() for packet in (1, 2, 300)])
                producer.flush()
            assert job.wait(30).caught_up
            lines = [json.dumps({"partition": 0, "offset": offset, "rows": 1}) for offset in range(3)]
            (home / "sent.ndjson").write_text("\n".join(lines) + "\n")
            yield home
            workbench.stack.stop()


@pytest.fixture
def neuralake(lake: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(verb: str, *words: str) -> Said:
        capsys.readouterr()
        code = main([verb, "--home", str(lake), *words])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


Run = Callable[..., Said]


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    assert f"example:\n  neuralake {verb}" in text
    assert {"--json", "--profile", "--home"} <= set(text.replace("]", " ").replace("[", " ").split())


def test_there_is_no_verb_that_this_file_does_not_know() -> None:
    known = next(action.choices for action in build_parser()._actions if action.dest == "verb")
    assert known is not None
    assert sorted(known) == sorted(VERBS)


def test_up_on_embedded_starts_nothing_and_probes_the_store(neuralake: Run) -> None:
    said = neuralake("up", "--json")
    assert said.code == 0
    assert (said.facts["profile"], said.facts["services"]) == ("embedded", [])
    assert "store: probing" in said.err


def test_status_tells_jobs_and_their_reports(neuralake: Run, lake: Path) -> None:
    facts = neuralake("status", "--json").facts
    job = facts["jobs"][0]
    assert (facts["home"], facts["supervisor"]["pid"] > 0) == (str(lake), True)
    assert (job["name"], job["state"], job["restarts"]) == ("cli_packets", "running", 0)
    assert (job["report"]["committed_rows"], job["report"]["quarantined_rows"]) == (2, 1)
    text = neuralake("status").out
    assert "● running" in text
    assert "\x1b" not in text


def test_logs_shows_a_log_and_names_those_there_are(neuralake: Run) -> None:
    assert neuralake("logs", "cli_packets", "--json").facts["name"] == "cli_packets"
    said = neuralake("logs", "kafak")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error[process-unknown]: ")
    assert "cli_packets" in said.err
    assert " hint: " in said.err


def test_doctor_says_that_embedded_needs_nothing(neuralake: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    said = neuralake("doctor", "--json")
    assert (said.code, said.facts["can_run"]) == (0, True)
    missing = {finding["name"] for finding in said.facts["findings"] if not finding["is_ok"]}
    assert "java" in missing
    assert neuralake("doctor", "--profile", "local").code == 1


def test_install_finds_what_is_installed(neuralake: Run) -> None:
    tools = neuralake("install", "kafka", "--json").facts["tools"]
    assert Path(tools["kafka"]).is_dir()
    said = neuralake("install", "kafak")
    assert said.code == 2
    assert "error[tool-unknown]" in said.err


def test_catalog_lists_tables_and_shows_one(neuralake: Run) -> None:
    # Other tests of this process may have declared tables of their own.
    table = next(t for t in neuralake("catalog", "--json").facts["tables"] if t["name"] == "cli_packets")
    assert (table["state"], table["rows"], table["quarantine"]["rows"]) == ("stored", 2, 1)
    columns = [column["name"] for column in neuralake("catalog", "cli_packets", "--json").facts["columns"]]
    assert columns == ["session", "packet"]
    assert "cli_packets" in neuralake("catalog").out
    said = neuralake("catalog", "cli_packet")
    assert said.code == 1
    # The nearest comes first, however many tables the other tests have declared.
    assert re.search(r"did you mean cli_packets( or |, |\?)", said.err), said.err


def test_query_answers_as_json_and_as_a_table(neuralake: Run) -> None:
    sql = "SELECT session, count(*) AS n, sum(packet) / 0.0 AS none FROM cli_packets GROUP BY session"
    facts = neuralake("query", sql, "--json").facts
    assert facts["engine"] == "hot"
    assert facts["rows"] == [{"session": "s1", "n": 2, "none": None}]
    lines = neuralake("query", "SELECT packet, session FROM cli_packets ORDER BY packet").out.splitlines()
    assert [line.split() for line in lines[:3]] == [["packet", "session"], ["1", "s1"], ["2", "s1"]]
    said = neuralake("query", "COPY cli_packets TO 'x.csv'")
    assert said.code == 1
    assert "error[sql-not-a-select]" in said.err


def test_verify_tells_by_its_exit_code(neuralake: Run, lake: Path, tmp_path: Path) -> None:
    said = neuralake("verify", "cli_packets", "--expect", str(lake / "sent.ndjson"), "--json")
    assert (said.code, said.facts["ok"], said.facts["expected"]) == (0, True, 3)
    more = tmp_path / "more.ndjson"
    more.write_text('{"partition": 0, "offset": 0, "rows": 2}\n{"partition": 0, "offset": 1}\n')
    said = neuralake("verify", "cli_packets", "--expect", str(more), "--json")
    assert (said.code, said.facts["ok"]) == (1, False)
    assert set(said.facts["counts"]) == {"missing-row", "unexpected-message"}


def test_journal_names_consumers_and_says_what_it_will_do(neuralake: Run, lake: Path) -> None:
    facts = neuralake("journal", "consumers", "cli.packets", "--json").facts
    assert [(consumer["name"], consumer["positions"]) for consumer in facts["consumers"]] == [("cli_packets", {"0": 3})]
    assert facts["retention"] is None
    assert neuralake("journal", "retain", "cli.packets", "--committed").out == (
        "cli.packets keeps RetentionPolicy(committed=True, bytes=None, age_s=None)\n"
    )
    assert "committed=True" in neuralake("journal", "consumers", "cli.packets").out
    said = neuralake("journal", "trim", "cli.packets", "--bytes", "0")
    assert said.out == "would delete partition 0: 0 segments, 0.0 MB, offsets 0 to 0\n"
    assert "--yes" in said.err
    assert neuralake("journal", "trim", "cli.packets").code == 2
    said = neuralake("journal", "drop", "cli.packets", "cli_packets")
    assert "would forget cli_packets: 0 messages" in said.out
    assert len(nl.open(home=lake).journal.consumers("cli.packets")) == 1
    assert neuralake("journal", "drop", "cli.packets", "cli_packets", "--yes", "--json").facts["dropped"]
    assert nl.open(home=lake).journal.consumers("cli.packets") == []
    said = neuralake("journal", "drop", "cli.packets", "cli_packets", "--yes")
    assert (said.code, "error[journal-consumer-unknown]" in said.err) == (1, True)
    assert neuralake("journal", "drop", "cli.packets").code == 2


def test_settings_tell_which_won(neuralake: Run, monkeypatch: pytest.MonkeyPatch, lake: Path) -> None:
    monkeypatch.setenv("NEURALAKE_STACK__STORE_PORT", "20001")
    facts = neuralake("settings", "--json").facts
    assert facts["home"] == {"value": str(lake), "from": "argument"}
    assert facts["stack"]["from"] == "environment"
    assert facts["profile"] == {"value": "embedded", "from": "default"}


def test_a_setting_that_cannot_be_is_a_usage_error(neuralake: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURALAKE_STACK__STORE_PORT", "eighty")
    for verb in (("status",), ("settings",), ("catalog",)):
        said = neuralake(*verb)
        assert said.code == 2
        assert "error[settings-invalid]" in said.err
        assert "Traceback" not in said.err


def test_a_fault_of_ours_is_no_traceback_unless_asked_for(neuralake: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        msg = "nobody foresaw this"
        raise RuntimeError(msg)

    monkeypatch.setattr("neuralake_kernel.settings.Settings.explain", broken)
    said = neuralake("settings")
    assert said.code == 1
    assert said.err.startswith("error[internal]: RuntimeError: nobody foresaw this")
    assert "NEURALAKE_DEBUG" in said.err
    monkeypatch.setenv("NEURALAKE_DEBUG", "1")
    with pytest.raises(RuntimeError):
        neuralake("settings")


def test_an_interrupt_is_130_and_leaves_the_services_alone(
    neuralake: Run, monkeypatch: pytest.MonkeyPatch, lake: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("neuralake_kernel.workbench.Workbench.verify", interrupted)
    said = neuralake("verify", "cli_packets")
    assert (said.code, said.err) == (130, "interrupted\n")
    assert nl.open(home=lake).stack.status().jobs[0].state == "ready"


def test_a_reader_that_has_seen_enough_is_no_error(lake: Path) -> None:
    command = [sys.executable, "-m", "neuralake_kernel.cli", "settings", "--home", str(lake)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


def test_down_stops_the_job_and_says_so(neuralake: Run) -> None:
    processes = neuralake("down", "--json").facts["processes"]
    assert [(process["name"], process["state"]) for process in processes] == [("cli_packets", "stopped")]
    facts = neuralake("status", "--json").facts
    assert (facts["jobs"][0]["state"], facts["supervisor"]["pid"]) == ("stopped", None)
    assert neuralake("down").out == "nothing was running\n"
    assert neuralake("catalog", "cli_packets", "--json").facts["rows"] == 2

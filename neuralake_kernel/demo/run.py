"""Runs the demonstration: read, declare, stream, poison, look, ask, verify; then everything is shut down."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neuralake_kernel.demo.facts import DemoFacts
from neuralake_kernel.demo.home import ended_by_signals, fresh_home
from neuralake_kernel.demo.poison import POISON, send_poison
from neuralake_kernel.demo.policy import BOARD_LOG, EDF, DemoPolicy, find_data
from neuralake_kernel.demo.questions import QUESTIONS, Answer, ask
from neuralake_kernel.demo.story import Story
from neuralake_kernel.demo.stream import CATCH_UP_S, Streamed, stream
from neuralake_kernel.terminal import Terminal

if TYPE_CHECKING:
    from neuralake_kernel.catalog import VerifyReport
    from neuralake_kernel.ingest import JobHandle
    from neuralake_kernel.source import Recording
    from neuralake_kernel.workbench import Workbench

__all__ = ["run_demo"]

_ENGINES = {"polars": "Polars", "hot": "DataFusion", "cold": "Spark"}


def run_demo(policy: DemoPolicy, terminal: Terminal) -> DemoFacts:
    """Run the whole loop once.

    Parameters
    ----------
    policy
        How.
    terminal
        Where it is told.

    Returns
    -------
    DemoFacts
        What was found; also in ``demo.json``.

    Raises
    ------
    NeuralakeError
        Something it needs is missing or failed; every process it started is down.
    """
    began = time.monotonic()
    data = find_data(policy.data)
    policy.out.mkdir(parents=True, exist_ok=True)
    story = Story(terminal)
    servers = {"embedded": "no servers, all on this disk", "local": "MinIO, Kafka and Spark on this machine"}
    title = terminal.paint("Neuralake Workbench", "bold")
    terminal.say(f"{title} · profile {policy.profile}: {servers[policy.profile]}")
    board, pictures = _recordings(story, data, policy.out)
    with ended_by_signals(), _running_lab(policy, story) as lab:
        return _Loop(lab, policy, story, began).run(board, pictures)


def _recordings(story: Story, data: Path, out: Path) -> tuple["Recording", list[Path]]:
    from neuralake_kernel.source import read

    story.chapter("Two recordings, read lazily")
    board, edf = read(data / BOARD_LOG), read(data / EDF)
    pictures = []
    for recording, name in ((board, "demo-openbci.png"), (edf, "demo-eeg.png")):
        story.text(str(recording))
        story.wait("drawing …")
        pictures.append(recording.save_png(out / name, start=8, duration=8))
        story.quiet(f"traces: {pictures[-1]}")
    return board, pictures


@contextmanager
def _running_lab(policy: DemoPolicy, story: Story) -> Iterator["Workbench"]:
    """Open a workbench on a fresh folder, and leave no process of it behind."""
    from neuralake_kernel.workbench import open as open_workbench

    home = fresh_home((policy.home or policy.out / "demo-home").absolute())
    with open_workbench(profile=policy.profile, home=home) as lab:
        try:
            if policy.profile == "local":
                story.chapter("The stack: MinIO and Kafka as child processes, without Docker")
                lab.stack.start(story.terminal.show_step)
                lab.stack.ensure_spark(story.terminal.show_step)
            yield lab
        finally:
            # First of all, for a terminal that was closed refuses every further line.
            lab.stack.stop()


class _Loop:
    """The chapters that need a running workbench, in order; each reads what the ones before found."""

    def __init__(self, lab: "Workbench", policy: DemoPolicy, story: Story, began: float) -> None:
        self._lab = lab
        self._policy = policy
        self._story = story
        self._began = began
        self._sent_to = lab.home / "sent.ndjson"

    def run(self, board: "Recording", pictures: Sequence[Path]) -> DemoFacts:
        job = self._declare()
        streamed = self._stream(job, board)
        poisoned = self._poison(job)
        self._catalog()
        verified, caught_up = self._verify()
        answers = self._ask(verified.version)
        self._versions(verified)
        job.stop()
        facts = DemoFacts(
            profile=self._policy.profile,
            messages_sent=streamed.sent.acked + poisoned,
            rows=verified.rows,
            quarantined_rows=verified.quarantined_rows,
            dead_letters=verified.dead_letters,
            table_uri=self._lab.store.table_uri("openbci"),
            quarantine_uri=self._lab.store.table_uri("openbci__quarantine"),
            table_version=verified.version,
            positions=verified.positions,
            caught_up=caught_up,
            verified=verified.ok,
            seconds_to_first_row=round(streamed.first_row_at - self._began, 3),
            seconds_total=round(time.monotonic() - self._began, 3),
            answers={name: answer.rows for name, answer in answers.items()},
            agree=all(answer.agree for answer in answers.values()),
            pictures=[str(picture) for picture in pictures],
        )
        facts.write(self._policy.out / "demo.json")
        self._next(facts)
        return facts

    def _declare(self) -> "JobHandle":
        from neuralake_kernel.catalog import declaration_of
        from neuralake_kernel.demo.openbci import Openbci
        from neuralake_kernel.ingest import FlushPolicy, IngestPolicy

        declared = declaration_of(Openbci)
        self._story.chapter("One declaration gives topic, contract, table and catalog entry")
        self._story.code(
            f'@nl.table(topic="{declared.topic}", description="…")\n'
            "class Openbci(dy.Schema):\n"
            "    session    = dy.String(nullable=False)\n"
            "    packet     = dy.Int16(nullable=False, min=0, max=255)  # wraps\n"
            '    event_time = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")\n'
            "    ch1_uv     = dy.Float32(nullable=True)                 # … ch8_uv, accel"
        )
        self._story.quiet(f"{len(declared.contract.columns)} columns, contract {declared.contract.id}")
        # Short enough for commits to be seen in a stream of seconds.
        return self._lab.ingest(Openbci, policy=IngestPolicy(flush=FlushPolicy(max_age_s=0.4)))

    def _stream(self, job: "JobHandle", board: "Recording") -> Streamed:
        from neuralake_kernel.demo.openbci import Openbci

        way = "Kafka" if self._policy.profile == "local" else "journal"
        self._story.chapter(f"Board → {way} → Rust → Delta, at {self._policy.speed:g} times the board's pace")
        streamed = stream(
            job,
            lambda: self._lab.replay(
                board, into=Openbci, speed=self._policy.speed, event_time="rebased", sent_to=self._sent_to
            ),
            self._story.terminal,
        )
        sent, report = streamed.sent, streamed.report
        self._story.claim(
            f"{sent.acked:,} messages sent in {sent.seconds:.1f} s; {report.committed_rows:,} rows in the table,"
            f" median time of a commit {report.commit_p50_ms or 0:.0f} ms",
            holds=report.caught_up,
        )
        return streamed

    def _poison(self, job: "JobHandle") -> int:
        import polars as pl

        self._story.chapter(f"{len(POISON)} messages that break the contract: kept, with reasons; the job lives")
        poisoned = send_poison(self._lab.broker, job.topic, sent_to=self._sent_to)
        report = job.wait(CATCH_UP_S)
        quarantine = self._lab.table("openbci__quarantine").lazy(identity=True)
        held = quarantine.sort("_offset", "_row").select("raw", "reasons", "_offset", "_row").collect()
        named = {offset: wrong for offset, (wrong, _, _) in zip(self._poisoned_offsets(), POISON, strict=True)}
        rows = [
            {
                "what is wrong": named.get(row["_offset"], ""),
                "reasons": ", ".join(row["reasons"]),
                "offset": row["_offset"],
                "row": row["_row"],
                "raw bytes kept": _shortened(row["raw"]),
            }
            for row in held.with_columns(pl.col("raw").cast(pl.Binary)).to_dicts()
        ]
        self._story.rows(rows, list(rows[0]) if rows else [])
        alive = job.status().state == "ready" and report.caught_up
        self._story.claim(f"the job {'runs on' if alive else 'is ' + job.status().state}", holds=alive)
        return poisoned

    def _poisoned_offsets(self) -> list[int]:
        import json

        lines = self._sent_to.read_text(encoding="ascii").splitlines()[-len(POISON) :]
        return [int(json.loads(line)["offset"]) for line in lines]

    def _catalog(self) -> None:
        self._story.chapter("The catalog, generated from the code that declares the tables")
        self._story.code("lab.catalog")
        entry = self._lab.catalog["openbci"]
        self._story.text(
            f"{entry.name}: {entry.summary}\n{entry.description} Topic {', '.join(entry.topics)}.\n{entry.storage}"
        )
        columns = [
            {
                "column": column.name,
                "type": column.type,
                "unit": column.physical_unit or "",
                "null": "yes" if column.nullable else "no",
                "bounds": column.bounds,
                "": column.description or "",
            }
            for column in entry.columns
        ]
        self._story.rows(columns, list(columns[0]))

    def _verify(self) -> tuple["VerifyReport", bool]:
        from neuralake_kernel.source import is_caught_up

        self._story.chapter("The law: each message that was sent, and each row of it, exactly once")
        self._story.code(f"neuralake verify openbci --expect {self._sent_to.name}")
        report = self._lab.verify("openbci", expect=self._sent_to)
        for number, line in enumerate(str(report).splitlines()):
            self._story.text(line) if number else self._story.claim(line, holds=report.ok)
        positions = {int(partition): offset for partition, offset in report.positions.items()}
        caught_up = is_caught_up(self._lab.broker, "openbci.raw", positions)
        self._story.claim(
            "a read-committed consumer at these positions reaches the end without a message", holds=caught_up
        )
        return report, caught_up

    def _ask(self, version: int) -> dict[str, Answer]:
        with_spark = self._policy.profile == "local"
        self._story.chapter(f"Questions, asked at version {version} of the table")
        answers: dict[str, Answer] = {}
        for question in QUESTIONS:
            self._story.terminal.say(f"\n   {self._story.terminal.paint(question.text, 'bold')}")
            self._story.code(question.sql if answers else f"{question.polars_text}\n\n{question.sql}")
            self._story.wait("asking …")
            answer = answers[question.name] = ask(self._lab, question, version=version, with_spark=with_spark)
            rows = answer.rows["polars"]
            self._story.rows(rows, list(rows[0]) if rows else [])
            times = " = ".join(f"{_ENGINES[engine]} ({seconds:.2f} s)" for engine, seconds in answer.seconds.items())
            self._story.claim(times if answer.agree else "; ".join(answer.differences), holds=answer.agree)
        return answers

    def _versions(self, report: "VerifyReport") -> None:
        self._story.chapter("Versions of the table: rows and positions move in one commit")
        snapshots = self._lab.catalog.snapshots
        rows = []
        for commit in reversed(snapshots.at("openbci").history()):
            held = snapshots.at("openbci", commit["version"])
            position = held.transaction_version("openbci/openbci.raw/0")
            rows.append(
                {
                    "version": commit["version"],
                    "committed at": time.strftime("%H:%M:%S", time.gmtime(commit["timestamp"] / 1000)),
                    "what": commit["operation"].lower(),
                    "epoch": held.transaction_version("openbci/epoch"),
                    "position": position,
                }
            )
        self._story.rows(rows, list(rows[0]))
        self._story.quiet(f"positions now: {dict(report.positions)}")

    def _next(self, facts: DemoFacts) -> None:
        policy = self._policy
        lines = [
            ("make lab", "the quickstart in JupyterLab"),
            (f"neuralake query 'SELECT …' --home {_relative(self._lab.home)}", "ask this table again"),
            ("neuralake demo --profile local", "real MinIO, Kafka, Spark"),
            ("neuralake --help", "everything else"),
        ]
        if policy.profile == "local":
            del lines[1:3]
        self._story.chapter("Where to go next")
        width = max(len(command) for command, _ in lines)
        for command, does in lines:
            shown = self._story.terminal.paint(f"{command:<{width}}", "cyan")
            self._story.terminal.say(f"   {shown}  {does}")
        verdict = "everything held" if facts.is_good else "something did not hold; look for ✕ above"
        self._story.terminal.say()
        self._story.claim(
            f"{verdict}: {facts.seconds_total:.1f} s in all, {facts.seconds_to_first_row:.1f} s to the first row;"
            f" facts in {policy.out / 'demo.json'}",
            holds=facts.is_good,
        )


def _shortened(raw: bytes, limit: int = 24) -> str:
    text = raw.decode("utf-8", "replace")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path

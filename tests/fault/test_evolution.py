"""A declaration gains columns: the worker dies at every step of adding one, and starts race for it."""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import dataframely as dy
import polars as pl

import neuralake_kernel as nl
from neuralake_kernel.catalog import open_table
from neuralake_kernel.catalog.delta_log import read_history
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE, Death, DeathPlan
from tests.fault.traffic import PARTITIONS, Mixture, Sent, Traffic, assert_law, read, send
from tests.fault.workers import spec_of, worker

POLICY = IngestPolicy(flush=FlushPolicy(max_age_s=0.1))
FATAL, FENCED = 70, 71
# Each in a start that has a column to add, whose commit is its first.
DEATHS = {
    "before": Death("before_log_put", 1),
    "unheard": Death("after_log_put", 1),
    "added": Death("after_evolution", 1),
}


def declare(name: str, *columns: str) -> type[dy.Schema]:
    """Declare the table of the traffic, with some columns more."""
    more = {column: dy.Float64(nullable=True) for column in columns}
    body = {
        "number": dy.Int64(nullable=False),
        **more,
        "packet": dy.Int16(nullable=False, min=0, max=255),
        "value": dy.Float64(nullable=True),
    }
    # One declaration each time it is made again, as a class in a cell is.
    schema = type("Evolving", (dy.Schema,), {**body, "__module__": __name__, "__qualname__": f"declare.{name}"})
    return nl.table(topic=f"{name}.raw", name=name)(schema)


def with_columns(messages: list[Sent], values: Mapping[str, float]) -> list[Sent]:
    """The same messages, whose rows hold further fields; what cannot be read stays as it is."""

    def more(message: Sent) -> Sent:
        if message.rows is None:
            return message

        def line(text: bytes) -> bytes:
            return json.dumps(json.loads(text) | values).encode()

        lines = [line(text) for text in message.value.split(b"\n")]
        rejects = tuple((line(text), reasons) for text, reasons in message.rejects)
        return Sent(b"\n".join(lines), message.rows, message.numbers, rejects)

    return [more(message) for message in messages]


def evolutions(lab: Workbench, table: str) -> list[str]:
    """Columns that commits have added, in the order of the commits."""
    commits = read_history(open_table(lab.store, table)).commits
    return [
        column["name"] for commit in commits for column in commit.info.get("neuralake", {}).get("added_columns", [])
    ]


def evolve_and_die(
    lab: Workbench, table: str, deaths: Mapping[str, Death], folder: Path, wait_until: Callable[..., None]
) -> dict[tuple[int, int], Sent]:
    """A declaration gains one column after the other, its job dies each time; gives what was sent."""
    messages = Mixture(21)
    with lab.ingest(declare(table), policy=POLICY) as job:
        sent = send(lab.broker, f"{table}.raw", messages.take(100))
        assert job.wait(60).caught_up
    columns: list[str] = []
    for column, death in deaths.items():
        columns.append(column)
        plan = DeathPlan(folder / f"death_{column}", [death])
        with lab.ingest(declare(table, *columns), policy=POLICY, restart=AT_ONCE, faults=plan.path) as job:
            plan.carry_out(job, wait_until)
            first = len(sent)
            sent |= send(lab.broker, f"{table}.raw", with_columns(messages.take(100), {column: 0.5}))
            assert job.wait(60).caught_up
            assert job.status().restarts == 1
        assert evolutions(lab, table) == columns
        held = read(lab, table).select(is_new=pl.col("_offset") >= first, is_null=pl.col(column).is_null())
        assert set(held.unique().iter_rows()) == {(False, True), (True, False)}
        assert_law(lab, table, sent, folder)
    return sent


def test_a_worker_killed_while_it_adds_a_column_adds_it_once(
    lab: Workbench, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    evolve_and_die(lab, f"evolved_{lab.settings.profile}", DEATHS, tmp_path, wait_until)


def test_a_worker_at_work_goes_on_until_it_is_fenced(
    lab: Workbench, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    table = f"evolving_{lab.settings.profile}"
    with (
        Traffic(lab.broker, f"{table}.raw", seed=22) as traffic,
        lab.ingest(declare(table), policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE) as job,
        ExitStack() as stack,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits", timeout_s=60)
        older = stack.enter_context(worker(tmp_path / "older", spec_of(lab.home, table)))
        wait_until(lambda: older.report.commits > 2, what="commits of the worker with the old columns", timeout_s=60)
        # Dies with the column added and no epoch taken: the old columns go on in the new table.
        plan = DeathPlan(tmp_path / "deaths", [Death("after_evolution", 1)])
        grown = json.loads(spec_of(lab.home, table))
        more = {"name": "more", "type": "float64", "nullable": True}
        grown["contract"]["columns"].append(more)
        grown["kill_plan"] = str(plan.path)
        killed = stack.enter_context(worker(tmp_path / "killed", json.dumps(grown)))
        wait_until(lambda: killed.exit_code is not None, what="the death", timeout_s=60)
        assert evolutions(lab, table) == ["more"]
        commits = older.report.commits
        wait_until(lambda: older.report.commits > commits + 2, what="commits over the new column", timeout_s=60)
        newer = stack.enter_context(worker(tmp_path / "newer", json.dumps(grown | {"kill_plan": None})))
        wait_until(lambda: older.exit_code == FENCED, what="the fence", timeout_s=60)
        wait_until(lambda: newer.report.commits > 2, what="commits with the new column", timeout_s=60)
        sent = traffic.stop()
        wait_until(lambda: newer.report.caught_up, what="the end", timeout_s=60)
        assert newer.stop() == 0
    assert evolutions(lab, table) == ["more"]
    assert_law(lab, table, sent, tmp_path)


def test_of_two_starts_with_other_types_one_is_told(
    lab: Workbench, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    table = f"disputed_{lab.settings.profile}"
    messages = Mixture(23)
    with lab.ingest(declare(table), policy=POLICY) as job:
        sent = send(lab.broker, f"{table}.raw", messages.take(50))
        assert job.wait(60).caught_up
    with ExitStack() as stack:
        racers = []
        for column_type in ("int64", "float64"):
            spec = json.loads(spec_of(lab.home, table))
            spec["contract"]["columns"].append({"name": "more", "type": column_type, "nullable": True})
            racers.append(stack.enter_context(worker(tmp_path / column_type, json.dumps(spec))))
        wait_until(lambda: [r.exit_code for r in racers].count(FATAL) == 1, what="the refusal", timeout_s=60)
        winner, loser = sorted(racers, key=lambda racer: racer.exit_code is not None)
        error = loser.report.error
        assert error is not None
        assert error["code"] == "table-mismatch"
        assert "more: the table has more " in error["message"]
        sent |= send(lab.broker, f"{table}.raw", with_columns(messages.take(50), {"more": 7}))
        wait_until(lambda: winner.report.caught_up and winner.report.commits, what="the winner's commit", timeout_s=60)
        assert winner.stop() == 0
    # The one that was refused fenced nobody.
    assert assert_law(lab, table, sent, tmp_path).epoch == 2
    assert evolutions(lab, table) == ["more"]

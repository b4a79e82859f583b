"""Arrow messages of many rows through a worker that is killed again and again: each row is held exactly once."""

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE, DeathPlan, mixed_deaths
from tests.fault.traffic import PARTITIONS, Mixture, Sent, Traffic, assert_law, declare, held_rejects, read

POLICY = IngestPolicy(flush=FlushPolicy(max_rows=300, max_age_s=0.05), checkpoint_every=3)
SCHEMA = pa.schema([("number", pa.int64()), ("packet", pa.int64()), ("value", pa.float64())])
#: What there is to break of a row, and the rule that tells it.
BREACHES = {256: "packet|max", -1: "packet|min", 70_000: "packet|dtype", None: "packet|nullability"}


class ArrowMixture(Mixture):
    """Streams of one batch or several; of their rows some break the contract, and of the streams some are none."""

    def _message(self) -> Sent:
        dice = self.chance.random()
        if dice < 0.1:
            return self._poison(dice)
        rows, rejects = [], []
        for _ in range(self.chance.randint(1, 20)):
            row = {"number": next(self.numbers), "packet": 7, "value": self.chance.random()}
            if self.chance.random() < 0.1:
                row["packet"], reason = self.chance.choice(list(BREACHES.items()))
                rejects.append((str(row).encode(), (reason,)))
            rows.append(row)
        cut = self.chance.randint(0, len(rows))
        good = tuple(row["number"] for row in rows if row["packet"] == 7)
        return Sent(stream(rows[:cut], rows[cut:]), len(rows), good, tuple(rejects))

    def _poison(self, dice: float) -> Sent:
        good = stream([{"number": -1, "packet": 1, "value": 0.5}])
        other = pa.schema([("number", pa.string()), ("packet", pa.int16())])
        value, *reasons = self.chance.choice(
            [
                (b"", "message|empty"),
                (b'{"number": 1, "packet": 1}', "arrow|header"),
                (good[: int(dice * 10 * (len(good) - 1)) or 1], "arrow|truncated"),
                (stream([{"number": "1", "packet": 1}], schema=other), "arrow|schema", "number|dtype"),
            ]
        )
        return Sent(value, None, rejects=((value, tuple(reasons)),))


def stream(*batches: list[dict[str, object]], schema: pa.Schema = SCHEMA) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for rows in batches:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(("profile", "seed"), [("embedded", 20_263), ("local", 20_264)])
def test_arrow_messages_survive_the_deaths_of_their_job(
    request: pytest.FixtureRequest, profile: str, seed: int, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    lab: Workbench = request.getfixturevalue(profile)
    table = f"arrow_{profile}"
    deaths = mixed_deaths(random.Random(seed), per_point=1, at_random=2)
    # The local stack shares the machine: half of the points there, all of them on the other profile.
    plan = DeathPlan(tmp_path / "deaths", deaths if profile == "embedded" else deaths[::2])
    declared = declare(table, encoding="arrow")
    with (
        Traffic(lab.broker, f"{table}.raw", seed=seed, mixture=ArrowMixture) as traffic,
        lab.ingest(declared, policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE, faults=plan.path) as job,
    ):
        plan.carry_out(job, wait_until)
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert job.status().restarts == len(plan.deaths)
        report = assert_law(lab, table, sent, tmp_path)
    assert report.rows > 0
    assert report.quarantined_rows > 0
    assert report.dead_letters > 0


def test_arrow_rejects_move_once_the_contract_takes_them(embedded: Workbench, tmp_path: Path) -> None:
    rows = [{"number": n, "packet": packet, "value": 0.5} for n, packet in enumerate([1, 256, 300, None, 2])]
    declared = declare("arrow_moved", encoding="arrow")
    with embedded.ingest(declared, policy=POLICY) as job:
        report = embedded.produce(declared, [stream(rows)])
        assert report.acked == 1
        assert job.wait(60).caught_up
        assert sum(held_rejects(embedded, "arrow_moved").values()) == 3
        assert embedded.requeue(declare("arrow_moved", max_packet=300, encoding="arrow")).rows == 2
        assert embedded.requeue("arrow_moved").rows == 0
    assert read(embedded, "arrow_moved").get_column("packet").sort().to_list() == [1, 2, 256, 300]
    assert read(embedded, "arrow_moved").get_column("_row").sort().to_list() == [0, 1, 2, 4]
    assert embedded.verify("arrow_moved").ok


def test_a_live_read_shows_arrow_rows_before_their_commit(embedded: Workbench, wait_until: Callable[..., None]) -> None:
    declared = declare("arrow_live", encoding="arrow")
    rows = [{"number": n, "packet": n, "value": n / 8} for n in range(300)]
    with embedded.ingest(declared, policy=IngestPolicy(flush=FlushPolicy(max_age_s=3600))) as job:
        wait_until(lambda: job.report().state == "running", timeout_s=60, what="the worker")
        sent = embedded.produce(declared, rows)
        assert sent.acked < 10
        reader = embedded.table(declared)
        wait_until(lambda: reader.live().positions == {0: sent.acked}, timeout_s=60, what="the last message")
        live = reader.live()
        assert live.rejected is not None
        assert len(live.rejected) == 300 - 256
        seen = live.lazy().select("number").collect().get_column("number").sort().to_list()
        assert seen == list(range(256))
        assert len(reader.lazy().collect()) == 0
    assert reader.lazy().collect().get_column("number").sort().to_list() == seen

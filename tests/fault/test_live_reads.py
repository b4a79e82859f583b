"""Live reads while the writer is killed again and again: always an exact prefix of each partition."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE, DeathPlan, mixed_deaths
from tests.fault.traffic import PARTITIONS, Sent, Traffic, assert_law, declare

Wait = Callable[..., None]
# Rows wait long enough to be read on their way, and no flush is far.
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=200, max_age_s=0.3), checkpoint_every=3)
KILLS = {"embedded": 14, "local": 5}


@dataclass(frozen=True)
class Look:
    """What one live read saw."""

    epoch: int
    version: int
    positions: Mapping[int, int]
    #: The bits of one integer: thousands of looks at a growing table are to be kept.
    numbers: int
    doubled: int
    waiting: int


def bits(numbers: Sequence[int] | NDArray[Any]) -> int:
    """Numbers as the bits of one integer."""
    held = np.zeros(int(max(numbers, default=-1)) + 1, dtype=bool)
    held[np.asarray(numbers, dtype=np.int64)] = True
    return int.from_bytes(np.packbits(held, bitorder="little").tobytes(), "little")


class Watcher:
    """A reader that looks as often as it can."""

    def __init__(self, lab: Workbench, table: str) -> None:
        self._reader = lab.table(table)
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.looks: list[Look] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)

    def stop(self) -> list[Look]:
        self.__exit__()
        if self._error is not None:
            raise self._error
        return self.looks

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.looks.append(self._look())
        except BaseException as error:  # noqa: BLE001 - carried to whoever stops it
            self._error = error

    def _look(self) -> Look:
        live = self._reader.live()
        numbers = live.lazy().select("number").collect().get_column("number")
        waiting = 0 if live.tail is None else len(live.tail)
        doubled = len(numbers) - numbers.n_unique()
        return Look(live.epoch, live.version, dict(live.positions), bits(numbers.to_numpy()), doubled, waiting)


def prefix(sent: Mapping[tuple[int, int], Sent], positions: Mapping[int, int]) -> list[int]:
    """Numbers of all rows that the messages before these positions hold."""
    held = (message.numbers for (partition, offset), message in sent.items() if offset < positions.get(partition, 0))
    return list(chain.from_iterable(held))


def waiting_epochs(looks: Sequence[Look]) -> list[int]:
    """Epochs of the looks that saw rows on their way."""
    return [look.epoch for look in tuple(looks) if look.waiting]


def looked_at(
    lab: Workbench, table: str, kills: int, folder: Path, wait_until: Wait
) -> tuple[list[Look], Mapping[tuple[int, int], Sent]]:
    """Every look of a reader at a table whose writer is killed so often, and what was sent."""
    deaths = mixed_deaths(random.Random(20_264), per_point=1 + kills // 20, at_random=kills)[-kills:]
    plan = DeathPlan(folder / "deaths", deaths)
    with (
        Traffic(lab.broker, f"{table}.raw", seed=20_264) as traffic,
        lab.ingest(declare(table), policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE, faults=plan.path) as job,
    ):
        wait_until(lambda: lab.catalog.snapshots.is_created(table), timeout_s=60, what="the table")
        with Watcher(lab, table) as watcher:
            plan.carry_out(job, wait_until, timeout_s=60 + 10 * kills)
            # More looks than deaths, and of more than one life.
            wait_until(lambda: len(waiting_epochs(watcher.looks)) > kills, timeout_s=60, what="rows on their way")
            seen = max(waiting_epochs(watcher.looks))
            lab.stack.supervisor.restart(table)
            wait_until(lambda: max(waiting_epochs(watcher.looks)) > seen, timeout_s=60, what="those of another life")
            looks = watcher.stop()
        sent = traffic.stop()
        assert job.wait(60).caught_up
    return looks, sent


@pytest.mark.parametrize("profile", ["embedded", "local"])
def test_a_live_read_is_an_exact_prefix_while_its_writer_is_killed(
    request: pytest.FixtureRequest, profile: str, tmp_path: Path, wait_until: Wait
) -> None:
    lab: Workbench = request.getfixturevalue(profile)
    table = f"live_{profile}"
    kills = KILLS[profile]
    looks, sent = looked_at(lab, table, kills, tmp_path, wait_until)
    assert_law(lab, table, sent, tmp_path)
    for look in looks:
        said = f"epoch {look.epoch}, version {look.version}"
        assert (look.numbers, look.doubled) == (bits(prefix(sent, look.positions)), 0), said


def test_what_is_produced_is_seen_before_it_is_committed(embedded: Workbench, wait_until: Wait) -> None:
    table = "live_soon"
    policy = IngestPolicy(flush=FlushPolicy(max_age_s=3600))
    with embedded.ingest(declare(table), policy=policy, partitions=PARTITIONS) as job:
        wait_until(lambda: job.report().state == "running", what="the worker")
        with Traffic(embedded.broker, f"{table}.raw", seed=3) as traffic:
            wait_until(lambda: len(embedded.table(table).lazy(freshness="live").collect()) > 50, what="live rows")
            sent = traffic.stop()
        reader = embedded.table(table)
        wait_until(lambda: reader.live().positions == ends(sent), what="the last message")
        live = reader.live()
        assert live.rejected is not None
        assert len(live.rejected) == sum(len(message.rejects) for message in sent.values())
        numbers = prefix(sent, ends(sent))
        asked = "SELECT count(*) AS rows, sum(number) AS total FROM live_soon"
        answer = embedded.sql(asked, freshness="live").to_polars().row(0)
        assert answer == (len(numbers), sum(numbers))
        assert embedded.sql("SELECT * FROM live_soon", freshness="live").table.column_names == [
            "number",
            "packet",
            "value",
        ]
        assert len(reader.lazy().collect()) == 0
        assert reader.lazy(freshness="live").collect_schema().names() == ["number", "packet", "value"]
    assert len(reader.lazy().collect()) == len(numbers)
    assert len(reader.lazy(freshness="live").collect()) == len(numbers), "without a writer it is what is committed"


def ends(sent: Mapping[tuple[int, int], Sent]) -> dict[int, int]:
    found: dict[int, int] = {}
    for partition, offset in sent:
        found[partition] = max(found.get(partition, 0), offset + 1)
    return found

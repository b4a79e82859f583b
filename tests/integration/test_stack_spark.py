"""Spark Connect as a supervised service, over a folder: the first answer, and a death that leaves nothing."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from neuralake_kernel.stack import SparkSpec, Stack

Wait = Callable[..., None]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    tools_dir = os.environ.get("NEURALAKE_TOOLS_DIR") or Path(cache) / "neuralake" / "tools"
    # A space in the path: it must survive properties, class path and table address.
    with TemporaryDirectory(prefix="nl spark-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "home", tools_dir=tools_dir)
        yield stack
        stack.stop()


@pytest.fixture(scope="module")
def spark(stack: Stack) -> SparkSpec:
    return stack.ensure_spark()


def total(stack: Stack, spark: SparkSpec) -> int:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(spark.connect_url).create()
    try:
        rows = session.read.format("delta").load(str(stack.store.path / "openbci")).agg({"packet": "sum"}).collect()
    finally:
        session.stop()
    return int(rows[0][0])


def test_it_reads_the_lake_of_the_embedded_profile(stack: Stack, spark: SparkSpec) -> None:
    pl.DataFrame({"packet": [1, 2, 3]}).write_delta(str(stack.store.path / "openbci"))
    assert spark.url.startswith("sc://localhost:")
    assert spark.token not in repr(spark) + str(stack.status()) + stack.logs("spark", 1000)
    assert total(stack, spark) == 6


def test_a_second_call_finds_it_running(stack: Stack, spark: SparkSpec) -> None:
    before = stack.supervisor.find("spark")
    assert stack.ensure_spark() == spark
    after = stack.supervisor.find("spark")
    assert before is not None
    assert after is not None
    assert before.pid == after.pid


def test_a_killed_server_comes_back_without_its_leftovers(stack: Stack, spark: SparkSpec, wait_until: Wait) -> None:
    scratch = stack.home / "services" / "spark" / "scratch"
    left = {path.name for path in scratch.iterdir()}
    before = stack.supervisor.find("spark")
    assert before is not None
    assert before.pid is not None
    assert left
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: (found := stack.supervisor.find("spark")) and found.restarts == 1, what="a restart")
    assert stack.supervisor.wait("spark", timeout_s=60, states=["ready"]).is_ready
    assert not left & {path.name for path in scratch.iterdir()}

"""The store suite of the Rust crate on each program that may serve the lake; a local disk runs in it too."""

import json
import subprocess
from pathlib import Path

import pytest

from neuralake_kernel.stack import STORE_PROGRAMS, ProcessSpec, StoreProgram, StoreSpec, Supervisor, ensure_tool
from neuralake_kernel.stack.bucket import ensure_bucket
from neuralake_kernel.stack.local_store import local_store, local_store_spec
from neuralake_kernel.stack.record import load_record
from scripts.places import ROOT, environment, tools
from scripts.test import RUST

LAWS = 5


@pytest.fixture(params=STORE_PROGRAMS)
def described(request: pytest.FixtureRequest, home: Path) -> tuple[ProcessSpec, StoreSpec]:
    """A store with its bucket, down again; its program is the suite's to start and to kill."""
    name: StoreProgram = request.param
    record = load_record(home)
    spec = local_store_spec(name, ensure_tool(name, tools_dir=tools()), home, record)
    supervisor = Supervisor(home)
    try:
        supervisor.start(spec)
        supervisor.wait(name, timeout_s=30, states=["ready"])
        store = local_store(record, bucket="lake")
        ensure_bucket(store)
    finally:
        supervisor.shutdown()
    return spec, store


def test_a_store_keeps_the_laws_of_commits(described: tuple[ProcessSpec, StoreSpec]) -> None:
    process, store = described
    description = {
        "argv": process.argv,
        "env": dict(process.env),
        "address": store.endpoint.removeprefix("http://"),
        "spec": store.native(),
    }
    ran = subprocess.run(
        [*RUST.command, "--test", "store_suite"],
        cwd=ROOT,
        env={**environment(), "NEURALAKE_TEST_STORE": json.dumps(description)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{LAWS} passed" in ran.stdout, ran.stdout

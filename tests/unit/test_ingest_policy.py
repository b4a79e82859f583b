"""Bounds of a job's policy: what cannot be is refused by name before anything starts, in Python and in the worker."""

import json
from pathlib import Path
from typing import Any

import dataframely as dy
import pytest

from neuralake_kernel import _bridge
from neuralake_kernel.contract import compile_contract
from neuralake_kernel.errors import UsageError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobSpec
from neuralake_kernel.stack import BrokerSpec, StoreSpec


class Numbers(dy.Schema):
    n = dy.Int64(nullable=False)


def spec(folder: Path, **changed: Any) -> JobSpec:
    return JobSpec(
        table="numbers",
        topics=("numbers.raw",),
        contract=compile_contract(Numbers),
        store=StoreSpec.local(folder / "lake"),
        broker=BrokerSpec.journal(folder / "journal"),
        **changed,
    )


@pytest.mark.parametrize(
    ("bounds", "name"),
    [
        ({"max_rows": 0}, "max_rows"),
        ({"max_rows": 2**31}, "max_rows"),
        ({"max_bytes": -1}, "max_bytes"),
        ({"max_bytes": 2**30 + 1}, "max_bytes"),
        ({"max_age_s": 0}, "max_age_s"),
        ({"max_age_s": -1.0}, "max_age_s"),
        ({"max_age_s": float("nan")}, "max_age_s"),
        ({"budget_bytes": 1}, "budget_bytes"),
    ],
)
def test_a_flush_out_of_bounds_is_refused(bounds: dict[str, Any], name: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        FlushPolicy(**bounds)
    assert caught.value.code == "flush-policy"


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        (("flush", "max_rows"), 0),
        (("flush", "max_bytes"), 2**30 + 1),
        (("flush", "max_age_ms"), 0),
        (("flush", "budget_bytes"), 1),
        (("readers",), 0),
        (("deadline_s",), 0),
        (("checkpoint_every",), 0),
        (("max_message_bytes",), 0),
    ],
)
def test_the_worker_refuses_the_same(bound: tuple[str, ...], value: int, tmp_path: Path) -> None:
    whole = spec(tmp_path).to_json()
    part = whole
    for name in bound[:-1]:
        part = part[name]
    part[bound[-1]] = value
    with pytest.raises(UsageError, match=bound[-1]) as caught:
        _bridge.Job.start(json.dumps(whole))
    assert caught.value.code == "spec-invalid"


def test_a_choice_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on_missing='first'"):
        spec(tmp_path, on_missing="first")
    with pytest.raises(UsageError, match="start"):
        IngestPolicy(start="middle")  # type: ignore[arg-type]  # what a caller without types may say


def test_each_choice_has_a_token_of_its_own(tmp_path: Path) -> None:
    tokens = [spec(tmp_path, on_missing="latest").to_json()["on_missing"]["token"] for _ in range(10)]
    assert len(set(tokens)) == 10
    assert all(0 <= token < 2**63 for token in tokens)

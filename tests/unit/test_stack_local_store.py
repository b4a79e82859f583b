"""Which program serves the local profile's lake, and what its process is told."""

import os
from pathlib import Path

import pytest

import neuralake_kernel as nl
from neuralake_kernel.errors import StackError, UsageError
from neuralake_kernel.stack import STORE_PROGRAMS, StoreProgram
from neuralake_kernel.stack.doctor import examine
from neuralake_kernel.stack.local_store import local_store_spec
from neuralake_kernel.stack.record import load_record

PROGRAM = Path("/tools/program")


@pytest.mark.parametrize("name", STORE_PROGRAMS)
def test_a_store_listens_on_loopback_and_takes_its_secrets_by_environment(home: Path, name: StoreProgram) -> None:
    record = load_record(home)
    spec = local_store_spec(name, PROGRAM, home, record)
    assert f"127.0.0.1:{record.ports['store']}" in spec.argv
    secrets = {record.credentials["store_access_key"], record.credentials["store_secret_key"]}
    assert secrets <= set(spec.env.values())
    assert not secrets & set(spec.argv)
    assert spec.name == name


def test_a_lake_is_never_begun_anew_by_the_other_store(home: Path) -> None:
    record = load_record(home)
    local_store_spec("versitygw", PROGRAM, home, record)
    with pytest.raises(StackError) as switched:
        local_store_spec("minio", PROGRAM, home, record)
    assert switched.value.code == "store-switched"
    assert "NEURALAKE_STACK__STORE=versitygw" in switched.value.hint
    assert not (home / "services" / "minio").exists()
    assert local_store_spec("versitygw", PROGRAM, home, record).name == "versitygw"


def test_where_files_carry_no_attributes_they_stand_beside_for_good(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    record = load_record(home)
    with monkeypatch.context() as patch:
        patch.setattr(os, "setxattr", refuse, raising=False)
        spec = local_store_spec("versitygw", PROGRAM, home, record)
    assert "--sidecar" in spec.argv
    assert local_store_spec("versitygw", PROGRAM, home, record) == spec


def test_the_setting_says_which_store_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURALAKE_STACK__STORE", "versitygw")
    with nl.open(profile="local", home=home) as lab:
        assert lab.stack.policy.store_program == "versitygw"
    monkeypatch.setenv("NEURALAKE_STACK__STORE", "ceph")
    with pytest.raises(UsageError) as unknown:
        nl.open(profile="local", home=home)
    assert unknown.value.code == "settings-invalid"


@pytest.mark.parametrize("name", STORE_PROGRAMS)
def test_the_doctor_asks_for_the_store_that_is_set(tmp_path: Path, name: StoreProgram) -> None:
    report = examine(tmp_path / "home", tmp_path / "tools", ports={}, store=name)
    assert {finding.name for finding in report.findings} & set(STORE_PROGRAMS) == {name}

"""Settings: who wins, what is refused, and that no secret shows."""

from pathlib import Path

import pytest

from neuralake_kernel.errors import UsageError
from neuralake_kernel.settings import Settings


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_argument_wins_over_environment_over_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("neuralake.toml").write_text('home = "/from/file"\nprofile = "local"\n[stack]\nstore_port = 9000\n')
    monkeypatch.setenv("NEURALAKE_HOME", "/from/environment")
    monkeypatch.setenv("NEURALAKE_PROFILE", "local")
    settings = Settings(profile="embedded")
    assert settings.profile == "embedded"
    assert settings.home == Path("/from/environment")
    assert settings.stack_policy().store_port == 9000
    origins = {name: origin for name, (_, origin) in settings.explain().items()}
    assert origins["profile"] == "argument"
    assert origins["home"] == "environment"
    assert origins["stack"] == "file"
    assert origins["tools_dir"] == "default"


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("profile = ", "settings-unreadable", "neuralake.toml"),
        ('profile = "cloud"', "settings-invalid", "PROFILE"),
        ("[stack]\nstore_port = 80\n", "settings-invalid", "STACK__STORE_PORT"),
        ("[stack]\nstor_port = 9000\n", "settings-invalid", "STACK__STOR_PORT"),
        ('[spark]\nurl = "http://x"\n', "settings-invalid", "SPARK__URL"),
    ],
)
def test_a_broken_file_is_named_with_its_remedy(text: str, code: str, named: str) -> None:
    Path("neuralake.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        Settings()
    assert caught.value.code == code
    assert named in caught.value.message
    assert caught.value.hint


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURALAKE_STORE__URI", "s3://bucket/lake")
    monkeypatch.setenv("NEURALAKE_STORE__SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("NEURALAKE_BROKER__OPTIONS", '{"bootstrap.servers": "b:9092", "sasl.password": "hunter2"}')
    monkeypatch.setenv("NEURALAKE_SPARK__URL", "sc://cluster:15002")
    monkeypatch.setenv("NEURALAKE_SPARK__TOKEN", "hunter2")
    settings = Settings(profile="remote")
    policy = settings.stack_policy()
    assert policy.store is not None
    assert policy.store.secret_access_key == "hunter2"
    assert policy.broker is not None
    assert policy.broker.options["sasl.password"] == "hunter2"
    assert settings.spark is not None
    assert settings.spark.spec().token == "hunter2"
    for shown in (repr(settings), repr(policy), repr(settings.explain()), str(settings.spark.spec())):
        assert "hunter2" not in shown

"""Settings: argument, then environment, then file, then default. The only reader of environment and file.

Names in the environment begin with ``NEURALAKE_`` and nest by ``__`` (``NEURALAKE_STACK__STORE_PORT``). The file is
``neuralake.toml`` in the working folder, or ``neuralake/config.toml`` in the user's configuration folder.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from neuralake_kernel.errors import UsageError
from neuralake_kernel.stack import BrokerSpec, SparkSpec, StackPolicy, StoreProgram, StoreSpec

__all__ = ["BrokerSettings", "Settings", "SparkSettings", "StackSettings", "StoreSettings"]


def _base(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / "neuralake"


def _files() -> tuple[Path, ...]:
    return (Path("neuralake.toml"), _base("XDG_CONFIG_HOME", ".config") / "config.toml")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StackSettings(_Part):
    """Store and ports of the local services; ports are chosen once and kept when not given."""

    store: StoreProgram = "minio"
    store_port: int | None = Field(default=None, ge=1024, le=65535)
    broker_port: int | None = Field(default=None, ge=1024, le=65535)
    controller_port: int | None = Field(default=None, ge=1024, le=65535)
    spark_port: int | None = Field(default=None, ge=1024, le=65535)
    ready_timeout_s: float = Field(default=90.0, gt=0)


class StoreSettings(_Part):
    """Store of the remote profile."""

    uri: str
    endpoint: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: SecretStr = SecretStr("")
    allow_http: bool = False

    def spec(self) -> StoreSpec:
        """Return the store as the steps take it."""
        return StoreSpec(
            uri=self.uri,
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key.get_secret_value(),
            allow_http=self.allow_http,
        )


class BrokerSettings(_Part):
    """Kafka of the remote profile: client options under librdkafka's names."""

    options: Mapping[str, SecretStr]

    def spec(self) -> BrokerSpec:
        """Return the broker as the steps take it."""
        return BrokerSpec(kind="kafka", options={name: v.get_secret_value() for name, v in self.options.items()})


class SparkSettings(_Part):
    """A Spark Connect server that is there already; it must reach the store by itself."""

    url: str = Field(pattern=r"^sc://")
    token: SecretStr = SecretStr("")

    def spec(self) -> SparkSpec:
        """Return the server as the steps take it."""
        return SparkSpec(url=self.url, token=self.token.get_secret_value())


class _File(PydanticBaseSettingsSource):
    """The first settings file that is there."""

    def __call__(self) -> dict[str, Any]:
        for path in _files():
            if path.is_file():
                try:
                    return tomllib.loads(path.read_text(encoding="utf-8"))
                except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
                    message = f"Cannot read the settings file {path}: {error}."
                    hint = "Mend or remove the file; `neuralake settings` then shows what it says."
                    raise UsageError(message, code="settings-unreadable", hint=hint) from error
        return {}

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401, ARG002 - pydantic's
        """Unused: the whole file is given at once."""
        return None, field_name, False


class Settings(BaseSettings):
    """What a workbench is opened with.

    Parameters
    ----------
    profile
        ``embedded``, ``local`` or ``remote``.
    home
        State folder: journal, lake of the embedded profile, services, jobs, logs.
    tools_dir
        Cache of installed programs, shared by all state folders.
    stack, store, broker
        Store and ports of the local services; endpoints of the remote profile.
    on_missing
        What a job that is started does where its topic does not hold a position any more: ``fail``, ``earliest`` or
        ``latest``; an argument of ``lab.ingest`` wins.
    disk_reserve_bytes
        Free bytes of this machine's disks at which jobs stop reading, unless their policy says otherwise.
    spark
        Spark Connect server for cold questions; without it one is started on this machine.

    Raises
    ------
    UsageError
        ``settings-unreadable`` or ``settings-invalid``, naming file or variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="NEURALAKE_", env_nested_delimiter="__", extra="ignore", frozen=True, validate_default=False
    )

    profile: Literal["embedded", "local", "remote"] = "embedded"
    home: Path = Field(default_factory=lambda: _base("XDG_DATA_HOME", ".local/share") / "default")
    tools_dir: Path = Field(default_factory=lambda: _base("XDG_CACHE_HOME", ".cache") / "tools")
    stack: StackSettings = StackSettings()
    store: StoreSettings | None = None
    broker: BrokerSettings | None = None
    spark: SparkSettings | None = None
    on_missing: Literal["fail", "earliest", "latest"] = "fail"
    disk_reserve_bytes: int | None = Field(default=None, ge=0)
    _given: frozenset[str] = PrivateAttr(default=frozenset())

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - one per field
        try:
            arguments = {name: value for name, value in given.items() if value is not None}
            super().__init__(**arguments)
            self._given = frozenset(arguments)
        except ValidationError as error:
            first = error.errors()[0]
            name = "__".join(str(part) for part in first["loc"]).upper()
            message = f"Cannot use the setting {name}: {first['msg']} (found {_shown(first)})."
            hint = (
                f"It comes from an argument, from NEURALAKE_{name} or from {_files()[0]}; `neuralake settings` tells."
            )
            raise UsageError(message, code="settings-invalid", hint=hint) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of the sources: argument, environment, file."""
        return (init_settings, env_settings, _File(settings_cls))

    def stack_policy(self) -> StackPolicy:
        """Return what the stack takes.

        Raises
        ------
        UsageError
            ``profile-incomplete``: a remote profile without its endpoints.
        """
        return StackPolicy(
            profile=self.profile,
            store_program=self.stack.store,
            store_port=self.stack.store_port,
            broker_port=self.stack.broker_port,
            controller_port=self.stack.controller_port,
            spark_port=self.stack.spark_port,
            store=self.store.spec() if self.store else None,
            broker=self.broker.spec() if self.broker else None,
            ready_timeout_s=self.stack.ready_timeout_s,
        )

    def explain(self) -> dict[str, tuple[str, str]]:
        """Tell for each setting its value (secrets hidden) and where it comes from."""
        in_file = _File(type(self))()
        environment = {name.upper() for name in os.environ}
        told = {}
        for name in type(self).model_fields:
            variable = f"NEURALAKE_{name.upper()}"
            if name in self._given:
                origin = "argument"
            elif any(found == variable or found.startswith(f"{variable}__") for found in environment):
                origin = "environment"
            elif name in in_file:
                origin = "file"
            else:
                origin = "default"
            told[name] = (str(getattr(self, name)), origin)
        return told


def _shown(error: Mapping[str, Any]) -> str:
    """What was found, unless it may be a secret."""
    names = {str(part) for part in error["loc"]}
    return "***" if names & {"secret_access_key", "options", "token"} else repr(error.get("input"))

"""Where the store and the broker of a profile are, in the words of each client that reads them.

The values hold credentials; none of them shows one in its repr.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from neuralake_kernel.errors import UsageError

__all__ = ["BrokerSpec", "StoreSpec"]

_SECRET_WORDS = ("password", "secret", "token", "key.pem", "sasl.jaas")


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """The object store (or folder) that holds the lake.

    Parameters
    ----------
    uri
        ``file:///absolute/folder`` or ``s3://bucket/prefix``; tables are its direct children.
    endpoint
        Base URL of an S3 service other than AWS, such as ``http://127.0.0.1:9000``.
    region
        Region to sign for.
    access_key_id, secret_access_key
        Credentials; empty for a folder.
    allow_http
        Whether plain HTTP is accepted; only for loopback and trusted networks.
    """

    uri: str
    endpoint: str = ""
    region: str = "us-east-1"
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    allow_http: bool = False

    def __post_init__(self) -> None:
        """Refuse an address of another kind."""
        if urlsplit(self.uri).scheme not in {"file", "s3"}:
            message = f"Cannot use {self.uri!r} as a store: expected file:///folder or s3://bucket/prefix."
            raise UsageError(message, code="store-uri", context={"uri": self.uri})

    @classmethod
    def local(cls, folder: Path) -> "StoreSpec":
        """Store in a folder of this machine."""
        return cls(uri=folder.absolute().as_uri())

    @property
    def is_local(self) -> bool:
        """Whether the lake is a folder of this machine."""
        return self.uri.startswith("file:")

    @property
    def path(self) -> Path | None:
        """The folder of a local store, else None."""
        return Path(unquote(urlsplit(self.uri).path)) if self.is_local else None

    @property
    def bucket(self) -> str:
        """Bucket of an S3 store, else empty."""
        return "" if self.is_local else urlsplit(self.uri).netloc

    def table_uri(self, name: str) -> str:
        """Address of a table of the lake."""
        return f"{self.uri.rstrip('/')}/{name}"

    def delta_options(self) -> dict[str, str]:
        """Storage options as ``deltalake`` and Polars take them."""
        if self.is_local:
            return {}
        options = {
            "aws_region": self.region,
            "aws_conditional_put": "etag",
            "aws_virtual_hosted_style_request": "false",
        }
        if self.endpoint:
            options["aws_endpoint"] = self.endpoint
        if self.access_key_id:
            options["aws_access_key_id"] = self.access_key_id
            options["aws_secret_access_key"] = self.secret_access_key
        if self.allow_http:
            options["aws_allow_http"] = "true"
        return options

    def native(self) -> dict[str, str | bool]:
        """Return the value as the native writer takes it; holds the secret."""
        return {
            "uri": self.uri,
            "endpoint": self.endpoint,
            "region": self.region,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "allow_http": self.allow_http,
        }


@dataclass(frozen=True, slots=True, repr=False)
class BrokerSpec:
    """The broker that holds the topics: our journal in a folder, or Kafka.

    Parameters
    ----------
    kind
        ``journal`` (embedded profile) or ``kafka``.
    directory
        Folder of the journal.
    options
        Client options of Kafka under their librdkafka names.
    """

    kind: Literal["journal", "kafka"]
    directory: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def journal(cls, folder: Path) -> "BrokerSpec":
        """Journal in a folder of this machine."""
        return cls(kind="journal", directory=str(folder.absolute()))

    @property
    def endpoint(self) -> str:
        """Address shown to people; without a secret."""
        return self.directory if self.kind == "journal" else self.options.get("bootstrap.servers", "")

    def __repr__(self) -> str:
        """Show every option but those that hold a secret."""
        shown = {
            name: "***" if any(word in name for word in _SECRET_WORDS) else value
            for name, value in sorted(self.options.items())
        }
        return f"BrokerSpec(kind={self.kind!r}, directory={self.directory!r}, options={shown!r})"

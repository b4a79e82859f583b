"""Every error the workbench raises on purpose, in one tree.

``NeuralakeError``
├── ``UsageError`` (also ``ValueError``)   an argument, a setting or a command that cannot be right
├── ``StackError``                         a service or a program it needs is missing, away or ill
├── ``SourceError``                        a recording, a topic or the journal cannot be read or written
├── ``DecodeError``                        bytes are not what their encoding says
├── ``ContractError``                      a declaration contradicts itself or the table it names
├── ``CommitError``                        a table cannot be written; nothing stored is lost
│   └── ``FencedError``                    a newer worker owns the table
├── ``MaintenanceError``                   compaction, checkpoint, clean-up or vacuum failed
├── ``CatalogError``                       a table, version or column is not there
├── ``QueryError``                         a question was refused or failed
├── ``ProtocolError``                      a widget, server or supervisor message is malformed
└── ``NativeError``                        the Rust side failed in a way it did not foresee

Decide by class, ``code`` or ``retryable``; never by text. Codes are listed in ``docs/reference/errors.md``.
"""

from collections.abc import Mapping

__all__ = [
    "CatalogError",
    "CommitError",
    "ContractError",
    "DecodeError",
    "FencedError",
    "MaintenanceError",
    "NativeError",
    "NeuralakeError",
    "ProtocolError",
    "QueryError",
    "SourceError",
    "StackError",
    "UsageError",
]


class NeuralakeError(Exception):
    """Base of the tree; never raised itself.

    Parameters
    ----------
    message
        What was tried, on what, what was found against what was expected.
    code
        Stable identifier in kebab case, one page each in the error reference.
    hint
        The next step for the reader.
    context
        Values to act on (table, uri, version …); never a secret.
    retryable
        True when the same call may succeed later without a change.
    """

    default_code = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        context: Mapping[str, object] | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.context = dict(context or {})
        self.retryable = retryable

    def __str__(self) -> str:
        """Message, then the next step on a line of its own."""
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message


class UsageError(NeuralakeError, ValueError):
    """An argument, a setting or a command that cannot be right."""

    default_code = "usage"


class StackError(NeuralakeError):
    """A service, or a program it needs, is missing, away or ill."""

    default_code = "stack"


class SourceError(NeuralakeError):
    """A recording, a topic or the journal cannot be read or written."""

    default_code = "source"


class DecodeError(NeuralakeError):
    """Bytes are not what their encoding says."""

    default_code = "decode"


class ContractError(NeuralakeError):
    """A declaration contradicts itself or the table it names."""

    default_code = "contract"


class CommitError(NeuralakeError):
    """A table cannot be written; what is stored stays as it was."""

    default_code = "commit"


class FencedError(CommitError):
    """A newer worker owns the table; this one must not write again."""

    default_code = "fenced"


class MaintenanceError(NeuralakeError):
    """Compaction, checkpoint, clean-up or vacuum failed; readers are unharmed."""

    default_code = "maintenance"


class CatalogError(NeuralakeError):
    """A table, a version or a column is not there."""

    default_code = "catalog"


class QueryError(NeuralakeError):
    """A question was refused before it ran, or failed while it ran."""

    default_code = "query"


class ProtocolError(NeuralakeError):
    """A widget, server or supervisor message is malformed."""

    default_code = "protocol"


class NativeError(NeuralakeError):
    """The Rust side failed in a way it did not foresee; please report it."""

    default_code = "native"

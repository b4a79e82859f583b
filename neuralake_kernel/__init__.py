"""Neuralake Workbench: a lakehouse for neural signals that lives in JupyterLab.

>>> import neuralake_kernel as nl

``nl.read`` opens a recording, ``nl.table`` declares a table, ``nl.open`` opens a workbench. Importing this package
loads no engine and changes nothing in the process: each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralake_kernel.catalog import Catalog, declaration_of, signals, table
    from neuralake_kernel.errors import NeuralakeError
    from neuralake_kernel.ingest import FlushPolicy, JobHandle
    from neuralake_kernel.settings import Settings
    from neuralake_kernel.source import Recording, read
    from neuralake_kernel.workbench import Workbench, open  # noqa: A004 - nl.open reads as it should

__all__ = [
    "Catalog",
    "FlushPolicy",
    "JobHandle",
    "NeuralakeError",
    "Recording",
    "Settings",
    "Workbench",
    "declaration_of",
    "open",
    "read",
    "signals",
    "table",
]

__version__ = "0.1.0"

_HOME_OF = {
    "Catalog": "catalog",
    "FlushPolicy": "ingest",
    "JobHandle": "ingest",
    "NeuralakeError": "errors",
    "Recording": "source",
    "Settings": "settings",
    "Workbench": "workbench",
    "declaration_of": "catalog",
    "open": "workbench",
    "read": "source",
    "signals": "catalog",
    "table": "catalog",
}


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)

"""The store probe, which tells whether a store is fit for commits."""

import json
from typing import Protocol

__all__ = ["Probed", "native_store", "probe_store"]


class Probed(Protocol):
    """A store to reach; the stack's ``StoreSpec`` is one."""

    def native(self) -> dict[str, str | bool]:
        """Return it as the native side takes it."""


def native_store(store: Probed) -> dict[str, str | bool]:
    """Return a store as the native side takes it, without what is not given."""
    return {name: value for name, value in store.native().items() if value != ""}


def probe_store(store: Probed) -> None:
    """Race conditional puts on a store, then read and list what the winner wrote.

    Parameters
    ----------
    store
        Where the lake is.

    Raises
    ------
    StackError
        ``store-unreachable`` (retryable) when it does not answer, ``store-unfit`` when it breaks a promise that
        exactly-once stands on, ``store-invalid`` when it cannot be addressed.
    """
    from neuralake_kernel import _bridge

    _bridge.probe_store(json.dumps(native_store(store)))

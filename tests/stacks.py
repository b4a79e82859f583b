"""A started workbench in a folder of its own, for as long as a test wants it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import neuralake_kernel as nl
from neuralake_kernel.workbench import Workbench


@contextmanager
def started(profile: str = "local") -> Iterator[Workbench]:
    """Open a workbench and start its services; both are gone afterwards."""
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        lab = nl.open(profile=profile, home=Path(folder) / "home")
        try:
            lab.stack.start()
            yield lab
        finally:
            lab.stack.stop()
            lab.close()

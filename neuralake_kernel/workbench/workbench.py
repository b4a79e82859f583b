"""What ``nl.open`` gives: all ways of use in one object."""

from pathlib import Path

from neuralake_kernel.settings import Settings
from neuralake_kernel.workbench.ingesting import Ingesting
from neuralake_kernel.workbench.sending import Sending

__all__ = ["Workbench", "open"]


def open(  # noqa: A001 - nl.open reads as it should
    *, profile: str | None = None, home: str | Path | None = None, settings: Settings | None = None
) -> "Workbench":
    """Open a workbench; starts nothing.

    Parameters
    ----------
    profile
        ``embedded`` (no servers), ``local`` (MinIO and Kafka on this machine) or ``remote`` (endpoints by settings);
        without it the settings decide.
    home
        State folder; without it the settings decide.
    settings
        All settings at once, instead of the two above.

    Returns
    -------
    Workbench
        Ready to use; ``close`` it or use it in ``with``.

    Raises
    ------
    UsageError
        A setting cannot be used, or the folder was written by a newer version.
    """
    return Workbench(settings or Settings(profile=profile, home=home))


class Workbench(Ingesting, Sending):
    """A lake, a broker and what runs between them. ``nl.open`` makes it.

    Parameters
    ----------
    settings
        What it is opened with.
    """

"""What the spec of a job that was once started in a home tells of its table, without the code that declares it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neuralake_kernel.contract import Encoding

__all__ = ["KnownJob", "known_job", "known_tables"]


@dataclass(frozen=True, slots=True)
class KnownJob:
    """Topic of a table, its columns with whether each may be null, and how its messages are written."""

    topic: str
    columns: Mapping[str, bool]
    encoding: Encoding


def known_job(home: Path, table: str) -> KnownJob | None:
    """Read the spec of a table's job; None where it was never started.

    Parameters
    ----------
    home
        State folder of the workbench.
    table
        Name of the table.
    """
    path = home / "jobs" / Path(table).name / "spec.json"
    if not path.is_file():
        return None
    spec = json.loads(path.read_text(encoding="utf-8"))
    columns = {column["name"]: bool(column["nullable"]) for column in spec["contract"]["columns"]}
    return KnownJob(topic=spec["topic"], columns=columns, encoding=spec.get("encoding", "json"))


def known_tables(home: Path, topic: str) -> tuple[str, ...]:
    """Name the tables whose jobs were once started here on a topic.

    Parameters
    ----------
    home
        State folder of the workbench.
    topic
        Which topic.
    """
    found = []
    for path in sorted((home / "jobs").glob("*/spec.json")):
        known = known_job(home, path.parent.name)
        if known is not None and known.topic == topic:
            found.append(path.parent.name)
    return tuple(found)

"""What the spec of a job that was once started in a home tells of its table, without the code that declares it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralake_kernel.contract import Encoding

__all__ = ["KnownJob", "known_job", "known_tables", "topics_of"]


@dataclass(frozen=True, slots=True)
class KnownJob:
    """Topics of a table, its columns with whether each may be null, and how its messages are written."""

    topics: tuple[str, ...]
    columns: Mapping[str, bool]
    encoding: Encoding

    @property
    def topic(self) -> str:
        """The first of its topics: where it is written to unless another is named."""
        return self.topics[0]


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
    return KnownJob(topics=topics_of(spec), columns=columns, encoding=spec.get("encoding", "json"))


def topics_of(said: Mapping[str, Any]) -> tuple[str, ...]:
    """Topics that a spec or a report tells; an older one tells its only one as a text."""
    topics = said.get("topics")
    return (str(said["topic"]),) if topics is None else tuple(topics)


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
        if known is not None and topic in known.topics:
            found.append(path.parent.name)
    return tuple(found)

"""Keep what each soak found in ``build/soak.json``; ``make soak`` draws ``docs/soak.md`` from it."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from tests.fault.conftest import behind_proxy, embedded, local, proxy  # noqa: F401 - fixtures, used by their names

ROOT = Path(__file__).resolve().parents[2]
FACTS = ROOT / "build" / "soak.json"
#: Of each profile; the environment sets fewer to try things out.
KILLS = int(os.environ.get("SOAK_KILLS", "200"))


@dataclass(frozen=True, kw_only=True)
class Soaked:
    """What one case found.

    Parameters
    ----------
    case, profile
        What was done, in words, and where; together the key.
    kills
        Deaths of processes.
    rows
        Rows (or messages) that were compared with what was sent.
    lost, doubled
        Of what was sent: what is not there, and what is there more than once.
    remark
        What else was counted.
    expects_loss
        Whether the case is known to lose or to double: the judge is judged.
    """

    case: str
    profile: str
    kills: int
    rows: int
    lost: int
    doubled: int
    remark: str = ""
    expects_loss: bool = False
    seconds: float = field(default=0.0)


@pytest.fixture
def keep() -> Callable[[Soaked], None]:
    """Give the function that stores what a case found, in place of an older one."""
    began = time.monotonic()

    def keep_one(soaked: Soaked) -> None:
        kept = json.loads(FACTS.read_text()) if FACTS.exists() else []
        others = [fact for fact in kept if (fact["case"], fact["profile"]) != (soaked.case, soaked.profile)]
        FACTS.parent.mkdir(exist_ok=True)
        fact = asdict(soaked) | {"seconds": round(time.monotonic() - began, 1)}
        FACTS.write_text(json.dumps([*others, fact], indent=1) + "\n")

    return keep_one

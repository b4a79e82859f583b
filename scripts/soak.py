"""Draw ``docs/soak.md`` from ``build/soak.json``: the second half of ``make soak``."""

import json
from pathlib import Path
from typing import Any

from scripts.benchmarks import machine
from scripts.places import BUILD, ROOT
from scripts.steps import say

FACTS = BUILD / "soak.json"
PAGE = ROOT / "docs" / "soak.md"
HEAD = """# Soak

<!-- Made by `make soak` from build/soak.json. -->

Processes are killed (`kill -9`) at named points and at random moments while messages keep coming, and everything is
compared with what was sent: every row by its own number, every reject by its bytes and reasons, and by
`neuralake verify` from the stored files alone. [Fault points](concepts/fault-points.md) names the points,
[Laws](concepts/laws.md) what must hold. The naive loop goes through the same judge and must fail.

"""
COLUMNS = ("case", "profile", "kills", "rows compared", "lost", "doubled", "seconds", "")


def page(facts: list[dict[str, Any]]) -> str:
    """Return the page."""
    ordered = sorted(facts, key=lambda fact: (fact["expects_loss"], fact["case"], fact["profile"]))
    ours = [fact for fact in ordered if not fact["expects_loss"]]
    kills, lost = sum(fact["kills"] for fact in ours), sum(fact["lost"] + fact["doubled"] for fact in ours)
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(_cells, ordered)]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"{HEAD}{machine()}{kills:,} kills of ours in all, {lost:,} rows lost or doubled.\n\n{table}"


def _cells(fact: dict[str, Any]) -> list[str]:
    figures = [f"{fact[name]:,}" for name in ("kills", "rows", "lost", "doubled")]
    return [fact["case"], fact["profile"], *figures, f"{fact['seconds']:,.0f}", fact["remark"]]


def main(facts: Path = FACTS, target: Path = PAGE) -> None:
    """Write the page."""
    target.write_text(page(json.loads(facts.read_text())))
    say(f"{target.relative_to(ROOT)} is drawn from {facts.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

"""Draw ``docs/benchmarks.md`` from ``build/bench.json``: the second half of ``make bench``."""

import json
import os
import platform
from pathlib import Path
from typing import Any

from scripts.places import BUILD, ROOT
from scripts.steps import say

FACTS = BUILD / "bench.json"
PAGE = ROOT / "docs" / "benchmarks.md"
# Less than this is the shell and the build tools that have just ended.
IDLE_LOAD = 0.7
HEAD = """# Benchmarks

<!-- Made by `make bench` from build/bench.json. -->

Each figure is the median of its runs. A peer is measured in the same run on the same machine, so the ratio is what to
trust. Spread is the largest less the smallest run, as a share of the figure.

"""
COLUMNS = "| case | value | beside | ratio | aim | runs | spread | commit |\n"


def page(facts: list[dict[str, Any]]) -> str:
    """Return the page."""
    lines = [
        "| {case} | {value} | {peer} | {ratio} | {aim} | {runs} | {spread:.0%} | {commit} |\n".format(
            **{
                **fact,
                "value": figure(fact["value"], fact["unit"]),
                "peer": peer(fact),
                "ratio": "" if fact["ratio"] is None else f"{fact['ratio']:.2f}",
                "aim": fact.get("aim", ""),
            }
        )
        for fact in sorted(facts, key=lambda fact: str(fact["case"]))
    ]
    rule = "|" + "---|" * COLUMNS.count(" | ") + "---|\n"
    return HEAD + machine() + surroundings(facts) + "\n" + COLUMNS + rule + "".join(lines)


def machine() -> str:
    """Say on what it was measured, without naming the machine."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Measured on {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}.\n"
    )


def surroundings(facts: list[dict[str, Any]]) -> str:
    """Say what else ran on the machine meanwhile."""
    loads = sorted(fact["load"] for fact in facts if "load" in fact)
    if not loads:
        return ""
    seen = f"{loads[0]:g}" if loads[0] == loads[-1] else f"{loads[0]:g} to {loads[-1]:g}"
    told = f"Load average before measuring, from other work on the machine: {seen}."
    if loads[-1] < IDLE_LOAD:
        return told + "\n"
    warning = "**The machine was not idle**: rates and seconds are worse than its own, CPU seconds hold better."
    return f"{told}\n{warning}\n"


def figure(value: float, unit: str) -> str:
    """Write a figure with three digits that count, and its unit."""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}"


def peer(fact: dict[str, Any]) -> str:
    """Write what a figure stands beside."""
    if fact["peer_value"] is None:
        return ""
    return f"{fact['peer']}: {figure(fact['peer_value'], fact['unit'])}"


def main(facts: Path = FACTS, target: Path = PAGE) -> None:
    """Write the page."""
    target.write_text(page(json.loads(facts.read_text())))
    say(f"{target.relative_to(ROOT)} is drawn from {facts.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

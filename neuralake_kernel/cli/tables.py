"""Verbs of the tables: catalog, query, verify, requeue."""

import argparse
from dataclasses import asdict

from neuralake_kernel.cli.verbs import Screen, Verbs, open_lab

__all__ = ["add_verbs"]

_SHOWN_ROWS = 50


def add_verbs(verbs: Verbs) -> None:
    """Declare this group."""
    verb = verbs.add(
        "catalog",
        catalog,
        does="list the tables, or show one",
        example="neuralake catalog\nneuralake catalog openbci --json",
    )
    verb.add_argument("table", nargs="?", metavar="TABLE", help="show this one with its columns")
    verb = verbs.add(
        "query",
        query,
        does="ask one SELECT over tables of the catalog",
        example='neuralake query "SELECT session, count(*) AS n FROM openbci GROUP BY session"',
    )
    verb.add_argument("sql", metavar="SQL", help="one SELECT")
    verb.add_argument(
        "--engine", choices=("hot", "cold"), default="hot", help="hot: in this process (default); cold: Spark Connect"
    )
    verb = verbs.add(
        "verify",
        verify,
        does="check that a table and its quarantine hold each message exactly once; exit code 1 when not",
        example="neuralake verify openbci --expect sent.ndjson",
    )
    verb.add_argument("table", metavar="TABLE", help="name of the table")
    verb.add_argument("--expect", metavar="FILE", help="JSON lines of what was sent: partition, offset, rows")
    verb = verbs.add(
        "requeue",
        requeue,
        does="bring rejects that hold the contract by now into their table, each once",
        example="neuralake requeue openbci",
    )
    verb.add_argument("table", metavar="TABLE", help="name of the table; its contract is that of the job started last")


def catalog(args: argparse.Namespace, screen: Screen) -> int:
    """List tables."""
    with open_lab(args) as lab:
        if args.table:
            entry = lab.catalog.entry(args.table)
            screen.facts(entry.to_json()) if screen.as_json else screen.out.say(str(entry))
        elif screen.as_json:
            screen.facts(lab.catalog.to_json())
        else:
            screen.out.say(str(lab.catalog))
    return 0


def query(args: argparse.Namespace, screen: Screen) -> int:
    """Ask one SELECT."""
    with open_lab(args) as lab:
        result = lab.sql(args.sql, engine=args.engine)
    if screen.as_json:
        told = {"engine": result.engine, "versions": result.versions, "seconds": round(result.seconds, 6)}
        screen.facts({**told, "columns": result.columns, "rows": result.to_polars().to_dicts()})
        return 0
    out = screen.out
    rows = result.to_polars().head(_SHOWN_ROWS).to_dicts()
    out.say(out.records(rows, result.columns))
    read = ", ".join(f"{name} at version {version}" for name, version in result.versions.items())
    count = f"{len(result):,} rows" if len(result) <= _SHOWN_ROWS else f"first {_SHOWN_ROWS} of {len(result):,} rows"
    more = "" if len(result) <= _SHOWN_ROWS else "; --json has all"
    out.say(out.paint(f"\n{count} in {result.seconds:.2f} s, {result.engine}, {read}{more}", "dim"))
    return 0


def verify(args: argparse.Namespace, screen: Screen) -> int:
    """Check the law of the message."""
    with open_lab(args) as lab:
        report = lab.verify(args.table, expect=args.expect)
    if screen.as_json:
        screen.facts(report.to_json())
    else:
        sign = screen.out.paint("●", "green") if report.ok else screen.out.paint("✕", "red")
        screen.out.say(f"{sign} {report}")
    return 0 if report.ok else 1


def requeue(args: argparse.Namespace, screen: Screen) -> int:
    """Move what holds the contract by now."""
    with open_lab(args) as lab:
        report = lab.requeue(args.table)
    if screen.as_json:
        screen.facts(asdict(report))
    else:
        screen.out.say(str(report))
    return 0

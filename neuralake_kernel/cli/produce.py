"""The verb that sends rows of a file, or of standard input, to the topic of a table."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from neuralake_kernel.cli.verbs import Screen, Verbs, open_lab
from neuralake_kernel.errors import UsageError

__all__ = ["add_verbs"]

_LINES = {".ndjson", ".jsonl", ".json"}
_EXAMPLE = """\
neuralake produce openbci rows.parquet --key session
my-device | neuralake produce openbci - --acks buffered"""


def add_verbs(verbs: Verbs) -> None:
    """Declare this group."""
    verb = verbs.add(
        "produce",
        produce,
        does="send rows of a file or of standard input to the topic of a table",
        example=_EXAMPLE,
    )
    verb.add_argument("table", metavar="TABLE", help="a table whose job was started once in this home")
    verb.add_argument("file", metavar="FILE", help="Parquet, CSV or JSON lines by its ending; -: JSON lines from stdin")
    verb.add_argument(
        "--acks", choices=("none", "buffered", "durable"), default="durable", help="when it counts as sent"
    )
    verb.add_argument("--topic", metavar="TOPIC", help="one of the table's topics; without it the first")
    verb.add_argument("--key", metavar="COLUMN", help="column that keys the messages and picks their partition")
    verb.add_argument("--spool", action="store_true", help="to a journal of this machine first, on to Kafka from there")


def produce(args: argparse.Namespace, screen: Screen) -> int:
    """Send."""
    rows = _rows(args.file)
    with open_lab(args) as lab:
        report = lab.produce(
            args.table,
            rows,
            topic=args.topic,
            acks=args.acks,
            key=args.key,
            spool=args.spool,
            progress=lambda report: screen.err.show(str(report), step=f"produce {report.state}"),
        )
    screen.err.clear()
    if screen.as_json:
        told = report.to_json()
        screen.facts({name: value for name, value in told.items() if name != "ranges"})
    else:
        screen.out.say(str(report))
    return 0


def _rows(name: str) -> object:
    """Open what is to be sent; JSON lines go as they are, the table's contract judges them."""
    if name == "-":
        return _lines(sys.stdin.buffer)
    path = Path(name)
    ending = path.suffix.lower()
    if ending not in {".parquet", ".csv", *_LINES}:
        msg = f"Cannot tell what {path} holds by its ending {ending!r}."
        raise UsageError(
            msg, code="file-unknown", hint="Parquet, CSV and JSON lines (.ndjson, .jsonl, .json) are known."
        )
    if not path.is_file():
        msg = f"Cannot send {path}: there is no such file."
        raise UsageError(msg, code="file-missing", hint="Check the path; - reads standard input.")
    if ending in _LINES:
        return _file_lines(path)
    import polars as pl

    return pl.scan_parquet(path) if ending == ".parquet" else pl.scan_csv(path, try_parse_dates=True)


def _file_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from _lines(stream)


def _lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    for line in stream:
        stripped = line.strip()
        if stripped:
            yield stripped

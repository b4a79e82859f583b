"""What the verbs share: how one is declared, where it writes, and how it opens a workbench."""

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from neuralake_kernel.terminal import Terminal

if TYPE_CHECKING:
    from neuralake_kernel.workbench import Workbench

__all__ = ["Screen", "Verbs", "open_lab"]

PROFILES = ("embedded", "local", "remote")


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a verb writes: facts to ``out``, progress and errors to ``err``."""

    out: Terminal
    err: Terminal
    as_json: bool

    def facts(self, value: object) -> None:
        """Write facts as JSON."""
        self.out.say(json.dumps(_plain(value), indent=2, ensure_ascii=False))


Run = Callable[[argparse.Namespace, Screen], int]


class Verbs:
    """Declares the verbs of the command.

    Parameters
    ----------
    parser
        Whose verbs.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(
        self, name: str, run: Run, *, does: str, example: str, profiles: Sequence[str] = PROFILES
    ) -> argparse.ArgumentParser:
        """Declare a verb.

        Parameters
        ----------
        name
            As it is typed.
        run
            What it does; returns the exit code.
        does
            One line for people.
        example
            Lines to copy.
        profiles
            Where it can run.
        """
        parser = self._parsers.add_parser(
            name,
            help=does,
            description=does[0].upper() + does[1:] + ".",
            epilog="example:\n" + "\n".join(f"  {line}" for line in example.splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--profile", choices=profiles, help="where store and broker are (else: the settings)")
        parser.add_argument("--home", metavar="DIR", help="state folder (else: the settings)")
        parser.add_argument("--json", action="store_true", help="print facts as JSON")
        parser.set_defaults(run=run)
        return parser


def open_lab(args: argparse.Namespace) -> "Workbench":
    """Open the workbench that the arguments and the settings name."""
    from neuralake_kernel.workbench import open as open_workbench

    return open_workbench(profile=args.profile, home=args.home)


def _plain(value: object) -> object:
    """Give a value as JSON knows it: times in ISO 8601, bytes as text, no NaN."""
    if isinstance(value, Mapping):
        return {str(name): _plain(held) for name, held in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(held) for held in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int) else str(value)

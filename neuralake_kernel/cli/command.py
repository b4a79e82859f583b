"""Parses the command line, runs the verb, and turns what went wrong into a message and an exit code."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from neuralake_kernel.cli import demo, journal, produce, services, settings, tables
from neuralake_kernel.cli.verbs import Screen, Verbs
from neuralake_kernel.errors import NeuralakeError, UsageError
from neuralake_kernel.terminal import Terminal

__all__ = ["build_parser", "main"]

USAGE, FAILED, INTERRUPTED = 2, 1, 130

_EXAMPLES = """\
examples:
  neuralake demo                             the whole loop on two real recordings
  neuralake up --profile local               start MinIO and Kafka on this machine
  neuralake status                           services and jobs, with their reports
  neuralake query "SELECT count(*) FROM openbci"

Settings come from arguments, NEURALAKE_… variables and neuralake.toml; `neuralake settings` tells which won.
`neuralake VERB --help` has an example of each verb."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of every verb."""
    parser = argparse.ArgumentParser(
        prog="neuralake",
        description="A lakehouse for neural signals: its stack, its tables, its questions.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    verbs = Verbs(parser)
    for group in (services, tables, produce, journal, settings, demo):
        group.add_verbs(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        Arguments; without them those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 1 failed or found wanting, 2 a command that cannot be right, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows another one; a traceback would help nobody.
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # absent where a test replaced it
    args = build_parser().parse_args(argv)
    screen = Screen(out=Terminal(sys.stdout), err=Terminal(sys.stderr), as_json=getattr(args, "json", False))
    try:
        return int(args.run(args, screen))
    except KeyboardInterrupt:
        screen.out.clear()
        screen.err.clear()
        screen.err.say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing may be written to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the outermost door: whatever passes it ends as a message
        if os.environ.get("NEURALAKE_DEBUG"):
            raise
        screen.out.clear()
        screen.err.clear()
        return _tell(error, screen.err)


def _tell(error: Exception, screen: Terminal) -> int:
    if isinstance(error, NeuralakeError):
        code, message, hint = error.code, error.message, error.hint
    else:
        code, message = "internal", f"{type(error).__name__}: {error}"
        hint = "This is a fault of the workbench; NEURALAKE_DEBUG=1 shows where. Please report it."
    screen.say(f"{screen.paint(f'error[{code}]:', 'red', 'bold')} {message}")
    if hint:
        screen.say(f"{screen.paint(' hint:', 'cyan')} {hint}")
    return USAGE if isinstance(error, UsageError) else FAILED


def _version() -> str:
    from neuralake_kernel import __version__

    return f"neuralake {__version__}"

"""The verb ``demo``."""

import argparse
from pathlib import Path

from neuralake_kernel.cli.verbs import Screen, Verbs

__all__ = ["add_verbs"]


def add_verbs(verbs: Verbs) -> None:
    """Declare this group."""
    verb = verbs.add(
        "demo",
        demo,
        does="run the whole loop on two real recordings, in a state folder of its own",
        example="neuralake demo\nneuralake demo --profile local",
        profiles=("embedded", "local"),
    )
    verb.add_argument("--data", type=Path, metavar="DIR", help="folder of the recordings (else: the clone's)")
    verb.add_argument("--out", type=Path, default=Path("build"), metavar="DIR", help="pictures and demo.json (build)")
    verb.add_argument("--speed", type=float, default=40.0, metavar="X", help="times the board's pace (40)")


def demo(args: argparse.Namespace, screen: Screen) -> int:
    """Run the demonstration; exit code 1 when something promised did not hold."""
    from neuralake_kernel.demo import DemoPolicy, run_demo

    policy = DemoPolicy(
        profile=args.profile or "embedded",
        out=args.out,
        home=Path(args.home) if args.home else None,
        data=args.data,
        speed=args.speed,
    )
    facts = run_demo(policy, screen.err if screen.as_json else screen.out)
    if screen.as_json:
        screen.facts(facts.to_json())
    return 0 if facts.is_good else 1

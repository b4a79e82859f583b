"""The verb ``settings``."""

import argparse

from neuralake_kernel.cli.verbs import Screen, Verbs

__all__ = ["add_verbs"]


def add_verbs(verbs: Verbs) -> None:
    """Declare this group."""
    verbs.add(
        "settings",
        settings,
        does="show the settings and where each comes from",
        example="neuralake settings\nNEURALAKE_PROFILE=local neuralake settings --json",
    )


def settings(args: argparse.Namespace, screen: Screen) -> int:
    """Show the settings."""
    from neuralake_kernel.settings import Settings

    told = Settings(profile=args.profile, home=args.home).explain()
    if screen.as_json:
        screen.facts({name: {"value": value, "from": origin} for name, (value, origin) in told.items()})
    else:
        rows = [(name, origin, value) for name, (value, origin) in told.items()]
        screen.out.say(screen.out.table(("setting", "from", "value"), rows))
    return 0

"""Build the wheel under ``build/wheels``: ``make wheel``."""

from scripts import native
from scripts.places import ROOT
from scripts.steps import StepError, say, stop


def main() -> None:
    """Build it, or say that it is there."""
    try:
        wheel = native.wheel()
    except StepError as error:
        stop(error)
    else:
        size_mb = wheel.stat().st_size / 1e6
        say(f"wheel: {wheel.relative_to(ROOT)} ({size_mb:.1f} MB)")


if __name__ == "__main__":
    main()

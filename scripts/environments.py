"""``environment.yml`` and its twin for Binder are one file, and its pins are those of the lock."""

import re

from scripts.lock import pins
from scripts.places import ROOT
from scripts.steps import StepError

TWINS = (ROOT / "environment.yml", ROOT / "binder" / "environment.yml")
PIN = re.compile(r"^\s*- ([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)$", re.MULTILINE)


def check() -> None:
    """Raise when the two differ, or when a pin is not the locked version."""
    text, twin = (path.read_text() for path in TWINS)
    if text != twin:
        message = "environment.yml and binder/environment.yml differ. Hint: copy the first."
        raise StepError(message)
    locked = pins()
    stale = [
        f"{name}=={version} (locked: {locked.get(name)})"
        for name, version in PIN.findall(text)
        if locked.get(name) != version
    ]
    if stale:
        message = "environment.yml does not follow the lock: " + ", ".join(stale)
        raise StepError(message)

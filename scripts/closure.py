"""What an installed package needs at run time, as lines of the lock: for installing a wheel without a network.

Runs in ``.venv``, whose metadata it reads.
"""

from collections.abc import Iterable
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.lock import block


def closure(roots: Iterable[Requirement]) -> set[str]:
    """Return the names of all packages that the requirements pull in on this machine."""
    found: set[str] = set()
    todo = [(root, "") for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted, extra = todo.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        key = (name, frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        found.add(name)
        needs = [Requirement(text) for text in requires(name) or ()]
        todo += [(need, each) for need in needs for each in ("", *wanted.extras)]
    return found


def locked(roots: Iterable[Requirement]) -> str:
    """Return the lock's lines for the requirements and all they pull in."""
    return "".join(block(name) for name in sorted(closure(roots)))

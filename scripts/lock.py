"""Lock the Python packages: ``make lock`` writes the lock file, ``--check`` tells whether it is fresh.

The lock names no registry. Its head carries the hash of the requirements it was made from, so that freshness needs
neither a network nor a cache.
"""

import argparse
import hashlib
import json
import tomllib
from pathlib import Path

from scripts.places import BIN, LOCK, ROOT
from scripts.steps import StepError, run, stop

HEAD = "# Made by `make lock` from pyproject.toml, requirements sha256:"


def requirements_hash() -> str:
    """Hash the parts of pyproject.toml that decide what is installed."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    asked = {
        "python": project["requires-python"],
        "dependencies": sorted(project["dependencies"]),
        "extras": {k: sorted(v) for k, v in project["optional-dependencies"].items()},
        "groups": {k: sorted(v) for k, v in document["dependency-groups"].items()},
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def pins() -> dict[str, str]:
    """Return the locked version of each package; with several, that of the oldest Python."""
    found: dict[str, str] = {}
    for line in LOCK.read_text().splitlines():
        name, equals, rest = line.partition("==")
        if equals and not line.startswith((" ", "#")):
            found.setdefault(name, rest.split()[0])
    return found


def block(name: str) -> str:
    """Return the lines of one package in the lock, for every Python, hashes included."""
    taken: list[str] = []
    inside = False
    for line in LOCK.read_text().splitlines(keepends=True):
        inside = line.startswith((f"{name}==", f"{name}[")) or (inside and line.startswith("    --hash"))
        if inside:
            taken.append(line)
    if not taken:
        message = f"{LOCK.name} holds no {name}. Hint: make lock."
        raise StepError(message)
    return "".join(taken)


def check() -> None:
    """Raise when the lock was made from other requirements or names a host."""
    text = LOCK.read_text()
    if not text.startswith(HEAD + requirements_hash() + "\n"):
        message = f"{LOCK.name} does not belong to pyproject.toml. Hint: make lock."
        raise StepError(message)
    if "://" in text:
        message = f"{LOCK.name} names a host. Hint: make lock."
        raise StepError(message)


def write() -> None:
    """Resolve again, keeping the versions that still fit."""
    groups = ("--all-extras", "--group", "dev", "--group", "docs")
    form = ("--generate-hashes", "--no-emit-index-url", "--no-header", "--quiet")
    python = ("--universal", "--python-version", "3.11")
    run([BIN / "uv", "pip", "compile", *python, *form, *groups, "pyproject.toml", "-o", LOCK.name])
    put_head(LOCK)


def put_head(path: Path) -> None:
    """Give a resolved file its first line."""
    body = "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith(HEAD))
    path.write_text(f"{HEAD}{requirements_hash()}\n{body}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.lock", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether the lock is fresh")
    options = parser.parse_args()
    try:
        if options.check:
            check()
        else:
            write()
    except StepError as error:
        stop(error)


if __name__ == "__main__":
    main()

"""Hold the crates to ``native/deny.toml``: PyO3 in one crate only, licences, sources, no second Arrow.

cargo-deny is a program of its own. One on PATH serves; else it is built once into the tools cache, by its own lock.
Advisories are not asked here: they need a network and change without us.
"""

import shutil
import tempfile

from scripts.places import NATIVE, environment, tools
from scripts.steps import StepError, captured, run, timed

VERSION = "0.20.2"
# It reads a few hundred manifests once: how fast it runs matters less than how long it builds.
CHEAP = ("--config", "profile.release.lto=false", "--config", "profile.release.opt-level=1")


def check() -> None:
    """Raise with cargo-deny's own words when a rule is broken."""
    code, said = captured(
        [
            *(program(), "--manifest-path", NATIVE / "Cargo.toml", "--locked", "--offline"),
            *("check", "--hide-inclusion-graph", "bans", "licenses", "sources"),
        ]
    )
    if code != 0:
        raise StepError(said)


def program() -> str:
    """Return the path of cargo-deny, built if need be."""
    found = shutil.which("cargo-deny", path=environment()["PATH"])
    if found:
        return found
    root = tools() / f"cargo-deny-{VERSION}"
    built = root / "bin" / "cargo-deny"
    if not built.exists():
        # A build folder of its own, for the project's would be locked for as long as this takes.
        with timed("cargo-deny (once, 2 to 5 minutes)"), tempfile.TemporaryDirectory() as work:
            where = ("--version", VERSION, "--root", root, "--target-dir", work)
            run(["cargo", "install", "cargo-deny", "--locked", "--quiet", *where, *CHEAP])
    return str(built)

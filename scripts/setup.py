"""Set up all that building and testing need: ``make setup``. What is up to date costs nothing.

Each missing program is named with the way to get it, all at once and before anything is built.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from scripts import browser, compilers, native, python_environment, widgets
from scripts.programs import BUILD_PROGRAMS, STACK_PROGRAMS, complaint, require
from scripts.stamps import fingerprint, is_fresh, record
from scripts.steps import StepError, say, stop


def machine() -> None:
    """Check the programs and compilers of the machine, once per environment."""
    mark = fingerprint([], repr(BUILD_PROGRAMS), repr(STACK_PROGRAMS))
    if is_fresh("machine", mark):
        return
    require(BUILD_PROGRAMS)
    compilers.provide()
    missing = [text for program in STACK_PROGRAMS if (text := complaint(program))]
    for text in missing:
        say(f"note: only for the real stack (profile `local`, make test): {text}")
    if not missing:
        record("machine", mark)


@contextmanager
def everything() -> Iterator[None]:
    """Run every step; the body runs while the crates compile, once the packages are there."""
    machine()
    python_environment.create()
    with native.compiled_meanwhile():
        python_environment.install()
        widgets.build()
        browser.provide()
        yield
    native.develop()


def main() -> None:
    """Run the command line."""
    try:
        with everything():
            pass
    except StepError as error:
        stop(error)
    say("set up: .venv/bin/neuralake --help")


if __name__ == "__main__":
    main()

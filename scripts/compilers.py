"""What librdkafka, OpenSSL and zlib are compiled with: they are built in, not taken from the machine."""

import os
import shutil
from dataclasses import dataclass

from scripts.steps import StepError, captured, run, say


@dataclass(frozen=True)
class Requirement:
    """Something the native build needs, and the Debian package that brings it."""

    name: str
    package: str
    check: tuple[str, ...]


REQUIREMENTS = (
    Requirement("a C compiler", "gcc", ("cc", "--version")),
    Requirement("a C++ compiler", "g++", ("c++", "--version")),
    Requirement(
        "the headers of the C library", "libc6-dev", ("cc", "-E", "-include", "stdlib.h", "-x", "c", "/dev/null")
    ),
    Requirement("make", "make", ("make", "--version")),
    Requirement("Perl", "perl", ("perl", "-MFindBin", "-MIPC::Cmd", "-e", "1")),
)


def provide() -> None:
    """Install what is missing where we may (root with apt), else name it."""
    missing = [library for library in REQUIREMENTS if not _is_there(library)]
    if not missing:
        return
    packages = [library.package for library in missing]
    if can_apt():
        say(f"── system packages: {' '.join(packages)}")
        apt_install(packages)
        missing = [library for library in missing if not _is_there(library)]
    if missing:
        names = ", ".join(library.name for library in missing)
        message = (
            f"the native module cannot be built without: {names}\n"
            f"  Hint: sudo apt-get install {' '.join(packages)}   (Debian, Ubuntu)\n"
            "        xcode-select --install   (macOS)"
        )
        raise StepError(message)


def can_apt() -> bool:
    """Tell whether packages of the system can be installed without asking anybody."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(packages: list[str]) -> None:
    """Install Debian packages."""
    run(["apt-get", "update", "-qq"])
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


def _is_there(library: Requirement) -> bool:
    return shutil.which(library.check[0]) is not None and captured(library.check)[0] == 0

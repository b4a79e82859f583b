"""Skip what is up to date: a step's stamp is the hash of all it was made from."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.places import ROOT, VENV

STAMPS = VENV / ".stamps"
SKIPPED_FOLDERS = {"node_modules", "target", "__pycache__", "static", "lib", ".yarn"}
SKIPPED_SUFFIXES = {".so", ".dylib", ".tsbuildinfo"}


def fingerprint(sources: Iterable[Path], *facts: str) -> str:
    """Hash the paths and contents of files, and of all files in folders, with further facts."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{fact}\n".encode())
    for path in sorted(file for source in sources for file in _files(source)):
        digest.update(f"{path.relative_to(ROOT)}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_fresh(step: str, mark: str, products: Sequence[Path] = ()) -> bool:
    """Tell whether a step ran on exactly these inputs and all it made is still there."""
    stamp = STAMPS / step
    same = stamp.is_file() and stamp.read_text() == mark
    return same and all(product.exists() for product in products)


def record(step: str, mark: str) -> None:
    """Remember that a step ran on these inputs."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / step).write_text(mark)


def _files(source: Path) -> Iterable[Path]:
    """Walk a file or a folder; build products among the sources are passed over, unless named themselves."""
    if source.is_file():
        yield source
    elif source.is_dir():
        for child in source.iterdir():
            if child.name not in SKIPPED_FOLDERS and child.suffix not in SKIPPED_SUFFIXES:
                yield from _files(child)

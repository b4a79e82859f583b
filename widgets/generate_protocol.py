"""Writes the TypeScript types of the snapshot from ``neuralake_kernel/view/protocol.py``.

``python widgets/generate_protocol.py`` writes, ``--check`` fails where the file on disk differs.
"""

import importlib
import sys
import types
import typing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "widgets" / "packages" / "protocol" / "src" / "index.ts"
HEAD = """\
// Generated from neuralake_kernel/view/protocol.py by widgets/generate_protocol.py; do not edit.
"""
WORDS = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "null"}


def typescript(kind: object) -> str:
    """Say one Python type in TypeScript."""
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind)
    if origin is typing.Literal:
        return " | ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in inner)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(typescript(member) for member in inner)
    if origin is list:
        return f"ReadonlyArray<{typescript(inner[0])}>"
    if origin is tuple:
        return f"readonly [{', '.join(typescript(member) for member in inner)}]"
    if origin is dict:
        return f"Readonly<Record<{typescript(inner[0])}, {typescript(inner[1])}>>"
    if typing.is_typeddict(kind):
        return kind.__name__
    return WORDS[kind]


def comment(kind: type) -> str:
    """First sentence of a docstring as a TypeScript comment."""
    return f"/** {(kind.__doc__ or '').strip().splitlines()[0]} */"


def generate(protocol: types.ModuleType) -> str:
    """Give the whole file."""
    names = {"ActionName", "CircuitState", "JobState", "OperationState", "ServiceState"}
    parts = [HEAD, f"export const PROTOCOL_VERSION = {protocol.PROTOCOL_VERSION};\n"]
    aliases = {getattr(protocol, name): name for name in sorted(names)}
    parts += [f"export type {name} = {typescript(kind)};\n" for kind, name in aliases.items()]
    for name in protocol.__all__:
        kind = getattr(protocol, name)
        if not typing.is_typeddict(kind):
            continue
        fields = "".join(
            f"  readonly {field}: {aliases.get(hint) or typescript(hint)};\n"
            for field, hint in typing.get_type_hints(kind).items()
        )
        parts.append(f"{comment(kind)}\nexport interface {name} {{\n{fields}}}\n")
    return "\n".join(parts)


def main() -> int:
    """Write the file, or compare it."""
    sys.path.insert(0, str(ROOT))
    text = generate(importlib.import_module("neuralake_kernel.view.protocol"))
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET.relative_to(ROOT)} is stale: run python widgets/generate_protocol.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())

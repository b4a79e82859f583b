"""The list of codes is closed: what can be raised is documented, and what is documented can be raised."""

import ast
import re
from pathlib import Path

from neuralake_kernel import errors

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "errors.md"
CODE = re.compile(r"`([a-z0-9]+(?:-[a-z0-9]+)*)`")
CLASS = re.compile(r"`([A-Z][A-Za-z]+Error)`")
RUST_CODE = re.compile(r'Self::\w+(?: \{ \.\. \}|\([^)]*\))?(?: if [^=]+)? => "([a-z0-9-]+)"')


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def documented() -> set[str]:
    return {code for row in rows() for code in CODE.findall(row[0])}


def raised_in_python() -> tuple[set[str], set[str]]:
    """Return the codes that stand in the source, and patterns for those built from a name."""
    codes, patterns = set(), set()
    for path in (ROOT / "neuralake_kernel").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.keyword) and node.arg == "code"
            default = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "default_code"
            if not named and not default:
                continue
            value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                codes.add(value.value)
            elif isinstance(value, ast.JoinedStr):
                parts = (re.escape(p.value) if isinstance(p, ast.Constant) else "[a-z]+" for p in value.values)
                patterns.add("".join(str(part) for part in parts))
    return codes, patterns


def raised_in_rust() -> set[str]:
    return {
        code
        for path in (ROOT / "native" / "crates").rglob("error.rs")
        for code in RUST_CODE.findall(path.read_text().partition("fn code")[2].partition("fn ")[0])
    }


def test_every_row_is_whole() -> None:
    faulty = [row for row in rows() if len(row) != 4 or not all(row)]
    assert rows()
    assert faulty == []


def test_no_code_is_documented_twice() -> None:
    codes = [code for row in rows() for code in CODE.findall(row[0])]
    assert [code for code in codes if codes.count(code) > 1] == []


def test_every_class_named_is_one_of_ours() -> None:
    named = {name for row in rows() for name in CLASS.findall(row[1])}
    assert named <= set(errors.__all__)


def test_every_code_that_can_be_raised_is_documented() -> None:
    codes, patterns = raised_in_python()
    assert raised_in_rust() - documented() == set()
    assert codes - documented() == set()
    unmatched = [p for p in patterns if not any(re.fullmatch(p, code) for code in documented())]
    assert unmatched == []


def test_every_documented_code_stands_in_the_source() -> None:
    codes, patterns = raised_in_python()
    known = codes | raised_in_rust()
    text = "\n".join(
        path.read_text()
        for folder, kind in (("neuralake_kernel", "*.py"), ("native/crates", "*.rs"))
        for path in (ROOT / folder).rglob(kind)
    )
    strangers = [
        code
        for code in documented() - known
        if f'"{code}"' not in text and not any(re.fullmatch(p, code) for p in patterns)
    ]
    assert strangers == []

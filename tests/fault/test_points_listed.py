"""The list of fault points is one: in the code, in the plans of these tests and in the documentation."""

import re

from tests.fault.deaths import PASSES, ROOT, named_points


def test_every_point_is_documented_planned_and_passed() -> None:
    points = named_points()
    page = (ROOT / "docs" / "concepts" / "fault-points.md").read_text()
    journal = named_points("JOURNAL_POINTS")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == points + journal
    assert list(PASSES) == points
    code = "".join(path.read_text() for path in (ROOT / "native" / "crates").glob("*/src/**/*.rs"))
    passed = set(re.findall(r'\.pass\("(\w+)"\)', code))
    assert passed == {*points, *journal, *named_points("ADD_POINTS")}

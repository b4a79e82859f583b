"""The list of fault points is one: in the code, in the plans of these tests and in the documentation."""

import re

from neuralake_kernel.source.faults import DRAIN_POINTS
from tests.fault.deaths import PASSES, ROOT, named_points


def test_every_point_is_documented_planned_and_passed() -> None:
    points = named_points()
    page = (ROOT / "docs" / "concepts" / "fault-points.md").read_text()
    journal = named_points("JOURNAL_POINTS")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == points + journal + list(DRAIN_POINTS)
    assert list(PASSES) == points
    drain = (ROOT / "neuralake_kernel" / "source" / "drain.py").read_text()
    assert re.findall(r'\.pass_by\("(\w+)"\)', drain) == list(DRAIN_POINTS)
    code = "".join(path.read_text() for path in (ROOT / "native" / "crates").glob("*/src/**/*.rs"))
    passed = set(re.findall(r'\.pass\("(\w+)"\)', code))
    assert passed == {*points, *journal, *named_points("ADD_POINTS")}

"""Build the widgets and the JupyterLab extension to where the wheel takes them from."""

from scripts.places import PACKAGE, ROOT, WIDGETS
from scripts.stamps import fingerprint, is_fresh, record
from scripts.steps import run, timed

STEP = "widgets"
PRODUCTS = (PACKAGE / "view" / "static", ROOT / "wheel.data" / "data")


def build() -> None:
    """Build what the browser needs, unless its sources are unchanged."""
    mark = fingerprint([WIDGETS])
    if is_fresh(STEP, mark, PRODUCTS):
        return
    with timed("widgets and JupyterLab extension"):
        run(["sh", WIDGETS / "build.sh", "--fast"])
    record(STEP, mark)

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]


def test_typescript_types_are_those_of_the_protocol():
    found = subprocess.run(
        [sys.executable, ROOT / "widgets" / "generate_protocol.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_building_snapshots_loads_no_widget_library():
    code = (
        "import sys, neuralake_kernel.view; "
        "print(sorted({'anywidget', 'ipywidgets', 'IPython', 'polars'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert found.stdout.strip() == "[]"

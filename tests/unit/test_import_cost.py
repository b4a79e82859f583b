"""Importing the package is cheap: no engine comes with it, and nothing in the process changes."""

import json
import subprocess
import sys

HEAVY = {"deltalake", "matplotlib", "pandas", "polars", "pyarrow", "pyspark"}
PROBE = """
import json, os, signal, sys, threading, warnings
before = (dict(os.environ), signal.getsignal(signal.SIGINT), list(warnings.filters))
import neuralake_kernel
after = (dict(os.environ), signal.getsignal(signal.SIGINT), list(warnings.filters))
print(json.dumps({
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "unchanged": before == after,
    "threads": threading.active_count(),
}))
"""


def probe() -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=60)
    return dict(json.loads(done.stdout))


def test_import_loads_no_engine() -> None:
    modules = probe()["modules"]
    assert isinstance(modules, list)
    assert "neuralake_kernel" in modules
    assert HEAVY & set(modules) == set()


def test_import_changes_nothing_in_the_process() -> None:
    facts = probe()
    assert facts["unchanged"] is True
    assert facts["threads"] == 1

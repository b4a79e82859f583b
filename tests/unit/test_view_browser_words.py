"""The browser's module, asked in Node, says numbers as Python does."""

import json
import subprocess
from pathlib import Path

import pytest

from neuralake_kernel.view.words import age_text, count_text, size_text

pytestmark = pytest.mark.unit

WIDGETS = Path(__file__).resolve().parents[2] / "widgets"
ASK = """
const module = await import(process.argv[1]);
const asked = JSON.parse(process.argv[2]);
console.log(JSON.stringify(asked.map(([name, ...values]) => module[name](...values))));
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Call exported functions of the module's words."""
    built = tmp_path_factory.mktemp("module") / "words.mjs"
    bundler = WIDGETS / "node_modules" / ".bin" / "esbuild"
    entry = WIDGETS / "packages" / "monitor" / "src" / "words.ts"
    subprocess.run([bundler, entry, "--bundle", "--format=esm", "--log-level=error", f"--outfile={built}"], check=True)

    def call(questions):
        node = ["node", "--input-type=module", "-e", ASK, built.as_uri(), json.dumps(questions)]
        return json.loads(subprocess.run(node, check=True, capture_output=True, text=True).stdout)

    return call


@pytest.mark.parametrize(
    ("name", "python", "values"),
    [
        ("countText", count_text, [None, 0, 9, 999, 1_000, 12_402_640, 1.6]),
        ("sizeText", size_text, [None, 0, 999, 1_000, 9_949, 10_000, 133e6, 999.4e6, 1.1e9, 2.5e13]),
        ("ageText", age_text, [None, 0, 0.041, 0.0994, 0.12, 0.94, 9.94, 10, 119, 121, 3_600, 7_300, 86_400]),
    ],
)
def test_browser_and_python_say_numbers_alike(ask, name, python, values):
    assert ask([[name, value] for value in values]) == [python(value) for value in values]

"""Run the notebooks and store what they say: ``python -m tests.store_notebooks [word …]``.

The surroundings are those in which the outputs are compared afterwards. Widget state is taken out: its ids change with
every run, and without the widget's kernel it would draw an empty box over the static view beside it. Look at the
outputs before you commit them: they become the expectation and a page of the docs.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.nbval_wrapper import CELL_TIMEOUT_S, NOTEBOOKS, stable_environment, stop_leftovers

WIDGET = "application/vnd.jupyter.widget-view+json"
SHOWN_FOLDER = "/home/me"


def store(path: Path) -> None:
    """Run one notebook from top to bottom and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        surroundings = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        env = stable_environment(surroundings, home=home, scratch=Path(folder) / "scratch")
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            record_timing=False,
            store_widget_state=False,
        )
        try:
            client.execute(env=env)
        finally:
            stop_leftovers(home)
    clean(notebook, scratch=folder)
    nbformat.write(notebook, path)


def clean(notebook: Any, *, scratch: str) -> None:
    """Take out widget state, the interpreter's version and this run's folder."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        data = output.get("data", {})
        data.pop(WIDGET, None)
        data.update({mime: text.replace(scratch, SHOWN_FOLDER) for mime, text in data.items() if "text/" in mime})


if __name__ == "__main__":
    words = sys.argv[1:]
    for notebook_path in NOTEBOOKS:
        if not words or any(word in notebook_path.stem for word in words):
            store(notebook_path)

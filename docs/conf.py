"""Sphinx: guides and concepts in Markdown, reference from docstrings, notebooks with their stored outputs."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "Neuralake Workbench"
author = "The Neuralake Workbench authors"
release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints", "tutorials/data"]
nitpicky = False

# Outputs are those that nbval compared; a build of the docs proves nothing and runs nothing.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = project
html_show_copyright = False

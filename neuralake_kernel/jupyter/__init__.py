"""Jupyter's door to the workbench: the server extension behind the sidebar.

``neuralake_kernel.jupyter`` is what Jupyter Server loads; the prebuilt JupyterLab extension travels
in the same wheel. Every route asks for Jupyter's own authentication, and no blocking call runs on
the server's event loop.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

__all__: list[str] = []


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "neuralake_kernel.jupyter"}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    # Relative to this package in a clone; an installed wheel has the files in place already.
    source = "../../wheel.data/data/share/jupyter/labextensions/neuralake-lab"
    return [{"src": source, "dest": "neuralake-lab"}]


def _load_jupyter_server_extension(server: "ServerApp") -> None:
    from neuralake_kernel.jupyter.extension import load

    load(server)

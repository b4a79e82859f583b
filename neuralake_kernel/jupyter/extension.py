"""Hangs the workbench into a running Jupyter server."""

import functools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import Application

import neuralake_kernel.view
from neuralake_kernel.jupyter.handlers import ModuleHandler, StackHandler, StatusHandler
from neuralake_kernel.jupyter.nodelay import without_delay
from neuralake_kernel.jupyter.stack_client import StackClient
from neuralake_kernel.settings import Settings
from neuralake_kernel.stack import Stack

__all__ = ["ROUTES", "add_routes", "load"]

ROUTES: Final[Mapping[str, type[JupyterHandler]]] = {
    "neuralake/api/status": StatusHandler,
    "neuralake/api/stack": StackHandler,
    "neuralake/static/(.*)": ModuleHandler,
}


def load(server: ServerApp) -> None:
    """Add routes for the workbench that the settings name, and quicken kernel websockets.

    Parameters
    ----------
    server
        The ``ServerApp``.
    """
    add_routes(server.web_app, client_from_settings)
    settings = server.web_app.settings
    settings["kernel_websocket_connection_class"] = without_delay(settings["kernel_websocket_connection_class"])


def add_routes(web_app: Application, connect: Callable[[], StackClient]) -> None:
    """Serve one workbench below ``/neuralake/``.

    Parameters
    ----------
    web_app
        The server's tornado application.
    connect
        Gives the workbench; called off the event loop for each request, so what it raises is shown and tried again.
    """
    executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="neuralake")
    shared = {"connect": connect, "executor": executor}
    base_url = web_app.settings["base_url"]
    modules = {"path": str(Path(neuralake_kernel.view.__file__).parent / "static")}
    web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base_url, route), handler, modules if handler is ModuleHandler else shared)
            for route, handler in ROUTES.items()
        ],
    )


_connecting = threading.Lock()


def client_from_settings() -> StackClient:
    """Give the workbench that the settings name; opening it starts nothing."""
    with _connecting:
        return _client()


@functools.cache
def _client() -> StackClient:
    settings = Settings()
    return StackClient(
        settings.home,
        settings.profile,
        start_stack=lambda: _stack(settings).start(),
        stop_stack=lambda: _stack(settings).stop(),
    )


def _stack(settings: Settings) -> Stack:
    # Engines are loaded by the first start or stop, and not by every Jupyter server.
    from neuralake_kernel.workbench import open as open_workbench

    return open_workbench(settings=settings).stack

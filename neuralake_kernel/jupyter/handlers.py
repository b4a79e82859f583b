"""Routes below ``/neuralake/``; each one refuses who is not logged in to Jupyter."""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from http import HTTPStatus

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, AuthenticatedFileHandler
from tornado import web

from neuralake_kernel.errors import NeuralakeError, ProtocolError
from neuralake_kernel.jupyter.stack_client import StackClient, read_action
from neuralake_kernel.view import fault_of

__all__ = ["ModuleHandler", "StackHandler", "StatusHandler"]

# What an authorizer of the server may allow or refuse beside authentication.
AUTH_RESOURCE = "neuralake"


class _Handler(APIHandler):
    """An API route of one workbench."""

    auth_resource = AUTH_RESOURCE

    def initialize(self, connect: Callable[[], StackClient], executor: Executor) -> None:
        self._connect = connect
        self._executor = executor

    async def _refuse(self, error: Exception, status: HTTPStatus) -> None:
        self.set_status(status)
        await self.finish(json.dumps(fault_of(error)))


class StatusHandler(_Handler):
    """``GET /neuralake/api/status``: the snapshot."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the present snapshot, or with an error and its hint."""
        loop = asyncio.get_running_loop()
        try:
            snapshot = await loop.run_in_executor(self._executor, lambda: self._connect().snapshot())
        except NeuralakeError as error:
            await self._refuse(error, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        await self.finish(json.dumps(snapshot, allow_nan=False))


class StackHandler(_Handler):
    """``POST /neuralake/api/stack``: start, stop, restart."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Begin an action and answer at once; the snapshot tells how it goes on."""
        loop = asyncio.get_running_loop()
        try:
            action = read_action(self._body())
            client = await loop.run_in_executor(self._executor, self._connect)
            client.begin(action)
        except ProtocolError as error:
            await self._refuse(error, HTTPStatus.BAD_REQUEST)
            return
        except NeuralakeError as error:
            await self._refuse(error, HTTPStatus.CONFLICT)
            return
        # Of its own and a daemon: it may take minutes, and the server's end shall not wait for it.
        threading.Thread(target=client.finish, args=(action,), name="neuralake-stack", daemon=True).start()
        self.set_status(HTTPStatus.ACCEPTED)
        await self.finish(json.dumps(action))

    def _body(self) -> object:
        try:
            return json.loads(self.request.body)
        except ValueError:
            return None


class ModuleHandler(AuthenticatedFileHandler):
    """``GET /neuralake/static/…``: the browser modules of this installation."""

    auth_resource = AUTH_RESOURCE

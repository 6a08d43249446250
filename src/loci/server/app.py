"""`loci serve`: one process, one port, every door."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from loci.errors import LociError, Missing, Unavailable
from loci.server.coming import Coming
from loci.server.gate import Gate
from loci.server.keys import Keys
from loci.server.meters import MEDIA, Meters
from loci.server.problems import OtherMethod, Refusal, encoded, in_general, mistake, problem, told
from loci.server.siblings import MAX_CONNECTIONS, Share
from loci.server.traces import Traces
from loci.server.unread import Reading
from loci.system import Cube, System

OPEN_PATHS = ("/health/live", "/health/ready", "/openapi.json", "/metrics")
SECONDS_IDLE = 30

log = logging.getLogger("loci.server")
Running = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Serving:
    """A vault that is served: to everybody on this machine where it ``is_open``, else to those with a key. ``routes`` are the rooms behind the gate, ``running`` what some
    of them do beside it, ``open_paths`` what needs no key: it holds nothing of anybody's. ``refusal`` is the answer to what goes wrong."""

    system: System
    is_open: bool
    routes: tuple[BaseRoute, ...]
    running: tuple[Running, ...] = ()
    open_paths: tuple[str, ...] = ()
    is_local: bool = True
    refusal: Refusal = told
    meters: Meters = field(default_factory=Meters)
    traces: Traces | None = None
    _looking: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))

    @cached_property
    def app(self) -> Gate:
        """Everything behind the gate."""
        routes = [
            Route("/health/live", self._live), Route("/health/ready", self._ready), Route("/metrics", self._metrics), *self.routes,
        ]  # fmt: skip
        inner = Routes(routes=routes, exception_handlers={LociError: self._refused, HTTPException: _strange})
        inner.router.redirect_slashes = False  # to where Host says, and in the clear behind a proxy
        keys = None if self.is_open else Keys(self.system)
        return Gate(
            inner, self.system, keys, self.meters, (*OPEN_PATHS, *self.open_paths), self.refusal, is_local=self.is_local, traces=self.traces
        )

    async def _live(self, _: Request) -> Response:
        return _json({"status": "live"})

    async def _ready(self, _: Request) -> Response:
        """Whether the vault can be read: asks it, and says why not. Where keys are wanted, of what kind the reason is: the whole of it, which names files
        and cubes, is in the log alone, for anybody may ask."""
        try:
            cubes = await anyio.to_thread.run_sync(self.system.look, limiter=self._looking)
        except LociError as error:
            log.warning("not ready: %s", error)
            reason = str(error) if self.is_open else in_general(error)
            return _json({"status": "not ready", "code": error.code, "reason": reason}, Unavailable.http_status)
        return _json({"status": "ready"} | ({"cubes": cubes} if self.is_open else {}))

    async def _refused(self, request: Request, error: Exception) -> Response:
        """The answer to a request that raised one of our errors."""
        assert isinstance(error, LociError)
        return self.refusal(request.scope, error)

    async def _metrics(self, _: Request) -> Response:
        return Response(self.meters.text(), media_type=MEDIA)


class Routes(Starlette):
    """The routes alone: what they do not handle is the gate's to answer, where Starlette would answer in words of its own."""

    def build_middleware_stack(self) -> ASGIApp:
        return ExceptionMiddleware(self.router, self.exception_handlers)


def _json(value: Mapping[str, object], status: int = 200) -> Response:
    return Response(encoded(value), status, {"Cache-Control": "no-store"}, "application/json")


async def _strange(request: Request, error: Exception) -> Response:
    """The answer to what the routes do not know."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return problem(OtherMethod(f"{request.method} is not for this address; it takes {allowed}.", allowed))
    return problem(Missing("There is nothing at this address. GET /openapi.json lists what there is."))


async def at_hand(cube: Cube) -> None:
    """Reads what questions work on before anybody asks one: of 100,000 memories that takes a second, and a chat waits a quarter of one for its memory. What is
    wrong with it is told to who asks, too."""

    def read() -> None:
        cube.stats()
        cube.rank("Is memory at hand?")

    try:
        await anyio.to_thread.run_sync(read)
    except LociError as error:
        log.warning("Cube %s could not be made ready; the first who asks may wait: %s", cube.name, error)
    except Exception as error:  # noqa: BLE001  the server's boundary: a mistake of ours ends no server
        mistake(error, "making a cube ready")


async def serve(serving: Serving, share: Share, ready: Callable[[], None]) -> None:
    """Serves until an interrupt comes, or another of the server's processes ends; then what was begun is finished, however long it takes: a thread cannot be
    stopped, and the vault must not be closed before it is done. A request whose body is still on its way has seconds for the rest of it. A second
    interrupt does not wait for answers to be taken."""
    config = uvicorn.Config(
        serving.app, http=Reading, log_config=None, access_log=False, server_header=False, lifespan="off", limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=SECONDS_IDLE,
    )  # fmt: skip
    running = uvicorn.Server(config)
    with share.taken:
        async with anyio.create_task_group() as group:
            coming = serving.app.coming
            group.start_soon(_until_interrupted, running, share, coming)
            for line in share.lines:
                group.start_soon(_until_apart, running, share, coming, line)
            for more in serving.running:
                group.start_soon(more)
            ready()
            await running.serve(sockets=[share.taken])
            group.cancel_scope.cancel()


async def _until_interrupted(running: uvicorn.Server, share: Share, coming: Coming) -> None:
    """Takes interrupts in the place of uvicorn, which raises them once more when it has ended, before the vault is closed."""
    is_second = False
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            share.part()
            running.force_exit = is_second
            running.should_exit = is_second = True
            coming.end()


async def _until_apart(running: uvicorn.Server, share: Share, coming: Coming, line: socket.socket) -> None:
    await anyio.wait_readable(line)  # nothing is ever said on it: it broke
    share.part()
    running.should_exit = True
    coming.end()

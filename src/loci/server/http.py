"""The Model Context Protocol as a room of a server: streamable HTTP at one path, for whoever came through the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from loci.server.rest import OPENED, VERB
from loci.system import System
from loci.types import Trust

if TYPE_CHECKING:
    from loci.server.mcp import Run

PATH = "/mcp"


class Room:
    """Each POST has its key, is answered as JSON, and nothing is kept between two. ``cube`` and ``fixed`` are what the door opens on; what comes in is
    trusted as far as ``trust`` at the most; ``run`` has verbs done beside those of other doors. The SDK is read behind the open port: it takes longer than all of Loci. At the first call at the latest, and not
    before ``after`` seconds: what is asked at other doors as a server begins would wait for half a second of it."""

    def __init__(self, cube: str, fixed: Mapping[str, str], trust: Trust, *, after: float = 0.0, run: Run | None = None) -> None:
        self._opened_on, self._trust, self._after, self._run = (cube, fixed), trust, after, run
        self._called, self._ready, self._inner = anyio.Event(), anyio.Event(), cast("ASGIApp", None)

    def route(self) -> Route:
        """Where it is. There are no streams to follow and no sessions to end: it takes POST alone."""
        return Route(PATH, self, methods=["POST"])

    async def run(self) -> None:
        """Serves until it is cancelled."""
        with anyio.move_on_after(self._after):
            await self._called.wait()
        app = await anyio.to_thread.run_sync(self._made)
        async with app.router.lifespan_context(app):
            self._inner = app
            self._ready.set()
            await anyio.sleep_forever()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._called.set()
        await self._ready.wait()
        scope[OPENED], scope[VERB] = scope[OPENED].within(trust=self._trust), "mcp"
        await self._inner(scope, receive, send)

    def _made(self) -> Any:
        from mcp.server.transport_security import TransportSecuritySettings

        from loci.server.mcp import MAX_REQUEST_BYTES, server

        return server(*self._opened_on, opened_in, self._run).streamable_http_app(
            streamable_http_path=PATH, json_response=True, stateless_http=True, max_request_body_size=MAX_REQUEST_BYTES,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the gate knows by which names it may be called
        )  # fmt: skip


def opened_in(context: Any) -> System:
    """For whom the vault is open in a request that came through the gate."""
    request: Request = cast("Request", context.request)
    system: System = request.scope[OPENED]
    return system

"""Streamable HTTP on this machine: each request has the key of who makes it, and the gate decides by that."""

from __future__ import annotations

import hashlib
import secrets
import signal
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, cast

import anyio
import anyio.to_thread
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from loci.errors import Denied, LociError, Unavailable
from loci.server.mcp import MAX_REQUEST_BYTES
from loci.system import System

HOST, PATH = "127.0.0.1", "/mcp"
NAMES = ("127.0.0.1", "localhost")
OPENED = "loci.system"
MAX_KEYS = 256  # of which it is remembered that they were right
MAX_STRETCHED = 2  # keys that are checked at the same time, at 16 MiB each
MAX_CONNECTIONS = 128
SECONDS_TO_FINISH = 10
NO_KEY = "Say who you are: `Authorization: Bearer KEY`. `loci key NAME` makes a key, `loci grant NAME ROLE --on CUBE` says what it may."


class Keys:
    """Whom the vault is open for, by their keys. A key that was right is remembered by a keyed hash, and asked about anew at each request."""

    def __init__(self, system: System) -> None:
        self._system, self._secret, self._lock = system, secrets.token_bytes(32), threading.Lock()
        self._known: OrderedDict[bytes, System] = OrderedDict()

    def opened(self, key: str) -> System:
        """The vault for the bearer of a key. Raises `Denied`."""
        name = hashlib.blake2b(key.encode(errors="backslashreplace"), key=self._secret).digest()
        with self._lock:
            found = self._known.get(name)
        if found is None or not found.is_live:
            found = self._system.authenticate(key)
            with self._lock:
                self._known[name] = found
                if len(self._known) > MAX_KEYS:
                    self._known.popitem(last=False)
        return found


class Gate:
    """What a request passes before the protocol sees it: its host and origin, its method, its key."""

    def __init__(self, inner: ASGIApp, keys: Keys | None, system: System, port: int) -> None:
        self._inner, self._keys, self._system = inner, keys, system
        hosts = [f"{name}:{port}" for name in NAMES]
        self._security = TransportSecurityMiddleware(
            TransportSecuritySettings(
                enable_dns_rebinding_protection=True, allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts]
            )
        )
        self._limiter = anyio.CapacityLimiter(MAX_STRETCHED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._stopped(scope) if scope["type"] == "http" else None
        await (answer or self._inner)(scope, receive, send)

    async def _stopped(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further; None for one that does, with the vault opened for whom it is from."""
        request = Request(scope)
        if (strange := await self._security.validate_request(request)) is not None:
            return strange
        if request.method != "POST":
            return _refused(
                405, "invalid", f"{PATH} takes POST alone: there are no streams to follow and no sessions to end.", Allow="POST"
            )
        scope[OPENED] = self._system
        if self._keys is None:
            return None
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return _refused(401, Denied.code, NO_KEY, **{"WWW-Authenticate": 'Bearer realm="loci"'})
        try:
            scope[OPENED] = await anyio.to_thread.run_sync(self._keys.opened, key.strip(), limiter=self._limiter)
        except Denied as error:
            return _refused(401, error.code, f"{error} {NO_KEY}", **{"WWW-Authenticate": 'Bearer realm="loci", error="invalid_token"'})
        except LociError as error:
            return _refused(error.http_status, error.code, str(error))
        return None


def opened_in(context: ServerRequestContext[Any, Any]) -> System:
    """For whom the vault is open in a request that came through the gate."""
    request: Request = cast("Request", context.request)
    system: System = request.scope[OPENED]
    return system


async def serve_http(served: Server[Any], system: System, port: int, is_open: bool, ready: Callable[[str], None]) -> None:
    """Serves many clients on this machine until an interrupt comes; then what was begun is finished. ``ready`` is told the address. Raises
    `Unavailable` where something else has the port."""
    try:
        taken = socket.create_server((HOST, port))
    except OSError as error:
        raise Unavailable(f"Port {port} of {HOST} cannot be had: {error.strerror}. --port names another.") from error
    port = taken.getsockname()[1]
    inner = served.streamable_http_app(
        streamable_http_path=PATH, json_response=True, stateless_http=True, host=HOST, max_request_body_size=MAX_REQUEST_BYTES
    )
    gate = Gate(inner, None if is_open else Keys(system), system, port)
    config = uvicorn.Config(
        gate, log_config=None, access_log=False, server_header=False, lifespan="on", limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )  # fmt: skip
    running = uvicorn.Server(config)
    with taken:
        async with anyio.create_task_group() as group:
            group.start_soon(_until_interrupted, running)
            ready(f"http://{HOST}:{port}{PATH}")
            await running.serve(sockets=[taken])
            group.cancel_scope.cancel()


async def _until_interrupted(running: uvicorn.Server) -> None:
    """Takes interrupts in the place of uvicorn, which raises them once more when it has ended, before the vault is closed."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            running.force_exit = running.should_exit
            running.should_exit = True


def _refused(status: int, code: str, message: str, **headers: str) -> Response:
    return JSONResponse({"error": code, "message": message}, status, headers)

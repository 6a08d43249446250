"""What a request passes before a room sees it: its host and origin, how much is being done already, its key. And what is told of it afterwards."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Sequence

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loci.errors import Denied, LociError
from loci.infrastructure.credentials import PREFIX
from loci.server.coming import Coming
from loci.server.keys import FOREIGN, NO_KEY, Keys
from loci.server.meters import Meters
from loci.server.problems import Busy, Misdirected, Refusal, Unnamed, mistake
from loci.server.rest import OPENED, VERB
from loci.server.traces import Traces
from loci.system import System

MAX_STRETCHED = 2  # keys that are checked at the same time, at 16 MiB each
MAX_WAITING = 256  # requests that are answered or wait for it, before the next is sent away
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SAID = "x-loci-key"
log = logging.getLogger("loci.requests")


class Gate:
    """The one way in. ``open_paths`` are what anybody may see: they hold nothing of anybody's. ``keys`` is None where no key is wanted; ``is_local`` where only
    this machine can reach it, and a name that another page made up for it is refused. ``refusal`` is the answer to what goes wrong."""

    def __init__(
        self, inner: ASGIApp, system: System, keys: Keys | None, meters: Meters, open_paths: Sequence[str], refusal: Refusal, *, is_local: bool,
        traces: Traces | None = None,
    ) -> None:  # fmt: skip
        self._inner, self._system, self._keys, self._meters, self._traces = inner, system, keys, meters, traces
        self._refusal = refusal
        self._open, self._is_local = tuple(open_paths), is_local
        self._limiter = anyio.CapacityLimiter(MAX_STRETCHED)
        self.coming = Coming()
        """What is on its way in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        scope[OPENED], told, receive = self._system, _Told(send), self.coming.timed(receive)
        began, at = time.perf_counter(), time.time_ns()
        self._meters.begun()
        try:
            await self._passed(scope, receive, told)
        except ClientDisconnect:
            pass  # before all of the request was here: nothing was begun, and there is nobody to answer
        except LociError as error:
            await told.instead(self._refusal(scope, error), scope, receive)
        except Exception as error:  # noqa: BLE001  the server's boundary: a mistake of ours ends neither it nor in a traceback over there
            await told.instead(self._refusal(scope, mistake(error, scope.get(VERB, "a request"))), scope, receive)
        finally:
            self._meters.done(scope.get(VERB), told.status, time.perf_counter() - began)
            _note(scope, told, time.perf_counter() - began)
            if self._traces is not None:
                self._traces.done(scope, told.status, at, time.time_ns())

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if self._is_local:
            _check_names(headers)
        if scope["path"] not in self._open:
            if self._meters.waiting > MAX_WAITING:
                raise Busy(f"{MAX_WAITING} requests are being answered. Nothing was begun: ask again in a moment.")
            if self._keys is not None:
                scope[OPENED] = await self._named(self._keys, headers)
        await self._inner(scope, receive, send)

    async def _named(self, keys: Keys, headers: Headers) -> System:
        """The vault as far as the key of a request opens it. Raises `Unnamed`."""
        key = key_in(headers)
        if not key:
            raise Unnamed(NO_KEY)
        try:
            found = await anyio.to_thread.run_sync(keys.known, key)  # which reads a file that somebody may be writing to
            return found if found is not None else await anyio.to_thread.run_sync(keys.opened, key, limiter=self._limiter)
        except Denied as error:
            raise Unnamed(f"{error} {NO_KEY if key.startswith(f'{PREFIX}.') else FOREIGN}") from None


class _Told:
    """Where an answer goes, and what is known of it: whether it has begun, and its status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status, self.id = send, 0, secrets.token_hex(8)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            if all(name != b"x-request-id" for name, _ in headers):  # an upstream's has one of its own
                headers.append((b"x-request-id", self.id.encode()))
            message = {**message, "headers": headers}
        await self._send(message)

    async def instead(self, response: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Answers so, unless an answer has begun: then it is broken off, which is no success over there either."""
        if self.status:
            raise ConnectionAbortedError("an answer was broken off") from None  # what went wrong may quote words, and this is logged
        await response(scope, receive, self)


def key_in(headers: Headers) -> str:
    """The key that a request came with: as a bearer's, as a token (mem0), as an API key (mem0, Anthropic), or beside the key of somebody else's."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    bearer = key.strip() if scheme.lower() in ("bearer", "token") else ""
    return headers.get(SAID) or bearer or headers.get("x-api-key", "")


def _check_names(headers: Headers) -> None:
    """Raises `Denied` for a request to a name that is not this machine's, or from a page that is not its own: another site's page must not reach it."""
    host = headers.get("host", "")
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name.lower() not in LOOPBACK:
        raise Misdirected(f"Host is {host!r:.100}; this server answers for 127.0.0.1 and localhost. Nothing was done.")
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        raise Denied(f"A page of {origin!r:.100} may not call this server. Nothing was done.")


def _note(scope: Scope, told: _Told, seconds: float) -> None:
    """A line of the log: what was asked and how it went; no words, no names of cubes or users."""
    if log.isEnabledFor(logging.INFO):
        line = {
            "request": told.id,
            "method": scope["method"],
            "verb": scope.get(VERB),
            "status": told.status,
            "milliseconds": round(seconds * 1000, 2),
        }
        log.info(json.dumps(line))

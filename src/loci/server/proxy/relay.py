"""The routes: a request goes upstream with what memory has to say, and the answer comes back byte for byte, as it comes.

Memory has a deadline. What goes wrong with it is told in the header `X-Loci-Memory`, and the request goes on as it was. The exchange is kept after the
answer, when nobody waits for it, also where the client left in the middle of it; where it left before there was any, or the upstream failed, what the user
said is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import httpx2
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from loci.errors import Invalid, LociError, Missing, Unavailable
from loci.server.problems import Slow, beside, mistake, problem
from loci.server.proxy.answers import heard
from loci.server.proxy.exchange import WISHES, Exchange, Named
from loci.server.proxy.owners import THREAD, Owners, followed
from loci.server.proxy.shapes import CHAT, MESSAGES, RESPONSES, Api
from loci.server.proxy.states import States
from loci.server.proxy.upstream import MAX_CALLS, Headers, Upstream
from loci.server.rest import OPENED, VERB, opened
from loci.server.tools import Door

log = logging.getLogger("loci.proxy")
TOLD = "X-Loci-Memory"
RECALL_SECONDS = 0.25  # that a request waits for memory
MAX_REQUEST_BYTES = 32 << 20
MAX_ANSWER_BYTES = 16 << 20  # of an answer that is put together again; what is longer is kept up to there
MAX_READERS, MAX_WRITERS, MAX_KEEPING = 8, 2, 256  # threads that recall, threads that keep, exchanges that wait for one
# They are the proxy's own, and no lane of `Verbs`: a chat that waits a quarter of a second would get nothing behind a queue of searches.
PASSING = frozenset({408, 429})  # statuses of upstream's, beside those from 500, that say nothing against the request
PAUSES = (0.2, 1.0, 5.0)  # seconds until an exchange that could not be kept is tried again
PATHS = {"/v1/chat/completions": CHAT, "/v1/responses": RESPONSES, "/v1/messages": MESSAGES}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
NO_UPSTREAM = (
    "This server has no upstream: `loci serve --upstream https://api.openai.com/v1`, or the setting `upstream`, says where models are."
)
UNKEPT = "; kept=no; code=read_only"  # what a note ends with where nothing may be changed
NO_GRANT = (
    "This key of Loci's has no grant to read a memory, and the server's own key for models is for those that have: `loci grant NAME reader --on CUBE`"
    " gives one. Or send a key of yours for the upstream, and Loci's as X-Loci-Key."
)


class Proxy:
    """Routes to one ``upstream``, with memory as far as the ``door`` opens."""

    def __init__(self, upstream: Upstream | None, door: Door, states: States, seconds: float = RECALL_SECONDS) -> None:
        self._upstream, self._door, self._states, self._seconds = upstream, door, states, seconds
        self._owners = Owners(states.beside("answers"))
        self._readers = ThreadPoolExecutor(MAX_READERS, "loci-recall")  # who is given up on keeps its place until it ends
        self._writers = anyio.CapacityLimiter(MAX_WRITERS)
        self._keeping: set[asyncio.Task[None]] = set()
        self.unkept = Counter[str]()
        """Exchanges that could not be kept since the start, by the principal whose they were."""

    def routes(self) -> list[Route]:
        """The three that have memory, and the rest of /v1, which goes on as it is: this comes after every other route below /v1."""
        talks = [Route(path, self._talking(api), methods=["POST"]) for path, api in PATHS.items()]
        return [*talks, Route("/v1/{path:path}", self._passed, methods=METHODS)]

    async def run(self) -> None:
        """What the room does beside its routes, until it is cancelled: at the end it finishes what is in hand."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close()

    async def _close(self) -> None:
        """Waits until what was answered is kept and every recall is over, and lets go of the connections."""
        for _ in range(100):  # answers that a shutdown has cut off come to their end
            if self._upstream is None or not self._upstream.calls:
                break
            await asyncio.sleep(0.01)
        while self._keeping:
            await asyncio.wait(self._keeping)
        await anyio.to_thread.run_sync(self._readers.shutdown)
        if self._upstream is not None:
            await self._upstream.client.aclose()

    # -- a request -----------------------------------------------------------------------------------------------------

    def _talking(self, api: Api) -> Callable[[Request], Awaitable[Response]]:
        async def talk(request: Request) -> Response:
            return await self._answer(request, api, is_talk=True)

        return talk

    async def _passed(self, request: Request) -> Response:
        return await self._answer(request, MESSAGES if "anthropic-version" in request.headers else CHAT)

    async def _answer(self, request: Request, api: Api, *, is_talk: bool = False) -> Response:
        upstream = self._upstream
        request.scope[VERB] = "proxy"
        if upstream is None:
            return problem(Unavailable(NO_UPSTREAM))
        try:
            url = upstream.address(request.scope["raw_path"], request.scope["query_string"])
        except Missing as error:
            return _refused(api, error.http_status, str(error))
        if upstream.calls >= MAX_CALLS:
            busy = f"{MAX_CALLS} requests are with the upstream already, which is the limit. Try again a little later."
            return _refused(api, 503, busy, **{"Retry-After": "1"})
        try:
            raw = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except Slow as error:
            return _refused(api, error.http_status, str(error), **beside(error))
        if raw is None:
            return _refused(api, 413, f"The request has more than {MAX_REQUEST_BYTES:,} bytes, which is the limit.")
        given = request.headers.items()
        lent = upstream.lent(request.method, request.url.path, given)
        try:
            if lent and not await anyio.to_thread.run_sync(lambda: opened(request).is_reader):
                return _refused(api, 403, NO_GRANT)
        except LociError as error:
            return _refused(api, error.http_status, str(error))
        principal, exchange, note = request.scope[OPENED].principal, None, None
        if not is_talk or api is RESPONSES:  # others name nothing that upstream keeps
            others = await anyio.to_thread.run_sync(self._anothers, api, request.url.path, raw, principal)
            if others is not None:
                return _refused(api, 404, f"There is no answer {others!r:.100} that this key could go on from.")
        if is_talk:
            exchange, raw, note = await self._remembered(request, api, raw)
        headers = [*upstream.headers(given, is_read=exchange is not None or (is_talk and api is RESPONSES)), *lent]
        call = upstream.client.build_request(request.method, url, headers=_encoded(headers), content=raw or None)
        return _Relay(self, upstream, api, call, exchange, note, principal)

    async def _remembered(self, request: Request, api: Api, raw: bytes) -> tuple[Exchange | None, bytes, str]:
        """(what is to be kept, the request with what was recalled, what to say of memory). Never raises, and never takes longer than it may."""
        exchange, kept, system = None, "", request.scope[OPENED]
        try:
            named = named_in(request.headers)
            if named.wish == "off":
                return None, raw, "off"
            if named.wish == "on" and not system.is_writable:
                named, kept = replace(named, wish="recall"), UNKEPT
            exchange = Exchange(api, self._door, self._states, system, named, raw)
            recalling = self._readers.submit(copy_context().run, exchange.recall)
            with anyio.move_on_after(self._seconds):
                placed, found = await asyncio.wrap_future(recalling)
                exchange.recalled = found
                note = f"recalled={found.lines}; tokens={found.tokens}"
                if found.rewritten:
                    note += f"; rewritten={','.join(reason.name.lower() for reason in found.rewritten)}"
                return exchange, placed, note + kept
            return exchange, raw, f"failed; code={'busy' if recalling.cancelled() else 'slow'}{kept}"
        except LociError as error:
            return exchange, raw, f"failed; code={error.code}{kept}"
        except Exception as error:  # noqa: BLE001  the server's boundary: a mistake of ours must not break a chat
            mistake(error, "recalling for a chat")
            return exchange, raw, f"failed; code={LociError.code}{kept}"

    # -- after the answer ----------------------------------------------------------------------------------------------

    def told(self, note: str, principal: str) -> str:
        """What to say of memory, with how much was lost that this principal said: what others lost is theirs to know."""
        lost = self.unkept[principal]
        return f"{note}; unkept={lost}" if lost else note

    def _anothers(self, api: Api, path: str, raw: bytes, principal: str) -> str | None:
        """An answer or a conversation, kept upstream, that a request names and that was given to others than who asks."""
        return self._owners.another([*path.split("/"), *(followed(raw) if api is RESPONSES else ())], principal)

    def own(self, owner: str, asked: bytes, api: Api, raw: bytes, kind: str, coding: str) -> None:
        """Has it noted to whom an answer was given, while nobody waits for it."""

        def own() -> None:
            answer = heard(api, raw, kind, coding)
            try:
                self._owners.claim([*followed(asked, [THREAD]), *([] if answer.id is None else [answer.id])], owner)
            except OSError as error:
                log.warning("To whom an answer was given could not be written: %s.", error)

        self._in_hand(anyio.to_thread.run_sync(own, limiter=self._writers))

    def keep(self, exchange: Exchange, api: Api, raw: bytes, kind: str, coding: str) -> None:
        """Has an exchange kept, while nobody waits for it."""
        if len(self._keeping) >= MAX_KEEPING:
            self._lost("busy", exchange)
            return
        self._in_hand(self._keep(exchange, api, raw, kind, coding))

    def _in_hand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _keep(self, exchange: Exchange, api: Api, raw: bytes, kind: str, coding: str) -> None:
        def keep() -> None:
            exchange.keep(heard(api, raw, kind, coding))

        for pause in (*PAUSES, None):
            try:
                await anyio.to_thread.run_sync(keep, limiter=self._writers)
                return
            except Unavailable as error:
                if pause is None:
                    self._lost(error.code, exchange)
                    return
            except LociError as error:
                self._lost(error.code, exchange)
                return
            except Exception as error:  # noqa: BLE001  the server's boundary: told in the log and counted
                mistake(error, "keeping an exchange")
                self._lost(LociError.code, exchange)
                return
            await asyncio.sleep(pause)

    def _lost(self, code: str, exchange: Exchange) -> None:
        self.unkept[exchange.principal] += 1
        log.warning("An exchange could not be kept: %s. %d since the start.", code, self.unkept.total())


class _Relay(Response):
    """An answer of upstream's on its way to the client. It ends with the client's connection, with upstream's, or whole."""

    def __init__(
        self, proxy: Proxy, upstream: Upstream, api: Api, call: httpx2.Request, exchange: Exchange | None, note: str | None, owner: str,
    ) -> None:  # fmt: skip
        self._proxy, self._upstream, self._api, self._call, self._exchange, self._note = proxy, upstream, api, call, exchange, note
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._upstream.calls += 1
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                await self._relayed(scope, receive, send)
                group.cancel_scope.cancel()
        finally:
            self._upstream.calls -= 1

    async def _relayed(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._upstream.client.send(self._call, stream=True)
        except httpx2.TransportError as error:
            status = 504 if isinstance(error, httpx2.TimeoutException) else 502
            self._keep_said()
            told = f"The upstream {self._upstream} does not answer ({type(error).__name__}). Is it running?"
            await _refused(self._api, status, told, **self._remarked(scope))(scope, receive, send)
            return
        except anyio.get_cancelled_exc_class():  # the client left before there was an answer: what was said was said
            self._keep_said()
            raise
        is_kept = self._exchange is not None and answer.is_success
        if is_kept and self._exchange is not None:
            self._exchange.sent()
        is_owned, seen = self._api is RESPONSES and answer.is_success, bytearray()
        try:
            await send({"type": "http.response.start", "status": answer.status_code, "headers": self._told(answer, scope)})
            async for piece in answer.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                if (is_kept or is_owned) and len(seen) < MAX_ANSWER_BYTES:
                    seen += piece
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except httpx2.TransportError as error:  # without its last piece, the client sees that it was cut off
            log.warning("The upstream broke off in the middle of an answer (%s).", type(error).__name__)
        finally:
            kind, coding = (answer.headers.get(name, "") for name in ("content-type", "content-encoding"))
            if is_owned:
                self._proxy.own(self._owner, self._call.content, self._api, bytes(seen), kind, coding)
            if is_kept and self._exchange is not None:
                self._proxy.keep(self._exchange, self._api, bytes(seen), kind, coding)
            elif answer.is_server_error or answer.status_code in PASSING:
                self._keep_said()
            with anyio.CancelScope(shield=True):
                await answer.aclose()

    def _keep_said(self) -> None:
        """What was said was said, though nobody answered."""
        if self._exchange is not None:
            self._proxy.keep(self._exchange, self._api, b"", "", "")

    def _told(self, answer: httpx2.Response, scope: Scope) -> list[tuple[bytes, bytes]]:
        return _encoded([*Upstream.answered(answer.headers.multi_items()), *self._remarked(scope).items()])

    def _remarked(self, scope: Scope) -> dict[str, str]:
        """What is said of memory, as a header."""
        return {} if self._note is None else {TOLD.lower(): self._proxy.told(self._note, scope[OPENED].principal)}


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _body(request: Request) -> bytes | None:
    """The body of a request; None where it is too long."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_REQUEST_BYTES:
        return None
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > MAX_REQUEST_BYTES:
            return None
    return bytes(raw)


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def named_in(headers: Mapping[str, str]) -> Named:
    """Whose a request is, by its headers. Raises `Invalid`."""
    wish = headers.get(TOLD, WISHES[0]).lower()
    if wish not in WISHES:
        raise Invalid(f"{TOLD} is {wish!r:.100}; it must be one of {', '.join(WISHES)}.")
    words = {word: _decoded(headers.get(f"x-loci-{word}")) for word in ("cube", "user", "agent", "session")}
    return Named(**words, wish=wish)


def _decoded(value: str | None) -> str | None:
    """A header's value as people write it: UTF-8, where it is that."""
    if not value:
        return None
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _refused(api: Api, status: int, message: str, **headers: str) -> Response:
    return JSONResponse(api.error(status, message), status, headers)

"""Every verb over HTTP: `POST /api/cubes/{cube}/{verb}` and `POST /api/{verb}`, with the fields that it has in Python, as JSON.

A verb runs in a thread and is never cut off: it is one transaction, and whoever went away finds it done as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from loci.errors import Invalid, LociError, Malformed, Missing, ReadOnly, TooLarge, Unsupported, meant
from loci.infrastructure.loader import MAX_FILE_BYTES
from loci.infrastructure.vault import Unfinished
from loci.server.calls import CUBE_CALLS, IMPORT, VAULT_CALLS, Answer, Call, Lane, Tell, call_cube, call_vault
from loci.server.openapi import described
from loci.server.problems import document, encoded, mistake
from loci.system import Cube, System
from loci.system.table import CARRYING, STAYING, VAULT_STAYING
from loci.text.plain import plain

OPENED = "loci.system"
VERB = "loci.verb"
AT_ONCE = 8
MAX_BODY = 8_000_000
MAX_NAME = 255  # bytes of a file's name
MAX_ANSWER = 64_000_000
EVENTS = "text/event-stream"
KEY = "idempotency-key"
T = TypeVar("T")


class Verbs:
    """The verbs as a room. Each lane has so many threads, each with a connection to its cube's file: ``at_once``; ``searches``, where a search computes all
    the while; and half of ``at_once`` for what may take minutes, so that no question waits behind it. Files on their way
    are in the ``vault``'s folder: what a kill leaves of them goes with the next erasure, as cubes that were never made do."""

    def __init__(self, vault: Path, at_once: int = AT_ONCE, searches: int = AT_ONCE) -> None:
        self._root = vault
        threads: Mapping[Lane, int] = {"search": searches, "short": at_once, "long": max(at_once // 2, 1)}
        self._lanes = {lane: anyio.CapacityLimiter(count) for lane, count in threads.items()}

    def routes(self) -> list[Route]:
        """What is served below /api, and the document that says so."""
        return [
            Route("/openapi.json", _document),
            Route("/api/cubes/{cube}/import_file", self._import, methods=["POST"]),
            Route("/api/cubes/{cube}/export", self._export, methods=["POST"]),
            Route("/api/cubes/{cube}/{verb}", self._cube, methods=["POST"]),
            Route("/api/{verb}", self._vault, methods=["POST"]),
        ]

    async def _cube(self, request: Request) -> Response:
        name, verb = request.path_params["cube"], request.path_params["verb"]
        call = named(CUBE_CALLS, verb, STAYING)
        request.scope[VERB] = verb
        given, key = await _asked(request, verb), key_of(request, call)
        if call.is_told and EVENTS in request.headers.get("accept", ""):
            return self._events(lambda tell: _answer(request, name, call, given, key, tell))
        return await self.run(lambda: made(_answer(request, name, call, given, key)), call.lane)

    async def _vault(self, request: Request) -> Response:
        verb = request.path_params["verb"]
        call = named(VAULT_CALLS, verb, VAULT_STAYING)
        request.scope[VERB] = verb
        given = await _asked(request, verb)
        key_of(request, call)
        return await self.run(lambda: made(call_vault(opened(request), call, given)), call.lane)

    async def _import(self, request: Request) -> Response:
        """The file is the body, and the fields are in the query."""
        given = IMPORT.queried(_once(request))
        request.scope[VERB] = "import_file"
        if "path" in given:
            raise Invalid("path names a file of the server's machine; send the file itself as the body, and its name as `name`.")
        key_of(request, IMPORT)
        name = file_name(given.pop("name", "import"))
        folder = self._folder()
        try:
            file = Path(folder.name) / name
            await _saved(request, file)
        except BaseException:
            folder.cleanup()
            raise

        def work(tell: Tell | None = None) -> Answer:
            with folder:
                return call_cube(cube_of(request, request.path_params["cube"], create=True), IMPORT, {**given, "path": str(file)}, tell)

        if EVENTS in request.headers.get("accept", ""):
            return self._events(work)
        return await self.run(lambda: made(work()), "long")

    async def _export(self, request: Request) -> Response:
        """The cube's file as a download; what it holds, in a header."""
        request.scope[VERB] = "export"
        if await _asked(request, "export"):
            raise Invalid("export takes no fields here: the file is the answer. To sign it, export where the vault is.")
        name = request.path_params["cube"]

        def work() -> Response:
            folder = self._folder()
            try:
                file = Path(folder.name) / "export"
                told = cube_of(request, name).export(file)
            except BaseException:
                folder.cleanup()
                raise
            headers = {"X-Loci-Export": json.dumps(plain(told))}
            return FileResponse(file, 200, headers, "application/x-ndjson", BackgroundTask(folder.cleanup), f"{name}.jsonl")

        return await self.run(work, "long")

    def _folder(self) -> Unfinished:
        try:
            return Unfinished(self._root)
        except OSError as error:
            raise ReadOnly(
                f"A file on its way lies in the vault's folder for a moment, and that cannot be written ({error.strerror}). Nothing was done: do it "
                "where the vault is."
            ) from error

    async def run(self, work: Callable[[], T], lane: Lane = "short") -> T:
        """Work in a thread. Once it has begun it is finished, whatever becomes of who asked for it."""
        return await anyio.to_thread.run_sync(work, limiter=self._lanes[lane])

    def _events(self, work: Callable[[Tell], Answer]) -> Response:
        """What is made meanwhile as it is made, as server-sent events; then the answer, or what went wrong."""

        async def events() -> AsyncIterator[bytes]:
            sending, receiving = anyio.create_memory_object_stream[bytes](math.inf)
            last = -1

            def tell(kind: str, value: Answer) -> None:
                nonlocal last
                if kind == "progress":
                    if (share := value["done"] * 1000 // max(value["total"], 1)) == last:
                        return
                    last = share
                with contextlib.suppress(anyio.BrokenResourceError):  # nobody is there any more: the work is finished all the same
                    anyio.from_thread.run_sync(sending.send_nowait, event(kind, value))

            async def answer() -> None:
                async with sending:
                    try:
                        found = event("answer", await self.run(lambda: work(tell), "long"))
                    except LociError as error:
                        found = event("error", document(error))
                    except Exception as error:  # noqa: BLE001  the server's boundary
                        found = event("error", document(mistake(error, "a call with events")))
                    await sending.send(found)

            async with anyio.create_task_group() as group, receiving:
                group.start_soon(answer)
                async for one in receiving:
                    yield one

        return StreamingResponse(events(), media_type=EVENTS, headers={"Cache-Control": "no-store"})


def computing() -> int:
    """How many searches of a process to let compute at the same time: one a core, at least two. More only take the interpreter from one another."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(max(cores, 2), AT_ONCE)


def event(kind: str, value: object) -> bytes:
    """A server-sent event: JSON has no line breaks of its own."""
    return b"event: " + kind.encode() + b"\ndata: " + encoded(value) + b"\n\n"


def file_name(path: str) -> str:
    """The name that a file has where it is from. Raises `Invalid` where no file can have it."""
    name = Path(path).name
    if name in ("", "..") or "\0" in name or len(name.encode()) > MAX_NAME:
        raise Invalid(f"name is {path!r:.100}; it must be the name of a file, of at most {MAX_NAME} bytes. Nothing was imported.")
    return name


def opened(request: Request) -> System:
    """For whom the vault is open in a request that came through the gate."""
    system: System = request.scope[OPENED]
    return system


def cube_of(request: Request, name: str, *, create: bool = False) -> Cube:
    """A cube of the vault, for whoever asks."""
    return opened(request).cube(name, create=create)


def made(answer: Answer) -> Response:
    """An answer as JSON."""
    body = encoded(answer)
    if len(body) > MAX_ANSWER:
        raise TooLarge(
            f"The answer has {len(body):,} bytes; the limit is {MAX_ANSWER:,}. Ask for less: a limit, a budget_tokens, or a shorter time."
        )
    return Response(body, media_type="application/json")


def named(calls: Mapping[str, Call], verb: str, staying: Mapping[str, str]) -> Call:
    """The call of a verb. Raises `Unsupported` for one that is not for a network, `Missing` for none."""
    if verb in staying:
        raise Unsupported(f"{verb} is not to be had over a network. {staying[verb]}")
    if verb not in calls:
        there = [*calls, *(CARRYING if calls is CUBE_CALLS else ())]
        raise Missing(f"There is no verb {verb!r:.100}." + meant(verb, there, f" There are {', '.join(there)}.", likeness=0.7))
    return calls[verb]


def key_of(request: Request, call: Call) -> str | None:
    """The key of a write that may be asked for again. Raises `Invalid` where the verb could not keep to it."""
    key = given_key(request)
    if key is not None and not call.is_repeatable and not call.is_reading:
        raise Invalid(f"{call.verb} takes no Idempotency-Key: it answers with no receipt that could be kept. Nothing was done.")
    return key


def given_key(request: Request) -> str | None:
    """The key that a request came with. Raises `Invalid` where it has several."""
    keys = request.headers.getlist(KEY)
    if len(keys) > 1:
        raise Invalid("There are several Idempotency-Keys: a write has one. Nothing was done.")
    return keys[0] if keys else None


async def fields(request: Request) -> dict[str, Any]:
    """The body's fields. Raises `Malformed` where it is no JSON object, and `Invalid` where it says something twice."""
    _check_coding(request)
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MAX_BODY:
            raise TooLarge(f"The request has more than {MAX_BODY:,} bytes, which is the limit. Nothing was stored: send less at a time.")
    if not body:
        return {}
    try:
        given = json.loads(body.decode(), parse_constant=_no_number, object_pairs_hook=_said_once)
    except Invalid:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(f"The body is no JSON: {error}. Send an object with the verb's fields.") from error
    if not isinstance(given, dict):
        raise Malformed("The body must be a JSON object with the verb's fields.")
    return given


async def _asked(request: Request, verb: str) -> dict[str, Any]:
    """The fields of a verb, which are the body's alone. Raises `Invalid` for what stands in the address: whoever narrows a call must not find that it did more."""
    if named := list(request.query_params):
        raise Invalid(
            f"{verb} takes no {', '.join(named):.100} in its address: its fields go into the body, as a JSON object. Nothing was done."
        )
    return await fields(request)


def _once(request: Request) -> dict[str, str]:
    """The words of a query. Raises `Invalid` for one that is given twice."""
    for name in request.query_params:
        if len(request.query_params.getlist(name)) > 1:
            raise Invalid(f"{name:.100} is in the address more than once: give it once. Nothing was done.")
    return dict(request.query_params)


def _said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the body. Raises `Invalid` where a name stands in it twice: readers differ in which of the two holds."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise Invalid(f"{twice!r:.100} stands more than once in an object of the body: give it once. Nothing was done.")
    return found


def _check_coding(request: Request) -> None:
    coding = request.headers.get("content-encoding", "")
    if coding.lower() not in ("", "identity"):
        raise Malformed(f"The body comes as {coding!r:.40}, and is read as it is: send it without Content-Encoding. Nothing was done.")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON's")


async def _saved(request: Request, file: Path) -> None:
    _check_coding(request)
    size = 0
    async with await anyio.open_file(file, "wb") as saved:
        async for block in request.stream():
            size += len(block)
            if size > MAX_FILE_BYTES:
                raise TooLarge(f"The file has more than {MAX_FILE_BYTES:,} bytes, which is the limit. Nothing was imported.")
            await saved.write(block)
    if not size:
        raise Malformed("The body is empty; it must be the file that is to be imported.")


def _answer(request: Request, name: str, call: Call, given: Mapping[str, Any], key: str | None, tell: Tell | None = None) -> Answer:
    cube = cube_of(request, name, create=call.verb == "add")
    return call_cube(cube.once(key) if key is not None and call.is_repeatable else cube, call, given, tell)


async def _document(_: Request) -> Response:
    return Response(await anyio.to_thread.run_sync(lambda: encoded(described())), media_type="application/json")

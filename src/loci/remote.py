"""The same verbs on a vault that a server has: `loci.connect(url)` in the place of `MemOS.open(folder)`.

Calls, answers and errors are those of `System` and `Cube`; each method here is made from theirs. What a network cannot carry raises `Unsupported`.
"""

from __future__ import annotations

import http.client
import inspect
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, NoReturn, Self, cast, get_origin, get_type_hints
from urllib.parse import quote, urlencode, urlsplit
from weakref import WeakSet

from loci.errors import Conflict, Invalid, LociError, Unavailable, Unsupported, kinds
from loci.infrastructure.files import writing
from loci.infrastructure.loader import opening
from loci.interface import inputs
from loci.interface.filters import where_of
from loci.interface.typed import typed
from loci.operation.importing import Imported, Progress
from loci.operation.intake import check_name
from loci.system import Cube, System
from loci.system.activating import Generation
from loci.system.once import REPEATABLE
from loci.system.table import READING, STAYING, VAULT_READING, VAULT_STAYING, VAULT_WRITING, WRITING
from loci.text.metadata import checked
from loci.text.plain import sent
from loci.types import Memory, Message, Record

SECONDS = 600.0  # that an answer is waited for
SECONDS_IDLE = 3.0  # after which a connection is taken for closed
LISTED, PAGE = 100, 1_000  # memories, or records, that are answered with where no limit is given, and that come at a time
JSON = {"Content-Type": "application/json"}
NOT_OURS = "What answered with {} is no `loci serve`: {!r}."
EVENTS = {"Accept": "text/event-stream"}


def connect(url: str, key: str | None = None) -> System:
    """The vault that `loci serve` has at an address, with the rights of an API key. It has the verbs that a `MemOS` has; close it, or use it as a context
    manager. Raises `Unavailable` where nothing answers."""
    link = _Link(url, key)
    link.get("/health/live")
    return cast("System", RemoteSystem(link))  # it has the verbs of a System, by construction


class _Link:
    """HTTP to one address: a connection for each thread, kept open while it is used."""

    def __init__(self, url: str, key: str | None) -> None:
        try:
            parts = urlsplit(url)
            is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            is_one = False
        if not is_one:
            raise Invalid(f"{url!r:.100} is no address of a server; it must be like http://127.0.0.1:8377.")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise Invalid("The key has a character that no key has, such as a line break.")
        self._parts, self._local = parts, threading.local()
        self._named = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._open = WeakSet[http.client.HTTPConnection]()  # one goes with its thread

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        with self.asked("GET", path) as answer:
            return _object(answer.status, answer.read())

    def post(self, path: str, fields: Mapping[str, object], headers: Mapping[str, str], *, is_safe: bool) -> Any:
        """The JSON that comes back. What ``is_safe`` to be asked twice is asked again where the connection broke."""
        body = json.dumps(fields).encode()
        try:
            with self.asked("POST", path, body, {**JSON, **headers}) as answer:
                return _object(answer.status, answer.read())
        except Unavailable as error:
            if not is_safe or not isinstance(error.__cause__, http.client.RemoteDisconnected | ConnectionError):
                raise
        with self.asked("POST", path, body, {**JSON, **headers}) as answer:
            return _object(answer.status, answer.read())

    @contextmanager
    def asked(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer that is no error, to be read inside the block. Raises what the server says, and `Unavailable` where it says nothing."""
        connection = self._connection()
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body, {**self._named, **(headers or {})})
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise _error(answer.status, answer.read())
            yield answer
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            told = f"{self._parts.netloc} did not answer ({error or type(error).__name__}). Is `loci serve` running there?"
            raise Unavailable(told) from error
        except BaseException:
            connection.close()  # what is left unread would be taken for the next answer
            raise

    def events(self, path: str, body: Any, headers: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """What is told while a call goes on, and last its answer; on a connection of its own, for others may be asked meanwhile. Raises what the server says."""
        other = _Link(self._parts.geturl(), None)
        other._named = self._named
        try:
            with other.asked("POST", path, body, {**headers, **EVENTS}) as answer:
                kind = ""
                for line in answer:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data" and kind == "error":
                        raise _told(json.loads(value))
                    elif name == "data":
                        yield kind, json.loads(value)
                if kind != "answer":
                    raise Unavailable(f"{self._parts.netloc} broke off before its answer. Whether it was done, only looking again tells.")
        finally:
            other.close()

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's. One that was idle is opened anew: the server may have closed it, and whether a request arrived could not be told. After a fork
        it is the parent's alone: answers to one would come to the other."""
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None or self._local.process != os.getpid():
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            found = self._local.connection = kind(str(self._parts.hostname), self._parts.port, timeout=SECONDS)
            self._local.process = os.getpid()
            self._open.add(found)
        elif time.monotonic() - self._local.used > SECONDS_IDLE:
            found.close()
        self._local.used = time.monotonic()
        return found

    def close(self) -> None:
        """Closes every thread's connection."""
        for connection in list(self._open):
            connection.close()


class _Remote:
    """What is asked of a server, by the name of its verb."""

    def __init__(self, link: _Link, path: str, key: str | None = None) -> None:
        self._link, self._path, self._key = link, path, key

    def _call(self, verb: str, fields: Mapping[str, Any], progress: Progress | None, *, is_safe: bool) -> Any:
        headers = {"Idempotency-Key": self._key or uuid.uuid4().hex} if verb in REPEATABLE else {}
        if progress is None:
            return self._link.post(f"{self._path}/{verb}", fields, headers, is_safe=is_safe or bool(headers))
        return self._followed(self._link.events(f"{self._path}/{verb}", json.dumps(fields).encode(), {**JSON, **headers}), progress)

    def _pages(self, verb: str, asked: Mapping[str, Any], limit: int, most: int | None = None) -> Iterator[Sequence[Any]]:
        """What a verb lists, up to a limit, a page of at ``most`` so many at a time."""
        left, most = inputs.number(limit, "limit", 0, inputs.MAX_PAGE), most or PAGE
        page = {**_spoken(asked), "limit": min(left, most)}
        while True:
            answer = self._call(verb, page, None, is_safe=True)
            yield answer["items"]
            left -= len(answer["items"])
            if left <= 0 or "next" not in answer:
                return
            page = {"cursor": answer["next"], "limit": min(left, most)}

    def _logged(self, asked: Mapping[str, Any], limit: int) -> Sequence[Record]:
        """Records, oldest first: its pages go back."""
        pages = [typed(Sequence[Record], page) for page in self._pages("log", asked, limit)]
        return [record for page in reversed(pages) for record in page]

    @staticmethod
    def _followed(events: Iterator[tuple[str, Any]], progress: Progress) -> Any:
        """The answer; who waits for it is told how far it is."""
        found = None
        for kind, told in events:
            if kind == "progress":
                progress(told["done"], told["total"])
            else:
                found = told
        return found


class RemoteSystem(_Remote):
    """A vault behind a server. Its verbs are those of `loci.system.System`."""

    def __init__(self, link: _Link) -> None:
        super().__init__(link, "/api")

    def close(self) -> None:
        """Closes the connections; the vault stays open where it is."""
        self._link.close()

    def log(self, *, limit: int = LISTED, **asked: Any) -> Sequence[Record]:
        """As `System.log`; a long one comes page by page."""
        return self._logged(_named(System.log, (), asked), limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class RemoteCube(_Remote):
    """A cube behind a server. Its verbs are those of `loci.system.Cube`."""

    def __init__(self, link: _Link, name: str, key: str | None = None) -> None:
        super().__init__(link, f"/api/cubes/{quote(name, safe='')}", key)
        self.name = name

    def once(self, key: str) -> Cube:
        """As `Cube.once`."""
        return _cube(self._link, self.name, inputs.key_of(key))

    def close(self) -> None:
        """Nothing: the cube stays open where it is."""

    def list(self, *, limit: int = LISTED, **asked: Any) -> list[Memory]:
        """As `Cube.list`; a long one comes page by page, all of one moment."""
        pages = self._pages("list", _named(Cube.list, (), asked), limit)
        return [memory for page in pages for memory in typed(list[Memory], page)]

    def walk(self, *, step: int = PAGE, **asked: Any) -> Iterator[Memory]:
        """As `Cube.walk`; no more than a page at a time."""
        most = min(inputs.number(step, "step", 1, inputs.MAX_PAGE), PAGE)
        for page in self._pages("list", _named(Cube.list, (), asked), inputs.MAX_PAGE, most):
            yield from typed(list[Memory], page)

    def log(self, *, limit: int = LISTED, **asked: Any) -> Sequence[Record]:
        """As `Cube.log`; a long one comes page by page."""
        return self._logged(_named(Cube.log, (), asked), limit)

    def generate(self, question: Any, **asked: Any) -> Generation:
        """As `Cube.generate`: its pieces come as the model makes them."""
        body = json.dumps(_spoken(_named(Cube.generate, (question,), asked))).encode()
        events = self._link.events(f"{self._path}/generate", body, JSON)
        _, begun = next(events)
        hints = get_type_hints(Generation)
        pieces = (str(told["text"]) for kind, told in events if kind == "piece")
        return Generation(**{name: typed(hints[name], value) for name, value in begun.items()}, _pieces=pieces)

    def export(self, path: str | Path, *, overwrite: bool = False, sign: str | Path | None = None) -> Mapping[str, object]:
        """As `Cube.export`: the file comes here, whole or not at all. To sign it, export where the vault is."""
        if sign is not None:
            raise Unsupported("A file is signed where the vault is: export it there.")
        file = inputs.path_of(path)
        if file.exists() and not overwrite:
            raise Conflict(f"{file} is there already. Choose another name, or overwrite it.")
        with self._link.asked("POST", f"{self._path}/export", b"{}", JSON) as answer, writing(file, overwrite=overwrite) as saved:
            try:
                shutil.copyfileobj(answer, saved)
                if answer.length:  # which http.client does not say
                    raise ConnectionAbortedError(f"{answer.length:,} bytes before its end")
            except (ConnectionError, TimeoutError) as error:  # no fault of the disk's, which `writing` would take it for
                raise Unavailable(f"The export broke off ({error}). {file} was not written: ask again.") from error
            return dict(json.loads(answer.headers["X-Loci-Export"]))

    def import_file(self, path: str | Path, *, progress: Progress | None = None, **asked: Any) -> Imported:
        """As `Cube.import_file`: the file goes there."""
        file = inputs.path_of(path)
        if file.is_dir():
            raise Unsupported(f"{file} is a folder, and one file goes over a network. Import it where the vault is.")
        named = _named(Cube.import_file, (path,), {"origin": file.name, **asked})
        if named.pop("signed_by", None) is not None:
            raise Unsupported("Whose signature is wanted is said where the vault is: import it there.")
        given = _spoken({name: value for name, value in named.items() if name != "path"})
        words = {name: json.dumps(value) if isinstance(value, bool) else str(value) for name, value in given.items()}
        with opening(file) as body:
            events = self._link.events(f"{self._path}/import_file?{urlencode({'name': file.name, **words})}", body, {})
            found: Imported = typed(Imported, self._followed(events, progress or (lambda *_: None)))
        return found


def _cube(link: _Link, name: str, key: str | None = None) -> Cube:
    return cast("Cube", RemoteCube(link, name, key))  # it has the verbs of a Cube, by construction


def _spoken(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JSON; what is None is left out. Raises `Invalid` for what would not arrive as what it is."""
    return {name: SPOKEN.get(name, sent)(value, name) for name, value in given.items() if value is not None}


def _words(words: Any, _: str) -> Any:
    """Messages, and of fields that they have not their names alone, which the receipt's record notes."""
    if isinstance(words, str):
        return words
    words = inputs.kept(words)
    said, ignored = inputs.heard(words), dict.fromkeys(inputs.ignored_in(words))
    return [
        {**ignored, **sent(told, f"Message {place}")}
        if isinstance(told, Message)
        else {"role": "assistant", "content": [{"type": kind} for kind in told]}
        for place, told in enumerate(said, 1)
    ]


def _where(filters: Any, name: str) -> Any:
    where_of(filters)
    return sent(filters, name)


def _who(name: Any, what: str) -> Any:
    check_name(name, what)
    return name


SPOKEN: dict[str, Callable[[Any, str], Any]] = {
    "messages": _words, "metadata": checked, "where": _where, "user": _who, "agent": _who, "session": _who, "origin": _who,
}  # fmt: skip
"""The arguments that are checked here as the verb checks them: by what they are in Python."""


def _named(verb: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, by name. Raises `TypeError` as the verb itself does."""
    given = inspect.signature(verb).bind(None, *args, **named).arguments
    return {name: value for name, value in given.items() if name != "self"}


def _method(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb, asked for over the network."""
    name, kind = verb.__name__, get_type_hints(verb)["return"]
    is_safe = name in (READING | VAULT_READING | {"cube"})  # which is made once

    @wraps(verb)
    def asked(self: _Remote, *args: Any, **named: Any) -> Any:
        given = _named(verb, args, named)
        progress = given.pop("progress", None)
        if name == "update":
            memory = given.pop("memory")
            given |= {"id": memory.id, "if_version": memory.version} if isinstance(memory, Memory) else {"id": memory}
        found = self._call(name, _spoken(given), progress, is_safe=is_safe)
        return _cube(self._link, found["cube"]) if kind is Cube else _read(kind, found)

    return asked


def _read(kind: Any, found: Any) -> Any:
    """An answer in the type that the verb has."""
    if kind is NoneType:
        return None
    origin = get_origin(kind) or kind
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return typed(kind, found["value"] if origin is str else found["items"])
    return typed(kind, found["value"] if kind in (int, float, bool) else found)


def _staying(name: str, why: str) -> Callable[..., NoReturn]:
    """A verb that is not to be had over a network."""

    def refused(*_: Any, **__: Any) -> NoReturn:
        raise Unsupported(f"{name} is not to be had over a network. {why}")

    return refused


def _object(status: int, body: bytes) -> dict[str, Any]:
    """What was answered. Raises `Unavailable` where it can be from no server of ours."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Unavailable(NOT_OURS.format(status, body[:100]))
    return told


def _error(status: int, body: bytes) -> LociError:
    """What a server refused, as the error that it was there."""
    told = _object(status, body)
    return _told(told) if {"code", "detail"} <= told.keys() else Unavailable(NOT_OURS.format(status, body[:100]))


def _told(problem: Mapping[str, Any]) -> LociError:
    """An error from its problem document."""
    known = {kind.code: kind for kind in reversed(kinds())}
    kind = known.get(problem["code"], LociError)
    taken = [name for name in inspect.signature(kind.__init__).parameters if name in problem and name != "message"]
    return kind(str(problem["detail"]), **{name: problem[name] for name in taken})


for _verbs, _remote, _kind, _why in (
    (READING | WRITING, RemoteCube, Cube, STAYING),
    (VAULT_READING | VAULT_WRITING, RemoteSystem, System, VAULT_STAYING),
):
    for _name in _verbs:
        if _name not in vars(_remote):
            setattr(_remote, _name, _method(getattr(_kind, _name)))
    for _name, _reason in _why.items():
        if _name not in vars(_remote):
            setattr(_remote, _name, _staying(_name, _reason))

"""What goes wrong, as problem documents (RFC 9457): the code of the error tree, what happened, and what to do next."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from loci.errors import Corrupt, Denied, Invalid, LociError, Locked, Missing, NewerSchema, ReadOnly, StorageFull, Unavailable, Unsupported

log = logging.getLogger("loci.server")
Refusal = Callable[[Scope, LociError], Response]
MEDIA = "application/problem+json"
SECONDS_TO_RETRY = 1


class Unnamed(Denied):
    """Nobody said who asks, or with a key that is none."""

    http_status = 401


class Misdirected(Denied):
    """The request is for another server than this one, by its name."""

    http_status = 421


class OtherMethod(Invalid):
    """The address is right, and takes another method: one of those ``allowed``."""

    http_status = 405

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class Busy(Unavailable):
    """More is asked than can be answered in time; nothing was begun."""


class Slow(Invalid):
    """The body of a request did not come to its end in time; nothing was begun."""

    http_status = 408


KINDS: dict[type[LociError], str] = {
    Locked: "Another process holds a file of the vault.",
    StorageFull: "The disk of the vault is full.",
    NewerSchema: "A file of the vault was written by a newer Loci: serve it with that one.",
    Unsupported: "Something that the vault takes is not installed where the server is.",
    ReadOnly: "The server may not open a file of the vault.",
    Denied: "What opens an encrypted cube is not there, or is not right.",
    Missing: "A file of the vault is gone.",
    Invalid: "The vault, or a setting of the server, is not what it must be.",
    Corrupt: "A file of the vault is not what was written: leave it as it is, and restore a copy.",
    Unavailable: "A file of the vault cannot be read just now.",
    LociError: "The vault cannot be read.",
}
"""What is wrong with a vault, in words that name nothing of anybody's. The first that fits holds."""


def in_general(error: LociError) -> str:
    """Of what kind an error is, for who has said nothing of who they are."""
    return f"{next(words for kind, words in KINDS.items() if isinstance(error, kind))} The server's log names it."


def problem(error: LociError) -> Response:
    """The document of an error, with its status."""
    return Response(encoded(document(error)), error.http_status, beside(error), MEDIA)


def beside(error: LociError) -> dict[str, str]:
    """The headers that go with an error, in whatever shape it is told."""
    if isinstance(error, Unnamed):
        return {"WWW-Authenticate": 'Bearer realm="loci"'}
    if isinstance(error, OtherMethod):
        return {"Allow": error.allowed}
    if isinstance(error, Slow):
        return {"Connection": "close"}  # the rest of it is no request
    return {"Retry-After": str(SECONDS_TO_RETRY)} if error.http_status == Unavailable.http_status else {}


def told(_: Scope, error: LociError) -> Response:
    """What goes wrong anywhere, unless its room has another shape for it."""
    return problem(error)


def document(error: LociError) -> dict[str, object]:
    """An error's code, status and message, and what is particular to it. ``message`` says the same as ``detail``: the clients of models show that alone."""
    named = {"type": f"urn:loci:error:{error.code}", "title": error.code.replace("_", " "), "status": error.http_status}
    return {**named, "code": error.code, "detail": str(error), "message": str(error), **error.details()}


def mistake(error: BaseException, what: str) -> LociError:
    """A mistake of ours, for whoever met it: that there was one. Where is in the log, without the words that it is made of."""
    log.error("%s failed with %s at\n%s", what, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return LociError(f"Loci itself failed ({type(error).__name__}); the server's log says where. What was answered before is kept.")


def encoded(value: Any) -> bytes:
    """JSON in UTF-8; a lone surrogate stays the escape that it came as."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")

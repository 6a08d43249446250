"""The page: files that a browser shows, and that ask for everything over the verbs. They hold nothing of anybody's, and so need no key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loci.errors import Missing

POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
}  # fmt: skip
MEDIA = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media: str
    tag: str


def routes(*, is_writable: bool = True) -> tuple[Route, ...]:
    """The page and what it is made of. Where nothing may be changed, it says so and has no buttons for it."""
    first = _files()["index.html"] if is_writable else _marked(_files()["index.html"])

    async def page(request: Request) -> Response:
        return _sent(request, first)

    return Route("/", page), Route("/web/{name:path}", _part)


def paths() -> tuple[str, ...]:
    """The addresses of all of it."""
    return "/", *(f"/web/{name}" for name in _files())


async def _part(request: Request) -> Response:
    found = _files().get(request.path_params["name"])
    if found is None:
        raise Missing("The page has no such part. It is at /.")
    return _sent(request, found)


def _sent(request: Request, found: _File) -> Response:
    headers = {**HEADERS, "ETag": found.tag}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.media)


@cache
def _files() -> dict[str, _File]:
    """Every file of the page by its name, read once: a name that a request makes up leads nowhere."""
    return {name: _read(part) for name, part in _below(files("loci.server") / "web", "")}


def _below(folder: Traversable, before: str) -> list[tuple[str, Traversable]]:
    found = []
    for part in folder.iterdir():
        name = before + part.name
        found += _below(part, f"{name}/") if part.is_dir() else [(name, part)]
    return found


def _read(part: Traversable) -> _File:
    return _file(part.read_bytes(), MEDIA[part.name[part.name.rfind(".") :]])


def _marked(first: _File) -> _File:
    """The page, told that nothing may be changed."""
    return _file(first.body.replace(b"<html ", b"<html data-reading ", 1), first.media)


def _file(body: bytes, media: str) -> _File:
    return _File(body, media, f'"{hashlib.sha256(body).hexdigest()[:24]}"')

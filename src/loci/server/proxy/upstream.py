"""The one address that a proxy leads to, and what of a request and an answer goes on: never a key of Loci's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from urllib.parse import unquote

import httpx2

from loci.errors import Invalid, Missing
from loci.infrastructure.credentials import PREFIX

MAX_CALLS = 64  # at the same time
TIMEOUTS = httpx2.Timeout(connect=10.0, read=600.0, write=60.0, pool=10.0)  # seconds; a model may think for minutes before its first word
LIMITS = httpx2.Limits(max_connections=MAX_CALLS, max_keepalive_connections=MAX_CALLS, keepalive_expiry=60.0)
HOP = frozenset({
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
OURS = frozenset({"host", "content-length", "expect", "cookie"})  # about the way to here
THEIRS = frozenset({"set-cookie", "date", "server"})
KEYS = ("authorization", "x-api-key")
ASKING = ("chat/completions", "completions", "responses", "messages", "messages/count_tokens", "embeddings", "moderations")
LENT = frozenset({*(("POST", path) for path in ASKING), ("GET", "models")})
"""What the server's own key is for: asking models, and which there are. Answers that are kept over there, files, batches and whatever else an account holds
want a key of the caller's."""
LOCI_KEY = re.compile(rf"(?:^|[\s:=,;&])({PREFIX}\.[0-9a-f]{{12}}\.[\w-]+)")
Headers = list[tuple[str, str]]


class Upstream:
    """An address such as https://api.openai.com/v1, and the ``key`` that it gets from whoever came with a key of Loci's. Raises `Invalid` for what is no
    address."""

    def __init__(self, url: str, key: str = "") -> None:
        try:
            found = httpx2.URL(url)
        except (httpx2.InvalidURL, TypeError) as error:
            raise Invalid(f"The upstream {url!r:.100} is no address ({error}); write one such as https://api.openai.com/v1.") from error
        if found.userinfo:
            raise Invalid(
                "The upstream has a user or a password in it. Leave that out: its key is in the variable of `upstream_key_variable`."
            )
        if found.scheme not in ("http", "https") or not found.host or found.query or found.fragment:
            raise Invalid(
                f"The upstream {url!r:.100} must be http(s)://host/v1, without a query; write one such as https://api.openai.com/v1."
            )
        if not key.isascii() or not key.isprintable():
            raise Invalid("The upstream's key has a character that no key has, such as a line break: check the variable that holds it.")
        self._base = found.copy_with(raw_path=b"/v1") if found.path in ("", "/") else found
        self._key, self.calls = key, 0
        self.client = httpx2.AsyncClient(timeout=TIMEOUTS, limits=LIMITS, follow_redirects=False, trust_env=False)
        for name in list(self.client.headers):  # what goes on is the caller's alone
            del self.client.headers[name]

    def __str__(self) -> str:
        return str(self._base)

    def address(self, path: bytes, query: bytes) -> httpx2.URL:
        """Where a path below /v1 is there. Raises `Missing` for one that leads out of it, or has a key of Loci's in it."""
        told = unquote((path + b"?" + query).decode("latin-1"))
        if any(part in (".", "..") for part in re.split(r"[/\\]", told.partition("?")[0])) or LOCI_KEY.search(told):
            raise Missing("There is no such path: it must lead down from /v1, and a key of Loci's belongs into a header.")
        raw = self._base.raw_path.rstrip(b"/") + path.removeprefix(b"/v1")
        return self._base.copy_with(raw_path=raw + (b"?" + query if query else b""))

    @staticmethod
    def headers(given: Iterable[tuple[str, str]], *, is_read: bool) -> Headers:
        """What goes on of a request's headers: no key of Loci's. ``is_read``: the answer is to be read on the way, so it must not be compressed."""
        safe, _ = _safe(given)
        return [*((name, value) for name, value in safe if name != "accept-encoding"), ("accept-encoding", "identity")] if is_read else safe

    def lent(self, method: str, path: str, given: Collection[tuple[str, str]]) -> Headers:
        """The server's own key as a header, for a request of `LENT` that has a key of Loci's in the place of the upstream's; else nothing."""
        safe, is_loci = _safe(given)
        if not (is_loci and self._key) or (method, path.removeprefix("/v1/")) not in LENT or any(name in KEYS for name, _ in safe):
            return []
        is_apart = any(name.lower() in ("x-api-key", "anthropic-version") for name, _ in given)
        return [("x-api-key", self._key) if is_apart else ("authorization", f"Bearer {self._key}")]

    @staticmethod
    def answered(given: Iterable[tuple[str, str]]) -> Headers:
        """What goes back of an answer's headers."""
        given = [(name.lower(), value) for name, value in given]
        dropped = HOP | THEIRS | _listed(given)
        return [(name, value) for name, value in given if name not in dropped and not name.startswith("x-loci-")]


def _safe(given: Iterable[tuple[str, str]]) -> tuple[Headers, bool]:
    """The headers of a request that are not about the way to here, without keys of Loci's; and whether it has one."""
    given = [(name.lower(), value) for name, value in given]
    dropped = HOP | OURS | _listed(given)
    kept = [(name, value) for name, value in given if name not in dropped and not name.startswith("x-loci-")]
    safe = [(name, value) for name, value in kept if not LOCI_KEY.search(value) and not _is_loci(name, value)]
    return safe, len(safe) < len(kept) or any(name == "x-loci-key" for name, _ in given)


def _is_loci(name: str, value: str) -> bool:
    """Whether a header that is for a key has something in it that begins as Loci's do."""
    return name in KEYS and value.strip().rpartition(" ")[2].startswith(f"{PREFIX}.")


def _listed(given: Iterable[tuple[str, str]]) -> set[str]:
    """Headers that a Connection header says are for one hop."""
    return {word.strip().lower() for name, value in given if name == "connection" for word in value.split(",")}

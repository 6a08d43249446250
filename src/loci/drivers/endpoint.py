"""HTTP to one address, for the drivers that speak it: JSON in, JSON out, typed errors, and a key that goes nowhere else."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from loci.errors import Denied, Invalid, LociError, Unavailable, Unsupported

TRIES, PAUSE_SECONDS, SECONDS = 4, 0.5, 120.0
LONGEST = 64 << 20  # bytes of a reply
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # worth another try
ABSENT = frozenset({404, 405, 501})  # there is no such call


class _Stay(urllib.request.HTTPRedirectHandler):
    """An endpoint that answers from elsewhere is not the one that was named."""

    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(_Stay)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and the key that it wants, if it wants one. ``advice`` is what to check when it refuses a request, ``absent`` the error
    for a call that it does not offer."""

    url: str
    key: str = field(default="", repr=False)
    advice: str = "Check the address."
    absent: type[LociError] = Unsupported
    seconds: float = SECONDS
    tries: int = TRIES

    def __post_init__(self) -> None:
        if not self.key.isascii() or not self.key.isprintable():
            raise Invalid("The endpoint's key has a character that no key has, such as a line break: check the variable that holds it.")
        if not self.url.startswith(("http://", "https://")):
            raise Invalid(f"The endpoint {self.url!r} is no address: it begins with http:// or https://.")

    def get(self, path: str) -> Any:
        """The JSON at a path. Raises as `post` does."""
        return _json(self.call(path), path)

    def post(self, path: str, body: object) -> Any:
        """The JSON that comes back. A busy or absent endpoint is tried a few times, a little later each time.

        Raises `Denied` for a refused key, ``absent`` for a call that there is not, `Invalid` for a refused request, `Unavailable` for all else.
        """
        return _json(self.call(path, json.dumps(body).encode()), path)

    def call(self, path: str, body: bytes | None = None) -> bytes:
        """The bytes that come back, with a body by POST, without one by GET."""
        request = urllib.request.Request(f"{self.url.rstrip('/')}{path}", body, {"Content-Type": "application/json"})
        if self.key:
            request.add_unredirected_header("Authorization", f"Bearer {self.key}")
        for attempt in range(1, self.tries + 1):
            try:
                with OPENER.open(request, timeout=self.seconds) as reply:
                    return _limited(reply.read(LONGEST + 1), self.url)
            except urllib.error.HTTPError as error:
                if error.code not in BUSY or attempt == self.tries:
                    raise self._refused(error, path) from error
            except (OSError, http.client.HTTPException) as error:
                is_slow = isinstance(error, TimeoutError) and self.seconds > SECONDS  # what took so long would take it again
                if attempt == self.tries or is_slow:
                    raise Unavailable(f"The endpoint {self.url} does not answer ({error}). Is it running?") from error
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        raise AssertionError("the last try raises or returns")

    def _refused(self, error: urllib.error.HTTPError, path: str) -> LociError:
        said = error.read(500).decode("utf-8", "replace").strip()
        said = said.replace(self.key, "(the key)") if self.key else said
        told = f"The endpoint {self.url} answered {error.code} to {path}: {said or error.reason}"
        if error.code in (401, 403):
            return Denied(f"{told}. Check the key.")
        if error.code in BUSY:
            return Unavailable(told)
        return self.absent(f"{told}. {self.advice}") if error.code in ABSENT else Invalid(f"{told}. {self.advice}")


def _limited(raw: bytes, url: str) -> bytes:
    if len(raw) > LONGEST:
        raise Unavailable(f"The endpoint {url} sends more than {LONGEST} bytes, which no answer takes.")
    return raw


def _json(raw: bytes, path: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"The endpoint's answer to {path} is not JSON: {raw[:200]!r}") from error

"""A language model behind any endpoint that speaks OpenAI's chat completions, local or not."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from loci.errors import Denied, Invalid, Unavailable

TRIES, PAUSE_SECONDS, SECONDS = 4, 0.5, 120.0
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # worth another try


class _Stay(urllib.request.HTTPRedirectHandler):
    """An endpoint that answers from elsewhere is not the one that was named."""

    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(_Stay)


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """``url`` is the base, with its version ("http://127.0.0.1:8080/v1"). Without a key none is sent."""

    url: str
    name: str
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.key.isascii() or not self.key.isprintable():
            raise Invalid("The endpoint's key has a character that no key has, such as a line break: check the variable that holds it.")
        if not self.url.startswith(("http://", "https://")):
            raise Invalid(
                f"The endpoint {self.url!r} is no address: it begins with http:// or https:// and ends with the version, as in .../v1."
            )
        if not self.name:
            raise Invalid("The endpoint needs the name of a model, as its own documentation spells it.")

    def complete(self, system: str, user: str, *, max_tokens: int = 512) -> str:
        """The answer, at temperature 0. A busy or absent endpoint is tried a few times, a little later each time.

        Raises `Denied` for a refused key, `Invalid` for a refused request, `Unavailable` for all else.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body = json.dumps({"model": self.name, "messages": messages, "temperature": 0, "max_tokens": max_tokens}).encode()
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, {"Content-Type": "application/json"})
        if self.key:
            request.add_unredirected_header("Authorization", f"Bearer {self.key}")
        for attempt in range(1, TRIES + 1):
            try:
                with OPENER.open(request, timeout=SECONDS) as reply:
                    return _content(reply.read())
            except urllib.error.HTTPError as error:
                if error.code not in BUSY or attempt == TRIES:
                    raise self._refused(error) from error
            except (OSError, http.client.HTTPException) as error:
                if attempt == TRIES:
                    raise Unavailable(f"The endpoint {self.url} does not answer ({error}). Is it running?") from error
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        raise AssertionError("the last try raises or returns")

    def _refused(self, error: urllib.error.HTTPError) -> Denied | Invalid | Unavailable:
        said = error.read(500).decode("utf-8", "replace").strip()
        said = said.replace(self.key, "(the key)") if self.key else said
        told = f"The endpoint {self.url} answered {error.code}: {said or error.reason}"
        if error.code in (401, 403):
            return Denied(f"{told}. Check the key.")
        return Unavailable(told) if error.code in BUSY else Invalid(f"{told}. Check the address and the model's name.")


def _content(raw: bytes) -> str:
    try:
        content = json.loads(raw)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise Unavailable(f"The endpoint's answer is no chat completion: {raw[:200]!r}") from error
    if not isinstance(content, str):
        raise Unavailable("The endpoint's answer has no text: the model refused, or wanted to call a tool.")
    return content

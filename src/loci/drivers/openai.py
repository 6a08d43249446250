"""A language model behind any endpoint that speaks OpenAI's chat completions, local or not."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from loci.errors import Denied, Invalid, Unavailable

TRIES, PAUSE_SECONDS, SECONDS = 4, 0.5, 120.0
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # worth another try


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """``url`` is the base, with its version ("http://127.0.0.1:8080/v1"). Without a key none is sent."""

    url: str
    name: str
    key: str = ""

    def __post_init__(self) -> None:
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
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)
        for attempt in range(1, TRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=SECONDS) as reply:
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
        told = f"The endpoint {self.url} answered {error.code}: {said or error.reason}"
        if error.code in (401, 403):
            return Denied(f"{told}. Check the key.")
        return Unavailable(told) if error.code in BUSY else Invalid(f"{told}. Check the address and the model's name.")


def _content(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    except (ValueError, LookupError, TypeError) as error:
        raise Unavailable(f"The endpoint's answer is no chat completion: {raw[:200]!r}") from error

"""A model behind vLLM or SGLang, which find by themselves what they have read before.

Follows vLLM's protocol as of 0.33 (`vllm/entrypoints/serve/tokenize/protocol.py`, `openai/completion/protocol.py`, `docs/design/prefix_caching.md`)
and SGLang's as of 0.5.23 (`srt/entrypoints/openai/protocol.py`, `http_server.py`), read in November 2026: ``POST /tokenize`` with messages, ``POST
/v1/completions`` with token numbers and ``cache_salt``, ``usage.prompt_tokens_details.cached_tokens``. An SGLang whose ``/tokenize`` takes no messages
is too old and is refused. Both leave ``prompt_tokens_details`` out where nothing was cached, and always unless they were started with
``--enable-prompt-tokens-details`` (vLLM) or ``--enable-cache-report`` (SGLang), so that its absence says nothing.

A prompt goes as token numbers, rendered by the server's own template: what is warmed is, number by number, how the next prompt begins.
Only whole blocks are kept by vLLM (16 tokens by default), so that the last few tokens of a prefix are always read again.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from loci.drivers.endpoint import Endpoint
from loci.errors import Denied, Invalid, Unsupported
from loci.ports.engine import Fingerprint
from loci.ports.serving import Answer, Hits, Warmed
from loci.types import Message

RESET = {  # vLLM's is there only with VLLM_SERVER_DEV_MODE=1; what it has offloaded goes too
    "vllm": "/reset_prefix_cache?reset_external=true",
    "sglang": "/flush_cache",
}
COUNTERS = {
    "vllm": ("vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"),
    "sglang": ("sglang:prompt_tokens_total", "sglang:cached_tokens_total"),  # with --enable-metrics
}
SAMPLE_LINE = re.compile(r"(?P<name>[\w:]+)(?:\{[^}]*\})? (?P<value>[0-9.eE+]+)\s*")


class PrefixServer:
    """``kind`` is vllm or sglang. Raises `Unsupported` where the server at the address is another."""

    slots = None

    def __init__(self, endpoint: Endpoint, kind: str) -> None:
        self._endpoint, self.kind, self.url = endpoint, kind, endpoint.url
        served = self._served()
        self.model = str(served["id"])

    # -- what it is ----------------------------------------------------------------------------------------------------

    def fingerprint(self) -> Fingerprint:
        """``model`` is a hash of what the server tells of its weights: a path and, of SGLang, a version. Another file under the same path is not
        seen; it is the server that finds what it has read, and it forgets all of it when it starts."""
        served = self._served()
        version, weights = self._vllm() if self.kind == "vllm" else self._sglang()
        told = f"{served['id']} {served.get('root')} {weights}"
        return Fingerprint(
            model=sha256(told.encode()).hexdigest(), tokenizer="", template="", adapters=(), dtype="", attention=f"{self.kind} {version}",
            rope=("", 0.0, ""), layers=(), context=int(served.get("max_model_len") or 0),
        )  # fmt: skip

    def _served(self) -> Mapping[str, Any]:
        """The model without adapters, of those that the server has."""
        told = self._endpoint.get("/v1/models")
        found = told.get("data") if isinstance(told, dict) else None
        models = [m for m in found if isinstance(m, dict) and m.get("id") and not m.get("parent")] if isinstance(found, list) else []
        if not models:
            raise Unsupported(f"{self.url}/v1/models names no model, as {self.kind} does.")
        return models[0]

    def _vllm(self) -> tuple[str, str]:
        told = self._endpoint.get("/version")
        return _told(told, "version", self.url), ""

    def _sglang(self) -> tuple[str, str]:
        told = self._endpoint.get("/model_info")
        server = self._endpoint.get("/server_info")
        weights = f"{_told(told, 'model_path', self.url)} {told.get('tokenizer_path')} {told.get('weight_version')}"
        return _told(server, "version", self.url), weights

    # -- reading and answering -----------------------------------------------------------------------------------------

    def tokens(self, memory: str, messages: Sequence[Message]) -> tuple[int, ...]:
        turns = [{"role": m.role, "content": m.text} for m in messages]
        if memory:
            turns[0]["content"] = f"{memory}\n\n{messages[0].text}"
        try:
            told = self._endpoint.post("/tokenize", {"model": self.model, "messages": turns})
        except Invalid as error:
            raise Invalid(f"{error} If {self.kind} there does not tokenize conversations, upgrade it.") from error
        found = told.get("tokens") if isinstance(told, dict) else None
        if not isinstance(found, list) or not found or not all(type(i) is int and i >= 0 for i in found):
            raise Unsupported(f"{self.url}/tokenize does not answer with a list of token numbers.")
        return tuple(found)

    def warm(self, ids: Sequence[int], salt: str) -> Warmed:
        """Has the server read a prefix, and answer with one token, since fewer are none to it."""
        began = time.perf_counter()
        told = self.answer(ids, salt, max_tokens=1)
        return Warmed(told.prompt_tokens, told.cached_tokens, time.perf_counter() - began)

    def answer(self, ids: Sequence[int], salt: str | None, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> Answer:
        asked = {
            "model": self.model, "prompt": list(ids), "max_tokens": max_tokens, "temperature": temperature, "seed": seed,
            "cache_salt": salt or secrets.token_hex(32),
        }  # fmt: skip
        told = self._endpoint.post("/v1/completions", asked)
        try:
            text, usage = told["choices"][0]["text"], told["usage"]
            read, cached = int(usage["prompt_tokens"]), _cached(usage)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Unsupported(f"{self.url}/v1/completions does not answer as {self.kind} does: {str(told)[:200]!r}") from error
        if not isinstance(text, str) or read != len(ids) or not 0 <= (cached or 0) <= read:
            raise Unsupported(
                f"{self.url} was sent {len(ids)} tokens and answers about {read}, {cached} of them cached: it changes prompts."
            )
        return Answer(text, read, cached)

    # -- care ----------------------------------------------------------------------------------------------------------

    def reset(self) -> bool:
        try:
            told = self._endpoint.call(RESET[self.kind], b"{}")
        except (Unsupported, Invalid, Denied):
            return False  # it is not offered here, or refused while others are answered
        return b'"success":false' not in told.replace(b" ", b"")

    def hits(self) -> Hits | None:
        try:
            told = self._endpoint.call("/metrics").decode("utf-8", "replace")
        except Unsupported:
            return None
        sums = [_sum(told, name) for name in COUNTERS[self.kind]]
        return None if sums[0] is None else Hits(int(sums[0]), int(sums[1] or 0))


def _cached(usage: Mapping[str, Any]) -> int | None:
    details = usage.get("prompt_tokens_details")
    return None if not details or details.get("cached_tokens") is None else int(details["cached_tokens"])


def _sum(metrics: str, name: str) -> float | None:
    """Of a counter's samples in Prometheus' text format; None where there is no such counter."""
    found = [m for line in metrics.splitlines() if (m := SAMPLE_LINE.fullmatch(line)) and m["name"] == name]
    return sum(float(m["value"]) for m in found) if found else None


def _told(told: object, name: str, url: str) -> str:
    found = told.get(name) if isinstance(told, dict) else None
    if not isinstance(found, str) or not found:
        raise Unsupported(f"{url} says nothing of its {name}: it is not the server that it says it is.")
    return found

"""A model behind llama.cpp's server, whose slot keeps what it has read in files.

Follows the server's README (`tools/server/README.md` of ggml-org/llama.cpp, read in November 2026; ``/apply-template`` and ``n_predict`` 0
need a build of 2025 or later). One slot is used, the last; the others are left to whoever else asks the server. A slot's contents are
reused only where they were restored just before, in the same hold of the slot; every other prompt is read from its first token
(``cache_prompt`` false), so that nothing of one user is ever found by another.

The README says of ``tokens_cached`` that it counts reused tokens, and newer servers give ``timings.cache_n`` for that; the server's own tests
look at ``timings.prompt_n``, the tokens that were read. That is what is believed here, and the sum is compared with ``tokens_evaluated``.
What a restored slot is worth is never taken from the reply to the restore: servers have said that all went well and read everything
again (ggml-org/llama.cpp#28194, for sliding windows and recurrent layers).
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from loci.drivers.endpoint import Endpoint
from loci.errors import Corrupt, Invalid, Unsupported
from loci.ports.engine import Fingerprint
from loci.ports.serving import Answer, Hits, Saved, Warmed
from loci.types import Message

PROBE = "loci-probe.bin"  # two dozen tokens that mean nothing, written to see how many bytes a token takes
SAMPLES, SAMPLE = 16, 64 << 10  # of the weights, where their file is on this machine
HOLDS: dict[str, threading.RLock] = {}  # by address


class LlamaServer:
    """``is_local``: the server runs on this machine, so that the file of its weights is looked at too, as a sample. Raises `Unsupported`
    where the server says nothing that this needs."""

    kind = "llamacpp"

    def __init__(self, endpoint: Endpoint, *, is_local: bool = False) -> None:
        self._endpoint, self._is_local, self.url = endpoint, is_local, endpoint.url
        self._hold = HOLDS.setdefault(self.url, threading.RLock())
        self._token_bytes: tuple[str, str] | None = None
        props = self._props()
        self.model = Path(_told(props, "model_path", str)).name
        self._slot = _told(props, "total_slots", int) - 1

    @property
    def slots(self) -> LlamaServer:
        return self

    # -- what it is ----------------------------------------------------------------------------------------------------

    def fingerprint(self) -> Fingerprint:
        """``model`` is a hash of the weights' path, size and shape as they are told, and of samples of their file where it is on this
        machine; ``dtype`` what a token takes in a slot's file, since the server does not tell the types of its cache."""
        props = self._props()
        path, meta = _told(props, "model_path", str), self._meta()
        shape = {name: meta.get(name) for name in ("n_ctx_train", "n_embd", "n_params", "n_vocab", "size", "vocab_type")}
        build = _told(props, "build_info", str)
        return Fingerprint(
            model=_hash({"path": path, **shape, "weights": _sampled(path) if self._is_local else ""}),
            tokenizer=_hash({name: props.get(name) for name in ("bos_token", "eos_token")} | {"n_vocab": meta.get("n_vocab")}),
            template=_hash(_told(props, "chat_template", str)), adapters=self._adapters(), dtype=self._layout(build),
            attention=f"llamacpp {build}", rope=("", 0.0, ""), layers=(),
            context=_told(_told(props, "default_generation_settings", dict), "n_ctx", int),
        )  # fmt: skip

    def _props(self) -> dict[str, Any]:
        props = self._endpoint.get("/props")
        if not isinstance(props, dict):
            raise Unsupported(f"{self.url}/props is not what llama.cpp's server answers. Is another server there?")
        return props

    def _meta(self) -> dict[str, Any]:
        try:
            meta = self._endpoint.get("/v1/models")["data"][0]["meta"]
        except (LookupError, TypeError) as error:
            raise Unsupported(f"{self.url}/v1/models does not describe a model as llama.cpp's server does.") from error
        if not isinstance(meta, dict):
            raise Unsupported(f"{self.url} does not describe its model (no meta in /v1/models): is it still loading?")
        return meta

    def _adapters(self) -> tuple[str, ...]:
        found = self._endpoint.get("/lora-adapters")
        return tuple(f"{_told(a, 'path', str)} x {_told(a, 'scale', float):g}" for a in found if _told(a, "scale", float))

    def _layout(self, build: str) -> str:
        """The bytes of a token in a slot's file, looked up once for each build: other types of cache take others."""
        if self._token_bytes is None or self._token_bytes[0] != build:
            with self.alone():
                few, many = (self._saved_size(length) for length in (8, 24))
            self._token_bytes = (build, f"{(many - few) / 16:g} bytes a token" if few and many else "no slot files")
        return self._token_bytes[1]

    def _saved_size(self, length: int) -> int:
        """Of a slot of so many tokens; 0 where the server writes none."""
        self._complete([0] * length, 0, None)
        try:
            return self.save(PROBE).bytes
        except Unsupported:
            return 0

    # -- reading and answering -----------------------------------------------------------------------------------------

    def tokens(self, memory: str, messages: Sequence[Message]) -> tuple[int, ...]:
        turns = [{"role": m.role, "content": m.text} for m in messages]
        if memory:
            turns[0]["content"] = f"{memory}\n\n{messages[0].text}"
        prompt = _told(self._endpoint.post("/apply-template", {"messages": turns}), "prompt", str)
        asked = {"content": prompt, "add_special": True, "parse_special": True}
        return token_ids(_told(self._endpoint.post("/tokenize", asked), "tokens", list), self.url)

    def warm(self, ids: Sequence[int], salt: str) -> Warmed:
        """Reads a prefix from its first token into the slot; `save` keeps it."""
        began = time.perf_counter()
        told = self._complete(ids, 0, None)
        return Warmed(told.prompt_tokens, told.cached_tokens, time.perf_counter() - began)

    def answer(self, ids: Sequence[int], salt: str | None, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> Answer:
        with self.alone():
            return self._complete(ids, max_tokens, salt, temperature=temperature, seed=seed)

    def _complete(self, ids: Sequence[int], most: int, salt: str | None, **sampling: float) -> Answer:
        asked = {
            "prompt": list(ids), "id_slot": self._slot, "n_predict": most, "cache_prompt": salt is not None, "n_cache_reuse": 0,
            "stream": False, **sampling,
        }  # fmt: skip
        told = self._endpoint.post("/completion", asked)
        whole, read = _told(told, "tokens_evaluated", int), _told(_told(told, "timings", dict), "prompt_n", int)
        if whole != len(ids) or told.get("truncated") or not 0 <= read <= whole:
            raise Unsupported(
                f"{self.url} was sent {len(ids)} tokens and read {read} of {whole}: its context is too short, or it is no llama.cpp."
            )
        if salt is None and read != whole:
            raise Unsupported(f"{self.url} was told to reuse nothing, and read {read} of {whole} tokens: its slots cannot be trusted.")
        if told["timings"].get("cache_n", whole - read) != whole - read:
            raise Unsupported(f"{self.url} contradicts itself: {whole} tokens, {read} read, {told['timings']['cache_n']} reused.")
        return Answer(_told(told, "content", str), whole, whole - read)

    # -- slots ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._hold:
            yield

    def save(self, name: str) -> Saved:
        """Raises `Unsupported` for a server that was started without ``--slot-save-path``."""
        told = self._act("save", name)
        return Saved(_told(told, "n_saved", int), _told(told, "n_written", int))

    def restore(self, name: str) -> Saved:
        try:
            told = self._act("restore", name)
        except Invalid as error:
            raise Corrupt(f"The server cannot restore slot file {name}: {error}") from error
        return Saved(_told(told, "n_restored", int), _told(told, "n_read", int))

    def drop(self, name: str) -> None:
        """Empties the slot and writes it over the file: the server has no call that deletes one."""
        with self.alone():
            self._endpoint.post(f"/slots/{self._slot}?action=erase", {})
            left = self.save(name)
        if left.tokens:
            raise Unsupported(f"{self.url} wrote {left.tokens} tokens from a slot that it had erased; delete {name} by hand.")

    def _act(self, action: str, name: str) -> object:
        told = self._endpoint.post(f"/slots/{self._slot}?action={action}", {"filename": name})
        if _told(told, "filename", str) != name or _told(told, "id_slot", int) != self._slot:
            raise Unsupported(f"{self.url} answers about another slot or file than {self._slot} and {name}.")
        return told

    # -- care ----------------------------------------------------------------------------------------------------------

    def reset(self) -> bool:
        """Empties the slot. Files stay."""
        with self.alone():
            self._endpoint.post(f"/slots/{self._slot}?action=erase", {})
        return True

    def hits(self) -> Hits | None:
        """None: its metrics count the tokens that were read, not those that were not."""
        return None


def token_ids(found: list[object], url: str) -> tuple[int, ...]:
    """Tokens as a server lists them."""
    if not found or not all(type(i) is int and i >= 0 for i in found):
        raise Unsupported(f"{url}/tokenize does not answer with a list of token numbers.")
    return tuple(i for i in found if isinstance(i, int))


def _told(told: object, name: str, kind: type[Any]) -> Any:
    """What a reply says under a name. Raises `Unsupported` where it says nothing, or something else."""
    found = told.get(name) if isinstance(told, dict) else None
    if isinstance(found, int) and kind is float:
        found = float(found)
    if not isinstance(found, kind) or isinstance(found, bool):
        raise Unsupported(
            f"The server says nothing of {name!r}, which llama.cpp's does (found {str(found)[:80]!r}). Is another server there?"
        )
    return found


def _hash(told: object) -> str:
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _sampled(path: str) -> str:
    """A hash of a file's size and of samples of it; empty where there is none that can be read. A device is none."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    except OSError:
        return ""
    with file:
        known = os.fstat(file.fileno())
        if not stat.S_ISREG(known.st_mode):
            return ""
        digest = sha256(str(known.st_size).encode())
        for place in range(SAMPLES):
            file.seek(known.st_size * place // SAMPLES)
            digest.update(file.read(SAMPLE))
        return digest.hexdigest()

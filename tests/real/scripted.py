"""Servers that speak what llama.cpp's, vLLM's and SGLang's documentation says, over real HTTP, with a model whose every answer shows what
it has read: prefix caching over tokens, slots, slot files on the disk. What they are told to get wrong, they get wrong."""

from __future__ import annotations

import json
import re
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

VOCABULARY: list[str] = ["<unk>"]
NUMBERS: dict[str, int] = {"<unk>": 0}
PIECES = re.compile(r"<\|\w+\|>\n?| ?\w+|\s+|.", re.DOTALL)
KEY = "server-key"
BLOCK = 16  # tokens that a prefix cache keeps together


def number(text: str) -> list[int]:
    """The tokens of a text: words with the space before them, the marks of a template, and whatever is between."""
    for piece in PIECES.findall(text):
        if piece not in NUMBERS:
            NUMBERS[piece] = len(VOCABULARY)
            VOCABULARY.append(piece)
    return [NUMBERS[piece] for piece in PIECES.findall(text)]


def spell(ids: list[int]) -> str:
    return "".join(VOCABULARY[i] for i in ids)


def read(weights: int, state: int, ids: list[int]) -> list[int]:
    """What the model has in mind after each of these tokens, which follow a state: nothing else is what it answers from."""
    states = []
    for i in ids:
        state = crc32(struct.pack("<II", state, i), weights)
        states.append(state)
    return states


class Scripted(ThreadingHTTPServer):
    """``wrong`` names what the server gets wrong, ``seen`` is what it was asked, ``served`` how many such calls it has seen."""

    daemon_threads = True
    kind = ""

    def __init__(self, weights: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.weights, self.name, self.build = weights, "models/tiny.gguf", "b9001-abcdef"
        self.template, self.context = "<|{role}|>\n{content}<|end|>\n", 4096
        self.seen: list[tuple[str, Any]] = []
        self.keys: set[str | None] = set()
        self.wrong: set[str] = set()
        self.elsewhere = ""
        self.wants_key = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked(self, path: str) -> list[Any]:
        return [body for where, body in self.seen if where.startswith(path)]

    def rendered(self, messages: list[dict[str, str]]) -> str:
        if "template" in self.wrong:
            messages = [{**m, "content": "".join(reversed(m["content"]))} for m in messages]
        return "".join(self.template.format(**m) for m in messages) + "<|assistant|>\n"

    def reply(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        raise NotImplementedError

    def said(self, state: int) -> str:
        return f"answer {state:08x}"


class LlamaCpp(Scripted):
    """The slots are lists of tokens with a state after each; a file holds them in JSON, padded to what tokens take in the cache's type."""

    kind = "llamacpp"

    def __init__(self, folder: Path | None, weights: int = 1) -> None:
        super().__init__(weights)
        self.folder, self.token_bytes, self.adapters = folder, 512, [{"id": 0, "path": "style.gguf", "scale": 0.0}]
        self.params, self.vocabulary = 1000, 32000
        self.contents: list[list[tuple[int, int]]] = [[], []]

    def reply(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        slot = re.fullmatch(r"/slots/(\d+)", path)
        if slot:
            return self._act(int(slot[1]), query.get("action", ""), body)
        match path:
            case "/v1/models":
                meta = {
                    "n_vocab": self.vocabulary,
                    "n_params": self.params,
                    "n_embd": 8,
                    "n_ctx_train": 8192,
                    "size": 4000,
                    "vocab_type": 2,
                }
                return 200, {"object": "list", "data": [{"id": self.name, "owned_by": "llamacpp", "meta": meta}]}
            case "/props":
                settings = {"n_ctx": self.context, "params": {}}
                told = {
                    "default_generation_settings": settings,
                    "total_slots": 2,
                    "model_path": self.name,
                    "chat_template": self.template,
                    "build_info": self.build,
                }
                return 200, {"status": "fine"} if "props" in self.wrong else told
            case "/lora-adapters":
                return 200, self.adapters
            case "/apply-template":
                return 200, {"prompt": self.rendered(body["messages"])}
            case "/tokenize":
                return 200, {"tokens": number(body["content"])}
            case "/completion":
                return self._complete(body)
        return 404, {"error": {"code": 404, "message": "File Not Found"}}

    def _complete(self, body: Any) -> tuple[int, Any]:
        ids, held = body["prompt"], self.contents[body["id_slot"]]
        if len(ids) >= self.context:
            return 400, {"error": {"code": 400, "message": "the request exceeds the available context size"}}
        known = 0
        if body["cache_prompt"] and "forgets" not in self.wrong:
            known = next((i for i, (token, _) in enumerate(held) if i >= len(ids) - 1 or token != ids[i]), min(len(held), len(ids) - 1))
        if "reuses" in self.wrong:
            known = min(len(held), len(ids) - 1)
        if "skips" in self.wrong and body["cache_prompt"]:
            known += 1
        kept = held[:known]
        states = read(self.weights, kept[-1][1] if kept else 0, ids[len(kept) :])
        self.contents[body["id_slot"]] = [*kept, *zip(ids[len(kept) :], states, strict=True)]
        whole = len(ids) + ("whole" in self.wrong)
        timings = {"prompt_n": len(ids) - known, "cache_n": known + ("cache_n" in self.wrong)}
        said = self.said(self.contents[body["id_slot"]][-1][1]) if body["n_predict"] else ""
        return 200, {
            "content": said,
            "tokens_evaluated": whole,
            "tokens_cached": whole,
            "tokens_predicted": body["n_predict"],
            "truncated": False,
            "timings": timings,
        }

    def _act(self, slot: int, action: str, body: Any) -> tuple[int, Any]:
        if self.folder is None:
            return 501, {"error": {"code": 501, "message": "This server does not support slots action. Start it with `--slot-save-path`"}}
        if action == "erase":
            count = len(self.contents[slot])
            self.contents[slot] = []
            return 200, {"id_slot": slot, "n_erased": count}
        path = self.folder / body["filename"]
        if action == "save":
            if "saves less" in self.wrong:
                self.contents[slot] = self.contents[slot][:-1]
            raw = json.dumps(self.contents[slot]).encode()
            path.write_bytes(raw.ljust(64 + self.token_bytes * len(self.contents[slot])))
            return 200, {
                "id_slot": slot,
                "filename": body["filename"],
                "n_saved": len(self.contents[slot]),
                "n_written": path.stat().st_size,
            }
        if not path.exists():
            return 400, {
                "error": {"code": 400, "message": "Unable to restore slot, no available space in KV cache or invalid slot save file"}
            }
        self.contents[slot] = [(token, state) for token, state in json.loads(path.read_bytes())]
        return 200, {"id_slot": slot, "filename": body["filename"], "n_restored": len(self.contents[slot]), "n_read": path.stat().st_size}


class PrefixCache(Scripted):
    """Whole blocks of tokens by what stands before them and the salt. Tells of cached tokens only where there are some, as both do."""

    def __init__(self, kind: str, weights: int = 1) -> None:
        super().__init__(weights)
        self.kind, self.name = kind, "tiny"
        self.blocks: set[tuple[str | None, tuple[int, ...]]] = set()
        self.counters = [0, 0]
        self.tells, self.resets = True, True

    def reply(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        is_vllm = self.kind == "vllm"
        match path:
            case "/v1/models":
                owner = "somebody" if "owner" in self.wrong else self.kind
                adapter = {"id": "style", "owned_by": owner, "parent": self.name}
                return 200, {
                    "data": [
                        {"id": self.name, "owned_by": owner, "root": self.name, "parent": None, "max_model_len": self.context},
                        adapter,
                    ]
                }
            case "/version" if is_vllm and "version" not in self.wrong:
                return 200, {"version": self.build}
            case "/model_info" if not is_vllm and "version" not in self.wrong:
                return 200, {
                    "model_path": self.name,
                    "tokenizer_path": self.name,
                    "weight_version": f"v{self.weights}",
                    "is_generation": True,
                }
            case "/server_info" if not is_vllm:
                return 200, {"version": self.build}
            case "/tokenize" if "old" in self.wrong:
                return 400, {"message": "1 validation error: prompt: field required"}
            case "/tokenize":
                ids = number(self.rendered(body["messages"]))
                return 200, {"tokens": ids, "count": len(ids), "max_model_len": self.context}
            case "/v1/completions":
                return self._complete(body)
            case "/metrics":
                names = (
                    ("vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total")
                    if is_vllm
                    else ("sglang:prompt_tokens_total", "sglang:cached_tokens_total")
                )
                return 200, "# HELP of counters\n" + "".join(
                    f'{n}{{model_name="tiny"}} {v}.0\n' for n, v in zip(names, self.counters, strict=True)
                )
            case "/reset_prefix_cache" | "/flush_cache" if self.resets and (path == "/flush_cache") != is_vllm:
                self.blocks = self.blocks if "busy" in self.wrong else set()
                return 200, {"success": "busy" not in self.wrong} if is_vllm else "Cache flushed.\n"
        return 404, {"detail": "Not Found"}

    def _complete(self, body: Any) -> tuple[int, Any]:
        ids, salt = body["prompt"], body.get("cache_salt")
        known = 0
        while known + BLOCK < len(ids) and (salt, tuple(ids[: known + BLOCK])) in self.blocks:
            known += BLOCK
        self.blocks.update((salt, tuple(ids[:stop])) for stop in range(BLOCK, len(ids) + 1, BLOCK))
        self.counters = [self.counters[0] + len(ids), self.counters[1] + known]
        usage: dict[str, Any] = {"prompt_tokens": len(ids) + ("whole" in self.wrong), "completion_tokens": body["max_tokens"]}
        usage["prompt_tokens_details"] = {"cached_tokens": known} if known and self.tells else None
        return 200, {"choices": [{"index": 0, "text": self.said(read(self.weights, 0, ids)[-1])}], "usage": usage}


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self._answer("GET", None)

    def do_POST(self) -> None:
        self._answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}"))

    def _answer(self, method: str, body: Any) -> None:
        self.server.seen.append((self.path, body))
        self.server.keys.add(self.headers["Authorization"])
        where = urlsplit(self.path)
        if self.server.elsewhere:
            status, told = 302, {}
        elif self.server.wants_key and self.headers["Authorization"] != f"Bearer {KEY}":
            status, told = 401, {"error": "no key"}
        else:
            status, told = self.server.reply(method, where.path, {k: v[0] for k, v in parse_qs(where.query).items()}, body)
        raw = (told if isinstance(told, str) else json.dumps(told)).encode()
        self.send_response(status)
        if self.server.elsewhere:
            self.send_header("Location", self.server.elsewhere)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

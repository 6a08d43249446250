"""What the proxy costs: milliseconds to the first piece of a streamed answer, through `loci serve --upstream` and from the upstream itself, in turn.

The server is a process of its own, the upstream answers at once, and each question is asked of both: the difference is all that Loci does before the first
token, recall included. Conversations have several turns, with a pause between them as long as a quick reader's.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loci.bench.latency import BATCH, QUESTIONS, Advance, Split, many
from loci.bench.machine import machine
from loci.bench.served import Served, served
from loci.errors import Unavailable
from loci.ports import Embedder
from loci.wire import MemOS

TURNS = 6
PATH, USER = "/v1/chat/completions", "ann"
PIECES = ("", "Noted", ", that", " is", " so.")
TARGET_MS = 25.0


class _Models(BaseHTTPRequestHandler):
    """A model that answers at once, in events."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (*PIECES, None):
            choice = {"index": 0, "delta": {} if piece is None else {"content": piece}, "finish_reason": "stop" if piece is None else None}
            event = b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def run(
    folder: Path | None, model: Embedder | None, memories: int, conversations: int, pause: float, advance: Advance
) -> Mapping[str, Any]:
    """The figures, on the disk of ``folder``: milliseconds to the first piece, of first and of later turns, straight and through the proxy."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".loci-bench-") as name:
        home = Path(name)
        advance(0, conversations + 1)
        _fill(home / "vault", model, memories)
        told = {"LOCI_EMBEDDER": "none" if model is None else "minilm", "LOCI_CACHE": str(home / "cache")}
        with _upstream() as straight, served(home / "vault", "--open", "--upstream", straight, environment=told) as proxied:
            _warm(proxied.url)
            rows: list[dict[str, Any]] = []
            for number in range(conversations):
                advance(number + 1, conversations + 1)
                rows += _talk(straight, proxied, number, pause)
    load, _, _ = os.getloadavg()
    turns = {"first": [r for r in rows if not r["turn"]], "later": [r for r in rows if r["turn"]], "all": rows}
    return {
        "memories": memories, "embedder": "none" if model is None else model.name, "requests": len(rows), "pause_s": pause, "load": round(load, 1),
        "cores": os.cpu_count(), "machine": machine(), "failed": sum("failed" in r["told"] for r in rows), "turns": {name: _figures(some) for name, some in turns.items()},
    }  # fmt: skip


def _figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    straight, proxied = ([row[way] for row in rows] for way in ("straight", "proxied"))
    over = [b - a for a, b in zip(straight, proxied, strict=True)]
    return {
        "straight_ms": statistics.median(straight), "proxied_ms": statistics.median(proxied), "over_ms": statistics.median(over),
        "cpu_ms": statistics.median(row["cpu"] for row in rows), "over_ms_p95": sorted(over)[int(0.95 * (len(over) - 1))], "ratio": statistics.median(proxied) / statistics.median(straight),
    }  # fmt: skip


def _fill(vault: Path, model: Embedder | None, memories: int) -> None:
    """A cube of that many memories of one user; their directions cost nothing, those of questions will be real."""
    with MemOS.open(vault, embedder="none" if model is None else Split(model), background=False) as memory:
        cube, said = memory.cube("main"), many(2 * memories)
        while (left := memories - int(str(cube.stats()["memories"]))) > 0:
            cube.add(list(islice(said, min(left, BATCH))), user=USER)
            cube.drain()


@contextmanager
def _upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Models) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _warm(proxied: str) -> None:
    """Asks until memory is at hand: the first search of a process loads what it needs, and is not waited for."""
    line = _Line(proxied)
    for number in range(100):
        if "recalled" in line.first([{"role": "user", "content": f"Is memory at hand? {number}"}])[1]:
            return
        time.sleep(0.1)
    raise Unavailable("The proxy's memory did not answer once in a hundred tries. `loci serve` on stderr says why.")


class _Line:
    """One connection that is kept, as a client's is."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc.partition("/")[0])

    def first(self, messages: Sequence[Mapping[str, str]]) -> tuple[float, str]:
        """(milliseconds to the first piece of the answer, what it says of memory)."""
        raw = json.dumps({"model": "m", "stream": True, "user": USER, "messages": messages}).encode()
        began = time.perf_counter()
        self._connection.request("POST", PATH, raw, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        answer.read1(1)
        taken = 1000 * (time.perf_counter() - began)
        answer.read()
        return taken, answer.headers.get("X-Loci-Memory", "")


def _talk(straight: str, proxied: Served, number: int, pause: float) -> list[dict[str, Any]]:
    """A conversation, of which every request goes both ways, one after the other."""
    there, here = _Line(straight), _Line(proxied.url)
    messages, rows = [{"role": "system", "content": f"You are brief. This is conversation {number}."}], list[dict[str, Any]]()
    for turn in range(TURNS):
        messages.append({"role": "user", "content": QUESTIONS[(number + turn) % len(QUESTIONS)]})
        time.sleep(pause)
        plain, _ = there.first(messages)
        used = proxied.processor_seconds()
        taken, told = here.first(messages)
        rows.append({"turn": turn, "straight": plain, "proxied": taken, "told": told, "cpu": 1000 * (proxied.processor_seconds() - used)})
        messages.append({"role": "assistant", "content": "".join(PIECES)})
    return rows


def table(found: Mapping[str, Any]) -> list[list[str]]:
    """Rows of turns: milliseconds to the first piece, straight, through the proxy, the difference at the median and the 95th percentile, and what the server's
    process used of a processor meanwhile."""
    return [
        [
            name,
            f"{row['straight_ms']:.1f}",
            f"{row['proxied_ms']:.1f}",
            f"{row['over_ms']:.1f}",
            f"{row['over_ms_p95']:.1f}",
            f"{row['cpu_ms']:.1f}",
        ]
        for name, row in found["turns"].items()
    ]


def report(found: Mapping[str, Any]) -> str:
    """The figures as a page."""
    over = found["turns"]["all"]["over_ms"]
    return "\n".join([
        "# What the proxy costs before the first token", "",
        f"{found['requests']} streamed requests, each sent straight to the upstream and then through `loci serve --upstream`: {found['memories']:,} memories, embedder {found['embedder']},"
        f" {TURNS} turns a conversation, {found['pause_s']} s between turns, {found['failed']} without memory. Milliseconds to the first piece of the answer.",
        "", "| turns | straight | through the proxy | difference, median | difference, p95 | processor time |", "|---|---|---|---|---|---|",
        *(f"| {' | '.join(cells)} |" for cells in table(found)), "",
        f"Target, median over all turns: {TARGET_MS:.0f} ms; {'reached' if over <= TARGET_MS else 'missed'}. Processor time, median, is what the server's process used until the first piece:"
        " other work on the machine disturbs it less than the clock on the wall, and it counts work in the background as well.", "",
        f"{found['machine']}; load at the end {found['load']} on {found['cores']} cores.", "",
    ])  # fmt: skip

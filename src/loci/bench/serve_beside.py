"""Hindsight under the same load as `loci serve`: without a language model, over its own PostgreSQL, with vectors of the same model, which it asks an endpoint for.

What it keeps of a message is its text, as Loci does; it answers with as many as fit into a thousand tokens.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

from loci.bench.latency import QUESTIONS, Split, many
from loci.bench.load import SAYING, Taken, asked
from loci.bench.rivals import HINDSIGHT, environment
from loci.drivers.remembering import Remembering
from loci.errors import Unavailable
from loci.ports import Embedder
from loci.settings import inherited

BANK, BATCH, TOKENS, SECONDS = "/v1/default/banks/most/memories", 100, 1000, 600
SAID = 5_000  # messages that differ


@contextlib.contextmanager
def hindsight(model: Embedder, memories: int, processes: int) -> Iterator[str]:
    """The address of a server of so many processes that has these memories. Raises `Unavailable` where it cannot be installed or does not start."""
    with (
        tempfile.TemporaryDirectory(prefix="loci-bench-") as home,
        embeddings(model) as endpoint,
        _server(home, endpoint, processes) as url,
    ):
        said = many(memories)
        while batch := [{"content": message.text} for message in islice(said, BATCH)]:
            _post(url + BANK, {"items": batch, "async": False})
        yield url


@contextlib.contextmanager
def _server(home: str, endpoint: str, processes: int) -> Iterator[str]:
    command = [str(environment("hindsight")), "-E", str(HINDSIGHT.side), home, endpoint, str(processes)]
    log = Path(home, "log.txt")
    with (
        log.open("w", encoding="utf-8") as told,
        subprocess.Popen(
            command, env=inherited({"HOME": home}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, text=True
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        line = process.stdout.readline()
        try:
            if not line:
                raise Unavailable(
                    f"Hindsight did not start; leave out --beside hindsight to go on.\n{log.read_text('utf-8', 'replace')[-2000:]}"
                )
            yield str(json.loads(line)["url"])
        finally:
            process.stdin.close()  # which ends it, and its database


@contextlib.contextmanager
def embeddings(model: Embedder) -> Iterator[str]:
    """An endpoint of OpenAI's embeddings at this machine: a text by itself in the model's direction, which is remembered; many at once in directions that cost nothing."""
    embedder, one_at_a_time = Remembering(Split(model)), threading.Lock()

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
            with one_at_a_time:
                rows = embedder.embed(texts)
            data = [{"object": "embedding", "index": place, "embedding": row.tolist()} for place, row in enumerate(rows)]
            usage = {"prompt_tokens": 0, "total_tokens": 0}
            body = json.dumps({"object": "list", "model": asked["model"], "data": data, "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def load(url: str, verb: str, seconds: float, connections: int) -> Taken:
    """Recalls, or messages that are kept before they are acknowledged, for some seconds."""
    path, bodies = f"{BANK}/recall", [{"query": question, "budget": "low", "max_tokens": TOKENS} for question in QUESTIONS]
    if verb == "add":
        path, bodies = BANK, [{"items": [{"content": f"{SAYING} {number}."}], "async": False} for number in range(SAID)]
    return asked(url, path, "unused", bodies, connections=connections, seconds=seconds)


def _post(url: str, body: Mapping[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=SECONDS).close()

"""An embedding model behind an endpoint, over real HTTP: a scripted server that speaks OpenAI's embeddings, and what it gets wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loci import Message
from loci.drivers import endpoint
from loci.drivers.embeddings import EndpointEmbedder
from loci.errors import Denied, EmbedderFailed, Invalid, LociError, Unavailable, Unsupported
from loci.settings import Settings
from loci.system import Cube
from loci.testing import HashEmbedder, ManualClock
from loci.wire import MemOS, embedder_of

LONGEST = 400  # letters that the model takes
TEXTS = ["The kettle is blue.", "The roof leaks in autumn.", "Rex sleeps under the table.", "A ferry crosses the river."]


class Model(ThreadingHTTPServer):
    """``wrong`` names what it gets wrong; ``asked`` are the texts of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[list[str]] = []
        self.keys: set[str | None] = set()
        self.wrong, self.dimensions, self.most = "", 32, 32
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def answer(self, texts: list[str]) -> tuple[int, Any]:
        if self.wrong == "refused":
            return 401, {"error": "no such key"}
        if self.wrong == "unknown":
            return 404, {"error": "model not found"}
        if self.wrong == "never" or len(texts) > self.most or any(len(text) > LONGEST or not text.strip() for text in texts):
            return 400, {"error": "maximum context length exceeded"}
        rows = [{"index": n, "embedding": row.tolist()} for n, row in enumerate(7 * HashEmbedder("m", self.dimensions).embed(texts))]
        if self.wrong == "short":
            rows = rows[1:]
        if self.wrong == "nothing":
            rows = [{**row, "embedding": [0.0] * self.dimensions} for row in rows]
        if self.wrong == "words":
            return 200, {"choices": []}
        return 200, {"data": rows[::-1]}  # in no order: the index says which is which


class Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked["input"])
        self.server.keys.add(self.headers.get("Authorization"))
        status, told = self.server.answer(asked["input"]) if self.path == "/v1/embeddings" and asked["model"] == "tiny" else (404, {})
        raw = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PAUSE_SECONDS", 0.0)


def test_texts_become_directions_in_their_order(model: Model) -> None:
    embedder = EndpointEmbedder(model.url, "tiny", "k")
    texts = [f"text number {n}" for n in range(70)]
    assert embedder.dimensions == 0
    found = embedder.embed(texts)
    assert found.dtype == np.float32 and np.allclose(found, HashEmbedder("m", 32).embed(texts), atol=1e-6)
    assert embedder.dimensions == 32 and [len(asked) for asked in model.asked] == [32, 32, 6] and model.keys == {"Bearer k"}
    assert embedder.embed([]).shape[0] == 0


def test_what_is_too_long_is_cut_and_the_rest_is_whole(model: Model) -> None:
    texts = ["short", "long " * 500, "", "half a \ud83d pair"]
    found = EndpointEmbedder(model.url, "tiny").embed(texts)
    expected = HashEmbedder("m", 32).embed(["short", ("long " * 500)[:312], ".", "half a ? pair"])
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [("refused", Denied), ("unknown", Unsupported), ("never", Invalid), ("short", EmbedderFailed), ("nothing", EmbedderFailed), ("words", EmbedderFailed)],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(model: Model, wrong: str, error: type[LociError]) -> None:
    model.wrong = wrong
    with pytest.raises(error):
        EndpointEmbedder(model.url, "tiny").embed(TEXTS)
    assert len(model.asked) <= 2, "what is refused whatever it is about is not asked in ever smaller pieces"


def test_settings_name_it() -> None:
    found = embedder_of(Settings(embedder="http://127.0.0.1:9/v1", embedder_model="tiny"))
    assert isinstance(found, EndpointEmbedder) and found.name == "endpoint:tiny"
    with pytest.raises(Invalid, match="embedder_model"):
        embedder_of(Settings(embedder="http://127.0.0.1:9/v1"))
    with pytest.raises(Invalid, match="address of an API"):
        embedder_of(Settings(embedder="127.0.0.1:9"))


def filled(memory: MemOS) -> Cube:
    cube = memory.cube("main")
    cube.add([Message("user", text) for text in TEXTS])
    return cube


def test_a_cube_of_its_vectors(model: Model, open_vault: Callable[..., MemOS]) -> None:
    cube = filled(open_vault(embedder=EndpointEmbedder(model.url, "tiny")))
    cube.drain()
    recall = cube.search("Does the roof leak?")
    assert recall.trace.signals["dense"] == len(TEXTS) and not recall.trace.missing and recall.hits[0].memory.text == TEXTS[1]
    assert cube.verify().is_clean


def test_what_is_told_while_it_is_away_is_kept_and_found(
    model: Model, open_vault: Callable[..., MemOS], clock: ManualClock, tmp_path: Path
) -> None:
    away = EndpointEmbedder("http://127.0.0.1:9/v1", "tiny")
    memory = open_vault(tmp_path, embedder=away)
    cube = filled(memory)
    recall = cube.search("roof")
    assert recall.hits[0].memory.text == TEXTS[1] and "does not answer" in recall.trace.missing["dense"]
    with pytest.raises(Unavailable, match="does not answer"):
        cube.drain()
    assert cube.verify().is_clean and cube.pending()
    memory.close()
    clock.advance(hours=1)  # what failed waits a while
    cube = open_vault(tmp_path, embedder=EndpointEmbedder(model.url, "tiny")).cube("main")
    cube.drain()
    assert not cube.search("roof").trace.missing and cube.verify().is_clean


def test_another_model_under_the_same_name_mixes_nothing(model: Model, open_vault: Callable[..., MemOS]) -> None:
    cube = filled(open_vault(embedder=EndpointEmbedder(model.url, "tiny")))
    cube.drain()
    model.dimensions = 48
    recall = cube.search("Where does the cat sleep?")
    assert "48 numbers" in recall.trace.missing["dense"] and recall.hits
    cube.add("The cat sleeps on the piano.")
    with pytest.raises(EmbedderFailed, match="another model under the same name"):
        cube.drain()
    assert cube.verify().is_clean

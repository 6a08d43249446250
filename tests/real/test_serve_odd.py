"""What generated requests found wrong with `loci serve` (`python -m bench.odd`), each as a plain one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

import httpx
from jsonschema import Draft202012Validator
from served import Server, problem, serving
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loci import MemOS
from loci.server.app import Serving

WORD = "mandragora"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("odd") / "vault", "--open") as running:
        running.call("cubes/main/add", messages="My brother Ben lives in Porto.", user="ana")
        yield running


@pytest.mark.parametrize("verb", ["adapter", "mount"])
@pytest.mark.parametrize("version", [2**63, -(2**63) - 1, 0])
def test_a_version_that_no_file_could_hold_is_invalid(server: Server, verb: str, version: int) -> None:
    assert "version" in server.fails(f"cubes/main/{verb}", 422, id="x", version=version)["detail"]


@pytest.mark.parametrize("name", ["", "..", "a/..", "a\0b", "x" * 256])
def test_a_file_has_a_name_that_files_can_have(server: Server, name: str) -> None:
    answer = server.http.post("/api/cubes/main/import_file", params={"name": name}, content=b"[]")
    assert problem(answer, 422)["code"] == "invalid"


@pytest.mark.parametrize("field", ["verb", "object", "principal"])
def test_the_log_is_asked_for_words_that_can_be_stored(server: Server, field: str) -> None:
    for path in ("/api/log", "/api/cubes/main/log"):
        assert problem(server.http.post(path, content=json.dumps({field: "\ud800"})), 422)["code"] == "invalid"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("cubes/main/search", {"question": "Where does my brother live?", "user": "ana"}),
        ("cubes/main/search", {"question": "What?"}),
        ("cubes/main/foresee", {"questions": ["Where does Ben live?"]}),
        ("cubes/main/list", {}),
        ("cubes/new/head", {}),
        ("heads", {}),
        ("grant", {"principal": "bob", "role": "reader", "cube": "main"}),
        ("grants", {}),
        ("issue_key", {"principal": "bob"}),
        ("keys", {}),
        ("log", {}),
    ],
)
def test_answers_are_as_the_document_says(server: Server, path: str, fields: dict[str, Any]) -> None:
    server.call("cubes/new/add", messages=[])
    document = server.http.get("/openapi.json").json()
    described = document["paths"]["/api/" + path.replace("cubes/main/", "cubes/{cube}/").replace("cubes/new/", "cubes/{cube}/")]["post"]
    schema = described["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator.check_schema(schema)
    Draft202012Validator({**schema, "components": document["components"]}).validate(server.call(path, **fields))


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_mistake_of_ours_is_told_without_words(tmp_path: Path, caplog: pytest.LogCaptureFixture, is_begun: bool) -> None:
    async def fails(_: Request) -> Response:
        raise ValueError(WORD)

    class Begun(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise ValueError(WORD)

    async def begins(_: Request) -> Response:
        return Begun()

    async def asked(serving: Serving) -> httpx.Response:
        transport = httpx.ASGITransport(serving.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.get("/fails")

    with MemOS.open(tmp_path / "vault", embedder="none") as memory, caplog.at_level(logging.INFO):
        serving = Serving(memory, is_open=True, routes=(Route("/fails", begins if is_begun else fails),))
        if is_begun:
            with pytest.raises(ConnectionAbortedError) as broken:
                anyio.run(asked, serving)
            assert broken.value.__suppress_context__, "what a server logs of it has no words either"
        else:
            assert "ValueError" in problem(anyio.run(asked, serving), 500)["detail"]
    assert "test_serve_odd.py" in caplog.text and WORD not in caplog.text

"""What generated requests found wrong with `loci serve` (`python -m bench.odd`), each as a plain one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from jsonschema import Draft202012Validator
from served import SECONDS, Server, problem, serving

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


@pytest.mark.parametrize(
    "sent", ["GARBAGE\r\n\r\n", "POST /api/heads HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_is_told_what_would_be(server: Server, sent: str) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=SECONDS) as caller:
        caller.sendall(sent.encode())
        head, _, body = b"".join(iter(lambda: caller.recv(65536), b"")).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0] and b"application/problem+json" in head
    told = json.loads(body)
    assert (told["status"], told["code"]) == (400, "invalid") and "/openapi.json" in told["detail"]


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

"""`loci serve --read-only`: every door refuses what would change something, with the code and the next step, and answers what is asked."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

import anyio
import httpx
from scripted_models import Models
from served import SECONDS, Server, environment, problem, serving

import loci
from loci import MemOS
from loci.errors import ReadOnly
from loci.server import rest
from loci.server.app import Serving
from loci.server.rest import Verbs
from loci.system import table

FIELDS: dict[str, dict[str, Any]] = {
    "add": {"messages": "The piano is green."}, "update": {"text": "The kettle is red."}, "erase": {"user": "ann"}, "revert": {"user": "ann"},
    "branch": {"name": "copy"}, "move": {"move": "archive"}, "generate": {"question": "kettle", "keep": True}, "plan": {"apply": True},
    "distil": {"about": "kettle"}, "activate": {"about": "kettle"}, "activate_episodes": {"budget": 64}, "write_off": {"name": "slot"}, "retry": {"number": 1}, "cancel": {"number": 1},
    "run": {"pipeline": {"name": "p", "steps": [{"verb": "add", "with": {"messages": "The roof leaks."}}]}},
}  # fmt: skip
WITH_ID = frozenset({"update", "forget", "restore", "move", "accept", "reject"})
NEEDS_A_MODEL = frozenset({"deactivate", "mount", "unmount", "drop_adapter"})  # they name what a model made: tests/kernel/test_read_only.py
OF_THE_VAULT: dict[str, dict[str, Any]] = {
    "cube": {"name": "new"}, "grant": {"principal": "x", "role": "owner", "cube": "main"}, "revoke": {"id": "x"}, "issue_key": {"principal": "x"},
}  # fmt: skip
MCP = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("closed") / "vault"
    with MemOS.open(folder, embedder="none") as memory:
        memory.cube("main").add("The kettle is blue.", user="ann")
        memory.grant("bob", "curator", cube="main", user="ann")
        (folder.parent / "key").write_text(memory.issue_key("bob")[1])
    return folder


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    with Models() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def server(vault: Path, models: Models) -> Iterator[Server]:
    with serving(vault, "--open", "--read-only", "--upstream", models.url) as running:
        yield running


def one_of(server: Server) -> str:
    """The id of the one memory that there is; that there is but one."""
    (memory,) = server.call("cubes/main/list")["items"]
    assert (memory["text"], memory["version"], memory["state"]) == ("The kettle is blue.", 1, "generated")
    return str(memory["id"])


@pytest.mark.parametrize("verb", sorted(table.WRITING - NEEDS_A_MODEL))
def test_http_refuses_what_changes_something(server: Server, verb: str) -> None:
    id = one_of(server)
    given = FIELDS.get(verb, {}) | ({"id": id} if verb in WITH_ID else {}) | ({"memories": [id]} if verb == "cite" else {})
    told = server.fails(f"cubes/main/{verb}", 403, **given)
    assert told["code"] == "read_only" and "ask whoever opened it" in told["detail"]
    one_of(server)


@pytest.mark.parametrize("verb", sorted(table.VAULT_WRITING))
def test_http_refuses_what_changes_the_vault(server: Server, verb: str) -> None:
    assert server.fails(verb, 403, **OF_THE_VAULT[verb])["code"] == "read_only"
    assert server.call("cubes")["items"] == ["main"]


def test_a_file_comes_in_no_more_and_one_goes_out(server: Server) -> None:
    sent = server.http.post("/api/cubes/main/import_file?name=a.txt", content=b"2025-01-01 10:00 Ann: The roof leaks.")
    assert problem(sent, 403)["code"] == "read_only"
    assert "The kettle is blue." in server.http.post("/api/cubes/main/export").text


def test_a_file_goes_not_out_through_a_folder_that_cannot_be_written(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    async def ask() -> httpx.Response:
        asked = Serving(memory, True, tuple(Verbs(vault).routes()))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asked.app), base_url="http://localhost") as http:
            return await http.post("/api/cubes/main/export")

    monkeypatch.setattr(rest, "Unfinished", refuse)  # nothing keeps root from writing
    with MemOS.open(vault, embedder="none", background=False, read_only=True) as memory:
        told = problem(anyio.run(ask), 403)
    assert told["code"] == "read_only" and "where the vault is" in told["detail"]


def test_what_is_asked_is_answered_and_written_down(server: Server) -> None:
    assert server.call("cubes/main/search", question="What colour is the kettle?", user="ann")["ids"] == [one_of(server)]
    read = [record["detail"]["verb"] for record in server.call("cubes/main/log", verb="read")["items"]]
    assert {"search", "list"} <= set(read)
    assert server.call("cubes/main/verify")["is_clean"]


def test_the_client_raises_it(server: Server) -> None:
    with loci.connect(server.url) as memory, pytest.raises(ReadOnly, match="reading only"):
        memory.cube("main").add("The piano is green.")


def test_hosts_of_models_are_refused_and_answered(server: Server) -> None:
    def call(name: str, **given: Any) -> dict[str, Any]:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": given}}
        found: dict[str, Any] = server.http.post("/mcp", json=asked, headers=MCP).json()["result"]
        return found

    id = one_of(server)
    for name, given in (("add_memory", {"messages": "x y"}), ("update_memory", {"id": id, "text": "x y"}), ("delete_memory", {"id": id})):
        told = call(name, **given)
        assert (
            told["isError"] and told["structuredContent"]["error"] == "read_only" and "ask whoever" in told["structuredContent"]["message"]
        )
    assert "The kettle is blue." in call("search_memories", question="kettle")["structuredContent"]["text"]
    one_of(server)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v3/memories/add/", {"messages": "x y", "user_id": "ann"}), ("POST", "/memories", {"messages": "x y", "user_id": "ann"}),
        ("PUT", "/v1/memories/{id}/", {"text": "x y"}), ("DELETE", "/v1/memories/{id}/", None), ("DELETE", "/v1/memories/?user_id=ann", None),
        ("DELETE", "/memories?user_id=ann", None), ("POST", "/reset", {}), ("DELETE", "/v2/entities/user/ann/", None),
        ("POST", "/v1/feedback/", {"memory_id": "{id}", "feedback": "POSITIVE"}),
    ],
)  # fmt: skip
def test_mem0_s_routes_refuse_in_their_shape(server: Server, method: str, path: str, body: dict[str, Any] | None) -> None:
    id = one_of(server)
    given = None if body is None else {name: value.replace("{id}", id) if isinstance(value, str) else value for name, value in body.items()}
    answer = server.http.request(method, path.replace("{id}", id), json=given)
    assert answer.status_code == 403 and answer.json()["error"] == "read_only" and "ask whoever opened it" in answer.json()["detail"]
    found = server.http.post("/v3/memories/search/", json={"query": "kettle", "filters": {"user_id": "ann"}}).json()
    assert [one["id"] for one in found["results"]] == [one_of(server)]


def test_a_chat_is_told_what_is_remembered_and_nothing_of_it_is_kept(server: Server, models: Models) -> None:
    def chat(**headers: str) -> httpx.Response:
        asked = {"model": "m", "user": "ann", "messages": [{"role": "user", "content": "What colour is the kettle?"}]}
        return server.http.post("/v1/chat/completions", json=asked, headers=headers)

    answer = chat()
    assert answer.status_code == 200 and "The kettle is blue." in models.calls[-1].raw.decode()
    told = answer.headers["x-loci-memory"]
    assert told.startswith("recalled=1; ") and told.endswith("; kept=no; code=read_only")
    assert chat(**{"X-Loci-Memory": "recall"}).headers["x-loci-memory"] == told.removesuffix("; kept=no; code=read_only"), (
        "it asked for no more"
    )
    assert chat(**{"X-Loci-Cube": "new"}).headers["x-loci-memory"] == "failed; code=read_only; kept=no; code=read_only"
    assert chat().headers["x-loci-memory"] == told, "and none is said to be lost"
    one_of(server)


def test_the_page_knows_it(server: Server, vault: Path) -> None:
    assert server.http.get("/").text.startswith("<!doctype html>\n<html data-reading lang")
    with serving(vault, "--open") as other:
        page = other.http.get("/")
        assert page.text.startswith("<!doctype html>\n<html lang")
        assert page.headers["etag"] != server.http.get("/").headers["etag"], "no browser shows the one for the other"


def test_a_key_opens_no_more_of_it(vault: Path) -> None:
    with serving(vault, "--read-only", key=(vault.parent / "key").read_text()) as server:
        assert server.fails("cubes/main/add", 403, messages="x y", user="ann")["code"] == "read_only"
        assert server.call("cubes/main/search", question="kettle", user="ann")["ids"]
        problem(server.http.post("/api/cubes/main/list", json={}), 403)


@pytest.mark.parametrize(
    "command", [["serve", "--open", "--port", "0"], ["mcp", "--http", "--open", "--port", "0"]], ids=lambda command: command[0]
)
def test_what_is_not_there_is_not_made(tmp_path: Path, vault: Path, command: list[str]) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        asked = [sys.executable, "-m", "loci", *command, "--read-only", *options]
        return subprocess.run(asked, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False)

    done = run("--vault", str(tmp_path / "none"))
    assert done.returncode == 4 and "reading only" in done.stderr and not (tmp_path / "none").exists()
    done = run("--vault", str(vault), "--cube", "other")
    assert done.returncode == 4 and "There are: main" in done.stderr and not (vault / "other.loci").exists()

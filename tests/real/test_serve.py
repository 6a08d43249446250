"""`loci serve`, met over HTTP by a client that knows nothing of it but what its document says."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

import anyio
import apsw
import httpx
from served import SECONDS, Server, environment, problem, serving
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from loci import MemOS, Message
from loci.errors import JobFailed, Locked, NewerSchema, ReadOnly, StorageFull, Unavailable, kinds
from loci.server import app, coming, gate
from loci.server.app import Serving
from loci.server.calls import CUBE_CALLS
from loci.server.http import Room
from loci.server.mcp import SEARCH
from loci.server.mem0 import Mem0
from loci.server.problems import in_general
from loci.server.rest import Verbs, computing
from loci.server.siblings import divided, listening
from loci.server.tools import TOOLS
from loci.types import Trust


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without keys. Tests that use it have a cube of their own."""
    with serving(tmp_path_factory.mktemp("open") / "vault", "--open") as running:
        yield running


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.cube("main").add(Message("user", "I live in Porto.", speaker="Ana"), user="ana")
        memory.cube("main").add(Message("user", "I live in Braga.", speaker="Ben"), user="ben")
    return tmp_path / "vault"


def key_for(vault: Path, name: str, role: str, **limits: Any) -> str:
    with MemOS.open(vault, embedder="none", background=False) as memory:
        memory.grant(name, role, cube="main", **limits)
        return memory.issue_key(name)[1]


# -- verbs -----------------------------------------------------------------------------------------------------------------


def test_a_life_of_a_memory(server: Server) -> None:
    receipt = server.call("cubes/life/add", messages="I live in Porto.", user="ana")
    (id,) = receipt["ids"]
    assert server.call("cubes/life/search", question="Where does Ana live?", user="ana")["ids"] == [id]
    server.call("cubes/life/update", id=id, text="I live in Lisbon.", if_version=1, reason="moved")
    assert server.fails("cubes/life/update", 409, id=id, text="I live in Faro.", if_version=1) | {"detail": "", "message": ""} == {
        "type": "urn:loci:error:version_conflict", "title": "version conflict", "status": 409, "code": "version_conflict", "detail": "", "message": "",
        "expected": 1, "found": 2,
    }  # fmt: skip
    assert [one["text"] for one in server.call("cubes/life/history", id=id)["items"]] == ["I live in Porto.", "I live in Lisbon."]
    assert server.call("cubes/life/why", id=id)["sources"][0]["message"]["text"] == "I live in Porto."
    server.call("cubes/life/forget", id=id)
    assert server.call("cubes/life/list")["items"] == []
    server.call("cubes/life/restore", id=id)
    assert server.call("cubes/life/get", id=id)["text"] == "I live in Lisbon."
    assert server.call("cubes/life/erase", user="ana")["removed"]["memories"] == 1
    server.fails("cubes/life/get", 404, id=id)


def test_messages_come_as_chat_programs_have_them(server: Server) -> None:
    said = [{"role": "user", "content": "My dog is called Rex."}, {"role": "assistant", "content": "A fine name."}]
    assert len(server.call("cubes/chat/add", messages=said, user="ana")["ids"]) == 2


def test_the_same_write_with_the_same_key_is_done_once(server: Server) -> None:
    ask = {"json": {"messages": "The garden is large."}, "headers": {"Idempotency-Key": "one"}}
    first, second = (server.http.post("/api/cubes/once/add", **ask) for _ in range(2))  # type: ignore[arg-type]
    assert first.json() == second.json() and len(server.call("cubes/once/list")["items"]) == 1
    other = server.http.post("/api/cubes/once/add", json={"messages": "It has a pond."}, headers={"Idempotency-Key": "one"})
    assert problem(other, 409)["code"] == "conflict"
    erasing = server.http.post("/api/cubes/once/erase", json={"user": "nobody"}, headers={"Idempotency-Key": "two"})
    assert "takes no Idempotency-Key" in problem(erasing, 422)["detail"]


def test_a_list_shows_one_moment_whatever_is_written_meanwhile(server: Server) -> None:
    ids = [server.call("cubes/pages/add", messages=f"House {n} is blue.")["ids"][0] for n in range(9)]
    page, seen = server.call("cubes/pages/list", limit=4), list[str]()
    seen += [one["id"] for one in page["items"]]
    server.call("cubes/pages/forget", id=ids[0])
    server.call("cubes/pages/update", id=ids[1], text="House 1 is green.")
    server.call("cubes/pages/add", messages="House 9 is blue.")
    while "next" in page:
        page = server.call("cubes/pages/list", cursor=page["next"])
        seen += [one["id"] for one in page["items"]]
    assert seen == ids
    assert "no cursor" in server.fails("cubes/pages/list", 422, cursor="bm8=")["detail"]
    assert "in the cursor" in server.fails("cubes/pages/list", 422, cursor="bm8=", user="ana")["detail"]


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ({}, b'{"user": "ann", "user": "bob"}', "'user' stands more than once"),
        ({}, b'{"where": {"a": {"x": 1, "x": 2}}}', "'x' stands more than once"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b'{"user": "ann"}', mtime=0), "without Content-Encoding"),
        ({"Content-Encoding": "br"}, b'{"user": "ann"}', "without Content-Encoding"),
    ],
    ids=["a name twice", "a name twice inside", "packed", "said to be packed"],
)
def test_a_body_that_can_be_read_in_two_ways_is_refused(server: Server, headers: dict[str, str], body: bytes, told: str) -> None:
    """Who says twice whose memory it is would be answered for one of them."""
    server.call("cubes/two-ways/add", messages="The house is blue.", user="bob")
    for path in ("api/cubes/two-ways/erase", "api/cubes/two-ways/list", "v3/memories/"):
        assert told in server.http.post(f"/{path}", content=body, headers=headers).text, path
    assert server.call("cubes/two-ways/list", user="bob")["items"]
    if headers:
        answer = server.http.post("/api/cubes/two-ways/import_file?name=a.json", content=body, headers=headers)
        assert told in problem(answer, 422)["detail"]


def test_a_write_has_one_idempotency_key(server: Server) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    for path, body in (("api/cubes/two-keys/add", {}), ("v3/memories/add/", {"user_id": "ann"})):
        answer = server.http.post(f"/{path}", json={"messages": "The house is blue.", **body}, headers=headers)
        assert answer.status_code == 422 and "several" in answer.text


def test_a_call_takes_one_use_of_a_counted_grant(tmp_path: Path) -> None:
    """However many verbs the door asks for it."""
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        id = memory.cube("main").add("The house is blue.", user="ann").ids[0]
        memory.grant("ann", "owner", cube="main", user="ann", uses=3)
        key = memory.issue_key("ann")[1]
        with serving(tmp_path / "vault", key=key) as served:
            assert served.fails("cubes/main/update", 404, id=id, text="The house is red.", if_version=9)
            ask = {"json": {"id": id, "text": "The house is red.", "if_version": 1}, "headers": {"Idempotency-Key": "one"}}
            answers = [served.http.post("/api/cubes/main/update", **ask) for _ in range(3)]  # type: ignore[arg-type]
            assert {answer.status_code for answer in answers} == {200} and answers[0].json() == answers[2].json()
            assert memory.grants()[-1].uses == 2
            assert served.http.post("/v3/memories/", json={"filters": {"user_id": "ann"}, "page_size": 1}).json()["count"] == 1
            assert memory.grants()[-1].uses == 1, "a list and a count"


def test_a_log_is_read_page_by_page_whatever_is_done_meanwhile(server: Server) -> None:
    cube = "cubes/log-pages"
    ids = [server.call(f"{cube}/add", messages=f"House {n} is blue.")["ids"][0] for n in range(9)]
    before = [record["seq"] for record in server.call(f"{cube}/log", limit=1000)["items"]]
    page, seen = server.call(f"{cube}/log", limit=4), list[int]()
    while True:
        assert len(page["items"]) <= 4 and len(seen) < 50
        seen = [record["seq"] for record in page["items"]] + seen
        if "next" not in page:
            break
        server.call(f"{cube}/add", messages=f"Garden {len(seen)} is large.")
        if ids:
            server.call(f"{cube}/erase", id=ids.pop())
        page = server.call(f"{cube}/log", cursor=page["next"])
    assert seen[: len(before)] == before == list(range(1, len(before) + 1)), "nothing is lost, nothing comes twice"
    only = server.call(f"{cube}/log", verb="erase", limit=1)
    assert [r["verb"] for r in server.call(f"{cube}/log", cursor=only["next"])["items"]] == ["erase"], "the cursor knows what was asked"
    assert server.call(f"{cube}/log", before=2)["items"][-1]["seq"] == 1 and "next" not in server.call(f"{cube}/log", before=2)
    lists = server.call(f"{cube}/list", limit=1)["next"]
    assert "no cursor" in server.fails(f"{cube}/log", 422, cursor=lists)["detail"]
    assert "no cursor" in server.fails(f"{cube}/list", 422, cursor=only["next"])["detail"]
    assert "before" in server.fails(f"{cube}/log", 422, before=0)["detail"]
    for n in range(3):
        server.call("grant", principal=f"guest {n}", role="reader", cube="log-pages")
    again = [server.call("grant", principal="guest 2", role="reader", cube="log-pages") for _ in range(2)]
    assert again[0] == again[1] and [g["principal"] for g in server.call("grants")["items"]].count("guest 2") == 1, "granted once"
    vault = server.call("log", limit=2)
    assert vault["items"][0]["seq"] - 1 == server.call("log", cursor=vault["next"])["items"][-1]["seq"]


@pytest.mark.parametrize("is_gone", ["erased", "run out", "last erased"])
def test_what_goes_between_two_pages_moves_nothing(server: Server, is_gone: str) -> None:
    cube = f"cubes/{is_gone.replace(' ', '-')}"
    ends = {"expires": (datetime.now(UTC) + timedelta(seconds=2)).isoformat()} if is_gone == "run out" else {}
    ids = [server.call(f"{cube}/add", messages=f"House {n} is blue.", user="er", **(ends if n < 2 else {}))["ids"][0] for n in range(6)]
    page = server.call(f"{cube}/list", user="er", limit=3)
    seen = [one["id"] for one in page["items"]]
    if is_gone == "run out":
        while len(server.call(f"{cube}/list", user="er")["items"]) > 4:
            time.sleep(0.1)
    else:
        server.call(f"{cube}/erase", id=ids[2 if is_gone == "last erased" else 0])
    while "next" in page:
        page = server.call(f"{cube}/list", cursor=page["next"])
        seen += [one["id"] for one in page["items"]]
    assert seen == ids


def test_a_file_comes_in_with_its_progress_and_goes_out_whole(server: Server) -> None:
    talk = [{"role": "user", "content": f"Room {n} is cold."} for n in range(30)]
    with server.http.stream(
        "POST", "/api/cubes/files/import_file", params={"name": "talk.json", "user": "ana"}, content=json.dumps(talk), headers={"Accept": "text/event-stream"}
    ) as answer:  # fmt: skip
        told = [line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event")]
    assert told[0] == "progress" and told[-1] == "answer"
    file = server.http.post("/api/cubes/files/export")
    assert json.loads(file.headers["x-loci-export"])["memories"] == 30
    again = server.http.post("/api/cubes/copy/import_file", params={"name": "copy.jsonl"}, content=file.content)
    assert again.json().get("messages") == 30, again.text
    assert server.call("cubes/copy/fingerprint") == server.call("cubes/files/fingerprint")


@pytest.mark.parametrize("name", ["", ".", "..", "a/..", "a\0b", "é" * 128])
def test_a_name_that_no_file_has_is_refused(server: Server, name: str) -> None:
    answer = server.http.post("/api/cubes/files/import_file", params={"name": name}, content=b'[{"role": "user", "text": "x"}]')
    assert "the name of a file" in problem(answer, 422)["detail"]


def test_a_pickle_is_refused_as_one(server: Server) -> None:
    answer = server.http.post("/api/cubes/files/import_file", content=b"\x80\x04N.")
    assert "import is a pickle: to open it would run" in problem(answer, 422)["detail"]


def test_an_import_takes_no_key(server: Server) -> None:
    answer = server.http.post("/api/cubes/files/import_file", content=b"x", headers={"Idempotency-Key": "one"})
    assert "takes no Idempotency-Key" in problem(answer, 422)["detail"]


def test_what_a_kill_leaves_of_a_file_goes_with_the_next_erasure(tmp_path: Path) -> None:
    vault, began, killed = tmp_path / "vault", threading.Event(), threading.Event()

    def cut() -> Iterator[bytes]:
        yield b'[{"role": "user", "text": "The code word is mandragora."}'
        while not list(vault.glob("*/half.json")):
            time.sleep(0.01)
        began.set()
        killed.wait(SECONDS)

    def ask(url: str) -> None:
        with contextlib.suppress(httpx.TransportError):
            httpx.post(f"{url}/api/cubes/main/import_file?name=half.json", content=cut())

    with pytest.raises(AssertionError), serving(vault, "--open") as server:
        asking = threading.Thread(target=ask, args=(server.url,))
        asking.start()
        assert began.wait(SECONDS)
        server.process.kill()
        killed.set()
        asking.join(SECONDS)
    (left,) = vault.glob("*/half.json")
    os.utime(left.parent, (0, 0))  # as if it had been long ago
    with MemOS.open(vault, embedder="none", background=False) as memory:
        memory.cube("main").add("I live in Porto.", user="ana")
        memory.cube("main").erase(user="ana")
    assert not left.exists()


def test_what_is_wrong_with_a_file_is_told_as_an_event_too(server: Server) -> None:
    asked = {"params": {"name": "talk.json"}, "content": b"{]", "headers": {"Accept": "text/event-stream"}}
    answer = server.http.post("/api/cubes/files/import_file", **asked)  # type: ignore[arg-type]
    kind, data = answer.text.strip().split("\n")
    assert kind == "event: error" and json.loads(data.removeprefix("data: "))["code"] == "malformed"


@pytest.mark.parametrize(
    ("path", "fields", "status", "told"),
    [
        ("cubes/main/serch", {}, 404, "Did you mean 'search'?"),
        ("cubes/main/search", {}, 422, "needs question"),
        ("cubes/main/search", {"question": 7}, 422, "question: 7 must be a string"),
        ("cubes/main/search", {"question": "x", "user": 5}, 422, "user: 5 must be a string"),
        ("cubes/main/search", {"question": "x", "limit": True}, 422, "limit: True must be a whole number"),
        ("cubes/main/add", {"messages": "x", "priority": True}, 422, "priority: True must be a whole number"),
        ("cubes/main/search", {"qestion": "x"}, 422, "Did you mean 'question'?"),
        ("cubes/main/search", {"query": "x"}, 422, "Did you mean 'question'?"),
        ("cubes/main/search", {"question": "x", "top_k": 3}, 422, "Did you mean 'limit'?"),
        ("cubes/main/search", {"question": "x", "since": "2026-02-01", "until": "2026-01-01"}, 422, "the other way round"),
        ("cubes/main/search", {"question": "x", "limit": 1001}, 413, "at most 1,000"),
        ("cubes/main/search", {"question": "x", "since": "yesterday"}, 422, "ISO 8601"),
        ("cubes/main/search", {"question": "x", "types": ["rumour"]}, 422, "rumour"),
        ("cubes/main/add", {"messages": {"role": "user"}}, 422, "needs 'text'"),
        ("cubes/main/deep/add", {"messages": "x"}, 404, "nothing at this address"),
        ("cubes/no%20cube/search", {"question": "x"}, 422, "no cube"),
        ("cubes/absent/search", {"question": "x"}, 404, "absent"),
        ("cubes/main/conversation", {"session": "s"}, 501, "proxy"),
        ("encrypt", {"cube": "main"}, 501, "machine"),
        ("cubes/main/run", {"pipeline": "archive.toml"}, 422, "must be an object"),
        ("cubes/main/activate", {"most_divergence": 10**400}, 422, "too large"),
        ("cubes/main/mount", {"id": "x", "version": 1 << 63}, 422, "too large"),
        ("cubes/main/list", {"cursor": base64.urlsafe_b64encode(b"[" * 100_000).decode()}, 422, "no cursor"),
    ],
)
def test_what_is_asked_wrongly_is_told_with_the_next_step(
    server: Server, path: str, fields: dict[str, Any], status: int, told: str
) -> None:
    assert told in server.fails(path, status, **fields)["detail"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("cubes/main/list?user=ana&limit=1", "no user, limit in its address"),
        ("cubes/main/export?user=ana", "no user in its address"),
        ("cubes/main/erase?user=ana", "no user in its address"),
        ("grants?x=1", "no x in its address"),
        ("cubes/main/import_file?user=ana&user=ben", "user is in the address more than once"),
    ],
)
def test_a_field_in_the_address_is_not_left_out_silently(server: Server, path: str, told: str) -> None:
    server.call("cubes/main/add", messages="I live in Porto.", user="ana")
    assert told in problem(server.http.post(f"/api/{path}", json={}), 422)["detail"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"question": NaN}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_malformed(server: Server, body: bytes) -> None:
    assert problem(server.http.post("/api/cubes/main/search", content=body), 422)["code"] == "malformed"


def test_a_body_has_a_greatest_size(server: Server) -> None:
    assert problem(server.http.post("/api/cubes/main/add", content=b" " * 8_000_001), 413)["code"] == "too_large"


def test_there_is_no_other_method(server: Server) -> None:
    answer = server.http.get("/api/cubes/main/search")
    assert problem(answer, 405)["code"] == "invalid" and answer.headers["allow"] == "POST"


# -- who may -----------------------------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_told(vault: Path) -> None:
    with serving(vault) as server:
        answer = server.http.post("/api/cubes/main/search", json={"question": "Where?"})
        assert problem(answer, 401)["code"] == "denied" and answer.headers["www-authenticate"].startswith("Bearer")
        wrong = {"Authorization": "Bearer loci_AAAA_BBBB"}
        problem(server.http.post("/api/cubes/main/search", json={"question": "Where?"}, headers=wrong), 401)
        foreign = problem(server.http.post("/v1/chat/completions", json={}, headers={"authorization": "Bearer sk-of-a-provider"}), 401)
        assert "X-Loci-Key" in foreign["detail"] and "--open" in foreign["detail"], "an application's own key, which proxies pass on"
        assert server.http.get("/health/live").status_code == 200


@pytest.mark.parametrize("header", ["Authorization: Bearer {}", "Authorization: Token {}", "X-API-Key: {}", "X-Loci-Key: {}"])
def test_a_key_opens_what_was_granted_and_no_more(vault: Path, header: str) -> None:
    key = key_for(vault, "ana", "reader", user="ana")
    with serving(vault) as server:
        name, value = header.format(key).split(": ")
        server.http.headers[name] = value
        assert [one["text"] for one in server.call("cubes/main/list", user="ana")["items"]] == ["I live in Porto."]
        server.fails("cubes/main/list", 403, user="ben")
        server.fails("cubes/main/add", 403, messages="I live in Faro.", user="ana")
        server.fails("cubes/other/list", 403)
        server.fails("keys", 403)


def test_a_grant_on_a_cube_that_is_not_there_says_who_makes_it(tmp_path: Path) -> None:
    def loci(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "loci", *words, "--vault", str(tmp_path / "vault")]
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=True)

    assert "there is no cube shared yet" in loci("grant", "app", "writer", "--on", "shared").stderr
    assert "no cube" not in loci("grant", "app", "reader", "--on", "team.*").stderr
    key = loci("key", "app").stdout.strip()
    with serving(tmp_path / "vault", key=key) as server:
        told = server.fails("cubes/shared/add", 404, messages="I live in Porto.")["detail"]
        assert "Its owner makes it by adding to it (`loci add TEXT --cube shared`)" in told
        loci("add", "The garden is large.", "--cube", "shared")
        assert server.call("cubes/shared/add", messages="I live in Porto.")["ids"]
    assert "no cube" not in loci("grant", "app", "curator", "--on", "shared").stderr


@pytest.mark.parametrize(
    ("limits", "path", "fields"),
    [
        ({"role": "reader"}, "cubes/main/add", {"messages": "x"}),
        ({"role": "reader"}, "cubes/main/forget", {"id": "01M8129K8KCX4ST3XS33N7G9M4"}),
        ({"cube": "other"}, "cubes/main/search", {"question": "x"}),
        ({"user": "ana"}, "cubes/main/stats", {}),
    ],
)
def test_a_key_that_is_too_narrow_says_so(vault: Path, limits: dict[str, str], path: str, fields: dict[str, Any]) -> None:
    with MemOS.open(vault, embedder="none", background=False) as memory:
        memory.grant("t1", "owner", cube="main")
        memory.grant("t1", "owner", cube="other")
        narrow, strange = memory.issue_key("t1", **limits)[1], memory.issue_key("nobody", **limits)[1]
    (word, name), *_ = limits.items()
    with serving(vault, key=narrow) as server:
        told = server.fails(path, 403, **fields)["detail"]
        assert f"this key is narrowed to {word} {name}" in told and "loci key t1" in told and "loci grant" not in told
        if "user" in limits:
            assert "open to it is user 'ana'" in server.fails("cubes/main/list", 403)["detail"], "and what would do, where that is all"
        server.http.headers["Authorization"] = f"Bearer {strange}"
        assert "narrowed" not in server.fails(path, 403, **fields)["detail"]


def test_the_owner_of_a_cube_sees_who_has_access_to_it(vault: Path) -> None:
    with MemOS.open(vault, embedder="none", background=False) as memory:
        mine = memory.grant("t1", "owner", cube="main")
        here = [
            memory.grant("ana", "reader", cube="main", user="ana"),
            memory.grant("*", "reader", cube="main"),
            memory.grant("aud", "auditor", cube="*"),
        ]
        memory.grant("ben", "reader", cube="other")
        part = memory.grant("t2", "owner", cube="main", user="ben")
        owner, other, within = (memory.issue_key(name)[1] for name in ("t1", "ben", "t2"))
        narrow = memory.issue_key("t1", user="ana")[1]
    with serving(vault, key=owner) as server:
        seen = server.call("grants")["items"]
        assert [one["id"] for one in seen] == [mine.id, *(one.id for one in here), part.id] and {one["cube"] for one in seen} == {"main"}
        for key, expected in ((other, 2), (within, 2), (narrow, 2)):
            server.http.headers["Authorization"] = f"Bearer {key}"
            assert len(server.call("grants")["items"]) == expected, "their own, and those of everybody"


def test_a_stranger_does_not_learn_on_which_cube_a_grant_is(vault: Path) -> None:
    with MemOS.open(vault, embedder="none", background=False) as memory:
        grant = memory.grant("ana", "reader", cube="secret-plans").id
        memory.grant("ben", "reader", cube="secret-plans")
        strangers, bens = memory.issue_key("nobody")[1], memory.issue_key("ben")[1]
    with serving(vault, key=strangers) as server:
        assert server.fails("revoke", 403, id=grant) == server.fails("revoke", 403, id="01M8129K8KCX4ST3XS33N7G9M4")
        server.http.headers["Authorization"] = f"Bearer {bens}"
        assert "secret-plans" in server.fails("revoke", 403, id=grant)["detail"]


def test_a_key_that_is_revoked_is_none_from_the_next_call_on(vault: Path) -> None:
    owner, reader = key_for(vault, "boss", "owner"), key_for(vault, "ana", "reader", user="ana")
    with MemOS.open(vault, embedder="none", background=False) as memory:
        memory.grant("boss", "owner", cube="*")
    with serving(vault, key=owner) as server:
        mine = {"Authorization": f"Bearer {reader}"}
        assert server.http.post("/api/cubes/main/list", json={"user": "ana"}, headers=mine).status_code == 200
        (id,) = (key["id"] for key in server.call("keys")["items"] if key["principal"] == "ana")
        server.call("revoke", id=id)
        problem(server.http.post("/api/cubes/main/list", json={"user": "ana"}, headers=mine), 401)


def test_who_waits_for_the_file_of_keys_holds_up_nobody_else(vault: Path) -> None:
    """While another process writes there, a refusal waits to be logged, and keys wait behind it; what needs no key is answered."""
    key = key_for(vault, "ana", "reader", user="ana")
    with serving(vault, key=key) as server:
        server.call("cubes/main/list", user="ana")
        other = apsw.Connection(str(vault / "registry.db"))
        other.execute("BEGIN IMMEDIATE")
        asking = [threading.Thread(target=lambda: server.http.post("/api/cubes/main/list", json={"user": "ben"})) for _ in range(2)]
        for thread in asking:
            thread.start()
            time.sleep(0.5)
        try:
            assert httpx.get(f"{server.url}/health/live", timeout=2).json() == {"status": "live"}
        finally:
            other.execute("ROLLBACK")
            for thread in asking:
                thread.join(SECONDS)


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Host", "evil.example", 421),
        ("Host", "evil.example:80", 421),
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", "http://[", 403),
    ],
)
def test_another_sites_page_does_not_reach_it(server: Server, header: str, value: str, status: int) -> None:
    problem(server.http.post("/api/cubes", json={}, headers={header: value}), status)


def test_open_is_for_this_machine_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loci", "serve", "--vault", str(tmp_path / "v"), "--open", "--host", "0.0.0.0"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 2 and "this machine alone" in done.stderr


# -- the process -------------------------------------------------------------------------------------------------------


def test_it_says_whether_it_is_ready_and_why_not(vault: Path) -> None:
    with serving(vault, "--open") as server:
        assert server.http.get("/health/ready").json() == {"status": "ready", "cubes": 1}
        (vault / "broken.loci").write_bytes(b"this is no cube, and long enough to be read as a header of a file" * 4)
        answer = server.http.get("/health/ready")
        assert answer.status_code == 503 and "broken" in answer.json()["reason"]
        assert server.http.get("/health/live").status_code == 200, "live asks nobody"


@pytest.mark.parametrize("gone", ["the vault", "the cube", "its words"])
def test_it_is_not_ready_and_takes_nothing_when_its_files_are_gone(vault: Path, gone: str) -> None:
    with serving(vault, "--open") as server:
        server.call("cubes/main/add", messages="The dog is Rex.")
        assert server.http.get("/health/ready").status_code == 200
        if gone == "the vault":
            shutil.rmtree(vault)
        elif gone == "the cube":
            for file in vault.glob("main.loci*"):
                file.unlink()
        else:
            with (vault / "main.loci").open("r+b") as file:
                file.write(os.urandom((vault / "main.loci").stat().st_size))
        answer = server.http.get("/health/ready")
        assert answer.status_code == 503 and answer.json()["code"] == ("corrupt" if gone == "its words" else "unavailable"), answer.text
        refused = server.http.post("/api/cubes/main/add", json={"messages": "The cat is Tom."})
        assert refused.status_code == (500 if gone == "its words" else 503), refused.text
        assert refused.json()["code"] == answer.json()["code"]


def test_to_who_has_no_key_it_says_of_what_kind_the_reason_is_and_names_nothing(vault: Path, tmp_path: Path) -> None:
    with serving(vault, log=tmp_path / "log") as server:
        assert server.http.get("/health/ready").json() == {"status": "ready"}
        (vault / "secretname.loci").write_bytes(b"this is no cube, and long enough to be read as a header of a file" * 4)
        answer = server.http.get("/health/ready")
        assert answer.status_code == 503 and answer.json()["code"] == "corrupt"
        assert answer.json()["reason"].startswith("A file of the vault is not what was written: ")
        assert not any(word in answer.text for word in ("secretname", str(vault)))
    assert "secretname" in (tmp_path / "log").read_text()


def test_every_kind_of_error_is_said_in_general() -> None:
    told = {kind: in_general(kind.__new__(kind)) for kind in kinds()}
    assert (
        "newer Loci" in told[NewerSchema]
        and "disk" in told[StorageFull]
        and "holds a file" in told[Locked]
        and "may not open" in told[ReadOnly]
    )
    assert told[JobFailed] == told[Unavailable] and all(words.endswith(" The server's log names it.") for words in told.values())


def test_it_counts_and_names_nobody(server: Server) -> None:
    server.call("cubes/secretname/add", messages="The code word is mandragora.", user="zenobia")
    told = server.http.get("/metrics").text
    assert 'loci_requests_total{status="200",verb="add"}' in told and 'loci_request_seconds_bucket{le="0.005",verb="add"}' in told
    assert not any(word in told for word in ("secretname", "zenobia", "mandragora"))


def test_who_goes_away_before_all_was_said_is_no_mistake_of_ours(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(tmp_path / "vault", "--open", log=log) as server:
        for verb in ("add", "import_file"):
            with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as caller:
                caller.sendall(f"POST /api/cubes/main/{verb} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n[".encode())
        end = time.monotonic() + SECONDS
        while 'status="0"' not in (told := server.http.get("/metrics").text) or told.count('status="0"') < 4:
            assert time.monotonic() < end
        assert 'status="500"' not in told
        assert not list((tmp_path / "vault").glob(".branching-*"))
    assert "Traceback" not in log.read_text() and "failed" not in log.read_text()


def test_its_log_has_no_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(tmp_path / "vault", "--open", "--log", log=log) as server:
        server.call("cubes/secretname/add", messages="The code word is mandragora.", user="zenobia")
        server.fails("cubes/secretname/get", 404, id="mandragora")
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [(line["verb"], line["status"]) for line in lines] == [("add", 200), ("get", 404)]
    assert not any(word in log.read_text() for word in ("secretname", "zenobia", "mandragora"))


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_mistake_of_ours_is_told_without_the_words_it_is_made_of(vault: Path, caplog: pytest.LogCaptureFixture, is_begun: bool) -> None:
    word = "".join(["mandra", "gora"])  # a line of the source is no secret

    async def broken(_: Any) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"The "
            raise ValueError(word)

        if is_begun:
            return StreamingResponse(pieces())
        raise ValueError(word)

    with MemOS.open(vault, embedder="none", background=False) as memory:
        app = Serving(memory, True, (Route("/broken", broken, methods=["POST"]),)).app

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
                return await http.post("/broken")

        if is_begun:
            with pytest.raises(ConnectionAbortedError) as caught:
                anyio.run(ask)
            assert word not in "".join(traceback.format_exception(caught.value))
        else:
            told = problem(anyio.run(ask), 500)
            assert told["code"] == "error" and "ValueError" in told["detail"]
    assert "ValueError" in caplog.text and "test_serve.py" in caplog.text and word not in caplog.text


def test_what_takes_minutes_leaves_room_for_a_question(tmp_path: Path) -> None:
    async def ask() -> list[str]:
        verbs, over, done = Verbs(tmp_path, 2), threading.Event(), list[str]()

        async def long() -> None:
            await verbs.run(lambda: over.wait(SECONDS), "long")
            done.append("long")

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(long)
            await anyio.sleep(0.1)
            await verbs.run(lambda: done.append("short"))
            over.set()
        return done

    assert anyio.run(ask)[0] == "short"
    assert {"activate", "distil", "generate", "run", "verify"} <= {call.verb for call in CUBE_CALLS.values() if call.lane == "long"}


def test_few_searches_compute_at_the_same_time_and_nothing_else_waits_for_them(tmp_path: Path) -> None:
    begun, over, most = list[str](), threading.Event(), 2

    async def ask() -> None:
        verbs = Verbs(tmp_path, 4, most)

        def search() -> None:
            begun.append("search")
            over.wait(SECONDS)

        async with anyio.create_task_group() as group:
            for _ in range(most + 1):
                group.start_soon(verbs.run, search, "search")
            while len(begun) < most:
                await anyio.sleep(0.01)
            await verbs.run(lambda: begun.append("short"))
            over.set()

    anyio.run(ask)
    assert begun == ["search"] * most + ["short", "search"]
    assert [call.verb for call in CUBE_CALLS.values() if call.lane == "search"] == ["search"]


@pytest.mark.parametrize(("cores", "searches"), [(1, 2), (2, 2), (6, 6), (64, 8)])
def test_as_many_searches_compute_as_there_are_cores(monkeypatch: pytest.MonkeyPatch, cores: int, searches: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert computing() == searches


def test_too_much_at_once_is_sent_away_with_when_to_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "vault", "--open") as server:
        server.call("cubes/main/add", messages="The garden is large.")
        statuses: list[httpx.Response] = []

        def ask() -> None:
            with httpx.Client(base_url=server.url, timeout=SECONDS) as http:
                statuses.append(http.post("/api/cubes/main/search", json={"question": "How large is the garden?"}))

        threads = [threading.Thread(target=ask) for _ in range(gate.MAX_WAITING + 150)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in statuses} <= {200, 503} and any(a.status_code == 200 for a in statuses)
        for answer in statuses:
            if answer.status_code == 503:
                assert answer.headers["retry-after"] == "1" and problem(answer, 503)["code"] == "unavailable"
        assert server.call("cubes/main/list")["items"], "and it goes on"


def test_an_interrupt_lets_it_finish_what_it_began(tmp_path: Path) -> None:
    talk = json.dumps([{"role": "user", "content": f"Room {n} is cold and its door is {n % 7}."} for n in range(4000)])
    with serving(tmp_path / "vault", "--open") as server:
        answers: list[httpx.Response] = []
        ask = threading.Thread(
            target=lambda: answers.append(server.http.post("/api/cubes/main/import_file", params={"name": "t.json"}, content=talk))
        )
        ask.start()
        time.sleep(0.5)
        server.process.send_signal(signal.SIGINT)
        ask.join(SECONDS)
        assert server.process.wait(SECONDS) == 0
        assert [answer.json()["added"] for answer in answers] == [4000]
    with MemOS.open(tmp_path / "vault", embedder="none", background=False) as memory:
        assert memory.cube("main").stats()["sources"] == 4000


BODIES = ("/api/cubes/main/add", "/api/cubes/main/import_file?name=t.json", "/v3/memories/add/", "/mcp", "/v1/chat/completions")


def half_sent(url: str, path: str, body: bytes = b"{}", length: int = 1000) -> socket.socket:
    """A connection over which a request has begun to come."""
    parts = httpx.URL(url)
    sent = socket.create_connection((parts.host, parts.port), timeout=SECONDS)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.host}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
    )
    sent.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)
    return sent


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_never_comes_is_not_waited_for_at_the_end(tmp_path: Path, how: signal.Signals) -> None:
    """Nothing is begun before a body is here, and what comes soon after is a request still."""
    added = b'{"messages": "I live in Porto.", "user": "ann"}'
    with serving(tmp_path / "vault", "--open", "--upstream", "http://127.0.0.1:9/v1") as server, contextlib.ExitStack() as stack:
        halves = [stack.enter_context(half_sent(server.url, path, b'{"mess')) for path in BODIES]
        late = stack.enter_context(half_sent(server.url, BODIES[0], added[:9], len(added)))
        time.sleep(1)
        server.process.send_signal(how)
        time.sleep(1)
        assert server.process.poll() is None
        late.sendall(added[9:])
        assert b" 200 " in late.makefile("rb").readline()
        assert server.process.wait(15) == 0
        assert all(b" 200 " not in half.makefile("rb").readline() for half in halves)
    with MemOS.open(tmp_path / "vault", embedder="none", background=False) as memory:
        assert [found.text for found in memory.cube("main").list()] == ["I live in Porto."]


def test_a_body_that_trickles_is_given_up_on_and_one_that_comes_is_not(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coming, "SECONDS", 1.0)
    refused, answers = list[tuple[int, str | None, str]](), list[httpx.Response]()

    def steady() -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.3)
            yield b" " * 1000
        yield b'{"user": "ana"}'

    def trickle(url: str) -> None:
        with half_sent(url, "/api/cubes/main/list", b"{") as sent:
            for _ in range(60):
                if select.select([sent], [], [], 0.1)[0]:
                    break
                sent.sendall(b" ")
            answer = http.client.HTTPResponse(sent)
            answer.begin()
            refused.append((answer.status, answer.getheader("Connection"), json.loads(answer.read())["detail"]))

    def ask(url: str) -> None:
        try:
            slow = threading.Thread(target=trickle, args=(url,))
            slow.start()
            answers.append(httpx.post(f"{url}/api/cubes/main/list", content=steady(), timeout=SECONDS))
            slow.join(SECONDS)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    share = divided(listening("127.0.0.1", 0))
    with MemOS.open(vault, embedder="none", background=False) as memory:
        thread = threading.Thread(target=ask, args=(f"http://127.0.0.1:{share.taken.getsockname()[1]}",))
        anyio.run(app.serve, Serving(memory, True, tuple(Verbs(vault).routes())), share, thread.start)
        thread.join(SECONDS)
    assert [(status, how) for status, how, _ in refused] == [(408, "close")] and "Send it again" in refused[0][2]
    assert [found["text"] for found in answers[0].json()["items"]] == ["I live in Porto."]


def test_what_takes_long_is_waited_for(vault: Path) -> None:
    began, answers = threading.Event(), list[str]()

    async def slow(_: Any) -> Any:
        return await anyio.to_thread.run_sync(lambda: began.set() or time.sleep(3) or Response("done"))

    share = divided(listening("127.0.0.1", 0))
    with MemOS.open(vault, embedder="none", background=False) as memory:
        url = f"http://127.0.0.1:{share.taken.getsockname()[1]}/slow"

        def ask() -> None:
            answers.append(httpx.post(url, timeout=SECONDS).text)

        def interrupt() -> None:
            began.wait(SECONDS)
            os.kill(os.getpid(), signal.SIGINT)

        threads = [threading.Thread(target=ask), threading.Thread(target=interrupt)]
        serving = Serving(memory, True, (Route("/slow", slow, methods=["POST"]),))
        anyio.run(app.serve, serving, share, lambda: [thread.start() for thread in threads])
        for thread in threads:
            thread.join(SECONDS)
    assert answers == ["done"]


def test_a_kill_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    failed: list[Exception] = []
    with pytest.raises(AssertionError), serving(tmp_path / "vault", "--open") as server:

        def ask(thread: int) -> None:
            with httpx.Client(base_url=server.url, timeout=SECONDS) as http:
                for n in range(10_000):
                    try:
                        answer = http.post("/api/cubes/main/add", json={"messages": f"Box {thread}-{n} is full.", "user": f"u{thread}"})
                    except httpx.TransportError as error:
                        failed.append(error)
                        return
                    assert answer.status_code == 200, answer.text
                    acknowledged.append(answer.json()["ids"][0])

        threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        server.process.kill()
        for thread in threads:
            thread.join()
    assert len(acknowledged) > 20 and len(failed) == 6
    with MemOS.open(tmp_path / "vault", embedder="none", background=False) as memory:
        held = {one.id for one in memory.cube("main").list(limit=1_000_000)}
        assert set(acknowledged) <= held and memory.verify().is_clean


def test_hosts_of_models_find_their_protocol_on_the_same_port(vault: Path) -> None:
    key = key_for(vault, "ana", "reader", user="ana")
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_memories", "arguments": {"user": "ana"}}}
    accept = {"Accept": "application/json, text/event-stream"}
    with serving(vault) as server:
        problem(server.http.post("/mcp", json=asked, headers=accept), 401)
        answer = server.http.post("/mcp", json=asked, headers={**accept, "Authorization": f"Bearer {key}"})
        assert "I live in Porto." in answer.json()["result"]["structuredContent"]["text"]


def test_hosts_of_models_elsewhere_reach_it_by_its_name(vault: Path) -> None:
    key = key_for(vault, "ana", "reader", user="ana")
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    named = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {key}", "Host": "vault.example:8377"}
    with serving(vault, "--host", "0.0.0.0") as server:
        assert server.http.post("/mcp", json=asked, headers=named).json()["result"]["tools"]


def test_what_a_model_writes_through_the_protocol_informs_and_no_more(server: Server) -> None:
    asked = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "add_memory", "arguments": {"messages": "The pond is deep.", "cube": "told"}},
    }
    server.http.post("/mcp", json=asked, headers={"Accept": "application/json, text/event-stream"})
    assert [one["origin"]["trust"] for one in server.call("cubes/told/list")["items"]] == ["reported"]


def test_what_mem0_s_clients_search_waits_with_the_searches(vault: Path) -> None:
    lanes = list[str]()

    async def run(work: Callable[[], Response], lane: str) -> Response:
        lanes.append(lane)
        return work()

    async def ask(asked: Serving) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asked.app), base_url="http://localhost") as http:
            for path in ("/search", "/v1/memories/search/", "/v2/memories/search/", "/v3/memories/search/"):
                (await http.post(path, json={"query": "x", "filters": {"user_id": "ann"}, "user_id": "ann"})).json()
            (await http.get("/memories", params={"user_id": "ann"})).json()

    with MemOS.open(vault, embedder="none", background=False) as memory:
        asyncio.run(ask(Serving(memory, True, tuple(Mem0("main", run).routes()))))
    assert lanes == ["search"] * 4 + ["short"]


def test_what_hosts_of_models_search_waits_with_the_searches(vault: Path) -> None:
    lanes = list[str]()

    async def run(work: Callable[[], Any], lane: str = "short") -> Any:
        lanes.append(lane)
        return work()

    async def ask() -> None:
        room = Room("main", {}, Trust.TRUSTED, run=run)
        served = Serving(memory, True, (room.route(),))
        calls: list[tuple[str, dict[str, Any]]] = [
            ("tools/call", {"name": "search_memories", "arguments": {"question": "Porto?"}}), ("tools/call", {"name": "list_memories", "arguments": {}}),
            ("prompts/get", {"name": "recall", "arguments": {"question": "Porto?"}}), ("tools/list", {}),
        ]  # fmt: skip
        async with anyio.create_task_group() as group:
            group.start_soon(room.run)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(served.app), base_url="http://localhost") as http:
                for method, params in calls:
                    asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                    told = (await http.post("/mcp", json=asked, headers={"Accept": "application/json, text/event-stream"})).json()
                    assert "result" in told and not told["result"].get("isError"), told
            group.cancel_scope.cancel()

    with MemOS.open(vault, embedder="none", background=False) as memory:
        anyio.run(ask)
    assert lanes == ["search", "short", "search", "short"]
    assert [tool.name for tool in TOOLS.values() if tool.verb == "search"] == [SEARCH]


def test_a_mistake_of_ours_is_told_in_the_shape_of_its_room(vault: Path) -> None:
    async def run(_: object, lane: str) -> Response:
        raise ZeroDivisionError(f"a word of somebody's, {lane}")

    async def ask(asked: Serving) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asked.app), base_url="http://localhost") as http:
            return await http.post("/search", json={"query": "x"})

    with MemOS.open(vault, embedder="none", background=False) as memory:
        mem0 = Mem0("main", run)
        told = asyncio.run(ask(Serving(memory, True, tuple(mem0.routes()), refusal=mem0.refusal)))
    assert told.status_code == 500 and told.headers["content-type"] == "application/json" and told.json()["error"] == "error"
    assert "ZeroDivisionError" in told.text and "somebody" not in told.text


def test_an_answer_is_sent_at_once() -> None:
    (taken,) = listening("127.0.0.1", 0)
    with taken, socket.create_connection(taken.getsockname()), taken.accept()[0] as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "else its second part waits for the first one's confirmation"

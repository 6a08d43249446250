"""A program that moves from a folder to a server changes one line: the same calls, answers and errors, through `loci.connect`."""

from __future__ import annotations

import contextlib
import errno
import inspect
import json
import os
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from served import SECONDS, Server, serving

import loci
from loci import Channel, MemOS, Message, Recall
from loci.errors import Conflict, Denied, IllegalMove, Invalid, Malformed, Missing, Unavailable, Unsupported, VersionConflict
from loci.remote import RemoteCube, RemoteSystem
from loci.system import Cube, System, table

MAY = datetime(2026, 5, 2, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("open") / "vault", "--open") as running:
        yield running


@pytest.fixture(params=["folder", "server"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """The same tests on a vault in a folder, and on one behind a server."""
    if request.param == "folder":
        with MemOS.open(tmp_path / "vault", embedder="none") as opened:
            yield opened
    else:
        running = request.getfixturevalue("server")
        with loci.connect(running.url) as opened:
            yield opened


@pytest.fixture
def cube(memory: System, request: pytest.FixtureRequest) -> Cube:
    return memory.cube(f"c{abs(hash(request.node.name))}")


def test_every_verb_is_there_with_its_own_signature() -> None:
    for kind, remote, staying in ((Cube, RemoteCube, table.STAYING), (System, RemoteSystem, table.VAULT_STAYING)):
        verbs = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
        assert verbs <= set(dir(remote))
        for verb in verbs - set(staying) - {"list", "log", "generate", "export", "import_file"}:
            assert inspect.signature(getattr(remote, verb)) == inspect.signature(getattr(kind, verb)), verb


def test_a_long_log_comes_whole_and_in_order(memory: System, cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    """More records than come in one answer."""
    monkeypatch.setattr(loci.remote, "PAGE", 4)
    for n in range(30):
        cube.protect(quota=n + 100)
    last = cube.log(limit=1)[0].seq
    assert [record.seq for record in cube.log(limit=500)] == list(range(1, last + 1))
    assert [record.seq for record in cube.log(limit=9, before=last)] == list(range(last - 9, last))
    assert [record.seq for record in cube.log(limit=2, verb="protect")] == [last - 1, last] and cube.log(limit=0) == []
    for n in range(9):
        memory.grant(f"guest {n}", "reader", cube="main")
    assert len([record for record in memory.log(limit=500) if record.object and record.verb == "grant"]) >= 9


def test_a_walk_shows_each_memory_once_whatever_is_done_meanwhile(cube: Cube) -> None:
    ids = cube.add([Message("user", f"House {n} is blue.") for n in range(9)], user="ana").ids
    seen = []
    for memory in cube.walk(step=2, user="ana"):
        seen.append(memory.id)
        if len(seen) == 4:
            cube.erase(ids[1])
            cube.forget(ids[2])
            cube.add("House 9 is blue.", user="ana")
            cube.erase(ids[7])
    assert seen == [id for id in ids if id != ids[7]]
    assert [memory.id for memory in cube.walk(user="nobody")] == []


def test_what_is_remembered_is_found_corrected_and_explained(cube: Cube) -> None:
    receipt = cube.add([Message("user", "I live in Porto.", at=MAY, speaker="Ana")], user="ana")
    (id,) = receipt.ids
    found = cube.search("Where does Ana live?", user="ana", as_of=MAY + timedelta(days=1))
    assert isinstance(found, Recall) and found.ids == (id,) and found.hits[0].memory.at == MAY
    assert cube.update(cube.get(id), "I live in Lisbon.", reason="moved").changes[0].after == 2
    with pytest.raises(VersionConflict) as caught:
        cube.update(replace(cube.get(id), version=1), "I live in Faro.")
    assert (caught.value.expected, caught.value.found) == (1, 2)
    assert [version.text for version in cube.history(id)] == ["I live in Porto.", "I live in Lisbon."]
    why = cube.why(id)
    assert why.sources[0].message.text == "I live in Porto." and why.memory == cube.get(id)
    assert cube.why_not("Where?", id, user="ana") is not None
    assert cube.move(id, "freeze").changes[0].outcome == "moved"
    with pytest.raises(IllegalMove):
        cube.move(id, "freeze")
    cube.move(id, "thaw")
    assert cube.cite([id]) == (id,)
    assert cube.restore(id, to=1).ids == () and cube.get(id).text == "I live in Porto."


def test_a_cube_that_is_new_is_there_and_empty(memory: System, request: pytest.FixtureRequest) -> None:
    name = f"fresh{abs(hash(request.node.name))}"
    assert name not in memory.cubes()
    with pytest.raises(Missing):
        memory.cube(name, create=False)
    fresh = memory.cube(name)
    assert not fresh.search("hello?", user="a").hits and fresh.list() == [] and fresh.count().total == 0 and fresh.stats()["findable"] == 0
    assert name in memory.cubes() and memory.cube(name, create=False).log() is not None
    for wrong in ("../x", "", "a b"):
        with pytest.raises(Invalid, match="no name for a cube"):
            memory.cube(wrong)


def test_who_may_not_make_a_cube_makes_none_by_asking(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.grant("ana", "writer", cube="*")
        memory.grant("ben", "owner", cube="bens")
        ana, ben, nobody = (memory.issue_key(name)[1] for name in ("ana", "ben", "nobody"))
    with serving(tmp_path / "vault") as server:
        with loci.connect(server.url, ana) as mine, pytest.raises(Missing, match="Its owner makes it by adding to it"):
            mine.cube("later")
        with loci.connect(server.url, nobody) as mine, pytest.raises(Denied):
            mine.cube("later")
        assert not (tmp_path / "vault" / "later.loci").exists()
        with loci.connect(server.url, ben) as mine:
            assert mine.cube("bens").list() == [] == mine.cube("bens", create=False).list()


def test_a_moment_can_be_asked_and_compared(cube: Cube) -> None:
    before = datetime.now(UTC)
    cube.add("I live in Porto.", user="ana", channel=Channel.USER)
    told = cube.diff(before, datetime.now(UTC), known=True)
    assert told == cube.diff(before, datetime.now(UTC), known=True) or told is not None
    assert cube.list(known_at=before) == [] and len(cube.list()) == 1


def test_a_long_list_comes_whole(cube: Cube) -> None:
    cube.add([Message("user", f"House {n} is blue.", id=str(n)) for n in range(1203)])
    assert len(cube.list()) == 100
    assert [m.text for m in cube.list(limit=2000)] == [f"House {n} is blue." for n in range(1203)]
    assert [m.text for m in cube.list(limit=3, offset=1100)] == [f"House {n} is blue." for n in range(1100, 1103)]


def test_a_write_is_done_once_for_its_key(cube: Cube) -> None:
    assert cube.once("k").add("The garden is large.") == cube.once("k").add("The garden is large.")
    with pytest.raises(Conflict, match="another call"):
        cube.once("k").add("It has a pond.")
    cube.add("The gate is green.")
    cube.add("The gate is green.")
    assert len(cube.list()) == 3, "without a key it is two writes"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda c: c.get("01M8129K8KCX4ST3XS33N7G9M4"), Missing),
        (lambda c: c.search(""), Invalid),
        (lambda c: c.add("x", channel="pigeon"), Invalid),
        (lambda c: c.search("x", types=["rumour"]), Invalid),
        (lambda c: c.erase(), Invalid),
        (lambda c: c.import_file(__file__, format="messages"), Malformed),
    ],
)
def test_errors_are_the_same(cube: Cube, call: Any, error: type[Exception]) -> None:
    cube.add("The garden is large.")
    with pytest.raises(error):
        call(cube)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m, c: c.search("x", limit="5"), "limit"),
        (lambda m, c: c.search("x", limit=5.5), "limit"),
        (lambda m, c: c.search("x", limit=True), "limit"),
        (lambda m, c: c.search("x", budget_tokens="many"), "budget_tokens"),
        (lambda m, c: c.search("x", types="fact"), "must be a list"),
        (lambda m, c: c.list(limit=None), "limit"),
        (lambda m, c: c.list(limit="5"), "limit"),
        (lambda m, c: c.list(limit=True), "limit"),
        (lambda m, c: c.list(user=5), "must be a string"),
        (lambda m, c: c.add("x", priority=True), "priority"),
        (lambda m, c: c.add("x", derived_from="01M8129K8KCX4ST3XS33N7G9M4"), "must be a list"),
        (lambda m, c: c.branch(None), "name|cube"),
        (lambda m, c: c.branch(5), "must be a string"),
        (lambda m, c: m.cube(None), "name|cube"),
        (lambda m, c: m.cube(["x"]), "must be a string"),
        (lambda m, c: m.cube("../x").list(), "no name for a cube"),
        (lambda m, c: m.grant(None, None, cube=None), "principal|cube"),
        (lambda m, c: m.grant("ana", "reader", cube=5), "cube"),
    ],
)
def test_what_is_asked_wrongly_is_invalid_at_each_door(memory: System, cube: Cube, call: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        call(memory, cube)
    assert cube.list() == []


def test_a_folder_that_is_no_path_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Invalid, match="no path"):
        MemOS.open(5)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_missing(cube: Cube, tmp_path: Path) -> None:
    with pytest.raises(Missing, match="There is no file"):
        cube.import_file(tmp_path / "nope.jsonl")


def test_a_file_goes_in_with_progress_and_comes_out(cube: Cube, tmp_path: Path) -> None:
    talk = tmp_path / "talk.jsonl"
    talk.write_text("".join(f'{{"role": "user", "text": "Room {n} is cold."}}\n' for n in range(50)))
    steps: list[tuple[int, int]] = []
    assert cube.import_file(talk, user="ana", progress=lambda *step: steps.append(step)).added == 50
    assert steps[-1] == (50, 50)
    assert cube.export(tmp_path / "out.jsonl")["memories"] == 50
    with pytest.raises(Conflict):
        cube.export(tmp_path / "out.jsonl")
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["out.jsonl", "talk.jsonl"]


def test_grants_keys_and_logs(memory: System, cube: Cube) -> None:
    grant = memory.grant("ana", "reader", cube=cube.name, user="ana", expires=datetime(2030, 1, 1, tzinfo=UTC))
    assert grant in memory.grants()
    key, secret = memory.issue_key("ana", role="reader")
    issued = memory.keys()
    assert secret and key.id in {one.id for one in issued}
    memory.revoke(grant.id)
    cube.add("The garden is large.")
    assert any(record.verb == "add" for record in cube.log()) and cube.head().hash
    assert memory.verify(kept=memory.heads()).is_clean
    assert cube.stats()["findable"] == 1 and cube.name in memory.cubes()


def test_a_branch_is_a_cube(cube: Cube) -> None:
    cube.add("The garden is large.")
    branch = cube.branch(f"{cube.name}-b")
    branch.add("It has a pond.")
    assert (len(branch.list()), len(cube.list())) == (2, 1)


def test_a_pipeline_runs_there(cube: Cube) -> None:
    cube.add("The garden is large.", user="ana")
    ran = cube.run({"name": "look", "steps": [{"verb": "search", "with": {"question": "How large is the garden?"}}]})
    assert ran.is_done and ran.steps[0].verb == "search"


def test_what_a_network_cannot_carry_says_so(server: Server, tmp_path: Path) -> None:
    with loci.connect(server.url) as memory:
        for call in (
            lambda: memory.encrypt("main"), lambda: memory.cube("main").conversation(session="s"), lambda: memory.cube("main").prepare("x"),
            lambda: memory.cube("main").export(tmp_path / "x", sign=tmp_path / "key"), lambda: memory.acting("ana"),
        ):  # fmt: skip
            with pytest.raises(Unsupported):
                call()
        with pytest.raises(TypeError):
            memory.cube("main").search("x", colour="blue")  # type: ignore[call-arg]


def test_a_key_is_sent_and_what_it_may_not_is_denied(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.cube("main").add("I live in Porto.", user="ana")
        memory.grant("ana", "reader", cube="main", user="ana")
        key = memory.issue_key("ana")[1]
    with serving(tmp_path / "vault") as server, loci.connect(server.url, key) as mine, loci.connect(server.url) as nobodys:
        assert [one.text for one in mine.cube("main").list(user="ana")] == ["I live in Porto."]
        for call in (lambda: mine.cube("main").list(), lambda: nobodys.cubes(), lambda: mine.keys()):
            with pytest.raises(Denied):
                call()


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """The address of something that answers its requests so, one connection for each, whatever they are."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for one in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(one)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):  # what is closed unread is a reset, which may overtake the answer
                        pass

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(SECONDS)


CUBE = b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{"cube":"main"}'
LIVE = b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 17\r\n\r\n{"status":"live"}'


def test_an_export_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text("an older export")
    cut = b'HTTP/1.1 200 OK\r\nX-Loci-Export: {"memories": 9}\r\nContent-Length: 900\r\n\r\nonly the beginning'
    with answering(LIVE, CUBE, cut) as url, loci.connect(url) as memory, pytest.raises(Unavailable, match="broke off"):
        memory.cube("main").export(file, overwrite=True)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("out.jsonl", "an older export")]


def test_an_export_whose_connection_is_reset_is_no_fault_of_the_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reset(answer: IO[bytes], saved: IO[bytes]) -> None:
        saved.write(answer.read(4))
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr("shutil.copyfileobj", reset)
    whole = b'HTTP/1.1 200 OK\r\nX-Loci-Export: {"memories": 9}\r\nContent-Length: 18\r\n\r\nonly the beginning'
    with answering(LIVE, CUBE, whole) as url, loci.connect(url) as memory, pytest.raises(Unavailable, match="broke off"):
        memory.cube("main").export(tmp_path / "out.jsonl")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 2\r\n\r\n{}",
        b'HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\n{"code": 40}',
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_what_is_no_server_of_ours_is_said_to_be_none(answer: bytes) -> None:
    with answering(answer) as url, pytest.raises(Unavailable, match="loci serve"):
        loci.connect(url)


@pytest.mark.parametrize("url", ["127.0.0.1:8377", "http://", "http://[::1", "http://localhost:none", "http://localhost:99999", "ftp://x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="no address"):
        loci.connect(url)


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_a_connection_goes_with_its_thread_and_stays_with_its_process(server: Server) -> None:
    with loci.connect(server.url) as memory:
        folder = Path("/proc/self/fd")
        before = len(list(folder.iterdir()))
        for _ in range(20):
            thread = threading.Thread(target=memory.cubes)
            thread.start()
            thread.join()
        assert len(list(folder.iterdir())) < before + 10
        mine = memory._link._local.connection.sock.getsockname()  # type: ignore[attr-defined]
        reading, writing = os.pipe()
        if not os.fork():
            try:
                memory.cubes()
                os.write(writing, json.dumps(memory._link._local.connection.sock.getsockname()).encode())  # type: ignore[attr-defined]
            finally:
                os._exit(0)
        os.close(writing)
        assert tuple(json.loads(os.read(reading, 1 << 10))) != mine
        os.wait()
        assert memory.cubes() is not None


def test_where_nothing_answers_it_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="loci serve"):
        loci.connect("http://127.0.0.1:9")
    with serving(tmp_path / "vault", "--open") as server:
        memory = loci.connect(server.url)
        memory.cube("main").add("The garden is large.")
    with pytest.raises(Unavailable):
        memory.cube("main").list()
    with serving(tmp_path / "vault", "--open", "--port", server.url.rsplit(":", 1)[1]):
        assert len(memory.cube("main").list()) == 1, "and when it is back, the same connection goes on"


SAID = ("I like tea.", "I like jam.")


def said(text: str) -> Message:
    return Message("user", text)


@pytest.mark.parametrize(
    "words",
    [
        lambda: (Message("user", text) for text in SAID),
        lambda: map(said, SAID),
        lambda: iter([{"role": "user", "content": text} for text in SAID]),
        lambda: {text: Message("user", text) for text in SAID}.values(),
    ],
)
def test_messages_of_an_iterator_are_the_messages(cube: Cube, words: Any) -> None:
    assert len(cube.add(words()).ids) == 2
    assert [memory.text for memory in cube.list()] == list(SAID)
    assert cube.once("k").add(words()) == cube.once("k").add(words()), "and the same ones, asked again"


def test_messages_without_words_are_left_out_as_they_are_here(cube: Cube) -> None:
    calls = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    receipt = cube.add(
        [
            {"role": "user", "content": SAID[0]},
            calls,
            {"role": "user", "content": [{"type": "text", "text": SAID[1]}, {"type": "image_url"}]},
            {"role": "assistant", "content": ""},
            {"type": "reasoning", "summary": []},
        ]
    )
    assert [memory.text for memory in cube.list()] == list(SAID)
    assert [change.reason for change in receipt.changes if change.outcome == "refused"] == [
        "Message 2 has no words, only tool_calls.", "Message 4 has no words.", "Message 5 has no words, only reasoning.",
    ]  # fmt: skip


def test_what_a_message_names_beside_its_fields_is_noted(cube: Cube) -> None:
    told = [{"role": "user", "text": text, "id": uuid.UUID(int=place), "trust": object()} for place, text in enumerate(SAID)]
    cube.add(told)
    assert [memory.text for memory in cube.list()] == list(SAID)
    assert cube.log(verb="add")[-1].detail["ignored"] in (["trust"], ("trust",))


@pytest.mark.parametrize(
    "call",
    [
        lambda c, id: c.add(b"I like tea."),
        lambda c, id: c.add(Path("/etc/passwd")),
        lambda c, id: c.add(ValueError("boom")),
        lambda c, id: c.add([b"I like tea."]),
        lambda c, id: c.add(Message("user", b"I like tea.")),
        lambda c, id: c.add(Message("user", "x", metadata={"o": object()})),
        lambda c, id: c.add("x", user=b"ann"),
        lambda c, id: c.add("x", user=5),
        lambda c, id: c.add("x", metadata={"o": object()}),
        lambda c, id: c.add("x", metadata={1: 2}),
        lambda c, id: c.add("x", metadata={"s": {1}}),
        lambda c, id: c.add("x", metadata={"at": MAY}),
        lambda c, id: c.add("x", expires="tomorrow"),
        lambda c, id: c.update(id, b"new"),
        lambda c, id: c.update(id, (word for word in "new")),
        lambda c, id: c.search(b"tea"),
        lambda c, id: c.search("tea", where={"at": MAY}),
        lambda c, id: c.search("tea", where={"at": b"x"}),
        lambda c, id: c.list(user=Path("ann")),
        lambda c, id: c.forget(id, reason=b"why"),
    ],
)
def test_what_is_no_such_value_is_refused_and_changes_nothing(cube: Cube, call: Any) -> None:
    (id,) = cube.add("I like tea.").ids
    with pytest.raises(Invalid):
        call(cube, id)
    assert [(memory.text, memory.scope.user, memory.version) for memory in cube.list()] == [("I like tea.", None, 1)]

"""What other memory systems keep comes in once, with its ids, times and changes, and what cannot come in is named."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import exports
import pytest
from exports import ALL, ANA, CAT, MEMOS_NODES, TEA

from loci import Message
from loci.errors import Invalid, Locked, Malformed, TooLarge
from loci.infrastructure import dumper, loader
from loci.operation.importing import Imported
from loci.system import Cube
from loci.types import Channel, Memory, Outcome, Role, State, Trust
from loci.wire import MemOS

KNOWN = (
    "claude",
    "claude-zip",
    "mem0-json",
    "mem0-history",
    "mem0-qdrant",
    "mem0-folder",
    "graphiti",
    "zep",
    "memos",
    "letta",
    "letta-blocks",
    "langgraph",
)


@pytest.fixture
def cube(open_vault: Callable[..., MemOS]) -> Cube:
    return open_vault().cube("main")


def everything(cube: Cube) -> list[tuple[object, ...]]:
    every = [cube.history(id) for id in dumper._memories(cube._store)]
    return [(m.id, m.text, m.version, m.valid, m.state, m.reason, m.ending, m.origin) for versions in every for m in versions]


def by_foreign_id(cube: Cube) -> Mapping[str, list[Memory]]:
    """Every memory's versions, by the id of the message that it came as."""
    named = {s.id: s.message.id for s in cube._store.sources()}
    every = [cube.history(id) for id in dumper._memories(cube._store)]
    return {str(named[versions[0].spans[0].source]): versions for versions in every if versions[0].part == "turn"}


def outcomes(done: Imported, outcome: Outcome) -> dict[str, str]:
    return {item.item: item.reason for item in done.items if item.outcome is outcome}


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[misc,arg-type]


# -- what holds for every one of them --------------------------------------------------------------------------------------------


def test_every_fixture_is_tried() -> None:
    assert set(ALL) == set(KNOWN) and {format for format, _ in ALL.values()} <= set(loader.FORMATS)


@pytest.mark.parametrize("name", KNOWN)
def test_a_second_import_changes_nothing(cube: Cube, tmp_path: Path, name: str) -> None:
    path = ALL[name][1](tmp_path)
    first = cube.import_file(path)
    before = everything(cube), cube.log(), cube.fingerprint()
    second = cube.import_file(path)
    assert first.added == first.messages > 0 and (second.added, second.changed) == (0, 0)
    assert second.known == first.messages and second.refused == first.refused
    assert (everything(cube), cube.log(), cube.fingerprint()) == before
    assert cube.verify().is_clean
    assert {s.channel for s in cube._store.sources()} == {Channel.IMPORT}


@pytest.mark.parametrize("name", KNOWN)
def test_a_dry_run_says_what_an_import_does_and_does_nothing(cube: Cube, tmp_path: Path, name: str) -> None:
    path = ALL[name][1](tmp_path)
    told = cube.import_file(path, dry_run=True)
    assert told.is_dry_run and cube._store.is_empty() and not cube.log() and not cube.list()
    done = cube.import_file(path)
    counts = ("messages", "added", "known", "changed", "refused", "memories", "superseded", "quarantined", "notes")
    assert [getattr(told, c) for c in counts] == [getattr(done, c) for c in counts]
    assert [(i.item, i.outcome) for i in told.items] == [(i.item, i.outcome) for i in done.items]
    again = cube.import_file(path, dry_run=True)
    assert again.added == 0 and everything(cube)


@pytest.mark.parametrize("name", KNOWN)
def test_the_format_is_told_by_what_is_in_it(tmp_path: Path, name: str) -> None:
    format, make = ALL[name]
    path = make(tmp_path)
    assert loader.read(path) == loader.read(path, format)
    if path.is_file() and path.suffix != ".zip":
        renamed = path.rename(path.with_name("anything.txt"))
        assert [t.messages for t in loader.read(renamed)] == [t.messages for t in loader.read(renamed, format)]


@pytest.mark.parametrize("name", KNOWN)
def test_every_item_is_accounted_for(cube: Cube, tmp_path: Path, name: str) -> None:
    done = cube.import_file(ALL[name][1](tmp_path))
    added = [item.memory for item in done.items if item.outcome is Outcome.ADDED]
    turns = set(dumper._memories(cube._store))
    assert len(added) == done.added and {memory for memory in added if memory} <= turns
    assert len(outcomes(done, Outcome.REFUSED)) == done.refused and all(item.reason for item in done.items)


def test_an_import_that_was_cut_off_ends_as_one_would_have(open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    """Cut off after the messages, before what became of them."""
    memory, path = open_vault(), exports.mem0_folder(tmp_path)
    whole, torn = memory.cube("whole"), memory.cube("torn")
    whole.import_file(path)

    def stop(done: int, total: int) -> None:
        if done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        torn.import_file(path, progress=stop)
    assert not any(len(v) > 1 for v in by_foreign_id(torn).values())
    torn.import_file(path)
    plain = lambda c: sorted((m[1], m[2], m[3], m[4], m[5]) for m in everything(c))  # noqa: E731
    assert plain(torn) == plain(whole)


# -- Claude ----------------------------------------------------------------------------------------------------------------------


def test_claude(cube: Cube, tmp_path: Path) -> None:
    done = cube.import_file(exports.claude(tmp_path))
    said = [(s.message.role, s.message.text, s.message.id, s.message.session, s.message.at, s.trust) for s in cube._store.sources()]
    assert said == [
        ("user", "I drink tea, never coffee.", "m1", "c1", at(2025, 2, 3, 9, 0, 0, 123456), Trust.TRUSTED),
        ("tool", "Soup is on Mondays.", "m1/menu.txt", "c1", at(2025, 2, 3, 9, 0, 0, 123456), Trust.UNTRUSTED),
        ("assistant", "Tea it is.", "m2", "c1", at(2025, 2, 3, 9, 0, 5), Trust.UNTRUSTED),  # made of what was attached, for all we know
    ]
    assert any("'thinking' was not read" in note for note in done.notes) and any("attached files" in note for note in done.notes)


# -- mem0 ------------------------------------------------------------------------------------------------------------------------


def test_mem0_changes_become_versions(cube: Cube, tmp_path: Path) -> None:
    done = cube.import_file(exports.mem0_folder(tmp_path))
    known = by_foreign_id(cube)
    assert [(m.text, m.valid.start, m.valid.end, m.reason) for m in known[ANA]] == [
        ("Lives in Porto", at(2025, 3, 1, 10), at(2025, 5, 2, 9), "remembered"),
        ("Lives in Lisbon", at(2025, 5, 2, 9), None, "mem0: UPDATE e4"),
    ]
    assert [m.text for m in cube.list(as_of=at(2025, 4, 1), user="ana") if m.id == known[ANA][0].id] == ["Lives in Porto"]
    assert (
        known[CAT][-1].state is State.EXPIRED
        and known[CAT][-1].ending == "mem0: DELETE e5"
        and known[CAT][-1].valid.end == at(2025, 6, 1, 9)
    )
    assert {known[ANA][-1].scope.user, known[TEA][-1].scope.user} == {"ana"} and known[TEA][-1].scope.session == "r1"
    assert known[ANA][-1].origin.trust is Trust.REPORTED, "a model put it into words"
    assert done.changed == 2 and known["s1"][0].origin.trust is Trust.TRUSTED, "word for word"


def test_mem0_json_after_its_words_changed_there(cube: Cube, tmp_path: Path) -> None:
    path = exports.mem0_json(tmp_path)
    assert outcomes(cube.import_file(path), Outcome.REFUSED) == {CAT: "there are no words in it"}
    assert by_foreign_id(cube)[TEA][-1].valid.end == at(2026, 1, 1), "through the day that it names"
    told = json.loads(path.read_text())
    told["results"][0] |= {"memory": "Lives in Braga", "updated_at": "2025-09-01T09:00:00+00:00"}
    path.write_text(json.dumps(told))
    done = cube.import_file(path)
    assert (done.added, done.changed) == (0, 1)
    assert [m.text for m in by_foreign_id(cube)[ANA]] == ["Lives in Lisbon", "Lives in Braga"]
    assert cube.import_file(path).changed == 0


def test_what_was_changed_here_is_not_overruled_by_a_file(cube: Cube, tmp_path: Path) -> None:
    path = exports.mem0_json(tmp_path)
    cube.import_file(path)
    cube.update(by_foreign_id(cube)[ANA][0].id, "Lives in Faro")
    told = json.loads(path.read_text())
    told["results"][0] |= {"memory": "Lives in Braga", "updated_at": "2025-09-01T09:00:00+00:00"}
    path.write_text(json.dumps(told))
    done = cube.import_file(path)
    assert "it was changed here since" in outcomes(done, Outcome.REFUSED)[ANA]
    assert [m.text for m in by_foreign_id(cube)[ANA]] == ["Lives in Lisbon", "Lives in Faro"]


def test_the_changes_after_the_memories_find_them_by_their_ids(cube: Cube, tmp_path: Path) -> None:
    cube.import_file(exports.qdrant(tmp_path))
    done = cube.import_file(exports.mem0_history(tmp_path))
    known = by_foreign_id(cube)
    assert done.added == 3 and set(known) == {ANA, TEA, CAT, "s1", "s2"}
    assert [m.text for m in known[ANA]] == ["Lives in Lisbon"] and known[ANA][0].scope.user == "ana"


@pytest.mark.parametrize(("told", "end"), [("2026-06-30", at(2026, 7, 1)), ("2026-06-30T12:00:00+00:00", at(2026, 6, 30, 12))])
@pytest.mark.parametrize("has_changes", [False, True])
def test_what_ends_ends_with_its_changes_too(cube: Cube, tmp_path: Path, has_changes: bool, told: str, end: datetime) -> None:
    payload = {
        "data": "Prefers tea over coffee \u2615",
        "user_id": "ana",
        "created_at": "2025-03-01T10:00:00+00:00",
        "expiration_date": told,
    }
    home = exports.qdrant(tmp_path, pickle.dumps(Point({"__dict__": {"id": TEA, "payload": {**payload, "shelf": 7}}})))
    if has_changes:
        exports.mem0_history(home)
    done = cube.import_file(home)
    assert by_foreign_id(cube)[TEA][-1].valid.end == end
    assert "qdrant: fields that were not kept: shelf" in done.notes


class Bomb:
    def __init__(self, told: Path) -> None:
        self.told = told

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.told}",)


def test_a_pickle_is_read_and_never_run(cube: Cube, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    pickle.loads(pickle.dumps(Bomb(ran)))
    assert ran.exists()
    ran.unlink()
    with pytest.raises(Malformed, match=r"none that Qdrant writes.*get_all to JSON"):
        cube.import_file(exports.qdrant(tmp_path, pickle.dumps(Bomb(ran))))
    inside = {"__dict__": {"id": "x", "payload": {"data": "hello there", "extra": Bomb(ran)}}}
    (tmp_path / "b").mkdir()
    cube.import_file(exports.qdrant(tmp_path / "b", pickle.dumps(Point(inside))))
    assert not ran.exists() and [m.text for m in cube.list()] == ["hello there"]


class Point:
    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


@pytest.mark.parametrize("blob", [b"", b"\x80\x04", b"\x80\x04.", b"not a pickle", b"\x80\x04]q\x00h\x07.", b"\x80\x04(e."], ids=repr)
def test_a_broken_pickle_is_refused_in_words(cube: Cube, tmp_path: Path, blob: bytes) -> None:
    with pytest.raises(Malformed, match="get_all to JSON"):
        cube.import_file(exports.qdrant(tmp_path, blob))
    assert cube._store.is_empty()


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_a_folder_that_another_process_has_open_says_which(cube: Cube, tmp_path: Path) -> None:
    home = exports.qdrant(tmp_path)
    script = f"import fcntl, sys; f = open({str(home / '.lock')!r}, 'r+'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=f"is open in process {holder.pid}" if Path("/proc/locks").exists() else "is open in"):
            cube.import_file(home)
        holder.communicate("")
    assert cube.import_file(home).added == 2


def test_a_database_with_a_change_under_way_is_not_half_read(cube: Cube, tmp_path: Path) -> None:
    path = exports.mem0_history(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("UPDATE history SET new_memory = 'Lives in Evora' WHERE id = 'e4'")
        db.commit()
        with pytest.raises(Locked, match=r"history\.db-wal holds changes"):
            cube.import_file(path)
    assert cube.import_file(path).changed == 2, "closed, in that mode too"
    assert by_foreign_id(cube)[ANA][-1].text == "Lives in Evora"
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"history.db"}, "nothing was made beside it"


def test_a_view_or_a_damaged_file_is_no_history(cube: Cube, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE VIEW history AS SELECT 1 AS id")
        db.commit()
    with pytest.raises(Malformed, match="without mem0's table"):
        cube.import_file(path)
    good = exports.mem0_history(tmp_path).read_bytes()
    for cut in (100, 5000, len(good) // 2):
        path.write_bytes(good[:cut])
        with pytest.raises(Malformed):
            cube.import_file(path)
    with pytest.raises(Malformed, match="only mem0's is read"):
        cube.import_file(tmp_path / "history.db", format="chatgpt")
    assert cube._store.is_empty()


# -- Graphiti, MemOS, Letta, LangGraph ---------------------------------------------------------------------------------------------


def test_graphiti_keeps_when_it_was_true_and_what_it_was_drawn_from(cube: Cube, tmp_path: Path) -> None:
    done = cube.import_file(exports.graphiti(tmp_path))
    known = by_foreign_id(cube)
    museum, archive = known["ed1"][-1], known["ed2"][-1]
    assert (museum.valid.start, museum.valid.end) == (at(2025, 1, 5, 9), at(2025, 3, 1))
    assert museum.ending == "graphiti: no longer true, known there since 2025-03-02T08:00:02+00:00"
    assert archive.valid.end is None and archive.origin.trust is Trust.REPORTED
    assert {m.text for m in cube.list(as_of=at(2025, 2, 1))} == {"I work at the museum now.", "Ana works at the museum"}
    assert "Ana works at the museum" not in {m.text for m in cube.list()}
    assert (known["ep1"][0].speaker, known["ep1"][0].origin.trust) == ("Ana", Trust.TRUSTED)
    links = {(link.source, link.target, link.type) for link in cube._store.links(museum.id)}
    assert (museum.id, known["ep1"][0].id, "derived") in links
    assert set(outcomes(done, Outcome.REFUSED)) == {"n1"}
    cube.erase(known["ep1"][0].id)
    assert "ed1" not in by_foreign_id(cube), "what was drawn from it goes with it"


def test_memos_keeps_former_words_and_refuses_pickles(cube: Cube, tmp_path: Path) -> None:
    home = exports.memos(tmp_path)
    done = cube.import_file(home)
    first, second, third = (by_foreign_id(cube)[node] for node in MEMOS_NODES)
    assert [(m.text, m.valid.start) for m in first] == [
        ("Ana lives in Porto", at(2025, 3, 1, 10)),
        ("Ana lives in Lisbon", at(2025, 5, 2, 9)),
    ]
    assert second[-1].valid.end == at(2025, 4, 1, 10) and second[-1].ending == "memos: archived"
    assert (third[0].id, second[0].id, "derived") in {(k.source, k.target, k.type) for k in cube._store.links(third[0].id)}
    assert first[0].scope.user == "ana" and by_foreign_id(cube)["s1-1"][0].text == "I moved to Lisbon."
    assert "to load it is to run it" in outcomes(done, Outcome.REFUSED)["activation_memory.pickle"]
    assert any("PARENT" in note for note in done.notes)
    (home / "textual_memory.json").write_text('{"nodes": [], "edges": []}')
    with pytest.raises(Malformed, match=r"activation_memory\.pickle: a pickle"):
        cube.import_file(home)


def test_letta_takes_blocks_and_what_was_said_and_runs_nothing(cube: Cube, tmp_path: Path) -> None:
    done = cube.import_file(exports.letta(tmp_path))
    said = [(s.message.role, s.message.text, s.message.session, s.scope.agent) for s in cube._store.sources()]
    assert said == [
        ("user", "I sail on Sundays.", "sam", "sam"),
        ("assistant", "Hello Chad.", "sam", "sam"),
        ("assistant", "First name: Chad", None, "sam"),
        ("assistant", "I am Sam.", None, "sam"),
    ]
    refused = outcomes(done, Outcome.REFUSED)
    assert set(refused) == {"sam/message-0", "sam/message-1", "sam/message-4", "cancel_order"} and "never run" in refused["cancel_order"]
    assert not any("not-to-be-read" in s.message.text for s in cube._store.sources())


def test_langgraph_namespaces_are_sessions(cube: Cube, tmp_path: Path) -> None:
    done = cube.import_file(exports.langgraph(tmp_path))
    known = by_foreign_id(cube)
    assert known["memories/ana/k1"][0].text == "Ana cycles to work." and known["memories/ana/k1"][0].scope.session == "memories/ana"
    assert known["prefs/ana/k2"][0].text == '{"theme": "dark"}' and known["prefs/ana/k2"][0].at == at(2025, 2, 2, 10)
    assert outcomes(done, Outcome.REFUSED) == {"prefs/ana/k3": "it has no value: it was deleted"}


# -- what is wrong names the place -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format", "value", "words"), [
    ("claude", [{"uuid": "c", "chat_messages": [{"uuid": "m", "sender": "robot"}]}], "'sender' is 'robot'"),
    ("claude", [{"uuid": "c", "chat_messages": {}}], "'chat_messages' is an object; it must be an array"),
    ("claude", [{"uuid": "c", "chat_messages": []}, {"chat_messages": []}], "line 1: a conversation: 'uuid' is missing"),
    ("mem0", [{"memory": "x"}], "'id' is missing"),
    ("mem0", {"results": [{"id": "a", "memory": 7}]}, "results 1: 'memory' is 7; it must be a string"),
    ("graphiti", [{"fact": "x"}], "'uuid' is missing"),
    ("graphiti", [{"uuid": "e", "fact": "x", "valid_at": "soon"}], "'valid_at' is \"soon\"; it must be a time"),
    ("memos", {"nodes": [{"id": "n", "memory": "x"}, 5], "edges": []}, "node 2 must be an object in braces, and is 5"),
    ("letta", {"agents": [{"name": "a", "block_ids": ["b"]}], "blocks": []}, "there is no block 'b'"),
    ("langgraph", [{"namespace": "x", "key": "k", "value": {}}], "'namespace' is \"x\"; it must be an array of strings"),
])  # fmt: skip
def test_a_malformed_file_names_the_item(cube: Cube, tmp_path: Path, format: str, value: object, words: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(value))
    with pytest.raises(Malformed) as caught:
        cube.import_file(tmp_path / "x.json", format=format)
    assert words in str(caught.value) and str(caught.value).startswith("x.json, line") and "Nothing was imported." in str(caught.value)
    assert cube._store.is_empty()


def test_a_change_beyond_a_limit_imports_nothing(cube: Cube, tmp_path: Path) -> None:
    path = exports.mem0_history(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE history SET new_memory = ? WHERE id = 'e4'", ("x" * 1_000_001,))
        db.commit()
    with pytest.raises(TooLarge, match="mem0: UPDATE e4 has 1,000,001 bytes"):
        cube.import_file(path)
    assert cube._store.is_empty()


def test_a_folder_of_something_else(cube: Cube, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("hello")
    with pytest.raises(Invalid, match="neither mem0's"):
        cube.import_file(tmp_path)


def test_the_channel_says_what_the_words_count_as(cube: Cube, tmp_path: Path) -> None:
    cube.import_file(exports.graphiti(tmp_path), channel=Channel.WEB)
    assert {v[-1].origin.trust for v in by_foreign_id(cube).values()} == {Trust.UNTRUSTED}
    assert cube.import_file(exports.graphiti(tmp_path), channel=Channel.WEB).added == 0


def test_a_writer_may_not_change_what_was_here(open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    memory = open_vault()
    path = exports.mem0_json(tmp_path)
    memory.cube("main").import_file(path, user="ana")
    memory.grant("wes", Role.WRITER, cube="main", user="ana")
    told = json.loads(path.read_text())
    told["results"][0]["memory"] = "Lives in Braga"
    path.write_text(json.dumps(told))
    done = memory.acting("wes").cube("main").import_file(path, user="ana")
    assert "update is not granted" in outcomes(done, Outcome.REFUSED)[ANA]
    assert by_foreign_id(memory.cube("main"))[ANA][-1].text == "Lives in Lisbon"


def test_secrets_are_masked_and_known_again(cube: Cube, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps([{"id": "k", "memory": "The key is AKIAIOSFODNN7EXAMPLE, keep it.", "created_at": "2025-01-01T00:00:00Z"}]))
    cube.import_file(path)
    assert "AKIAIOSFODNN7EXAMPLE" not in cube.list()[0].text
    again = cube.import_file(path)
    assert (again.added, again.changed, again.refused) == (0, 0, 0)


def test_messages_beside_it_are_left_alone(cube: Cube, tmp_path: Path) -> None:
    """An id of elsewhere that somebody said here is no memory of elsewhere."""
    cube.add(Message("user", "I live in Tavira.", id=ANA))
    cube.import_file(exports.mem0_json(tmp_path))
    assert {"I live in Tavira.", "Lives in Lisbon"} <= {m.text for m in cube.list()}

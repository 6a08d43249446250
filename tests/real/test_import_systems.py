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
from loci.errors import Invalid, Locked, Malformed
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
        ("Lives in Porto", at(2025, 3, 1, 10), at(2025, 5, 2, 9), "imported (mem0)"),
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


SHORT = {
    "mem0": [{"id": "1", "memory": "Lives in Porto"}],
    "letta": [{"id": "1", "label": "human", "value": "Likes green tea", "limit": 100}],
    "messages": [{"id": "1", "role": "user", "text": "The kettle is blue."}],
}


@pytest.mark.parametrize("order", [["mem0", "letta", "messages"], ["messages", "letta", "mem0"]])
def test_what_two_systems_happen_to_call_alike_is_two_memories(cube: Cube, tmp_path: Path, order: list[str]) -> None:
    for format in [*order, *order]:
        (tmp_path / f"{format}.json").write_text(json.dumps(SHORT[format]))
        done = cube.import_file(tmp_path / f"{format}.json")
        assert (done.changed, done.refused) == (0, 0)
        assert {item.reason for item in done.items if item.outcome is Outcome.ADDED} <= {f"imported ({format})"}
    assert sorted((m.text, m.version) for m in cube.list()) == [("Likes green tea", 1), ("Lives in Porto", 1), ("The kettle is blue.", 1)]
    (tmp_path / "mem0.json").write_text(json.dumps([{"id": "1", "memory": "Lives in Lisbon"}]))
    assert cube.import_file(tmp_path / "mem0.json").changed == 1
    assert sorted(m.text for m in cube.list()) == ["Likes green tea", "Lives in Lisbon", "The kettle is blue."]


def test_what_came_by_an_export_of_ours_is_known_by_its_id_there(cube: Cube, memory: MemOS, tmp_path: Path) -> None:
    (tmp_path / "mem0.json").write_text(json.dumps(SHORT["mem0"]))
    cube.import_file(tmp_path / "mem0.json")
    cube.export(tmp_path / "loci.jsonl")
    other = memory.cube("other")
    other.import_file(tmp_path / "loci.jsonl")
    (tmp_path / "mem0.json").write_text(json.dumps([{"id": "1", "memory": "Lives in Lisbon"}]))
    done = other.import_file(tmp_path / "mem0.json")
    assert (done.added, done.changed) == (0, 1) and [m.text for m in other.list()] == ["Lives in Lisbon"]


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
    assert not any("edges" in note for note in done.notes)
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


# -- what is wrong is refused by itself, and names the place ------------------------------------------------------------------------

GOOD = {"uuid": "c0", "chat_messages": [{"uuid": "m0", "sender": "human", "text": "I sail.", "created_at": "2025-01-01T00:00:00Z"}]}
FACT = {"uuid": "e0", "fact": "Ana sails", "created_at": "2025-01-01T00:00:00Z"}
BLOCK = {"id": "b0", "label": "human", "value": "Ana sails."}
KEPT = {"namespace": ["n"], "key": "k0", "value": {"text": "Ana sails."}}
TOLD = {"id": "a", "memory": "Ana sails"}


def said(**fields: object) -> list[object]:
    return [GOOD, {"uuid": "c1", "chat_messages": [{"uuid": "m1", "sender": "human", "text": "I row.", **fields}]}]


@pytest.mark.parametrize(("format", "value", "item", "words"), [
    ("claude", said(sender="robot"), "m1", "'sender' is 'robot'; it must be human or assistant"),
    ("claude", said(created_at="soon"), "m1", "'created_at' is \"soon\"; it must be a time"),
    ("claude", said(uuid=None), "conversation c1, message 1", "'uuid' is missing"),
    ("claude", said(content=[5]), "m1", "block 1 must be an object"),
    ("claude", [GOOD, {"uuid": "c1", "chat_messages": {}}], "c1", "'chat_messages' is an object; it must be an array"),
    ("claude", [GOOD, {"uuid": "c1", "name": "no messages at all"}], "c1", "'chat_messages' is missing"),
    ("claude", [GOOD, {"chat_messages": []}], "x.json: entry 2", "'uuid' is missing"),
    ("claude", [GOOD, GOOD], "c0", "the uuid 'c0' is that of an earlier one too"),
    ("claude", [GOOD, "c1"], "x.json: entry 2", "it must be an object in braces, and is \"c1\""),
    ("mem0", [TOLD, {"memory": "x"}], "item 2", "'id' is missing"),
    ("mem0", {"results": [TOLD, "str"]}, "results 2", "must be an object in braces, and is \"str\""),
    ("mem0", {"results": [TOLD, {"id": "b", "memory": 7}]}, "b", "results 2: 'memory' is 7; it must be a string"),
    ("mem0", {"results": [TOLD, {"id": "b", "memory": "x", "created_at": "not a date"}]}, "b", "'created_at' is \"not a date\"; it must be a time"),
    ("mem0", {"results": [TOLD, {"id": "b", "memory": "x", "expiration_date": "never"}]}, "b", "'expiration_date' is \"never\""),
    ("graphiti", [FACT, {"fact": "x"}], "item 2", "'uuid' is missing"),
    ("graphiti", [FACT, {"uuid": "e", "fact": "x", "valid_at": "soon"}], "e", "'valid_at' is \"soon\"; it must be a time"),
    ("graphiti", {"facts": [FACT, {"uuid": "e", "fact": "x", "episodes": "ep"}]}, "e", "'episodes' is \"ep\"; it must be an array of strings"),
    ("graphiti", {"episodes": [5], "edges": [FACT]}, "episodes 1", "must be an object in braces, and is 5"),
    ("memos", {"nodes": [TOLD, 5], "edges": []}, "node 2", "must be an object in braces, and is 5"),
    ("memos", {"nodes": [TOLD, {"id": "n", "memory": "x", "metadata": {"updated_at": "soon"}}], "edges": []}, "n", "'updated_at' is \"soon\""),
    ("memos", {"nodes": [TOLD], "edges": [{"source": "a", "type": "PARENT"}]}, "edge 1", "'target' is missing"),
    ("memos", [{**TOLD, "metadata": {"sources": [{"role": "user", "content": 7}]}}], "a/source 1", "'content' is 7; it must be a string"),
    ("letta", {"agents": [{"name": "s", "block_ids": ["b0", "b"]}], "blocks": [BLOCK]}, "s/b", "there is no such block"),
    ("letta", {"agents": [{"name": "s", "block_ids": ["b0"], "messages": [{"id": "m", "role": 5}]}], "blocks": [BLOCK]}, "s/m", "'role' is 5"),
    ("letta", {"agents": [{"name": "s", "block_ids": ["b0"]}, {"id": "t"}], "blocks": [BLOCK]}, "t", "'name' is missing"),
    ("letta", [BLOCK, {"id": "b", "label": "x"}], "b", "'value' is missing"),
    ("langgraph", [KEPT, {"namespace": "x", "key": "k", "value": {}}], "k", "'namespace' is \"x\"; it must be an array of strings"),
    ("langgraph", [KEPT, {**KEPT, "key": "k", "updated_at": "soon"}], "k", "'updated_at' is \"soon\""),
])  # fmt: skip
def test_one_odd_item_is_refused_by_itself(cube: Cube, tmp_path: Path, format: str, value: object, item: str, words: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(value))
    done = cube.import_file(tmp_path / "x.json", format=format)
    refused = outcomes(done, Outcome.REFUSED)
    assert set(refused) == {item} and words in refused[item] and done.refused == 1
    assert done.added == 1 and len(cube._store.sources()) == 1
    assert cube.import_file(tmp_path / "x.json", format=format).added == 0


@pytest.mark.parametrize(("format", "value", "words"), [
    ("claude", [{"uuid": "c", "chat_messages": [{"uuid": "m", "sender": "robot"}]}], "Refused: m: conversation c, message 1: 'sender' is 'robot'"),
    ("mem0", {"results": {"id": "a"}}, "Refused: item 1: 'id' is missing"),
    ("mem0", 5, "Refused: item 1: it must be an object in braces, and is 5"),
    ("memos", {"nodes": {}, "edges": []}, "'nodes' is an object; it must be an array"),
    ("letta", {"agents": {}, "blocks": []}, "'agents' is an object; it must be an array"),
    ("langgraph", {"items": "x"}, "'items' is \"x\"; it must be an array"),
])  # fmt: skip
def test_a_file_of_which_nothing_can_be_taken_is_malformed(cube: Cube, tmp_path: Path, format: str, value: object, words: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(value))
    with pytest.raises(Malformed) as caught:
        cube.import_file(tmp_path / "x.json", format=format)
    assert words in str(caught.value) and str(caught.value).startswith("x.json") and "Nothing was imported." in str(caught.value)
    assert cube._store.is_empty()


@pytest.mark.parametrize("format", [name for name in loader.FORMATS if name not in loader.OWN])
def test_a_file_that_breaks_off_imports_nothing(cube: Cube, tmp_path: Path, format: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps([GOOD, FACT, TOLD])[:-9])
    with pytest.raises(Malformed, match="not JSON"):
        cube.import_file(tmp_path / "x.json", format=format)
    assert cube._store.is_empty()


@pytest.mark.parametrize(("more", "item", "why"), [
    ({"memory": "half \ud83d"}, "b", "character 5 is an unpaired surrogate (U+D83D)"), ({"memory": "x" * 1_000_001}, "b", "1,000,001 bytes"),
    ({"id": "\ud83d"}, "\\ud83d", "unpaired surrogate"), ({"user_id": "\ud83d"}, "b", "unpaired surrogate"), ({"run_id": "r" * 5000}, "b", "5,000 characters"),
    ({"created_at": "0001-01-01T00:00:00+23:59"}, "b", "outside the years 1 to 9999"),
])  # fmt: skip
def test_what_cannot_be_stored_is_refused_by_itself(cube: Cube, tmp_path: Path, more: dict[str, str], item: str, why: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps([TOLD, {"id": "b", "memory": "Ana rows", **more}]))
    done = cube.import_file(tmp_path / "x.json", format="mem0")
    refused = outcomes(done, Outcome.REFUSED)
    assert set(refused) == {item} and why in refused[item] and [m.text for m in cube.list()] == ["Ana sails"]
    (tmp_path / "x.json").write_text(json.dumps([{"id": "b", "memory": "Ana rows", **more}]))
    with pytest.raises(Malformed, match="Nothing in it can be stored"):
        cube.import_file(tmp_path / "x.json", format="mem0")


def changed(path: Path, sql: str, *values: object) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute(sql, values)
        db.commit()
    return path


@pytest.mark.parametrize(("change", "column", "value", "why"), [
    ("e4", "updated_at", "not a date", "change e4: 'updated_at' is \"not a date\""), ("e1", "updated_at", "not a date", "change e1: 'updated_at' is"),
    ("e4", "new_memory", b"\xff", "change e4: 'new_memory' is of type bytes; it must be a string"), ("e4", "new_memory", "x" * 1_000_001, "UPDATE e4: it has 1,000,001 bytes"),
])  # fmt: skip
def test_a_change_that_cannot_be_read_refuses_its_memory_alone(
    cube: Cube, tmp_path: Path, change: str, column: str, value: object, why: str
) -> None:
    """Without an update the former words would stand as if they held."""
    path = changed(exports.mem0_history(tmp_path), f"UPDATE history SET {column} = ? WHERE id = ?", value, change)
    refused = outcomes(cube.import_file(path), Outcome.REFUSED)
    assert set(refused) == {ANA} and why in refused[ANA]
    assert set(by_foreign_id(cube)) == {TEA, CAT, "s1", "s2"} and by_foreign_id(cube)[CAT][-1].state is State.EXPIRED


def test_a_deletion_that_cannot_be_read_brings_nothing_back(cube: Cube, tmp_path: Path) -> None:
    path = changed(exports.mem0_history(tmp_path), "UPDATE history SET updated_at = 'not a date' WHERE id = 'e5'")
    assert set(outcomes(cube.import_file(path), Outcome.REFUSED)) == {CAT} and CAT not in by_foreign_id(cube)


def test_the_store_still_says_what_a_memory_is_whose_changes_cannot_be_read(cube: Cube, tmp_path: Path) -> None:
    home = exports.mem0_folder(tmp_path)
    changed(home / "history.db", "UPDATE history SET updated_at = 'not a date' WHERE id = 'e4'")
    assert set(outcomes(cube.import_file(home), Outcome.REFUSED)) == {ANA}
    assert [(m.text, m.scope.user) for m in by_foreign_id(cube)[ANA]] == [("Lives in Lisbon", "ana")]


def test_a_message_of_mem0_that_cannot_be_read_is_refused_by_itself(cube: Cube, tmp_path: Path) -> None:
    path = changed(exports.mem0_history(tmp_path), "UPDATE messages SET created_at = 'soon' WHERE id = 's1'")
    assert set(outcomes(cube.import_file(path), Outcome.REFUSED)) == {"s1"} and "s2" in by_foreign_id(cube)


def test_a_point_that_cannot_be_read_is_refused_and_gives_its_memory_to_nobody(cube: Cube, tmp_path: Path) -> None:
    good = pickle.dumps(Point({"__dict__": {"id": TEA, "payload": {"data": "Prefers tea", "user_id": "ana"}}}))
    home = exports.qdrant(tmp_path, b"junk", good)
    exports.mem0_history(home)
    refused = outcomes(cube.import_file(home), Outcome.REFUSED)
    assert "get_all to JSON" in refused["point 1 of mem0"] and "whose it is" in refused[ANA]
    assert set(by_foreign_id(cube)) == {TEA, CAT, "s1", "s2"}, "what was deleted there is nobody's"


# -- the whole of an export -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_zip", [True, False])
def test_claude_with_its_memory_and_projects(cube: Cube, tmp_path: Path, is_zip: bool) -> None:
    path = exports.claude_whole(tmp_path, is_zip)
    done = cube.import_file(path)
    known = by_foreign_id(cube)
    assert {"m1", "memory of a", "memory of project p1", "p1/description", "p1/d1", "p2/description"} <= set(known)
    of_all, plan = known["memory of a"][0], known["p1/d1"][0]
    assert (of_all.text, of_all.origin.trust) == ("**Home** Ana lives in Lisbon and sails.", Trust.REPORTED)
    assert (plan.text, plan.scope.session, plan.origin.trust, plan.at) == ("Paint in May.", "p1", Trust.UNTRUSTED, at(2025, 2, 2, 9))
    assert known["p1/description"][0].origin.trust is Trust.TRUSTED
    refused = outcomes(done, Outcome.REFUSED)
    assert set(refused) == {"p1/prompt_template", "p0"} and "prompt" in refused["p1/prompt_template"]
    (left,) = [note for note in done.notes if "left out" in note and "files of the export" in note]
    assert left.endswith("users.json, notes/extra.txt" if is_zip else "notes/, users.json")
    assert cube.import_file(path).added == 0 and cube.verify().is_clean


def test_what_claude_remembers_later_is_a_further_version(cube: Cube, tmp_path: Path) -> None:
    path = tmp_path / "memories.json"
    for words in ("Ana lives in Porto.", "Ana lives in Lisbon."):
        path.write_text(
            json.dumps([{"conversations_memory": words, "project_memories": {"p": " "}, "account_uuid": "a", "memory_files": ["x"]}])
        )
        done = cube.import_file(path)
    assert [m.text for m in by_foreign_id(cube)["memory of a"]] == ["Ana lives in Porto.", "Ana lives in Lisbon."]
    assert outcomes(done, Outcome.REFUSED) == {"memory of project p": "there are no words in it"}
    assert any("were not read: memory_files" in note for note in done.notes)


@pytest.mark.parametrize(("name", "value", "item"), [
    ("memories.json", [{"remembered": "x"}], "memories.json: entry 1"), ("memories.json", [{"conversations_memory": 5, "account_uuid": "a"}], "memory of a"),
    ("projects.json", ["p"], "projects.json: entry 1"), ("projects/p9.json", {"uuid": "p9", "docs": [{"uuid": "d", "content": 5}]}, "p9/d"),
])  # fmt: skip
def test_odd_files_beside_the_conversations_lose_nothing_else(cube: Cube, tmp_path: Path, name: str, value: object, item: str) -> None:
    exports.claude(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(json.dumps(value))
    done = cube.import_file(tmp_path)
    assert set(outcomes(done, Outcome.REFUSED)) == {item} and done.added == 3


def test_a_folder_of_chatgpt_names_what_it_leaves_out(cube: Cube, tmp_path: Path) -> None:
    data = Path(__file__).resolve().parents[1] / "data" / "chatgpt.json"
    home = tmp_path / "export"
    home.mkdir()
    (home / "conversations-000.json").write_bytes(data.read_bytes())
    (home / "chat.html").write_text("<p>")
    (home / "Thumbs.db").write_bytes(b"no database")
    (home / "conversations-001.json").symlink_to(data)
    done = cube.import_file(home)
    assert done.added == 6 and any(note.endswith("left out: Thumbs.db, chat.html, conversations-001.json") for note in done.notes)


@pytest.mark.parametrize(
    ("kind", "made", "of"), [("PARENT", "a", "b"), ("AGGREGATES", "a", "b"), ("MERGED_TO", "b", "a"), ("INFERS", "b", "a")]
)
def test_memos_edges_say_what_was_drawn_from_what(cube: Cube, tmp_path: Path, kind: str, made: str, of: str) -> None:
    """A summary names no user there: it is of whoever what it was made of is."""
    nodes = [{"id": made, "memory": "Ana is fond of the sea", "metadata": {"user_id": ""}}, {"id": of, "memory": "Ana sails", "metadata": {"user_id": "ana"}},
             {"id": "c", "memory": "Ana paints", "metadata": {"user_id": "ana"}}]  # fmt: skip
    edges = [
        {"source": "a", "target": "b", "type": kind},
        {"source": "c", "target": "zz", "type": "PARENT"},
        {"source": "c", "target": "a", "type": "LIKES"},
    ]
    (tmp_path / "textual_memory.json").write_text(json.dumps({"nodes": nodes, "edges": edges}))
    done = cube.import_file(tmp_path / "textual_memory.json")
    known = by_foreign_id(cube)
    assert known[made][0].scope.user == "ana"
    assert (known[made][0].id, known[of][0].id, "derived") in {(k.source, k.target, k.type) for k in cube._store.links(known[made][0].id)}
    assert any("not kept: LIKES" in note for note in done.notes) and any("not in it" in note and note.endswith("zz") for note in done.notes)
    cube.erase(known[of][0].id)
    assert set(by_foreign_id(cube)) == {"c"}, "a summary goes with what it was made of"


def test_memos_nodes_that_are_one_anothers_parents_are_erased_together(cube: Cube, tmp_path: Path) -> None:
    edges = [{"source": s, "target": t, "type": "PARENT"} for s, t in ("ab", "ba", "aa")]
    nodes = [{"id": id, "memory": f"Ana knows {id}", "metadata": {}} for id in "abc"]
    (tmp_path / "x.json").write_text(json.dumps({"nodes": nodes, "edges": edges}))
    assert cube.import_file(tmp_path / "x.json").added == 3 and cube.verify().is_clean
    cube.erase(by_foreign_id(cube)["b"][0].id)
    assert set(by_foreign_id(cube)) == {"c"}


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

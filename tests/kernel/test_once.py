"""Writes that are asked for again with their key."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from loci import Memory, MemOS, Message, Receipt
from loci.errors import Conflict, Denied, Invalid, TooLarge
from loci.system import System
from loci.system.once import REPEATABLE
from loci.testing import ManualClock
from loci.types import Role

START = datetime(2026, 5, 2, 9, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def memory(tmp_path: Path, clock: ManualClock) -> System:
    return MemOS.open(tmp_path / "vault", embedder="none", background=False, clock=clock)


def test_the_same_write_with_the_same_key_is_done_once_and_answered_twice(memory: System) -> None:
    cube = memory.cube("main")
    first = cube.once("k1").add("I live in Porto.", user="ana")
    again = cube.once("k1").add("I live in Porto.", user="ana")
    assert first == again and first.ids and isinstance(again, Receipt)
    changed = cube.once("k2").update(first.ids[0], "I live in Lisbon.", reason="moved")
    assert cube.once("k2").update(first.ids[0], "I live in Lisbon.", reason="moved") == changed
    assert [version.version for version in cube.history(first.ids[0])] == [1, 2]


def test_a_key_is_good_for_one_call_alone(memory: System) -> None:
    cube = memory.cube("main")
    cube.once("k1").add("I live in Porto.", user="ana")
    with pytest.raises(Conflict, match="another call"):
        cube.once("k1").add("I live in Porto.", user="ben")
    assert [found.scope.user for found in cube.list()] == ["ana"]


def test_what_is_wrong_with_a_call_is_told_with_a_key_as_without(memory: System) -> None:
    deep: dict[str, object] = {}
    for _ in range(400):
        deep = {"a": deep}
    with pytest.raises(Invalid, match="surrogate"):
        memory.cube("main").once("k1").add("\ud800", user="ana")
    with pytest.raises(TooLarge, match="nested"):
        memory.cube("main").once("k1").add("I live in Porto.", user="ana", metadata=deep)
    assert memory.cube("main").once("k1").add("I live in Porto.", user="ana").ids, "the key is still free"


def test_the_key_is_its_principals_own(memory: System) -> None:
    memory.grant("ben", "writer", cube="main")
    mine = memory.cube("main").once("k1").add("I live in Porto.")
    theirs = memory.acting("ben").cube("main").once("k1").add("I live in Braga.")
    assert mine.ids != theirs.ids and theirs.ids


def test_who_lost_the_right_is_not_answered_again(memory: System) -> None:
    memory.cube("main")
    grant = memory.grant("ben", "writer", cube="main", user="ben")
    memory.grant("ben", "reader", cube="main", user="ann")
    theirs = memory.acting("ben").cube("main")
    first = theirs.once("k1").add("I live in Porto.", user="ben")
    assert theirs.once("k1").add("I live in Porto.", user="ben") == first
    memory.revoke(grant.id)
    with pytest.raises(Denied):
        theirs.once("k1").add("I live in Porto.", user="ben")


def test_an_answer_is_read_again_by_whom_it_was_given_to(memory: System) -> None:
    cube = memory.cube("main")
    told = cube.once("k1").add("I live in Porto.", user="ana")
    assert cube.kept("k1") == told and cube.kept("k2") is None
    grant = memory.grant("ana", Role.OWNER, cube="main")
    anas = memory.acting("ana").cube("main")
    assert anas.kept("k1") is None
    anas.once("k1").add("I live in Faro.", user="ben")
    memory.revoke(grant.id)
    memory.grant("ana", Role.READER, cube="main", user="ana")
    assert anas.kept("k1").ids == (), "what they may not get any more is not in it"
    cube.erase(user="ana")
    with pytest.raises(Conflict, match="erased since"):
        cube.kept("k1")


def test_an_answer_outlives_the_process_and_not_the_day(memory: System, clock: ManualClock, tmp_path: Path) -> None:
    id = memory.cube("main").add("I live in Porto.").ids[0]
    first = memory.cube("main").once("k1").update(id, "I live in Lisbon.")
    memory.close()
    with MemOS.open(tmp_path / "vault", embedder="none", background=False, clock=clock) as later:
        cube = later.cube("main")
        assert cube.once("k1").update(id, "I live in Lisbon.") == first
        clock.advance(days=2)
        cube.once("k2").add("The garden is large.")  # whoever writes with a key clears away what is too old
        assert cube.once("k1").update(id, "I live in Lisbon.").changes[0].after == 3


def test_an_erasure_takes_the_answers_and_not_that_there_was_one(memory: System, tmp_path: Path) -> None:
    cube = memory.cube("main")
    id = cube.once("k1").add("I keep the key under the flowerpot.").ids[0]
    cube.once("k2").forget(id, reason="that the key is under the flowerpot is nobody's business")
    cube.erase(id)
    with pytest.raises(Conflict, match="erased since"):
        cube.once("k1").add("I keep the key under the flowerpot.")
    assert cube.list() == []
    memory.close()
    assert all(b"flowerpot" not in file.read_bytes() for file in (tmp_path / "vault").rglob("*") if file.is_file())


def test_what_failed_was_not_done_and_may_be_asked_for_again(memory: System) -> None:
    cube = memory.cube("main")
    with pytest.raises(Invalid):
        cube.once("k1").add("I live in Porto.", channel="pigeon")  # type: ignore[arg-type]
    assert cube.once("k1").add("I live in Porto.").ids


def test_many_threads_with_one_key_make_one_change(memory: System) -> None:
    cube = memory.cube("main")
    id = cube.add("I live in Porto.").ids[0]
    answers: list[Receipt] = []
    threads = [threading.Thread(target=lambda: answers.append(cube.once("k1").update(id, "I live in Lisbon."))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and len({str(answer) for answer in answers}) == 1
    assert [version.version for version in cube.history(id)] == [1, 2]


@pytest.mark.parametrize("key", ["", "k" * 1001, 7])
def test_a_key_that_is_none_is_refused(memory: System, key: object) -> None:
    with pytest.raises(Invalid, match="it must be a text"):
        memory.cube("main").once(key)  # type: ignore[arg-type]


def test_a_read_memory_is_part_of_what_was_asked(memory: System) -> None:
    cube = memory.cube("main")
    id = cube.add("I live in Porto.").ids[0]
    read: Memory = cube.get(id)
    first = cube.once("k1").update(read, "I live in Lisbon.")
    assert cube.once("k1").update(read, "I live in Lisbon.") == first
    read_again = next(version for version in cube.history(id) if version.version == read.version)
    assert read_again != read and cube.once("k1").update(read_again, "I live in Lisbon.") == first


def test_every_write_that_answers_with_a_receipt_takes_a_key(memory: System) -> None:
    assert {"add", "update", "forget", "restore", "move", "accept", "reject"} == REPEATABLE
    ids = [memory.cube("main").add(Message("user", text)).ids[0] for text in ("I live in Porto.", "The garden is large.")]
    cube = memory.cube("main")
    for verb in (
        lambda: cube.once("m").move(ids[0], "archive"),
        lambda: cube.once("r").restore(ids[0]),
        lambda: cube.once("f").forget(ids[1]),
    ):
        assert verb() == verb()


def test_a_cube_from_before_there_were_keys_takes_them(memory: System, tmp_path: Path) -> None:
    memory.cube("main").add("I live in Porto.")
    memory.close()
    db = apsw.Connection(str(tmp_path / "vault" / "main.loci"))
    db.execute(
        "DROP TRIGGER held_more; DROP TRIGGER held_less; DROP TABLE held; DROP TABLE requests; DROP INDEX versions_by_former; DROP INDEX contents_with_metadata; ALTER TABLE contents DROP COLUMN metadata; PRAGMA user_version=1"
    ).fetchall()
    db.close()
    with MemOS.open(tmp_path / "vault", embedder="none", background=False) as later:
        assert later.cube("main").once("k1").add("I live in Lisbon.").ids
        assert later.verify().is_clean

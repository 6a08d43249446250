"""What a program keeps with memories: stored, versioned, shown, exported and erased with them; and never believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import apsw
import pytest

from loci import Message, Outcome
from loci.drivers.sqlite.schema import METADATA, STEPS
from loci.drivers.sqlite.seals import seal
from loci.errors import Conflict, Invalid, LociError, Missing, Refused, TooLarge
from loci.system import Cube
from loci.testing import ManualClock
from loci.text.plain import plain
from loci.types import Trust
from loci.wire import MemOS

Open = Callable[..., MemOS]


def test_it_is_kept_with_every_memory_of_the_words_and_shown(cube: Cube) -> None:
    kept = {"topic": "food", "stars": 4, "tags": ["a", "b"], "deep": {"x": None, "y": [True, 1.5]}}
    receipt = cube.add("I like figs. My brother Ivo likes plums very much.", user="ana", metadata=kept)
    for id in receipt.ids:
        assert cube.get(id).metadata == kept == plain(cube.get(id))["metadata"]
    assert cube.search("figs", user="ana").hits[0].memory.metadata == kept


def test_a_message_has_its_own_beside_that_of_the_call(cube: Cube) -> None:
    said = [Message("user", "I like figs.", metadata={"a": 1, "b": 1}), {"role": "assistant", "text": "Noted.", "metadata": {"a": 2}}]
    first, second = cube.add(said, user="ana", metadata={"b": 2, "c": 2}).ids
    assert (cube.get(first).metadata, cube.get(first).role) == ({"a": 1, "b": 1, "c": 2}, "user")
    assert (cube.get(second).metadata, cube.get(second).role) == ({"a": 2, "b": 2, "c": 2}, "assistant")


def test_a_change_of_it_is_a_version_and_the_past_keeps_the_old_one(cube: Cube, clock: ManualClock) -> None:
    (id,) = cube.add("I like figs.", user="ana", metadata={"stars": 1}).ids
    before = clock.now()
    clock.advance(days=1)
    receipt = cube.update(id, metadata={"stars": 5}, reason="tasted again")
    assert [c.outcome for c in receipt.changes] == [Outcome.UPDATED] and not receipt.sources
    assert [(m.version, m.text, m.metadata["stars"], m.reason) for m in cube.history(id)] == [
        (1, "I like figs.", 1, "remembered"), (2, "I like figs.", 5, "tasted again"),
    ]  # fmt: skip
    assert cube.get(id, as_of=before).metadata == {"stars": 1}
    assert [m.metadata for m in cube.list(user="ana")] == [{"stars": 5}]
    assert cube.update(id, metadata={"stars": 5}).changes[0].outcome is Outcome.IGNORED
    clock.advance(days=1)
    cube.update(id, "I like dates.")
    assert cube.get(id).metadata == {"stars": 5}, "other words keep it"
    clock.advance(days=1)
    cube.update(id, "I like pears.", metadata={})
    assert cube.get(id).metadata == {}
    clock.advance(days=1)
    cube.restore(id, to=2)
    assert (cube.get(id).text, cube.get(id).metadata) == ("I like figs.", {"stars": 5})
    assert cube.verify().is_clean


def test_a_change_of_it_keeps_claims_and_makes_nothing_more_trusted(open_vault: Open, tmp_path: Path, clock: ManualClock) -> None:
    cube = open_vault(tmp_path).cube("c")
    (id,) = cube.add("I live in Porto.", user="ana").ids
    (page,) = cube.add("The kettle is blue.", user="ana", origin="http://a.page/x").ids
    clock.advance(days=1)
    cube.update(id, metadata={"a": 1})
    cube.update(page, metadata={"trust": "trusted", "user": "bob", "origin": "me"})
    assert cube.get(page).origin.trust is not Trust.TRUSTED and cube.get(page).scope.user == "ana"
    clock.advance(days=1)
    assert id in {c.memory for c in cube.add("I moved to Lisbon.", user="ana").changes if c.outcome is Outcome.SUPERSEDED}
    with pytest.raises(Conflict, match="holds no more"):
        cube.update(id, metadata={"a": 2})
    assert cube.verify().is_clean


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("x", "JSON object"), ([], "JSON object"), ({1: 2}, "the key 1"), ({"$user": "bob"}, "do not begin with"), ({"a": {"$at": 1}}, "do not begin"),
        ({"a": {1, 2}}, "holds"), ({"a": float("nan")}, "JSON"), ({"a": b"x"}, "holds"), ({"a": "\ud800"}, "JSON"), ({"a": 10**5000}, "JSON|number"),
    ],
)  # fmt: skip
def test_what_is_no_metadata_is_refused_and_nothing_is_stored(cube: Cube, wrong: object, what: str) -> None:
    with pytest.raises(Invalid, match=what):
        cube.add("I like figs.", metadata=wrong)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        cube.add({"text": "I like figs.", "metadata": wrong or "x"})
    assert cube.stats()["sources"] == 0


def test_it_has_limits(cube: Cube) -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    for wrong in ({"a": "x" * 17_000}, deep, {"a": [[[[[[[[1]]]]]]]]}):
        with pytest.raises(TooLarge):
            cube.add("I like figs.", metadata=wrong)
    assert cube.add("I like figs.", metadata={"a": "x" * 16_000}).ids


def test_secrets_in_it_are_masked_or_refused(cube: Cube) -> None:
    key = "sk-ant-api03-" + "A1b2C3d4" * 10
    receipt = cube.add("I like figs.", metadata={"note": f"my key is {key}", "l": [key]})
    assert receipt.count(Outcome.REDACTED) and key not in json.dumps(plain(cube.get(receipt.ids[0])))
    assert cube.update(receipt.ids[0], metadata={"k": key}).count(Outcome.REDACTED)
    assert key not in str(cube.get(receipt.ids[0]).metadata)
    cube.protect(secrets="refuse")
    with pytest.raises(Refused):
        cube.add("I like plums.", metadata={"note": f"my key is {key}"})
    with pytest.raises(Refused):
        cube.update(receipt.ids[0], metadata={"k": key})


def test_who_changes_it_by_hand_is_found_out(cube: Cube) -> None:
    with_it, without = cube.add("I like figs.", metadata={"a": 1}).ids[0], cube.add("I like plums.").ids[0]
    db = cube._store._db()
    db.execute("UPDATE contents SET metadata = NULL WHERE metadata IS NOT NULL")
    assert any("content" in fault.where for fault in cube.verify().faults)
    db.execute("UPDATE contents SET metadata = '{\"a\":1}' WHERE memory = (SELECT seq FROM memories WHERE id = ?)", (with_it,))
    assert cube.verify().is_clean
    db.execute("UPDATE contents SET metadata = '{\"a\":2}' WHERE memory = (SELECT seq FROM memories WHERE id = ?)", (without,))
    assert not cube.verify().is_clean


def test_an_export_takes_it_along(cube: Cube, open_vault: Open, tmp_path: Path) -> None:
    cube.add("I like figs.", user="ana", metadata={"topic": "food"})
    cube.add("I like chess.", user="ana")
    cube.export(tmp_path / "out.jsonl")
    other = open_vault(tmp_path / "other").cube("c")
    assert other.import_file(tmp_path / "out.jsonl").added == 2
    assert [m.metadata for m in other.list()] == [{"topic": "food"}, {}]
    assert other.import_file(tmp_path / "out.jsonl").added == 0
    forged = (tmp_path / "out.jsonl").read_text("utf-8").replace('"metadata":{"topic":"food"}', '"metadata":7')
    (tmp_path / "forged.jsonl").write_text(forged, "utf-8")
    with pytest.raises(Invalid, match="metadata"):
        open_vault(tmp_path / "third").cube("c").import_file(tmp_path / "forged.jsonl")


def test_erasure_takes_it_out_of_every_byte_and_names_what_went(cube: Cube, tmp_path: Path, clock: ManualClock) -> None:
    word, later = "Zyxquokkering of the vlorptangles", "Graspomond in the plinthosaurus"
    (id,) = cube.add("I like figs.", user="ana", metadata={"note": word}).ids
    clock.advance(days=1)
    cube.update(id, metadata={"note": later})
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(word.encode() in file.read_bytes() for file in files)
    cube.erase(id)
    for file in tmp_path.rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        assert b"Zyxquok" not in data and b"Graspom" not in data and b"plinthosaur" not in data, file
    (record,) = cube.log(verb="erase")
    assert record.detail["memories"] == [id]


def test_a_cube_from_before_opens_and_its_seals_hold(open_vault: Open, tmp_path: Path) -> None:
    memory = open_vault(tmp_path)
    cube = memory.cube("c")
    (id,) = cube.add("I like figs.").ids
    path = cube._store.path
    memory.close()
    db = apsw.Connection(str(path))
    db.execute("DROP TRIGGER held_more; DROP TRIGGER held_less; DROP TABLE held; DROP INDEX versions_by_former")
    db.execute("DROP INDEX contents_with_metadata")
    db.execute("ALTER TABLE contents DROP COLUMN metadata")
    db.execute(f"PRAGMA user_version={STEPS.index(METADATA)}")
    db.close()
    cube = open_vault(tmp_path).cube("c")
    assert cube.get(id).metadata == {} and cube.verify().is_clean
    assert cube.get(cube.add("I like plums.", metadata={"a": 1}).ids[0]).metadata == {"a": 1} and cube.verify().is_clean


def test_the_time_to_live_can_be_set_and_lifted(cube: Cube, clock: ManualClock) -> None:
    (id,) = cube.add("I like figs.", user="ana").ids
    end = clock.now() + timedelta(days=3)
    clock.advance(days=1)
    cube.update(id, expires=end)
    assert cube.get(id).expires == end and len(cube.list()) == 1
    clock.advance(days=1)
    cube.update(id, forever=True)
    clock.advance(days=5)
    assert cube.get(id).expires is None and len(cube.list()) == 1
    cube.update(id, "I like plums.", expires=clock.now() + timedelta(days=1))
    clock.advance(days=2)
    assert cube.list() == [] and [m.id for m in cube.list(expired=True)] == [id]
    assert cube.search("plums").hits == () and cube.search("plums", expired=True).ids == (id,)
    cube.sweep()
    assert cube.list() == [] and [m.id for m in cube.list(expired=True)] == [id]
    other = cube.add("I like pears.").ids[0]
    clock.advance(days=1)
    cube.forget(other)
    assert [m.id for m in cube.list(expired=True)] == [id], "what was forgotten did not expire"
    wrongs: list[dict[str, Any]] = [{}, {"expires": end, "forever": True}, {"metadata": {}, "mode": "append"}]
    for wrong in wrongs:
        with pytest.raises(LociError):
            cube.update(id, **wrong)
    assert cube.verify().is_clean


def test_erasing_takes_what_is_of_all_that_is_named(cube: Cube) -> None:
    said = {(u, a, s): cube.add(f"The word of {u} {a} {s}.", user=u, agent=a, session=s).ids[0] for u in "xy" for a in "pq" for s in "mn"}
    left = set(said)
    for named in ({"user": "x", "agent": "p"}, {"agent": "q", "session": "n"}, {"agent": "p", "user": "y", "session": "m"}, {"agent": "q"}):
        gone = {k for k in left if all(named.get(word, name) == name for word, name in zip(("user", "agent", "session"), k, strict=True))}
        assert len(cube.erase(**named).sources) == len(gone) > 0
        left -= gone
        assert {m.id for m in cube.list()} == {said[k] for k in left}
    with pytest.raises(Missing):
        cube.erase(user="x", agent="p")
    for wrong in ({}, {"user": "x", "whole": True}, {"id": "a", "agent": "p"}):
        with pytest.raises(Invalid):
            cube.erase(**wrong)  # type: ignore[arg-type]
    cube.erase(whole=True)
    assert cube.stats()["sources"] == 0 and cube.verify().is_clean


def test_what_last_week_means_counts_from_when_it_is_asked(cube: Cube) -> None:
    recall = cube.search("What did I say last week?", asked_at=datetime(2024, 5, 15, tzinfo=UTC))
    window = recall.trace.call.window
    assert window is not None and window.start is not None and (window.start.year, window.start.month) == (2024, 5)


def test_a_row_without_it_is_sealed_as_rows_from_before_are() -> None:
    row = (1, 2, "fact", None, None, None, 0, 3, b"sum", 2)
    before = blake2b(ascii(row).encode(), key=b"secret", digest_size=16, person=b"contents").digest()
    assert seal(b"secret", "contents", (*row, None)) == before != seal(b"secret", "contents", (*row, "{}"))

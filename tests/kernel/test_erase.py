"""Erasure: afterwards the words are in no byte of any file, what rested on them is gone, and what they had changed is back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from loci import Message, Outcome
from loci.drivers.sqlite import connection
from loci.errors import Invalid, Locked, Missing
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, ManualClock
from loci.wire import MemOS

# Words that occur in nothing else. Each begins with the same stem as no other, so that a stem left in an index shows too.
CANARIES = {
    "text": "Zyxquokkering", "upper": "VLORPTANGLES", "lower": "quibblewicked", "caption": "Frimblejanty", "speaker": "Ombrevanka",
    "session": "Sequilpians", "agent": "Orbixagnol", "foreign": "Fyxleornia", "value": "Drovinskaya", "updated": "Wuxlimander",
    "reason": "Reaspindle", "forgotten": "Graspomond", "pet": "Knurvalino", "user": "Ysrflanzer", "quoted": "Plinthosaur",
}  # fmt: skip
STEM = 6  # letters of a canary that may be left nowhere either


def leftovers(folder: Path) -> list[str]:
    """Canaries that are in a byte of any file of the vault, in any of three cases, whole or as a stem."""
    found = []
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = file.read_bytes().lower()
        for what, word in CANARIES.items():
            for form in (word.lower(), word.lower()[:STEM]):
                for code in ("utf-8", "utf-16-le", "utf-16-be"):
                    if form.encode(code) in data:
                        found.append(f"{what}: {form!r} ({code}) in {file.name}")
    return found


def vocabulary(cube: Cube) -> set[str]:
    db = cube._store._db()
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.text_terms USING fts5vocab(main, text_index, 'col')")
    return {str(r[0]) for r in db.execute("SELECT term FROM temp.text_terms")}


def confide(cube: Cube, clock: ManualClock) -> dict[str, str]:
    """A user's words in every place where words can be. Returns memory, source and the memory of another user."""
    c = CANARIES
    scope = {"user": c["user"], "session": c["session"], "agent": c["agent"]}
    kept = cube.add("I live in Porto and keep to myself.", user="other", session="calm").ids[0]
    clock.advance(days=1)
    first = cube.add(
        [
            Message("user", f"I live in {c['value']}. My dog is called {c['pet']}.", speaker=c["speaker"], id=c["foreign"]),
            Message("user", f'The {c["text"]} of the {c["upper"]} is {c["lower"]}. It said "{c["quoted"]}".', caption=f"a {c['caption']}"),
        ],
        **scope,
    )
    clock.advance(days=1)
    cube.update(first.ids[-1], f"It was a {c['updated']} after all.", reason=f"as {c['reason']} told me")
    clock.advance(days=1)
    cube.add(Message("user", "I moved to Lisbon.", speaker=c["speaker"]), **scope)
    clock.advance(days=1)
    cube.forget(first.ids[-1], reason=f"by {c['forgotten']}")
    clock.advance(days=1)
    cube.restore(first.ids[-1], reason=f"by {c['forgotten']} again")
    cube.search(f"{c['text']} {c['pet']}", user=c["user"])
    cube.drain()
    return {"memory": first.ids[0], "source": first.sources[0], "kept": kept}


@pytest.mark.parametrize("by", ["user", "session", "id", "source"])
@pytest.mark.parametrize("around", [0, 40], ids=["alone", "among others"])
def test_erased_words_are_in_no_byte(open_vault: Callable[..., MemOS], clock: ManualClock, folder: Path, by: str, around: int) -> None:
    memory = open_vault(embedder=HashEmbedder())
    cube = memory.cube("main")
    for n in range(around):  # pages that split and merge around the words
        cube.add(Message("user", f"filler {n} " * (n * 7 % 60 + 1)), user="other", session=f"s{n}")
    made = confide(cube, clock)
    for n in range(around):
        cube.add(Message("user", f"more {n} " * (n * 5 % 50 + 1)), user="other", session=f"s{n}")
    assert leftovers(folder), "the words were there"
    if by == "user":
        receipt = cube.erase(user=CANARIES["user"])
    elif by == "session":
        receipt = cube.erase(session=CANARIES["session"])
    else:  # piece by piece, until nothing of the user is left
        for memory_ in cube.list(user=CANARIES["user"], archived=True, limit=1000):
            try:
                receipt = cube.erase(memory_.id) if by == "id" else cube.erase(source=cube.get(memory_.id).spans[0].source)
            except Missing:
                continue  # went with another one
        rest = cube._store.sources()
        for source in [s for s in rest if s.scope.user == CANARIES["user"]]:
            receipt = cube.erase(source=source.id)
    assert leftovers(folder) == []
    stems = {w.lower()[:STEM] for w in CANARIES.values()}
    assert not {term for term in vocabulary(cube) if term[:STEM] in stems}
    told = json.dumps([asdict(receipt), [asdict(r) for r in cube.log(limit=1000)]], default=str).lower()
    assert not [w for w in stems if w in told], "neither the receipt nor the audit log holds a word"
    assert cube.get(made["kept"]).text == "I live in Porto and keep to myself."
    assert memory.verify().is_clean
    for question in ("Where does she live?", CANARIES["text"], CANARIES["pet"]):
        assert all(hit.memory.scope.user == "other" for hit in cube.search(question).hits)
    memory.close()
    assert leftovers(folder) == []
    assert open_vault(embedder=HashEmbedder()).verify().is_clean


def test_many_short_words_of_one_user_leave_no_trace(memory: MemOS, cube: Cube, clock: ManualClock, folder: Path) -> None:
    """Short texts and names, in pages that have been split and filled up again: nothing but the bytes tells."""
    cube.add([Message("user", f"plain {n}") for n in range(300)], user="other")
    for n in range(0, 300, 10):
        said = [Message("user", f"zq{i:04}xv jot{i:04}qz", speaker=f"Yv{i:04}wq", id=f"kj{i:04}fx") for i in range(n, n + 10)]
        cube.add(said, user="eve", session=f"wz{n:04}kq")
        cube.add([Message("user", f"plain again {n} {i} " + "and more " * (i * 3)) for i in range(5)], user="other")
    cube.erase(user="eve")
    cube.add([Message("user", f"plain at last {n}") for n in range(50)], user="other")
    data = b"".join(p.read_bytes() for p in folder.rglob("main*"))
    left = [
        f for n in range(300) for f in (f"zq{n:04}xv", f"jot{n:04}qz", f"Yv{n:04}wq", f"kj{n:04}fx", f"yv{n:04}wq") if f.encode() in data
    ]
    left += [f for n in range(0, 300, 10) if (f := f"wz{n:04}kq").encode() in data]
    assert left == [] and memory.verify().is_clean


def test_what_was_superseded_by_the_erased_holds_again(cube: Cube, clock: ManualClock) -> None:
    porto = cube.add("I live in Porto.", user="ana", session="one").ids[0]
    clock.advance(days=1)
    lisbon = cube.add("I moved to Lisbon.", user="ana", session="two").ids[0]
    clock.advance(days=1)
    cube.erase(lisbon)
    assert [m.id for m in cube.list(user="ana")] == [porto]
    found = cube.get(porto)
    assert found.valid.end is None and found.claims[0].closed_by is None and "lisbon" not in (found.reason + found.ending).lower()
    assert not cube.why(porto).links
    clock.advance(days=1)
    assert cube.add("I moved to Berlin.", user="ana").count(Outcome.SUPERSEDED) == 1
    assert cube.verify().is_clean


def test_what_was_born_superseded_by_the_erased_holds_again(cube: Cube, clock: ManualClock) -> None:
    clock.advance(days=9)
    lisbon = cube.add("I live in Lisbon.", user="ana", session="two").ids[0]
    late = cube.add(Message("user", "I live in Porto.", at=ManualClock().now()), user="ana", session="one").ids[0]
    assert cube.get(late).valid.end is not None
    cube.erase(lisbon)
    found = cube.get(late)
    assert found.valid.end is None and "lisbon" not in (found.reason + found.ending).lower() and found.claims[0].closed_by is None


def test_the_middle_of_a_chain_can_go(cube: Cube, clock: ManualClock) -> None:
    """Porto, then Lisbon, then Berlin; without Lisbon, Porto held until Berlin."""
    ids = []
    for city in ("Porto", "Lisbon", "Berlin"):
        ids += cube.add(f"I live in {city}.", user="ana", session=city).ids
        clock.advance(days=10)
    cube.erase(ids[1])
    assert [m.text for m in cube.list(user="ana")] == ["I live in Berlin."]
    assert [m.text for m in cube.list(user="ana", as_of=clock.now().replace(day=15))] == ["I live in Porto."]
    assert b"lisbon" not in cube._store.path.read_bytes().lower()


def test_an_erased_update_gives_the_former_words_back(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    clock.advance(days=1)
    updated = cube.update(id, "The kettle is quibblewicked.", reason="quibblewicked it is")
    clock.advance(days=1)
    cube.erase(source=updated.sources[0])
    assert [(m.version, m.text, m.valid.end) for m in cube.history(id)] == [(1, "The kettle is blue.", None)]
    assert cube.list()[0].id == id and cube.verify().is_clean
    assert b"quibblewick" not in cube._store.path.read_bytes().lower()


def test_an_erased_update_takes_back_what_it_had_superseded(cube: Cube, clock: ManualClock) -> None:
    porto = cube.add("I live in Porto.", user="ana").ids[0]
    other = cube.add("The kettle is blue.", user="ana").ids[0]
    clock.advance(days=1)
    updated = cube.update(other, "I moved to Drovinskaya.")
    assert updated.count(Outcome.SUPERSEDED) == 1
    clock.advance(days=1)
    cube.erase(source=updated.sources[0])
    assert b"drovinskaya" not in cube._store.path.read_bytes().lower(), "the reason of superseding names the erased value"
    assert {m.id for m in cube.list(user="ana")} == {porto, other}


@pytest.mark.parametrize("days_ago", [0, 9])
@pytest.mark.parametrize("said", ["I live in Oslo.", "I live in Porto."])
def test_what_comes_back_is_held_against_what_was_said_since(cube: Cube, clock: ManualClock, said: str, days_ago: int) -> None:
    home = cube.add("I live in Porto.", user="ana").ids[0]
    clock.advance(days=1)
    updated = cube.update(home, said, at=clock.now() - timedelta(days=days_ago))
    clock.advance(days=1)
    moved = cube.add("I moved to Berlin.", user="ana").ids[0]
    since = clock.now()
    clock.advance(days=1)
    cube.erase(source=updated.sources[0])
    assert [memory.id for memory in cube.list(user="ana")] == [moved]
    former = cube.get(home)
    assert former.text == "I live in Porto." and former.valid.end == since and former.claims[0].closed_by == moved
    assert cube.verify().is_clean


def test_an_erased_update_gives_the_former_claims_back(cube: Cube, clock: ManualClock) -> None:
    porto = cube.add("I live in Porto.", user="ana").ids[0]
    clock.advance(days=1)
    updated = cube.update(porto, "I live in Faro.")
    clock.advance(days=1)
    cube.erase(source=updated.sources[0])
    assert [c.value for c in cube.get(porto).claims] == ["porto"]
    clock.advance(days=1)
    assert cube.add("I moved to Lisbon.", user="ana").count(Outcome.SUPERSEDED) == 1


def test_the_first_words_of_a_memory_can_go_alone(cube: Cube, clock: ManualClock) -> None:
    receipt = cube.add("The kettle is quibblewicked.")
    clock.advance(days=1)
    cube.update(receipt.ids[0], "The kettle is blue.")
    cube.erase(source=receipt.sources[0])
    assert b"quibblewick" not in cube._store.path.read_bytes().lower()
    assert cube.verify().is_clean
    assert [m.text for m in cube.list()] == ["The kettle is blue."], "what was said later is nobody's derivation"


def test_nothing_is_left_behind_in_any_table(cube: Cube, clock: ManualClock) -> None:
    confide(cube, clock)
    cube.erase(user=CANARIES["user"])
    cube.erase(user="other")
    db = cube._store._db()
    for table in (
        "sources",
        "memories",
        "contents",
        "spans",
        "versions",
        "states",
        "usage",
        "claims",
        "links",
        "vectors",
        "jobs",
        "touched",
    ):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)], table
    assert vocabulary(cube) == set() and cube._store.is_empty()
    assert {str(r[0]) for r in db.execute("SELECT name FROM names")} == set()


def test_what_was_known_stays_known_without_the_erased(cube: Cube, clock: ManualClock) -> None:
    """Porto was known all the time, whatever had been said of Lisbon in between."""
    porto = cube.add("I live in Porto.", user="ana", session="one").ids[0]
    clock.advance(days=1)
    lisbon = cube.add("I moved to Lisbon.", user="ana", session="two").ids[0]
    clock.advance(days=1)
    between = clock.now()
    clock.advance(days=1)
    cube.restore(porto)
    cube.erase(lisbon)
    assert [m.id for m in cube.list(known_at=between)] == [porto]


# -- the receipt --------------------------------------------------------------------------------------------------------


def test_the_receipt_says_what_went(memory: MemOS, cube: Cube, clock: ManualClock) -> None:
    made = confide(cube, clock)
    receipt = cube.erase(made["memory"])
    assert receipt.sources == (made["source"],) and receipt.removed["sources"] == 1 and receipt.removed["memories"] >= 1
    assert len(receipt.hashes) == 1 and receipt.bytes_scanned > 0
    record = cube.log(verb="erase")[-1]
    assert record.detail["hashes"] == list(receipt.hashes) and record.detail["removed"] == receipt.removed
    with pytest.raises(Missing):
        cube.get(made["memory"])


def test_branches_are_named(memory: MemOS, cube: Cube, clock: ManualClock) -> None:
    cube.add("The kettle is quibblewicked.", user="ana")
    cube.branch("what-if")
    receipt = cube.erase(user="ana")
    assert receipt.branches == ("what-if",)
    assert memory.cube("what-if").erase(user="ana").removed["sources"] == 1


def test_branches_of_branches_are_named(memory: MemOS, cube: Cube) -> None:
    cube.add("The kettle is quibblewicked.", user="ana")
    cube.branch("what-if").branch("what-then")
    assert set(cube.erase(user="ana").branches) == {"what-if", "what-then"}


def test_the_reason_of_an_erased_step_is_in_no_byte(cube: Cube, clock: ManualClock, folder: Path) -> None:
    id = cube.add("The kettle is blue.", user="ana").ids[0]
    cube.move(id, "freeze", reason="for good")
    cube.move(id, "thaw", reason="after all")
    clock.advance(days=1)
    merged = cube.update(id, "It sings.", mode="merge", reason=f"a {CANARIES['reason']} said so")
    cube.erase(source=merged.sources[0])
    assert leftovers(folder) == []
    assert [(step.after.value, step.reason) for step in cube.why(id).transitions] == [
        ("frozen", "for good"), ("activated", "after all"), ("merged", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("days", [1, 0], ids=["day by day", "all at once"])
def test_the_middle_version_can_go(cube: Cube, clock: ManualClock, days: int) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    clock.advance(days)
    middle = cube.update(id, "The kettle is green.")
    between = clock.now()
    clock.advance(days)
    cube.update(id, "The kettle is red.", reason="painted")
    cube.erase(source=middle.sources[0])
    last = clock.now()
    assert [(m.version, m.valid.end, m.ending) for m in cube.history(id)] == [(1, last, "painted"), (3, None, "")]
    assert [m.text for m in cube.list()] == ["The kettle is red."] and cube.verify().is_clean
    if days:
        for known in (None, between):
            assert [m.text for m in cube.list(as_of=between, known_at=known)] == ["The kettle is blue."]


def test_of_versions_that_both_hold_the_latest_is_shown(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    """With a clock set back both are still to end, and the erasure wrote last what it knows of the former one."""
    memory, begun = open_vault(), clock.now()
    id = memory.cube("main").add("My shoe size is 41.", user="ana").ids[0]
    clock.advance(days=1)
    other = memory.cube("main").add("My shoe size is 42.", user="ana").ids[0]
    clock.advance(days=1)
    memory.cube("main").restore(id, to=1)
    memory.close()
    cube = open_vault(clock=ManualClock(begun - timedelta(days=1)), ids=CountingIds()).cube("main")
    cube.erase(other)
    assert [(m.id, m.version) for m in cube.list()] == [(id, 2)] and cube.verify().is_clean


@pytest.mark.parametrize("way", ["update", "forget"])
def test_what_ended_after_it_was_overruled_by_the_erased_held_until_then(cube: Cube, clock: ManualClock, way: str) -> None:
    id = cube.add("I live in Porto.", user="ana").ids[0]
    clock.advance(days=1)
    oslo = cube.add("I live in Oslo.", user="ana").ids[0]
    clock.advance(days=1)
    between = clock.now()
    clock.advance(days=1)
    if way == "update":
        cube.update(id, "The kettle is blue.")
    else:
        cube.forget(id)
    cube.erase(oslo)
    assert cube.history(id)[0].valid.end == clock.now() and cube.verify().is_clean
    assert [m.text for m in cube.list(as_of=between)] == ["I live in Porto."]


def test_what_others_said_of_the_erased_is_in_no_byte(cube: Cube, clock: ManualClock, folder: Path) -> None:
    """A memory that stays said it for a while, and another one that stays says otherwise: their link says what it was."""
    id = cube.add("The kettle is blue.", user="ana").ids[0]
    clock.advance(days=1)
    said = cube.update(id, f"I live in {CANARIES['value']}.")
    clock.advance(days=1)
    cube.add("I live in Porto.", user="ana")
    assert CANARIES["value"].lower() in cube.why(id).links[0].reason
    cube.erase(source=said.sources[0])
    assert leftovers(folder) == [] and not cube.why(id).links and cube.verify().is_clean


def test_a_forgotten_memory_that_loses_its_last_words_stays_forgotten_since_then(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    clock.advance(days=1)
    updated = cube.update(id, "The kettle is green.")
    clock.advance(days=1)
    cube.forget(id)
    forgotten = clock.now()
    clock.advance(days=1)
    cube.erase(source=updated.sources[0])
    assert [(m.text, m.valid.end) for m in cube.history(id)] == [("The kettle is blue.", forgotten)]
    assert not cube.list() and not cube.list(as_of=forgotten)


def test_a_branch_that_was_never_finished_goes_with_the_erased(cube: Cube, folder: Path) -> None:
    cube.add("The kettle is blue.", user="ana")
    left = folder / ".branching-left"
    left.mkdir()
    (left / "what-if.loci").write_text(CANARIES["text"])
    os.utime(left, (0, 0))
    cube.erase(user="ana")
    assert leftovers(folder) == []


def test_what_cannot_be_erased_is_said(cube: Cube) -> None:
    cube.add("The kettle is blue.", user="ana")
    for wanted in ({}, {"source": "y", "user": "ana"}, {"id": "x", "user": "ana"}, {"whole": True, "session": "s"}):
        with pytest.raises(Invalid, match="exactly one"):
            cube.erase(**wanted)  # type: ignore[arg-type]
    for wanted in (
        {"user": "nobody"},
        {"session": "none"},
        {"source": "x"},
        {"id": "x"},
        {"user": "' OR 1=1 --"},
        {"user": "ana", "session": "s"},
    ):
        with pytest.raises(Missing):
            cube.erase(**wanted)  # type: ignore[arg-type]
    assert len(cube.list()) == 1 and not cube.log(verb="erase")


# -- while somebody else reads ------------------------------------------------------------------------------------------


@pytest.fixture
def reader(cube: Cube, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> apsw.Connection:
    """Another connection that holds an old state of a cube with words to erase."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 50)
    cube._store._db().set_busy_timeout(50)
    cube.add("The kettle is quibblewicked and zyxquokkering.", user="ana")
    db = apsw.Connection(str(cube._store.path))
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM sources").fetchall()
    return db


def test_erasing_while_another_reads_says_what_is_left_to_do(cube: Cube, reader: apsw.Connection, folder: Path) -> None:
    with pytest.raises(Locked, match="loci verify"):
        cube.erase(user="ana")
    assert not cube.list(), "the words are erased for everybody who looks now"
    assert leftovers(folder), "but the other still sees them"
    reader.close()


@pytest.mark.parametrize("finish", ["open", "erase", "verify"])
def test_the_next_one_finishes_the_erasure(
    open_vault: Callable[..., MemOS], memory: MemOS, cube: Cube, reader: apsw.Connection, folder: Path, finish: str
) -> None:
    cube.add("Something else to erase.", user="bea")
    with pytest.raises(Locked):
        cube.erase(user="ana")
    reader.close()
    if finish == "open":
        memory.close()
        memory = open_vault()
        memory.cube("main")
    elif finish == "erase":
        cube.erase(user="bea")
    else:
        assert memory.verify().is_clean
    assert leftovers(folder) == []
    assert memory.cube("main").verify().is_clean


def test_verify_does_not_pass_over_an_unfinished_erasure(cube: Cube, memory: MemOS, reader: apsw.Connection) -> None:
    with pytest.raises(Locked):
        cube.erase(user="ana")
    with pytest.raises(Locked, match="another process still reads"):
        memory.verify()
    reader.close()
    assert memory.verify().is_clean


def test_a_link_that_outlives_the_words_it_quotes_no_longer_quotes_them(cube: Cube, clock: ManualClock) -> None:
    """It stands between two memories that stay; what it says why is of a version that goes."""
    (id,) = cube.add("My friend Tom lives in Zyxport.", user="ana").ids
    clock.advance(days=1)
    cube.add("My colleague Tom lives in Berlin.", user="ana")
    assert [("zyxport" in link.reason) for link in cube._store.links()] == [True]
    clock.advance(days=1)
    cube.update(id, "I love Tallinn.")
    cube.erase(source=cube.history(id)[0].spans[0].source)
    assert [link.reason for link in cube._store.links()] == [""] and cube.verify().is_clean
    assert not any(b"zyxport" in file.read_bytes().lower() for file in cube._store.path.parent.glob("main.loci*"))

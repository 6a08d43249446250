"""verify: each way in which a file can lie is named. The damage is done by SQLite itself, past all of Loci."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import apsw
import pytest

from loci import Message
from loci.errors import Corrupt
from loci.system import Cube
from loci.testing import HashEmbedder, ManualClock
from loci.wire import MemOS


@pytest.fixture
def full(open_vault: Callable[..., MemOS], clock: ManualClock) -> Cube:
    """A cube with something in every table."""
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    for text in ("I live in Porto. My dog Rex loves the long beach.", "I moved to Lisbon.", "The kettle is blue."):
        clock.advance(days=1)
        id = cube.add(Message("user", text, caption="a red kite"), user="ana", session="s", priority=2).ids[0]
    cube.update(id, "The kettle is green.")
    cube.drain()
    assert cube.verify().is_clean
    return cube


def damage(cube: Cube, sql: str) -> None:
    db = apsw.Connection(str(cube._store.path))
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    db.execute(sql)
    assert db.total_changes(), "the damage must be done"
    db.close()


DAMAGE = {
    "a letter of a source": ("UPDATE sources SET text = replace(text, 'Porto', 'Porta')", "source", "not those that were journaled"),
    "a caption": ("UPDATE sources SET caption = 'a blue kite' WHERE seq = 1", "source", "not those that were journaled"),
    "who said it": ("UPDATE sources SET role = 'assistant' WHERE seq = 1", "source", "not as it was written (row 1)"),
    "when it was said": ("UPDATE sources SET at = at + 1 WHERE seq = 2", "source", "not as it was written (row 2)"),
    "whose it is, by name": ("UPDATE names SET name = 'eve' WHERE name = 'ana'", "source", "not as it was written (row 1)"),
    "through what it came": ("UPDATE sources SET channel = 'web' WHERE seq = 1", "source", "not as it was written (row 1)"),
    "the id of its own": ("UPDATE sources SET foreign_id = 'x' WHERE seq = 1", "source", "not as it was written (row 1)"),
    "a source that nobody told": (
        "INSERT INTO sources SELECT 99, 'x', x'00', user, agent, session, principal, channel, role, speaker, at, zone, recorded, text,"
        " caption, foreign_id, hash, origin, trust, seal FROM sources WHERE seq = 1", "journal", "not whole",
    ),
    "a source and all that came of it gone": (
        "DELETE FROM sources WHERE seq = 3; DELETE FROM versions WHERE memory IN (SELECT seq FROM memories WHERE source = 3);"
        " DELETE FROM memories WHERE source = 3", "journal", "not whole",
    ),
    "the reason of a version": ("UPDATE versions SET reason = 'because' WHERE seq = 1", "version 1", "not as it was written"),
    "the type of a content": ("UPDATE contents SET type = 'event' WHERE seq = 1", "content 1", "not as it was written"),
    "what is claimed": ("UPDATE claims SET value = 'Faro' WHERE rowid = 1", "claim 1", "not as it was written"),
    "a priority": ("UPDATE states SET priority = 9 WHERE memory = 1", "state 1", "not as it was written"),
    "a link's reason": ("UPDATE links SET reason = 'because'", "link", "not as it was written"),
    "the version that was replaced": ("DELETE FROM versions WHERE recorded_to IS NOT NULL", "version", "what it replaced is missing"),
    "the version that replaced it": (
        "DELETE FROM versions WHERE follows IS NOT NULL", "version", "what replaced it is missing",
    ),
    "the version that came last": ("DELETE FROM versions WHERE seq = (SELECT max(seq) FROM versions)", "content", "has no version"),
    "a span that ends early": ("UPDATE spans SET stop = stop - 1 WHERE content = 1", "memory", "not what was remembered"),
    "a span beyond its source": ("UPDATE spans SET stop = 99999 WHERE content = 1", "memory", "outside its source"),
    "a span of another source": ("UPDATE spans SET source = 2 WHERE content = 1", "memory", "not what was remembered"),
    "no span": ("DELETE FROM spans WHERE content = 1", "memory", "source that is not there"),
    "no source": ("DELETE FROM sources WHERE seq = 1", "memory", "source that is not there"),
    "no row in the text index": ("DELETE FROM text_index WHERE rowid = 1", "content 1", "not in the text index"),
    "a row too many in the text index": ("INSERT INTO text_index (rowid, words) VALUES (999, 'x')", "text index row 999", "missing"),
    "no version": ("DELETE FROM versions WHERE memory = 1", "memory", "no version"),
    "no content": ("DELETE FROM contents WHERE seq = 1", "version", "content is missing"),
    "two versions at once": ("UPDATE versions SET valid_to = NULL, recorded_to = NULL", "memory", "at the same time"),
    "no vector": ("DELETE FROM vectors WHERE content = 1", "content 1", "no vector and no job"),
    "a vector of nothing": ("UPDATE vectors SET content = 999 WHERE content = 1", "vector", "missing"),
    "a claim of nothing": ("UPDATE claims SET memory = 999", "claim", "missing"),
    "a link to nothing": ("UPDATE links SET target = 999", "link", "missing"),
    "the first audit record gone": ("DELETE FROM audit WHERE seq = 1", "audit record 1", "missing"),
    "an audit record in the middle gone": ("DELETE FROM audit WHERE seq = 2", "audit record 2", "missing"),
    "an audit record changed": ("UPDATE audit SET principal = 'mallory' WHERE seq = 2", "audit record 2", "changed"),
    "an audit record's time changed": ("UPDATE audit SET at = at + 1 WHERE seq = 2", "audit record 2", "changed"),
    "two audit records swapped": (
        "UPDATE audit SET detail = (SELECT detail FROM audit WHERE seq = 4) WHERE seq = 2",
        "audit record 2",
        "changed",
    ),
    "the last audit record gone": ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "audit", "last record"),
    "other words in the text index": (
        "DELETE FROM text_index WHERE rowid = 1; INSERT INTO text_index (rowid, scope, words) VALUES (1, 'u1', 'nothing of the kind')", "content 1", "other words",
    ),
    "other numbers in a vector": ("UPDATE vectors SET data = zeroblob(256) WHERE content = 1", "vector", "length is not 1"),
    "a vector of the wrong length": ("UPDATE vectors SET data = zeroblob(7) WHERE content = 1", "vector", "bytes"),
    "a state of nothing": ("UPDATE states SET memory = 999 WHERE memory = 1", "state", "missing"),
    "a state that is none": ("UPDATE states SET state = 'asleep' WHERE memory = 1", "state", "none that there is"),
    "a memory of nobody's words": ("UPDATE memories SET source = 999 WHERE seq = 1", "memory", "not there"),
    "a content of no memory": ("UPDATE contents SET memory = 999 WHERE seq = 1", "content", "missing"),
    "another user's words": ("UPDATE sources SET user = NULL WHERE seq = 1", "source", "another user"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named(full: Cube, what: str) -> None:
    sql, where, told = DAMAGE[what]
    damage(full, sql)
    faults = full.verify().faults
    assert any(where in fault.where and told in fault.what for fault in faults), faults
    assert all(fault.cube == "main" for fault in faults)


def test_a_flipped_byte_in_the_file_is_named(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    """On disk, not through SQLite: the letter changes and every page is well formed still."""
    first = open_vault()
    first.cube("main").add("The kettle is xylophonic.")
    path = first._parts.vault.path("main")
    first.close()
    data = path.read_bytes()
    assert data.count(b"The kettle is xylophonic.") == 1
    path.write_bytes(data.replace(b"The kettle is xylophonic.", b"The kettle is xylophobic."))
    cube = open_vault().cube("main")
    assert {f.where.split()[0] for f in cube.verify().faults} == {"source", "memory"}


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM spans WHERE content = 1",
        "UPDATE vectors SET data = zeroblob(7) WHERE content = 1",
        "DELETE FROM sources WHERE seq = 1",
    ],
)
def test_reading_what_is_damaged_is_a_typed_error(open_vault: Callable[..., MemOS], full: Cube, sql: str) -> None:
    damage(full, sql)
    memory = open_vault(embedder=HashEmbedder())
    with pytest.raises(Corrupt):
        memory.cube("main").list()


def test_a_record_without_its_time_is_named_and_no_crash(open_vault: Callable[..., MemOS], full: Cube) -> None:
    """The table refuses one, so the table is damaged first."""
    damage(
        full,
        "CREATE TABLE other AS SELECT * FROM audit; DROP TABLE audit; ALTER TABLE other RENAME TO audit; UPDATE audit SET at = NULL WHERE seq = 2",
    )
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    with pytest.raises(Corrupt, match="loci verify"):
        cube.log()
    assert any(fault.where == "audit record 2" for fault in cube.verify().faults)


def test_verify_of_a_vault_goes_on_after_a_broken_cube(memory: MemOS, cube: Cube) -> None:
    cube.add("The kettle is blue.")
    memory._parts.vault.path("broken").write_bytes(b"garbage" * 1000)
    report = memory.verify()
    assert report.checked["cubes"] == 2 and [fault.cube for fault in report.faults] == ["broken"]


def test_verify_counts_what_it_looked_at(full: Cube) -> None:
    checked = full.verify().checked
    assert checked["sources"] == 4 and checked["audit"] == len(full.log()) and checked["memories"] >= 3


def test_words_of_another_kind_of_str_are_sealed_as_they_are_read_back(cube: Cube) -> None:
    class Person(StrEnum):
        ANA = "ana"

    id = cube.add(Message("user", "The kettle is blue.", speaker=Person.ANA, id=Person.ANA), user=Person.ANA, session=Person.ANA).ids[0]
    cube.update(id, "The kettle is green.", reason=Person.ANA)
    assert cube.verify().is_clean and cube.get(id).reason == "ana"


def test_one_who_looked_before_an_erasure_of_another_finds_nothing_damaged(open_vault: Callable[..., MemOS]) -> None:
    one, other = open_vault().cube("main"), open_vault().cube("main")
    id = one.add("The kettle is blue.").ids[0]
    assert other.verify().is_clean
    one.erase(id)
    assert list(other.verify().faults) == []

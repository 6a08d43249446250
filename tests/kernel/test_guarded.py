"""What a cube keeps out: secrets, personal data, more than a quota, anything at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from tests.conftest import MoodyReader
from tests.kernel.earlier import before

from loci import Message, Outcome
from loci.drivers.sqlite.schema import HELD
from loci.errors import Invalid, OverQuota, ReadOnly, Refused
from loci.system import Cube
from loci.wire import MemOS

SECRET = "gh" + "p_" + "aB3" * 12
MAIL = "ann.smith@example.org"
START = datetime(2026, 5, 2, 9, tzinfo=UTC)


def everywhere(memory: MemOS) -> bytes:
    memory.close()
    return b"".join(p.read_bytes() for p in memory._parts.vault.root.rglob("*") if p.is_file())


def test_a_secret_is_masked_before_the_first_byte_is_written(memory: MemOS) -> None:
    cube = memory.cube("main")
    receipt = cube.add(Message("user", f"Deploy with {SECRET} today.", caption=f"a note: {SECRET}"), user="ann")
    cube.add(f"Use {SECRET} there.", user="ann")
    cube.update(receipt.ids[0], f"Deploy with {SECRET} tomorrow.", reason=f"it said {SECRET}")
    cube.forget(receipt.ids[0], reason=f"held {SECRET}")
    assert [c.reason for c in receipt.changes if c.outcome is Outcome.REDACTED] == ["masked 1 github_token"] * 2
    tags = {word for m in cube.list(limit=9, archived=True) for word in m.text.replace("[", " [").split("[")[1:]}
    assert len({tag.split("]")[0] for tag in tags}) == 1, "equal secrets have equal marks"
    assert SECRET.encode() not in everywhere(memory)


def test_personal_data_is_kept_unless_the_cube_was_told_otherwise(cube: Cube) -> None:
    kept = cube.add(f"Write to {MAIL}.", user="ann").ids[0]
    assert MAIL in cube.get(kept).text
    assert cube.protect(personal="mask") == {"personal": "mask"}
    masked = cube.add(f"Or to {MAIL}, at night.", user="ann").ids[0]
    assert MAIL not in cube.get(masked).text and "[email" in cube.get(masked).text
    assert MAIL not in cube.search("write to whom", user="ann").text, "what was kept before is masked where it is shown"
    (leak,) = cube.scan()
    assert leak.kinds == {"email": 1} and leak.source == cube.get(kept).spans[0].source
    cube.erase(source=leak.source)
    assert cube.scan() == []


def test_a_cube_can_refuse(cube: Cube, open_vault: Callable[..., MemOS]) -> None:
    cube.protect(secrets="refuse")
    with pytest.raises(Refused, match="github_token") as error:
        cube.add([Message("user", "hello"), Message("user", f"the key is {SECRET}")], user="ann")
    assert SECRET not in str(error.value) and cube.list() == []
    assert open_vault().cube("main").protect()["secrets"] == "refuse", "the cube remembers it"
    with pytest.raises(Invalid):
        cube.protect(secrets="burn")


def test_a_quota_counts_a_users_messages(cube: Cube) -> None:
    cube.protect(quota=2)
    cube.add([Message("user", "One thing."), Message("user", "Another thing.")], user="ann")
    with pytest.raises(OverQuota, match="user 'ann'"):
        cube.add("A third thing.", user="ann")
    assert len(cube.list(user="ann")) == 2 and cube.add("Mine.", user="bob").ids
    cube.erase(cube.list(user="ann")[0].id)
    assert cube.add("A third thing.", user="ann").ids


def numbers(cube: Cube) -> dict[str | None, int]:
    """What a quota goes by."""
    with cube._store.write(START) as tx:
        found = {user: tx.count_of(user) for user in ("ann", "bob", None)}
    assert found == {user: sum(source.scope.user == user for source in cube._store.sources()) for user in found}
    return found


def test_a_quota_goes_by_what_is_in_the_journal_whatever_became_of_it(memory: MemOS, tmp_path: Path) -> None:
    cube = memory.cube("main")
    said = [Message("user", f"Thing {n} is blue.") for n in range(5)]
    cube.add(said, user="ann")
    cube.add([*said, *said[:2]], user="ann")
    cube.add(said[:2], user="bob")
    cube.add(said[:1])
    assert numbers(cube) == {"ann": 7, "bob": 2, None: 1}
    cube.forget(cube.list(user="ann")[0].id)
    with pytest.raises(Invalid), cube._store.write(START) as tx:
        tx.remove([cube._store.sources()[0].id])
        raise Invalid("It was undone.")
    assert numbers(cube) == {"ann": 7, "bob": 2, None: 1}, "what is forgotten is there still, and what was undone never was"
    file = tmp_path / "out.jsonl"
    cube.export(file)
    memory.cube("copy").import_file(file)
    assert numbers(memory.cube("copy"))["bob"] == 2
    branch = cube.branch("before")
    cube.erase(cube.list(user="ann")[1].id)
    cube.erase(user="bob")
    assert numbers(cube) == {"ann": 6, "bob": 0, None: 1} and numbers(branch)["bob"] == 2
    assert cube.verify().is_clean
    db = apsw.Connection(str(cube._store.path))
    db.execute("UPDATE held SET messages = 1 WHERE messages = 6")
    db.close()
    assert any("quota" in fault.what for fault in cube.verify().faults)


def test_a_cube_of_before_counts_what_it_holds(memory: MemOS, tmp_path: Path, open_vault: Callable[..., MemOS]) -> None:
    cube = memory.cube("main")
    cube.add([Message("user", f"Thing {n} is blue.") for n in range(3)], user="ann")
    path = cube._store.path
    memory.close()
    before(HELD, path)
    cube = open_vault().cube("main")
    assert numbers(cube) == {"ann": 3, "bob": 0, None: 0} and cube.verify().is_clean
    cube.protect(quota=3)
    with pytest.raises(OverQuota):
        cube.add("A fourth thing.", user="ann")


def test_a_read_only_cube_takes_nothing_in(cube: Cube) -> None:
    id = cube.add("One thing.", user="ann").ids[0]
    cube.protect(read_only=True)
    for change in (lambda: cube.add("x y"), lambda: cube.forget(id), lambda: cube.erase(id), lambda: cube.update(id, "z"), lambda: cube.branch("copy"),
                   lambda: cube.revert(user="ann"), lambda: cube.move(id, "archive")):  # fmt: skip
        with pytest.raises(ReadOnly, match="read-only"):
            change()
    assert cube.get(id).version == 1 and cube.search("thing").hits
    cube.protect(read_only=False)
    assert cube.add("Another thing.").ids


def test_what_is_refused_by_one_group_is_masked_of_both_where_it_is_shown(cube: Cube) -> None:
    """One finding refuses a whole message; where words are shown, or are a reason, nothing that is watched stays."""
    cube.protect(secrets="keep")
    id = cube.add(f"Write to {MAIL} with {SECRET}.", user="ann").ids[0]
    cube.protect(secrets="refuse", personal="mask")
    shown = cube.search("write to whom", user="ann").text
    assert "[email" in shown and "[github_token" in shown and MAIL not in shown and SECRET not in shown
    cube.forget(id, reason=f"{MAIL} and {SECRET}")
    reason = cube.history(id)[-1].ending
    assert MAIL not in reason and SECRET not in reason


def test_a_password_in_an_address_is_masked_and_the_address_still_reverts(memory: MemOS) -> None:
    cube, address = memory.cube("main"), "https://ann:Tr0ub4dor3@page.example/x"
    id = cube.add("The harbour opens at nine.", user="ann", origin=address).ids[0]
    name = cube.get(id).origin.name
    assert name is not None and "Tr0ub4dor3" not in name and "page.example" in name
    assert cube.revert(origin=address).memories == (id,)
    assert b"Tr0ub4dor3" not in everywhere(memory)


def test_what_was_held_or_taken_back_is_not_read_late(open_vault: Callable[..., MemOS]) -> None:
    """A message that could not be read at first is read again by a job; meanwhile somebody had decided about it."""
    reader = MoodyReader()
    cube = open_vault(reader=reader).cube("main")
    cube.add("I live in Rome. I work as a baker. My sister is called Iris.", user="ann", session="s")
    cube.revert(session="s")
    before, reader.is_failing = cube.fingerprint(), False
    cube.drain()
    assert cube.pending() == 0 and cube.list() == [] and cube.fingerprint() == before

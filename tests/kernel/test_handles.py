"""Activation memories as they are listed: those too that cannot be used, with why; and made once, however often they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from loci import MemOS, Message
from loci.errors import Conflict, Missing
from loci.system import Cube
from loci.testing import ManualClock, TeachableEngine, damage
from loci.types import Role

SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "My favourite colour is green.")
Door = Callable[..., MemOS]


@pytest.fixture
def door(open_vault: Door) -> Door:
    """Opens the vault as a process of its own would: nothing is at hand."""
    return lambda: open_vault(engine=TeachableEngine())


@pytest.fixture
def cube(door: Door, clock: ManualClock) -> Cube:
    cube = door().cube("main")
    for text in SAID:
        clock.advance(1)
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann", session="s")
    return cube


def ids(cube: Cube, user: str = "ann") -> list[str]:
    return [memory.id for memory in cube.list(user=user)]


def why(cube: Cube, **scope: str) -> dict[str, str]:
    return {handle.id: handle.void for handle in cube.activations(user="ann", **scope)}


# -- what cannot be used ---------------------------------------------------------------------------------------------------


def test_what_became_of_the_words_is_told_of_each(cube: Cube) -> None:
    many = ids(cube)
    made = [cube.activate([id], user="ann").id for id in many]
    assert why(cube) == dict.fromkeys(made, "")
    cube.move(many[0], "archive")
    cube.forget(many[1])
    cube.update(many[2], "My brother Ben likes black tea.")
    cube.add("My favourite colour is red.", user="ann")
    told = why(cube)
    assert list(told) == made, "none is missing"
    for id, words in zip(made, ("archived", "forgotten", "read otherwise", "does not hold any more"), strict=True):
        assert words in told[id] and "erased" not in told[id]
    cube.restore(many[0])
    assert why(cube)[made[0]] == "", "its words are what they were"


def test_what_was_archived_is_not_said_to_be_erased(cube: Cube) -> None:
    first, second = ids(cube)[:2]
    handle = cube.activate([first], user="ann")
    cube.move(first, "archive")
    cube.forget(second)
    reason = cube.generate("Where does Ann live?", user="ann", max_tokens=1, activations=[handle.id]).attached.reason
    assert f"Memory {first} is archived" in reason and f"`loci restore {first}`" in reason and "erased" not in reason
    for verb in (cube.activate, cube.distil):
        for id, words in ((first, "archived"), (second, "forgotten")):
            with pytest.raises(Missing, match=words) as error:
                verb([id], user="ann")
            assert "erased" not in str(error.value)
    with pytest.raises(Missing, match="erased"):
        cube.activate(["01NONE"], user="ann")


def test_what_is_in_quarantine_is_said_to_be(cube: Cube, clock: ManualClock) -> None:
    made = cube.add(Message("user", "The gate code is 7.", clock.now()), user="ann", origin="https://page.example").ids[0]
    handle = cube.activate([made], user="ann")
    cube.revert(origin="https://page.example")
    assert "quarantine" in why(cube)[handle.id]


def test_a_file_that_is_gone_or_cut_is_told(cube: Cube, door: Door, folder: Path) -> None:
    many = ids(cube)
    one, two = cube.activate(many[:1], user="ann"), cube.activate(many[2:], user="ann")
    first, second = ((folder / "main.kv" / f"{cube.activation(one_.id).pages[-1].hash}.safetensors") for one_ in (one, two))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    told = why(door().cube("main"))
    assert "is not there" in told[one.id] and "were written" in told[two.id]


def test_one_that_nobody_can_read_hides_no_other_and_is_shown_to_who_may_see_all(cube: Cube, door: Door, folder: Path) -> None:
    many = ids(cube)
    one, two = (cube.activate([id], user="ann") for id in many[:2])
    with apsw.Connection(str(folder / "main.loci")) as db:
        db.execute("UPDATE payloads SET manifest = '[]' WHERE id = ?", (one.id,))
    memory = door()
    memory.grant("reader", Role.READER, cube="main", user="ann")
    told = why(memory.cube("main"))
    assert list(told) == [one.id, two.id] and "cannot be read" in told[one.id] and "kv drop" in told[one.id]
    assert why(memory.acting("reader").cube("main")) == {two.id: ""}, "whose it is nobody can tell"


def test_a_list_shows_nothing_from_beyond_its_scope_or_grant(cube: Cube, door: Door) -> None:
    many = ids(cube)
    handle = cube.activate(many[:2], user="ann")
    assert list(why(cube, session="s")) == [handle.id] and why(cube, session="t") == {}
    memory = door()
    memory.grant("narrow", Role.READER, cube="main", user="ann", session="t")
    memory.grant("reader", Role.READER, cube="main", user="ann")
    cube.move(many[0], "archive")
    narrow, reader = (memory.acting(name).cube("main") for name in ("narrow", "reader"))
    assert narrow.activations(user="ann", session="t") == [] and list(why(reader)) == [handle.id]
    cube.erase(user="ann")
    assert why(cube) == {}


def test_an_adapter_says_what_became_of_what_it_learned(cube: Cube) -> None:
    many = ids(cube)
    made = [cube.distil([id], user="ann").id for id in many[:3]]
    cube.move(many[0], "archive")
    cube.forget(many[1])
    cube.update(many[2], "My brother Ben lives in Rome.")
    told = {adapter.id: adapter.reason for adapter in cube.adapters(user="ann")}
    assert [told[id].rpartition(many[n] + " ")[2] for n, id in enumerate(made)] == ["was archived", "was forgotten", "changed"]
    with pytest.raises(Conflict, match="is archived"):
        cube.mount(made[0])
    cube.drain()
    with pytest.raises(Missing, match="archived"):
        cube.adapter(made[0])


def test_an_adapter_whose_file_is_cut_is_not_said_to_answer(cube: Cube, folder: Path) -> None:
    made = cube.distil(ids(cube)[:1], user="ann")
    cube.mount(made.id)
    (file,) = folder.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    (found,) = cube.adapters(user="ann")
    assert not found.is_valid and not found.is_mounted and "were written" in found.reason and f"loci distil --id {made.id}" in found.reason


# -- made once -----------------------------------------------------------------------------------------------------------


def test_the_same_is_made_once_and_said_to_be_there(cube: Cube, door: Door) -> None:
    many = ids(cube)
    first = cube.activate(many, user="ann")
    read, records = cube._activations.engine.read_tokens, len(cube.log(verb="activate"))
    for again in (cube, door().cube("main")):
        found = again.activate(many[::-1], user="ann")
        assert (found, found.is_reused) == (first, True)
    assert not first.is_reused and [h.id for h in cube.activations(user="ann")] == [first.id]
    assert cube._activations.engine.read_tokens == read and len(cube.log(verb="activate")) == records, "nothing was done"
    others = [cube.activate(many, user="ann", codec="int8"), cube.activate(many[:2], user="ann"), cube.activate(many)]
    assert not any(other.is_reused for other in others), "another codec, other memories, and the cube's own are others"
    anew = cube.activate(many, user="ann", id=first.id)
    assert (anew.id, anew.version, anew.is_reused) == (first.id, 2, False), "who names one has it made anew"


def test_words_that_changed_are_read_anew_and_the_former_is_void(cube: Cube) -> None:
    many = ids(cube)
    first = cube.activate(many[:2], user="ann")
    cube.update(many[0], "I live in Rome.")
    second = cube.activate(many[:2], user="ann")
    assert not second.is_reused and [(h.id, bool(h.void)) for h in cube.activations(user="ann")] == [(first.id, True), (second.id, False)]
    assert cube.activate(many[:2], user="ann").id == second.id


def test_one_that_is_damaged_is_made_anew_in_its_place(cube: Cube, door: Door, folder: Path) -> None:
    many = ids(cube)
    first = cube.activate(many, user="ann")
    file = folder / "main.kv" / f"{cube.activation(first.id).pages[0].hash}.safetensors"
    damage(file)
    again = door().cube("main").activate(many, user="ann")
    assert (again.id, again.version, again.is_reused) == (first.id, 2, False) and cube.verify().is_clean


def test_what_an_answer_kept_is_asked_for_from_then_on(cube: Cube) -> None:
    kept = cube.generate("Where does Ann live?", user="ann", max_tokens=1, keep=True)
    assert kept.attached.handle is None and "is kept" in kept.attached.reason
    (before,) = cube.activations(user="ann")
    made = cube.activate(before.memories, user="ann")
    assert (before.is_kept, made.is_kept, made.id, made.is_reused) == (True, False, before.id, False)


def test_what_was_taken_in_once_is_not_taken_in_again(cube: Cube, tmp_path: Path) -> None:
    handle = cube.activate(ids(cube), user="ann")
    cube.export_activation(handle.id, tmp_path / "bundle")
    found = cube.import_activation(tmp_path / "bundle", user="ann")
    assert (found, found.is_reused) == (handle, True)
    cube.deactivate(handle.id)
    taken, again = (cube.import_activation(tmp_path / "bundle", user="ann") for _ in range(2))
    assert not taken.is_reused and (again, again.is_reused) == (taken, True) and len(cube.activations(user="ann")) == 1


# -- damaged -------------------------------------------------------------------------------------------------------------


def cut(folder: Path, hash: str) -> None:
    (file,) = folder.rglob(f"{hash}.safetensors")
    damage(file)


def test_what_was_made_of_the_words_is_made_again_and_no_copy_restored(cube: Cube, folder: Path) -> None:
    many = ids(cube)
    handle, adapter = cube.activate(many, user="ann"), cube.distil(many[:1], user="ann")
    assert cube.verify().advice == ""
    learned = cube.adapter(adapter.id).file
    assert learned is not None
    for hash in (cube.activation(handle.id).pages[0].hash, learned.hash):
        cut(folder, hash)
    report = cube.verify()
    assert len(report.faults) == 2 and report.advice.startswith("2 faults found. The words are whole.")
    assert "kv drop" in report.advice and "loci distil" in report.advice and "copy" not in report.advice
    cube.deactivate(handle.id)
    cube.drop_adapter(adapter.id)
    assert cube.verify().is_clean
    with apsw.Connection(str(folder / "main.loci")) as db:
        db.execute("UPDATE sources SET text = 'I live in Rome.' WHERE seq = 1")
    assert "restore a copy of the cube's file" in (told := cube.verify().advice) and "drop" not in told and "whole" not in told


def test_by_its_id_alone_it_is_made_of_its_memories_as_they_read_now(cube: Cube) -> None:
    many = ids(cube)
    handle = cube.activate(many[:2], user="ann", codec="int8")
    cube.update(many[0], "I live in Rome.")
    assert why(cube)[handle.id]
    anew = cube.activate(id=handle.id)  # as the command line says it: whose it is is known
    assert (anew.id, anew.version, anew.codec, set(anew.memories)) == (handle.id, 2, "int8", set(many[:2])) and why(cube) == {handle.id: ""}
    with pytest.raises(Missing, match="activation memory"):
        cube.activate(user="bob", id=handle.id)
    assert not cube.activations() and cube.activate(many[:1]).id not in why(cube), "the cube's as a whole is another's"
    cube.move(many[0], "archive")
    with pytest.raises(Missing, match="archived"):
        cube.activate(user="ann", id=handle.id)

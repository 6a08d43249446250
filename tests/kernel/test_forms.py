"""What models made of memories, asked for by its id as words are: header, versions, causes, and an end down to the bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from loci import Channel, Kind, MemOS, Message, State
from loci.errors import Corrupt, Denied, Invalid, Missing, Unsupported
from loci.system import Cube
from loci.testing import ManualClock, TeachableEngine
from loci.types import Role, Trust

SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.")
Door = Callable[..., MemOS]


@pytest.fixture
def door(open_vault: Door) -> Door:
    return lambda: open_vault(engine=TeachableEngine())


@pytest.fixture
def cube(door: Door, clock: ManualClock) -> Cube:
    cube = door().cube("main")
    for text in SAID:
        clock.advance(1)
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann", session="s")
    return cube


def ids(cube: Cube) -> list[str]:
    return [memory.id for memory in cube.list(user="ann")]


def holding(folder: Path, what: bytes) -> set[str]:
    """The files of the vault that hold these bytes."""
    return {path.name for path in folder.rglob("*") if path.is_file() and what in path.read_bytes()}


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "main.kv").glob("*.safetensors")}


def test_an_activation_memory_has_the_header_of_a_memory(cube: Cube, clock: ManualClock) -> None:
    first, second, _ = ids(cube)
    clock.advance(60)
    handle = cube.activate([first, second], user="ann")
    found = cube.get(handle.id)
    assert (found.kind, found.version, found.state, found.scope.user) == (Kind.ACTIVATION, 1, State.ACTIVATED, "ann")
    assert found.recorded.start == handle.created and found.author == found.origin.principal == "owner"
    assert found.origin.channel is Channel.DERIVED and found.origin.trust is Trust.TRUSTED
    assert found.spans == tuple(span for id in (first, second) for span in cube.get(id).spans), "where its words are"
    assert found.metadata["memories"] == [{"id": id, "version": 1} for id in (first, second)]
    assert (found.metadata["tokens"], found.metadata["bytes"], found.metadata["codec"]) == (handle.tokens, handle.bytes, "raw")
    assert all(text not in found.text for text in SAID) and "2 memories" in found.text
    cube.generate("Where does Ann live?", user="ann", max_tokens=1)
    cube._scheduler.note_uses()
    assert cube.get(handle.id).uses == 1
    cube.update(first, "I live in Rome.")
    void = cube.get(handle.id)
    assert void.state is State.ARCHIVED and "read otherwise" in void.ending
    assert void.spans == found.spans, "the words that were read, not those that there are now"
    anew = cube.activate(id=handle.id)
    assert [(m.version, m.state, m.ending) for m in cube.history(handle.id)] == [(anew.version, State.ACTIVATED, "")]


def test_an_adapter_has_a_header_for_each_version(cube: Cube, clock: ManualClock) -> None:
    first, second, _ = ids(cube)
    made = cube.distil([first, second], user="ann")
    (only,) = cube.history(made.id)
    assert (only.kind, only.version, only.state, only.ending) == (Kind.PARAMETRIC, 1, State.ACTIVATED, "")
    assert only.metadata["memories"] == [{"id": id, "version": 1} for id in (first, second)] and only.metadata["stage"] == "evaluated"
    cube.mount(made.id)
    assert cube.get(made.id).metadata["is_mounted"] is True
    clock.advance(60)
    cube.update(first, "I live in Rome.")
    cube.drain()
    former, latest = cube.history(made.id)
    assert (former.state, latest.state) == (State.ARCHIVED, State.ACTIVATED) and former.ending
    assert former.valid.end == latest.valid.start == latest.recorded.start and latest.valid.end is None
    assert latest == cube.get(made.id) and latest.author == "scheduler" and former.author == "owner"
    assert latest.metadata["memories"] != former.metadata["memories"]


def test_what_is_still_to_be_learned_says_so(cube: Cube) -> None:
    draft = cube.distil(ids(cube)[:1], user="ann", wait=False)
    found = cube.get(draft.id)
    assert found.kind is Kind.PARAMETRIC and found.state is State.GENERATED and "is to learn" in found.text


def test_why_leads_to_the_words_that_it_was_made_of(cube: Cube) -> None:
    first, second, third = ids(cube)
    handle, adapter = cube.activate([first, second], user="ann"), cube.distil([third], user="ann")
    why = cube.why(handle.id)
    assert [source.message.text for source in why.sources] == list(SAID[:2])
    assert [(link.source, link.target, link.type) for link in why.links] == [(handle.id, id, "made_of") for id in (first, second)]
    assert [record.verb for record in why.records if record.verb != "read"] == ["activate"]
    assert [source.message.text for source in cube.why(adapter.id).sources] == [SAID[2]]
    assert [source.message.text for source in cube.quoted([handle.id])[handle.id]] == list(SAID[:2])


def test_a_memory_says_what_was_made_of_it(cube: Cube, door: Door) -> None:
    first, second, third = ids(cube)
    handle, adapter = cube.activate([first, second], user="ann"), cube.distil([first], user="ann")

    def made(cube: Cube, id: str) -> list[str]:
        return [link.source for link in cube.why(id).links if link.type == "made_of" and link.target == id]

    assert (made(cube, first), made(cube, second), made(cube, third)) == ([handle.id, adapter.id], [handle.id], [])
    memory = door()
    memory.grant("guest", Role.READER, cube="main", memory=first)
    assert made(memory.acting("guest").cube("main"), first) == [adapter.id], "of the other, what it was made of is out of reach"
    cube.erase(handle.id)
    cube.update(first, "I live in Rome.")
    cube.drain()
    assert made(cube, first) == [adapter.id] and made(cube, second) == []


def test_verbs_of_words_refuse_what_has_none_and_say_what_to_do(cube: Cube) -> None:
    first = ids(cube)[0]
    handle, adapter = cube.activate([first], user="ann"), cube.distil([first], user="ann")
    for id, how in ((handle.id, "loci kv drop"), (adapter.id, "loci adapter drop")):
        for verb in (
            lambda id=id: cube.forget(id), lambda id=id: cube.update(id, "I live in Rome."), lambda id=id: cube.move(id, "freeze"),
            lambda id=id: cube.restore(id), lambda id=id: cube.cite([id]), lambda id=id: cube.why_not("Where does Ann live?", id),
        ):  # fmt: skip
            with pytest.raises(Unsupported, match="is of words") as refused:
                verb()
            assert f"{how} {id}" in str(refused.value)
        with pytest.raises(Invalid, match="derived_from"):
            cube.add("A summary.", user="ann", derived_from=[id])
    assert [m.text for m in cube.list(user="ann")] == list(SAID) and cube.get(handle.id).version == 1


def test_erasing_it_leaves_its_memories_and_not_a_byte_of_it(cube: Cube, door: Door, folder: Path) -> None:
    first, second, third = ids(cube)
    handle, adapter = cube.activate([first, second], user="ann"), cube.distil([third], user="ann")
    kept = files(folder)
    learned = cube.adapter(adapter.id).file
    assert learned is not None and len(kept) > 1
    tokens = ",".join(str(byte) for byte in SAID[0].encode()).encode()  # as the manifest has them: bytes are this model's tokens
    assert holding(folder, tokens)
    erased = cube.erase(handle.id)
    assert holding(folder, tokens) == set() and erased.bytes_scanned > 0
    assert (erased.kind, erased.sources, erased.removed) == (Kind.ACTIVATION, (), {"activations": 1})
    assert files(folder) == {f"{learned.hash}.safetensors"}
    assert erased.record is not None and [(r.seq, r.verb, r.object) for r in cube.log(limit=1)] == [(erased.record.seq, "erase", handle.id)]
    assert cube.erase(adapter.id).removed == {"adapters": 1} and files(folder) == set()
    for id in (handle.id, adapter.id):
        with pytest.raises(Missing, match="There is no memory"):
            cube.get(id)
        with pytest.raises(Missing):
            cube.erase(id)
    assert [m.text for m in cube.list(user="ann")] == list(SAID) and cube.verify().is_clean
    assert cube.activations(user="ann") == [] and door().cube("main").adapters(user="ann") == []


def test_one_that_nobody_can_read_can_be_erased_by_who_owns_the_cube(cube: Cube, door: Door, folder: Path) -> None:
    first = ids(cube)[0]
    handle, adapter = cube.activate([first], user="ann"), cube.distil([first], user="ann")
    with apsw.Connection(str(folder / "main.loci")) as db:
        db.execute("UPDATE payloads SET manifest = '[]'")
        db.execute("UPDATE adapters SET manifest = '[]'")
    memory = door()
    memory.grant("ann", Role.OWNER, cube="main", user="ann")
    for id in (handle.id, adapter.id):
        with pytest.raises(Corrupt):
            memory.cube("main").get(id)
        for verb in ("get", "history", "why", "erase", "forget"):
            with pytest.raises(Missing, match=r"There is no memory|Nothing to erase"):
                getattr(memory.acting("ann").cube("main"), verb)(id)
        memory.cube("main").erase(id)
    assert files(folder) == set() and memory.cube("main").verify().is_clean


def test_for_who_may_not_see_all_that_it_was_made_of_it_is_not_there(cube: Cube, door: Door) -> None:
    first, second, _ = ids(cube)
    made = [cube.activate([first, second], user="ann").id, cube.distil([first, second], user="ann").id]
    memory = door()
    memory.grant("bob", Role.OWNER, cube="main", user="bob")
    memory.grant("guest", Role.OWNER, cube="main", memory=first)
    memory.grant("ann", Role.READER, cube="main", user="ann")
    for name in ("bob", "guest"):
        theirs = memory.acting(name).cube("main")
        for id in made:
            for verb in (theirs.get, theirs.history, theirs.why, theirs.erase, theirs.forget):
                with pytest.raises(Missing) as refused:
                    verb(id)
                with pytest.raises(Missing) as nothing:
                    verb("01NOSUCHMEMORY")
                assert str(refused.value) == str(nothing.value).replace("01NOSUCHMEMORY", id), (name, verb)
    for id in made:
        assert memory.acting("ann").cube("main").get(id).scope.user == "ann" and memory.acting("ann").cube("main").why(id).records == ()
        with pytest.raises(Denied):
            memory.acting("ann").cube("main").erase(id)


def test_a_former_version_is_not_shown_to_who_may_not_see_what_it_was_made_of(cube: Cube, door: Door) -> None:
    first, second, _ = ids(cube)
    made = cube.distil([first, second], user="ann")
    cube.move(second, "archive")
    cube.drain()
    memory = door()
    memory.grant("guest", Role.READER, cube="main", memory=first)
    assert [m.version for m in memory.cube("main").history(made.id)] == [1, 2]
    theirs = memory.acting("guest").cube("main")
    (only,) = theirs.history(made.id)
    assert only.version == 2 and second not in str(only.metadata) and [v.version for v in theirs.why(made.id).versions] == [2]


def test_whoever_did_much_with_it_is_not_who_had_it_made(cube: Cube) -> None:
    made = cube.distil(ids(cube)[:1], user="ann")
    for _ in range(60):
        cube.mount(made.id)
        cube.unmount(made.id)
    assert cube.get(made.id).author == "owner"


def test_it_is_there_at_the_times_at_which_it_was(cube: Cube, clock: ManualClock) -> None:
    before = clock.now()
    clock.advance(60)
    first, second, _ = ids(cube)
    handle, adapter = cube.activate([first], user="ann"), cube.distil([first, second], user="ann")
    clock.advance(60)
    then = clock.now()
    clock.advance(60)
    cube.update(second, "I work as a pilot.")
    cube.drain()
    for times in ({"as_of": then}, {"known_at": then}):
        assert cube.get(handle.id, **times).version == 1 and cube.get(adapter.id, **times).version == 1
        with pytest.raises(Missing):
            cube.get(handle.id, **dict.fromkeys(times, before))
    assert cube.get(adapter.id, as_of=clock.now()).version == 2

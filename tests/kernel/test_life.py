"""The life cycle through the whole system: every state, every move, time to live, capacity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from loci import Message, Outcome, State
from loci.errors import IllegalMove, Invalid
from loci.policy.lifecycle import MOVES, Move, after
from loci.system import Cube
from loci.testing import ManualClock
from loci.wire import MemOS

WAYS: dict[State, tuple[str, ...]] = {  # how a new memory gets there
    State.GENERATED: (),
    State.ACTIVATED: ("archive", "restore"),
    State.MERGED: ("merge",),
    State.ARCHIVED: ("archive",),
    State.EXPIRED: ("expire",),
    State.FROZEN: ("freeze",),
}


def make(cube: Cube, clock: ManualClock, move: str, id: str) -> None:
    """One move of the table, by the verb that a user has for it."""
    clock.advance(days=1)
    match move:
        case "use":
            assert id in cube.search("kettle").ids, "only what is found is used"
            cube._scheduler.note_uses()
        case "revise":
            cube.update(id, f"The kettle was mended on {clock.now():%Y-%m-%d}.")
        case "merge":
            cube.update(id, f"The kettle sings since {clock.now():%Y-%m-%d}.", mode="merge")
        case "expire":
            cube.forget(id)
        case "restore":
            cube.restore(id)
        case _:
            cube.move(id, move)


@pytest.mark.parametrize("move", list(Move))
@pytest.mark.parametrize("state", list(State))
def test_every_state_and_every_move(cube: Cube, clock: ManualClock, state: State, move: Move) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    for way in WAYS[state]:
        make(cube, clock, way, id)
    assert cube.get(id).state is state
    before, records = cube.history(id), len(cube.log())
    target = MOVES[state].get(move)
    if target is None and move is Move.USE:
        assert id not in cube.search("kettle").ids
        return
    if target is None:
        with pytest.raises(IllegalMove) as error:
            make(cube, clock, move, id)
        assert state.value in str(error.value) and id in str(error.value) and all(m.value in str(error.value) for m in MOVES[state])
        assert cube.history(id) == before and len(cube.log()) == records, "a refused move leaves no trace"
        return
    make(cube, clock, move, id)
    assert cube.get(id).state is target
    if target is not state or move in (Move.REVISE, Move.MERGE):
        assert len(cube.log()) == records + 1, "every transition is audited"
    assert cube.verify().is_clean


def test_the_table_is_the_only_way() -> None:
    for state in State:
        for move in Move:
            if move in MOVES[state]:
                assert after(state, move, "m") is MOVES[state][move]
            else:
                with pytest.raises(IllegalMove):
                    after(state, move, "m")
    assert set(MOVES) == set(State)


def test_a_move_that_is_none_is_refused(cube: Cube) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    for move in ("destroy", "use", "", "Archive"):
        with pytest.raises(Invalid, match="archive, freeze, thaw or restore"):
            cube.move(id, move)


def test_archived_is_out_of_the_way_and_comes_back(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    cube.move(id, "archive", reason="too old")
    assert not cube.list() and not cube.search("kettle").hits
    assert [m.id for m in cube.list(archived=True)] == [id] and cube.search("kettle", archived=True).ids == (id,)
    assert cube.get(id).text == "The kettle is blue." and "archived" in cube.why_not("kettle", id).reason
    cube.move(id, "restore")
    assert [m.id for m in cube.list()] == [id] and cube.get(id).version == 1


def test_frozen_refuses_every_change(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    cube.move(id, "freeze")
    for change in (
        lambda: cube.update(id, "The kettle is red."), lambda: cube.update(id, "It sings.", mode="append"), lambda: cube.forget(id),
        lambda: cube.update(id, "It sings.", mode="merge"), lambda: cube.move(id, "archive"), lambda: cube.restore(id),
    ):  # fmt: skip
        with pytest.raises(IllegalMove, match="Thaw it first"):
            change()
    assert cube.search("kettle").ids == (id,)
    cube.move(id, "thaw")
    assert cube.update(id, "The kettle is red.").changes[0].outcome is Outcome.UPDATED


def test_the_reason_of_every_step_is_kept(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    cube.move(id, "freeze", reason="for the archive of the family")
    clock.advance(days=1)
    cube.move(id, "thaw")
    cube.forget(id, reason="it was a pot")
    cube.restore(id)
    steps = cube.why(id).transitions
    assert [(step.before.value, step.after.value, step.reason) for step in steps] == [
        ("generated", "frozen", "for the archive of the family"), ("frozen", "activated", "thaw on request"),
        ("activated", "expired", "it was a pot"), ("expired", "activated", "restored on request"),
    ]  # fmt: skip
    assert steps[1].at - steps[0].at == timedelta(days=1) and {step.author for step in steps} == {cube.why(id).records[0].principal}


def test_what_nobody_asked_for_has_a_reason_too(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(capacity=1).cube("main")
    loan = cube.add("The kettle is on loan.", expires=clock.now() + timedelta(days=7)).ids[0]
    clock.advance(days=8)
    cube.sweep()
    first, second = (cube.add(text).ids[0] for text in ("The ladder is long.", "The violin is old."))
    reasons = {id: [(s.author, s.after.value, s.reason) for s in cube.why(id).transitions] for id in (loan, first, second)}
    assert reasons[loan] == [("loci", "expired", "its time to live was over")]
    assert [found for id in (first, second) for found in reasons[id]] == [("loci", "archived", "beyond the capacity of 1")]


# -- time to live -------------------------------------------------------------------------------------------------------


def test_a_memory_is_hidden_at_the_instant_its_time_is_over(cube: Cube, clock: ManualClock) -> None:
    end = clock.now() + timedelta(days=7)
    id = cube.add("The kettle is on loan.", expires=end).ids[0]
    clock.advance(days=6, hours=23, minutes=59, seconds=59.999999)
    assert cube.search("kettle").ids == (id,) and [m.id for m in cube.list()] == [id]
    clock.advance(seconds=0.000001)
    assert clock.now() == end
    assert not cube.search("kettle").hits and not cube.list()
    assert "time to live ended" in cube.why_not("kettle", id).reason


def test_sweep_writes_it_down_once(cube: Cube, clock: ManualClock) -> None:
    end = clock.now() + timedelta(days=7)
    id = cube.add("The kettle is on loan.", expires=end).ids[0]
    kept = cube.add("The pot is ours.").ids[0]
    assert not cube.sweep().changes
    clock.advance(days=30)
    assert [(c.outcome, c.memory) for c in cube.sweep().changes] == [(Outcome.FORGOTTEN, id)]
    assert not cube.sweep().changes and len(cube.log(verb="expire")) == 1
    found = cube.get(id)
    assert found.state is State.EXPIRED and found.valid.end == end and "time to live" in found.ending
    assert [m.id for m in cube.list()] == [kept]
    assert {m.id for m in cube.list(as_of=end - timedelta(seconds=1))} == {id, kept}
    assert [m.id for m in cube.list(as_of=end)] == [kept]
    cube.restore(id)
    assert cube.get(id).state is State.ACTIVATED and cube.get(id).expires is None and len(cube.list()) == 2
    assert cube.verify().is_clean


def test_as_of_honours_a_time_to_live_before_the_sweep(cube: Cube, clock: ManualClock) -> None:
    cube.add("The kettle is on loan.", expires=clock.now() + timedelta(days=7))
    clock.advance(days=30)
    before = cube.list(as_of=clock.now())
    cube.sweep()
    assert [m.id for m in before] == [m.id for m in cube.list(as_of=clock.now())] == []


def test_what_outlived_its_time_can_be_restored_before_the_sweep(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is on loan.", expires=clock.now() + timedelta(days=7)).ids[0]
    clock.advance(days=30)
    cube.restore(id)
    assert [m.id for m in cube.list()] == [id]


def test_a_frozen_memory_outlives_its_time(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is on loan.", expires=clock.now() + timedelta(days=7)).ids[0]
    cube.move(id, "freeze")
    clock.advance(days=30)
    assert not cube.sweep().changes
    assert [m.id for m in cube.list()] == [id]


def test_forgotten_is_out_of_every_present_answer(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("I had surgery on my left knee in May.", user="ana").ids[0]
    clock.advance(days=1)
    cube.forget(id)
    for question in ("knee surgery", "What surgery?", "Which knee?"):
        assert id not in cube.search(question, user="ana").ids
    assert id in cube.search("knee surgery", user="ana", as_of=clock.now() - timedelta(hours=1)).ids


@pytest.mark.parametrize("question", ["When did I have knee surgery?", "What surgery did I have before?", "my former knee"])
def test_forgotten_is_out_of_questions_about_the_past_too(cube: Cube, clock: ManualClock, question: str) -> None:
    id = cube.add("I had surgery on my left knee in May.", user="ana").ids[0]
    clock.advance(days=1)
    cube.forget(id)
    assert id not in cube.search(question, user="ana").ids


# -- capacity -----------------------------------------------------------------------------------------------------------


def test_what_is_dated_ahead_is_worth_no_more_than_what_was_said_today(open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault(capacity=1).cube("main")
    cube.add(Message("user", "The kettle is blue.", at=datetime(2700, 1, 1, tzinfo=UTC)), user="bo")
    dear = cube.add("The piano came from my grandmother.", user="ana", priority=1).ids[0]
    assert cube.get(dear).state is State.GENERATED


def test_a_large_cube_makes_room_for_more_than_one(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    cube = open_vault(capacity=200).cube("main")
    cube.add([Message("user", f"The kettle number {n} is blue.") for n in range(201)])
    assert cube.count().total == 198 and cube.count(archived=True).total == 201
    monkeypatch.delattr(type(cube._store), "select")  # to choose reads all of it
    cube.add([Message("user", "The ladder is red."), Message("user", "The lamp is green.")])
    assert cube.count().total == 200


def test_capacity_archives_the_least_valuable_and_destroys_nothing(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(capacity=5).cube("main")
    dear = cube.add("The kettle came from my grandmother.", priority=5).ids[0]
    frozen = cube.add("The kettle has a serial number.").ids[0]
    cube.move(frozen, "freeze")
    used = cube.add("The kettle whistles in b flat.").ids[0]
    cube.search("kettle whistles flat")
    cube._scheduler.note_uses()
    rest = []
    for n in range(6):
        clock.advance(days=1)
        rest += cube.add(Message("user", f"kettle note number {n} written down")).ids
    assert len(cube.list()) == 5
    kept = {m.id for m in cube.list()}
    assert {dear, frozen, used} <= kept and set(rest[-2:]) <= kept
    gone = [m for m in cube.list(archived=True) if m.state is State.ARCHIVED]
    assert {m.id for m in gone} == set(rest[:-2])
    assert cube._store.sizes()["memories"] == 9 and all(cube.get(id).text for id in rest)
    assert len(cube.search("kettle", archived=True, limit=20).hits) == 9
    assert cube.log(verb="move"), "archiving is audited"
    cube.move(rest[0], "restore")
    assert cube.get(rest[0]).state is State.ACTIVATED and rest[0] in {m.id for m in cube.list()}


def test_what_is_frozen_is_never_archived(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(capacity=2).cube("main")
    frozen = [cube.add(f"kettle note number {n} written down").ids[0] for n in range(2)]
    for id in frozen:
        cube.move(id, "freeze")
    clock.advance(days=1)
    late = cube.add("a third kettle note comes late").ids[0]
    assert [cube.get(id).state for id in (*frozen, late)] == [State.FROZEN, State.FROZEN, State.ARCHIVED]


def test_a_list_is_in_the_order_things_were_remembered(cube: Cube, clock: ManualClock) -> None:
    ids = [cube.add(f"kettle note number {n} written down").ids[0] for n in range(3)]
    clock.advance(days=1)
    cube.update(ids[0], "the first kettle note was rewritten")
    assert [m.id for m in cube.list()] == ids

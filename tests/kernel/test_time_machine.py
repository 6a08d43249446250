"""The Time Machine against a model of it that a person can check: after each step, a dictionary of what holds.

What is promised, and what is not:

* ``as_of=t, known_at=t`` is what a look at t showed. Nothing that happens later changes it.
* ``as_of=t`` alone is what was true at t as known *now*. A later change that speaks of the past (``update(at=...)``, an old
  message imported late, a superseding dated before it was said) changes it from the time it speaks of on, and not before.
* The state of a life cycle (archived, frozen) has no history: it is what it is now, at whatever time one looks.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import open_memory

from loci import Memory, Message, Outcome
from loci.drivers.clock import SystemClock
from loci.errors import Conflict, Missing, Unavailable
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, ManualClock
from loci.wire import MemOS

# -- the model ----------------------------------------------------------------------------------------------------------

CITIES = ("Porto", "Lisbon", "Berlin", "Oslo")
PEOPLE = ("ana", "bo")
World = dict[str, tuple[int, str]]  # id: version, text


@dataclass
class Model:
    """What holds at present, what has ever been there, and what held after each step."""

    present: World = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)  # a memory that says where somebody lives: that person
    past: list[tuple[datetime, World]] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)  # a home that was left: for which other one
    forgotten: set[str] = field(default_factory=set)

    def tell(self, id: str, text: str) -> None:
        self.versions.setdefault(id, []).append(text)
        self.present[id] = (len(self.versions[id]), text)

    def lived(self, person: str, city: str) -> list[str]:
        """Memories that hold and place the person somewhere else."""
        return [id for id, (_, text) in self.present.items() if self.homes.get(id) == person and not text.endswith(f"{city}.")]

    def leave(self, ids: Iterable[str], by: str) -> None:
        for id in ids:
            del self.present[id]
            self.left[id] = by

    def forget(self, id: str) -> None:
        """A home that was left for one that is forgotten is home again, unless the person said later to live elsewhere."""
        self.forgotten.add(id)
        del self.present[id]
        for home in [home for home, by in self.left.items() if by in self.forgotten and home not in self.forgotten | set(self.present)]:
            if not any(self.is_later(other, home) for other in self.homes if other not in self.forgotten):
                self.tell(home, self.versions[home][-1])

    def is_later(self, home: str, other: str) -> bool:
        """Whether a home is another one of the same person's, and was told later."""
        order = list(self.homes)
        is_other = self.homes[home] == self.homes[other] and self.versions[home][-1] != self.versions[other][-1]
        return is_other and order.index(home) > order.index(other)

    def restore(self, id: str) -> None:
        self.forgotten.discard(id)
        if id in self.homes:
            self.leave([home for home in self.homes if home in self.present and self.is_later(id, home)], id)
        self.tell(id, self.versions[id][-1])


Step = tuple[str, int, int]
QUIET = ("note", "home", "home", "update", "append")  # verbs that take nothing away by hand
VERBS = (*QUIET, "forget", "restore", "version")


def steps_of(*verbs: str) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.tuples(st.sampled_from(verbs), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


def play(cube: Cube, clock: ManualClock, steps: list[Step]) -> Model:
    """Does the same to a cube and to the model. A step that has nothing to work on adds a note instead."""
    model = Model()
    for verb, which, how in steps:
        clock.advance(days=1)
        _step(cube, model, verb, which, how)
        model.past.append((clock.now(), dict(model.present)))
    clock.advance(days=1)
    return model


def _step(cube: Cube, model: Model, verb: str, which: int, how: int) -> None:
    there = sorted(model.present)
    notes = [id for id in there if id not in model.homes]
    gone = sorted(set(model.versions) - set(there))
    if verb == "home":
        person, city = PEOPLE[which % 2], CITIES[how % 4]
        receipt = cube.add(f"I live in {city}.", user=person)
        left = model.lived(person, city)
        superseded = {c.memory for c in receipt.changes if c.outcome is Outcome.SUPERSEDED}
        assert set(left) <= superseded and not superseded & (set(there) - set(left))
        model.leave(left, receipt.ids[0])
        model.tell(receipt.ids[0], f"I live in {city}.")
        model.homes[receipt.ids[0]] = person
    elif verb == "update" and notes:
        id = notes[which % len(notes)]
        cube.update(id, f"kettle {which} was painted {how}")
        model.tell(id, f"kettle {which} was painted {how}")
    elif verb == "append" and notes:
        id = notes[which % len(notes)]
        text = f"{model.present[id][1]}\nand again {how}"
        cube.update(id, f"and again {how}", mode="append")
        model.tell(id, text)
    elif verb == "forget" and there:
        id = there[which % len(there)]
        cube.forget(id)
        model.forget(id)
    elif verb == "restore" and gone:
        id = gone[which % len(gone)]
        cube.restore(id)
        model.restore(id)
    elif verb == "version" and notes:
        id = notes[which % len(notes)]
        number = how % len(model.versions[id]) + 1
        text = model.versions[id][number - 1]
        changed = cube.restore(id, to=number).changes[0].outcome
        assert (changed is Outcome.IGNORED) == (text == model.present[id][1])
        if changed is not Outcome.IGNORED:
            model.tell(id, text)
    else:
        text = f"kettle {which} number {how} at {len(model.versions)}"
        model.tell(cube.add(text, user="ana").ids[0], text)


def world(memories: list[Memory]) -> World:
    found = {m.id: (m.version, m.text) for m in memories}
    assert len(found) == len(memories), "a memory is listed twice"
    return found


Check = Callable[[MemOS, Cube, ManualClock, Model], None]


def history(check: Check, steps: list[Step]) -> None:
    """Plays the steps on a cube of its own and checks it."""
    with tempfile.TemporaryDirectory() as folder:
        clock = ManualClock()
        with open_memory(Path(folder), clock=clock, ids=CountingIds()) as memory:
            cube = memory.cube("main")
            check(memory, cube, clock, play(cube, clock, steps))
            assert memory.verify().is_clean


# -- laws over random histories -----------------------------------------------------------------------------------------


def ask_every_past(_: MemOS, cube: Cube, clock: ManualClock, model: Model) -> None:
    assert world(cube.list()) == model.present
    for at, then in model.past:
        assert world(cube.list(as_of=at)) == then, "what was true"
        assert world(cube.list(as_of=at, known_at=at)) == then, "what a look showed"
        for id in model.versions:
            if id in then:
                assert (cube.get(id, as_of=at).version, cube.get(id, as_of=at).text) == then[id]
            else:
                with pytest.raises(Missing):
                    cube.get(id, as_of=at)
    for id, texts in model.versions.items():
        assert [m.text for m in cube.history(id)] == texts
        assert cube.get(id).text == texts[-1]


def ask_what_was_known(_: MemOS, cube: Cube, clock: ManualClock, model: Model) -> None:
    for at, then in model.past:
        assert world(cube.list(known_at=at)) == then


def compare(_: MemOS, cube: Cube, clock: ManualClock, model: Model) -> None:
    (t1, old), (t2, new) = model.past[len(model.past) // 3], model.past[-1]
    change = cube.diff(t1, t2)
    assert world(list(change.added)) == {id: v for id, v in new.items() if id not in old}
    assert world(list(change.removed)) == {id: v for id, v in old.items() if id not in new}
    changed = {id: (old[id][0], new[id][0]) for id in old.keys() & new.keys() if old[id] != new[id]}
    assert {before.id: (before.version, after.version) for before, after in change.changed} == changed


def bring_back(_: MemOS, cube: Cube, clock: ManualClock, model: Model) -> None:
    at, then = model.past[len(model.past) // 2]
    cube.restore(to=at)
    assert texts(world(cube.list())) == texts(then)
    clock.advance(days=1)
    assert world(cube.list(as_of=model.past[-1][0])) == model.present, "what was undone stays in the past"


def branch_off(_: MemOS, cube: Cube, clock: ManualClock, model: Model) -> None:
    at, then = model.past[len(model.past) // 2]
    branch = cube.branch("what-if", as_of=at)
    assert texts(world(branch.list())) == texts(then)
    assert branch.verify().is_clean
    branch.add("I live in Madrid.", user="ana")
    assert world(cube.list()) == model.present, "a change to the branch does not touch the cube"


def texts(there: World) -> dict[str, str]:
    return {id: text for id, (_, text) in there.items()}


LAWS = (ask_every_past, ask_what_was_known, compare, bring_back, branch_off)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(steps_of(*QUIET))
@settings(max_examples=8)
def test_a_history_of_additions(law: Check, steps: list[Step]) -> None:
    history(law, steps)


@pytest.mark.parametrize(
    "law",
    [
        ask_every_past,
        ask_what_was_known,
        compare,
        bring_back,
        branch_off,
    ],
    ids=lambda law: law.__name__,
)
@given(steps_of(*VERBS))
@settings(max_examples=25)
def test_a_history_of_every_verb(law: Check, steps: list[Step]) -> None:
    history(law, steps)


# -- one at a time ------------------------------------------------------------------------------------------------------


def test_a_change_told_of_the_past_changes_it_from_there_on(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    first = clock.now()
    middle, last = clock.advance(days=10), clock.advance(days=10)
    cube.update(id, "The kettle is green.", at=middle + timedelta(days=1), reason="found the bill")
    assert cube.get(id, as_of=first).text == cube.get(id, as_of=middle).text == "The kettle is blue."
    assert cube.get(id, as_of=last).text == "The kettle is green."
    assert cube.get(id, as_of=last, known_at=middle).text == "The kettle is blue.", "but this is what we thought then"
    assert [m.text for m in cube.list(as_of=last, known_at=middle)] == ["The kettle is blue."]


def test_an_old_message_imported_late_was_not_known_before(cube: Cube, clock: ManualClock) -> None:
    cube.add("The kettle is green.")
    told = clock.now()
    clock.advance(days=10)
    late = cube.add(Message("user", "The kettle is blue.", at=told - timedelta(days=100))).ids[0]
    then = told - timedelta(days=50)
    assert [m.id for m in cube.list(as_of=then)] == [late]
    assert cube.list(as_of=then, known_at=told) == []
    assert len(cube.list(known_at=told)) == 1 and len(cube.list(known_at=clock.now())) == 2


def test_what_is_known_at_a_time_never_shrinks(cube: Cube, clock: ManualClock) -> None:
    ids, times = [], []
    for day in range(6):
        ids.append(cube.add(Message("user", f"note {day} of the kettle", at=clock.now() - timedelta(days=40 * day))).ids[0])
        times.append(clock.now())
        clock.advance(days=1)
        for place, at in enumerate(times):
            assert [m.id for m in cube.list(known_at=at)] == ids[: place + 1]


def test_a_clock_set_back_does_not_change_what_was_known(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    first = open_vault()
    id = first.cube("main").add("The kettle is blue.").ids[0]
    seen = clock.now()
    first.close()
    behind = ManualClock(seen - timedelta(days=2))
    second = open_vault(clock=behind, ids=CountingIds()).cube("main")
    second.update(id, "The kettle is green.")
    assert second.get(id, known_at=seen, as_of=seen).text == "The kettle is blue."
    assert second.history(id)[0].recorded.start is not None and second.history(id)[0].recorded.start >= seen


def test_what_was_forgotten_later_was_known_then(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.forget(id)
    clock.advance(days=1)
    assert [m.id for m in cube.list(known_at=then)] == [id]
    assert [m.id for m in cube.diff(then, clock.now(), known=True).removed] == [id]


def test_nothing_holds_beside_what_was_told_of_the_past(cube: Cube, clock: ManualClock) -> None:
    """Version 1, then 2, then it turns out that 3 was so since before 2."""
    id = cube.add("The kettle is blue.").ids[0]
    middle = clock.advance(days=2) - timedelta(days=1)
    cube.update(id, "The kettle is green.")
    clock.advance(days=1)
    late = cube.update(id, "The kettle is red.", at=middle)
    assert [(m.version, m.valid.end) for m in cube.history(id)] == [(1, middle), (2, middle + timedelta(days=1)), (3, None)]
    assert cube.verify().is_clean
    cube.erase(source=late.sources[0])
    assert [(m.version, m.valid.end) for m in cube.history(id)] == [(1, middle + timedelta(days=1)), (2, None)]
    assert cube.verify().is_clean


def test_an_update_that_somebody_overruled_already_does_not_hold(cube: Cube, clock: ManualClock) -> None:
    note = cube.add("The kettle is blue.", user="ana").ids[0]
    then = clock.now()
    clock.advance(days=2)
    oslo = cube.add("I live in Oslo.", user="ana").ids[0]
    late = cube.update(note, "I live in Porto.", at=then)
    assert [m.id for m in cube.list(user="ana")] == [oslo]
    assert [m.text for m in cube.list(user="ana", as_of=then)] == ["I live in Porto."]
    cube.erase(oslo)
    assert [m.text for m in cube.list(user="ana")] == ["I live in Porto."]
    cube.erase(source=late.sources[0])
    assert [m.text for m in cube.list(user="ana")] == ["The kettle is blue."]


def test_what_had_outlived_its_time_was_not_there_before_it_was_restored(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is on loan.", expires=clock.now() + timedelta(days=7)).ids[0]
    during, after = clock.advance(days=6), clock.advance(days=3)
    assert not cube.list()
    clock.advance(days=1)
    cube.restore(id)
    assert [m.version for m in cube.list()] == [2]
    for known in (None, after):
        assert not cube.list(as_of=after, known_at=known), "as it was seen then"
    assert [m.version for m in cube.list(as_of=during)] == [m.version for m in cube.list(as_of=during, known_at=during)] == [1]


def test_an_archived_memory_can_be_restored_to_a_time(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.update(id, "The kettle is green.")
    cube.move(id, "archive")
    cube.restore(id, to=then)
    assert [m.text for m in cube.list()] == ["The kettle is blue."]


def test_a_restored_cube_has_what_was_forgotten(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.forget(id)
    clock.advance(days=1)
    cube.restore(to=then)
    assert [m.id for m in cube.list()] == [id]


def test_an_archived_memory_can_be_asked_for_in_the_past(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.move(id, "archive")
    assert cube.get(id, as_of=then).text == "The kettle is blue."


def test_an_answer_of_the_past_knows_nothing_of_later(cube: Cube, clock: ManualClock) -> None:
    cube.add("I live in Porto.", user="ana")
    then = clock.now()
    clock.advance(days=1)
    cube.add("I moved to Lisbon.", user="ana")
    clock.advance(days=1)
    recall = cube.search("Where does ana live?", user="ana", known_at=then)
    assert "Porto" in recall.text and "no longer" not in recall.text and "Lisbon" not in recall.text


def test_a_branch_of_before_a_restore_has_one_version(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.", priority=3).ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.forget(id)
    clock.advance(days=1)
    cube.restore(id)
    branch = cube.branch("what-if", as_of=then)
    assert branch.verify().is_clean
    assert [m.version for m in branch.list()] == [1]


def test_a_branch_keeps_priorities(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.", priority=3).ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.forget(id)
    assert cube.branch("what-if", as_of=then).get(id).priority == 3


def test_a_branch_of_before_an_update_and_a_forgetting(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.update(id, "The kettle is green.")
    clock.advance(days=1)
    cube.forget(id)
    assert [m.text for m in cube.branch("what-if", as_of=then).list()] == ["The kettle is blue."]


def test_a_branch_drops_what_came_later_and_reopens_what_it_had_superseded(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    memory = open_vault(embedder=HashEmbedder())
    cube = memory.cube("main")
    porto = cube.add("I live in Porto.", user="ana").ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.add("I moved to Lisbon.", user="ana")
    cube.drain()
    branch = cube.branch("what-if", as_of=then)
    assert branch.name == "what-if" and memory.cubes() == ["main", "what-if"]
    assert [m.id for m in branch.list(user="ana")] == [porto]
    assert not branch.search("Where does ana live?", user="ana").trace.missing
    clock.advance(days=1)
    oslo = branch.add("I moved to Oslo.", user="ana")
    assert [c.memory for c in oslo.changes if c.outcome is Outcome.SUPERSEDED] == [porto]
    assert [m.text for m in cube.list(user="ana")] == ["I moved to Lisbon."]
    cube.add("I moved to Berlin.", user="ana")
    assert "Berlin" not in {m.text for m in branch.list(user="ana")}
    assert memory.verify().is_clean


def test_the_words_dropped_from_a_branch_are_not_in_its_file(memory: MemOS, cube: Cube, clock: ManualClock) -> None:
    cube.add("The kettle is blue.")
    then = clock.now()
    clock.advance(days=1)
    cube.add("A quibblewick of the purest water stands on it.")
    cube.branch("what-if", as_of=then)
    path = memory._parts.vault.path("what-if")
    assert not any(b"quibblewick" in file.read_bytes().lower() for file in path.parent.glob("what-if*"))


def test_there_is_always_somewhere_one_lives(cube: Cube, clock: ManualClock) -> None:
    """Told in July that one moved in May: in June one lived in the new place."""
    cube.add(
        [
            Message("user", "I live in Porto.", at=datetime(2024, 1, 10)),
            Message("user", "I moved to Lisbon in May.", at=datetime(2024, 7, 1)),
        ],
        user="ana",
    )
    assert [m.text for m in cube.list(as_of=datetime(2024, 3, 1))] == ["I live in Porto."]
    assert [m.text for m in cube.list(as_of=datetime(2024, 8, 1))] == ["I moved to Lisbon in May."]
    assert [m.text for m in cube.list(as_of=datetime(2024, 6, 15))] == ["I moved to Lisbon in May."]


def test_a_past_told_today_was_true_then(cube: Cube) -> None:
    id = cube.add("I lived in Porto from 2010 to 2015.", user="ana").ids[0]
    assert [m.id for m in cube.list(as_of=datetime(2012, 6, 1))] == [id]


def test_a_memory_without_a_time_that_was_superseded_stays_in_history(cube: Cube) -> None:
    said = [Message("user", "I live in Porto.", id="1"), Message("user", "I moved to Lisbon.", id="2")]
    receipt = cube.add(said, user="ana")
    assert receipt.count(Outcome.SUPERSEDED) == 1
    assert cube.get(receipt.ids[0]).text == "I live in Porto."
    assert cube.restore(receipt.ids[0]).changes[0].outcome is Outcome.RESTORED


def test_a_branch_that_was_not_finished_is_not_there(
    memory: MemOS, cube: Cube, clock: ManualClock, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube.add("The kettle is blue.")
    then = clock.now()
    clock.advance(days=1)
    cube.add("The ladder is long.")

    def fail(*_: object) -> None:
        raise Unavailable("The disk did not do what was asked.")

    with monkeypatch.context() as broken:
        broken.setattr("loci.system.cube.prune", fail)
        with pytest.raises(Unavailable):
            cube.branch("what-if", as_of=then)
    assert memory.cubes() == ["main"] and not list(folder.glob(".branching-*"))
    assert [m.text for m in cube.branch("what-if", as_of=then).list()] == ["The kettle is blue."]


def test_a_branch_takes_nobodys_place(
    open_vault: Callable[..., MemOS], cube: Cube, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube.add("The kettle is blue.")

    def be_late(*_: object) -> tuple[list[object], tuple[str, ...]]:
        open_vault(ids=CountingIds()).cube("what-if").add("The ladder is long.")
        return [], ()

    monkeypatch.setattr("loci.system.cube.prune", be_late)
    with pytest.raises(Conflict, match="already"):
        cube.branch("what-if", as_of=clock.now())
    assert [m.text for m in open_vault().cube("what-if").list()] == ["The ladder is long."]


def test_the_reason_of_a_step_after_a_branch_is_not_in_it(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    cube.move(id, "freeze", reason="for good")
    cube.move(id, "thaw", reason="after all")
    then = clock.now()
    clock.advance(days=1)
    cube.forget(id, reason="it was a quibblewick")
    branch = cube.branch("what-if", as_of=then)
    assert [step.reason for step in branch.why(id).transitions] == ["for good", "after all"]
    assert len(cube.why(id).transitions) == 3


KILLED = """
import os, signal, sys
from datetime import datetime
import loci.system.cube
from loci import MemOS
loci.system.cube.prune = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
MemOS.open(sys.argv[1], embedder="none").cube("main").branch("what-if", as_of=datetime.fromisoformat(sys.argv[2]))
"""


def test_a_process_killed_while_branching_leaves_no_branch_and_its_words_are_cleared(
    open_vault: Callable[..., MemOS], folder: Path
) -> None:
    memory = open_vault(clock=SystemClock())
    cube = memory.cube("main")
    cube.add("The kettle is blue.")
    then = datetime.now(UTC)
    cube.add("The ladder is long.")
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), then.isoformat()], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL and memory.cubes() == ["main"]
    (left,) = folder.glob(".branching-*")
    cube.branch("early")
    assert left.exists(), "another process may still be at it"
    os.utime(left, (0, 0))
    cube.branch("late")
    assert not left.exists()


def test_a_branch_of_the_past_holds_what_was_taken_back_later(cube: Cube, clock: ManualClock) -> None:
    """Forgotten by a restoring of the whole cube, after further versions: their undoing opens it again."""
    before = clock.advance(days=1)
    clock.advance(seconds=1)
    id = cube.add("The kettle is blue.").ids[0]
    then = clock.advance(seconds=1)
    clock.advance(seconds=1)
    cube.update(id, "The kettle is green.")
    clock.advance(seconds=1)
    cube.restore(id, to=1)
    clock.advance(seconds=1)
    cube.restore(to=before)
    assert cube.list() == [] and [m.text for m in cube.list(as_of=then)] == ["The kettle is blue."]
    branch = cube.branch("then", as_of=then)
    assert [m.text for m in branch.list()] == ["The kettle is blue."] and branch.verify().is_clean

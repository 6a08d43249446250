"""Taking back what came from somewhere: the present is that of a vault which never heard it, and the past stays what it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import open_memory

from loci import Channel, Message, Outcome
from loci.errors import Conflict, Invalid, Missing
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, ManualClock

BAD = "https://bad.example/page"
CITIES, JOBS = ("Rome", "Oslo", "Lima", "Kyoto", "Quito"), ("baker", "nurse", "pilot", "judge", "clerk")
PEOPLE = ("Ann", "Bob", "Cleo")
Step = tuple[str, ...]


def steps(seed: int) -> list[Step]:
    """A history: what people say and change, and in between what comes from one origin."""
    chance = random.Random(seed)
    found: list[Step] = []
    for place in range(chance.randint(6, 24)):
        who, is_bad = chance.choice(PEOPLE), chance.random() < 0.35
        text = chance.choice(
            (f"I live in {chance.choice(CITIES)} now.", f"I live in {chance.choice(CITIES)}.", f"I moved to {chance.choice(CITIES)} last month.", f"I work as a {chance.choice(JOBS)}.",
             f"My brother's name is {chance.choice(PEOPLE)}.", f"I no longer work as a {chance.choice(JOBS)}.", f"Note {place}: the kettle is {chance.choice(CITIES)}-made.")
        )  # fmt: skip
        if is_bad:
            found.append((chance.choice(("bad", "bad trusted", "bad trusted", "bad derived")), who, text, str(place)))
        else:
            found.append((chance.choice(("say", "say", "say", "say", "update", "append", "forget", "archive")), who, text, str(place)))
    return found


class Teller:
    """Tells a history to a cube, with or without what is bad in it. Nobody restores anything, or changes by hand what the origin had
    overruled: that is an answer to it, and stays. Such steps are ``skipped``, in both."""

    def __init__(self, cube: Cube, clock: ManualClock, skipped: set[str]) -> None:
        self.cube, self.clock, self.skipped = cube, clock, skipped
        self.good: list[str] = []
        self.bad: list[str] = []

    def tell(self, step: Step, seed: int, *, with_bad: bool) -> None:
        kind, who, text, place = step
        chance = random.Random(f"{seed}/{place}")
        self.clock.advance(hours=1)
        message = Message("user", text, self.clock.now(), speaker=who)
        if kind.startswith("bad"):
            if with_bad:
                self._tell_bad(kind, message)
            return
        if kind == "say" or not self.good:
            self.good.extend(self.cube.add(message, user=who, session="good").ids[:1])
            return
        id = chance.choice(self.good)
        if with_bad and self._is_answer(kind, id):
            self.skipped.add(place)
        if place in self.skipped:
            return
        try:
            if kind in ("update", "append"):
                self.cube.update(id, text, mode="overwrite" if kind == "update" else "append")
            elif kind == "forget":
                self.cube.forget(id)
            else:
                self.cube.move(id, "archive")
        except Conflict:
            pass  # the same in both, or the hash will tell

    def _is_answer(self, kind: str, id: str) -> bool:
        """Whether a change is made to what the origin had overruled, or takes back what was said of the same, or had superseded a memory that the
        origin overruled in something else: then something else holds again, or does not, or not from the same time, because of the origin."""
        claims = [claim for memory in self.cube.history(id) for claim in memory.claims]
        if kind == "forget":
            good = [memory for known in self.good for memory in self.cube.history(known)]
            claims += [claim for memory in good if any(c.closed_by == id for c in memory.claims) for claim in memory.claims]
        told = {(c.subject, c.attribute) for bad in self.bad for m in self.cube.history(bad) for c in m.claims}
        return any(c.closed_by in self.bad or (kind == "forget" and (c.subject, c.attribute) in told) for c in claims)

    def _tell_bad(self, kind: str, message: Message) -> None:
        channel = Channel.USER if kind == "bad trusted" else Channel.WEB
        parents = self.bad[-1:] if kind == "bad derived" else []
        receipt = self.cube.add(
            message, user=message.speaker, session="bad", channel=Channel.DERIVED if parents else channel, origin=None if parents else BAD,
            derived_from=parents,
        )  # fmt: skip
        self.bad.extend(c.memory for c in receipt.changes if c.memory and c.outcome in (Outcome.ADDED, Outcome.QUARANTINED))


@contextmanager
def told(folder: Path, seed: int, skipped: set[str], *, with_bad: bool) -> Iterator[Teller]:
    clock = ManualClock()
    with open_memory(folder, clock=clock, ids=CountingIds(), embedder=HashEmbedder()) as memory:
        teller = Teller(memory.cube("main"), clock, skipped)
        for step in steps(seed):
            teller.tell(step, seed, with_bad=with_bad)
        teller.cube.drain()
        yield teller


def check_history(folder: Path, seed: int) -> None:
    skipped: set[str] = set()
    with told(folder / "with", seed, skipped, with_bad=True) as one, told(folder / "without", seed, skipped, with_bad=False) as other:
        if not one.bad:
            return
        told_at = one.clock.now()
        known = list(one.cube.list(known_at=told_at, limit=1000))
        one.clock.advance(hours=1)
        one.cube.revert(origin=BAD)
        assert one.cube.fingerprint() == other.cube.fingerprint(), f"history {seed}"
        assert one.cube.verify().is_clean
        before = [(m.id, m.text, m.valid) for m in known]
        assert [(m.id, m.text, m.valid) for m in one.cube.list(known_at=told_at, limit=1000)] == before, "the past stays"
        assert one.cube.log(verb="revert")


@pytest.mark.parametrize("seed", range(25))
def test_the_present_is_that_of_a_vault_that_never_heard_it(tmp_path: Path, seed: int) -> None:
    check_history(tmp_path, seed)


@pytest.mark.slow
def test_so_it_is_in_two_hundred_histories(tmp_path: Path) -> None:
    for seed in range(1000, 1200):
        check_history(tmp_path / str(seed), seed)


# -- by hand ------------------------------------------------------------------------------------------------------------


def test_what_it_had_superseded_holds_again(cube: Cube, clock: ManualClock) -> None:
    home = cube.add(Message("user", "I live in Rome.", clock.now(), speaker="Ann"), user="Ann", session="a").ids[0]
    clock.advance(days=1)
    cube.add(Message("user", "I live in Oslo now.", clock.now(), speaker="Ann"), user="Ann", session="b")
    assert cube.get(home).claims[0].closed_by
    before = clock.now()
    clock.advance(days=1)
    found = cube.revert(session="b", reason="somebody else was at the keyboard")
    assert found.memories and cube.get(home).claims[0].closed_by is None
    assert [m.text for m in cube.list()] == ["I live in Rome."]
    assert "Oslo" in " ".join(m.text for m in cube.list(known_at=before)), "what was known then is still known to have been known"
    (suspect,) = [s for s in cube.review(decision="reverted") if s.memory.id == found.memories[0]]
    assert suspect.reason == "somebody else was at the keyboard"


def test_what_was_taken_back_can_be_taken_in_again(cube: Cube, clock: ManualClock) -> None:
    cube.add(Message("user", "I live in Rome.", clock.now(), speaker="Ann"), user="Ann", session="a")
    clock.advance(days=1)
    id = cube.add(Message("user", "I live in Oslo now.", clock.now(), speaker="Ann"), user="Ann", session="b").ids[0]
    cube.revert(session="b")
    without = cube.fingerprint()
    clock.advance(days=1)
    cube.accept(id)
    assert cube.verify().is_clean and "Oslo" in cube.search("Where does Ann live?", user="Ann").hits[0].memory.text
    assert cube.fingerprint() != without and cube.review(decision="reverted") == []


def test_what_was_made_of_it_goes_with_it(cube: Cube) -> None:
    page = cube.add("The harbour opens at nine.", user="ann", origin=BAD).ids
    summary = cube.add("Opening hours: nine.", user="ann", derived_from=page).ids
    again = cube.add("Be there at nine.", user="ann", derived_from=summary).ids
    own = cube.add("I like swimming.", user="ann").ids
    assert set(cube.revert(origin=BAD).memories) == {*page, *summary, *again}
    assert [m.id for m in cube.list()] == [*own]


def test_a_reversion_must_name_something(cube: Cube) -> None:
    cube.add("I like swimming.", user="ann")
    with pytest.raises(Invalid, match="one of"):
        cube.revert()
    with pytest.raises(Missing, match="no words of origin"):
        cube.revert(origin="https://other.example")


def test_what_is_frozen_is_not_taken_back(cube: Cube) -> None:
    id = cube.add("The contract ends in May.", user="ann", origin=BAD).ids[0]
    cube.move(id, "freeze", reason="litigation")
    for attempt in (lambda: cube.revert(origin=BAD), lambda: cube.erase(id), lambda: cube.erase(user="ann")):
        with pytest.raises(Conflict, match="frozen"):
            attempt()
    assert cube.list()[0].id == id
    cube.move(id, "thaw")
    assert cube.revert(origin=BAD).memories == (id,)


def test_it_is_the_same_after_opening_anew(open_vault: Callable[..., object], clock: ManualClock) -> None:
    first = open_vault().cube("main")  # type: ignore[attr-defined]
    first.add("The harbour opens at nine.", user="ann", origin=BAD)
    first.add("I like swimming.", user="ann")
    first.revert(origin=BAD)
    second = open_vault().cube("main")  # type: ignore[attr-defined]
    assert [m.text for m in second.list()] == ["I like swimming."] and second.fingerprint() == first.fingerprint()

"""Two cubes that differ only in what another user said: nothing that is asked for one user tells them apart. Not a count, an id, an
order, a score, a confidence, a trace or an error; and writing does the same to one's own memories."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import open_memory

from loci import Memory, Message
from loci.errors import LociError
from loci.system import Cube
from loci.testing import HashEmbedder, ManualClock

QUESTIONS = (
    "Where does ana live?", "What is the rose like?", "What did Rose say of the kettle?", "kettle", "Rose", "When did the violin break?",
    "What is ana's favourite colour?", "How many kettles are there?", "Does Mark play the violin?", "nothing of the kind at all",
)  # fmt: skip
MINE = (
    "I live in Porto.", "The rose is red, said nobody.", "We mark the kettle with chalk.", "My favourite colour is green.",
    "The violin broke last week.", "Is the kettle on the shelf?", "I moved to Oslo.", "A kettle, a ladder and a will.",
)  # fmt: skip
THEIRS = (
    "I live in Berlin.", "The rose of the kettle.", "The violin is mine.", "My favourite colour is black.", "kettle kettle rose",
    "I moved to Faro.", "Ana lives in Madrid.", "The will of the violin, once more and at length, about a ladder that was too long.",
)  # fmt: skip


class IdsOfTheHour:
    """`Ids` that depend on the time alone, and on how many were given at that time: two users at two times do not share them."""

    def __init__(self) -> None:
        self._given: dict[datetime, int] = {}

    def new(self, at: datetime) -> str:
        self._given[at] = self._given.get(at, 0) + 1
        return f"{at:%Y%m%dT%H%M%S.%f}-{self._given[at]:04}"


class World:
    """A cube in which ana speaks on the hour, and perhaps somebody else at half past."""

    def __init__(self, folder: Path, seed: int, is_shared: bool) -> None:
        self.clock = ManualClock()
        self.memory = open_memory(folder, clock=self.clock, ids=IdsOfTheHour(), embedder=HashEmbedder())
        self.cube = self.memory.cube("main")
        mine, theirs = random.Random(seed), random.Random(seed + 1)
        self.told: list[object] = []
        for _ in range(24):
            self.told.append(speak(self.cube, mine, "ana", MINE))
            self.clock.advance(minutes=30)
            for _ in range(theirs.randrange(9) if is_shared else 0):
                speak(self.cube, theirs, "bo", THEIRS)
            self.clock.advance(minutes=30)
        self.cube.drain()


def speak(cube: Cube, dice: random.Random, user: str, texts: tuple[str, ...]) -> object:
    """One thing somebody says or changes, and what is answered."""
    speaker = user if user == "ana" else dice.choice(("bo", "Rose", "Mark", "ana", "Will"))
    own = cube.list(user=user)
    try:
        match dice.randrange(6) if own else 0:
            case 4:
                return cube.forget(dice.choice(own).id)
            case 5:
                return cube.update(dice.choice(own).id, dice.choice(texts), mode=dice.choice(("overwrite", "append", "merge")))
            case _:
                return cube.add([Message("user", dice.choice(texts), speaker=speaker)], user=user, session=dice.choice(("one", "two")))
    except LociError as error:
        return str(error)


LOOKS: dict[str, Callable[[Cube, datetime], object]] = {
    "list": lambda cube, _: bare(cube.list(user="ana", archived=True)),
    "list of a session": lambda cube, _: bare(cube.list(user="ana", session="one")),
    "list of the past": lambda cube, then: bare(cube.list(user="ana", as_of=then, known_at=then)),
    "what is read in the questions": lambda cube, _: [cube.call(question, user="ana") for question in QUESTIONS],
    "answers": lambda cube, _: [answer(cube, question) for question in QUESTIONS],
    "answers from a session": lambda cube, _: [answer(cube, question, session="two") for question in QUESTIONS],
    "answers of the past": lambda cube, then: [answer(cube, question, as_of=then, known_at=then) for question in QUESTIONS],
    "strict answers": lambda cube, _: [answer(cube, question, strict=True, budget_tokens=200) for question in QUESTIONS],
    "why not": lambda cube, _: [cube.why_not(q, m.id, user="ana") for q in QUESTIONS for m in cube.list(user="ana")],
    "no such memory": lambda cube, _: error_of(lambda: cube.get("nowhere")),
    "no such question": lambda cube, _: error_of(lambda: cube.search(" ", user="ana")),
}


def bare(memories: list[Memory]) -> list[Memory]:
    """Without their checksums: two cubes have two keys."""
    return [replace(memory, checksum="") for memory in memories]


def answer(cube: Cube, question: str, **limits: object) -> object:
    """All of a recall but how long it took."""
    recall = cube.search(question, user="ana", **limits)  # type: ignore[arg-type]
    hits = tuple(replace(hit, memory=bare([hit.memory])[0]) for hit in recall.hits)
    return replace(recall, hits=hits, trace=replace(recall.trace, milliseconds={}))


def error_of(ask: Callable[[], object]) -> str:
    with pytest.raises(LociError) as error:
        ask()
    return str(error.value)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("seed", range(4))
def test_what_another_user_says_changes_nothing_for_one(tmp_path: Path, seed: int, look: str) -> None:
    alone, shared = (World(tmp_path / name, seed, name == "shared") for name in ("alone", "shared"))
    with alone.memory, shared.memory:
        assert shared.cube.list(user="bo") and alone.told == shared.told
        then = alone.clock.now() - timedelta(hours=9)
        assert LOOKS[look](alone.cube, then) == LOOKS[look](shared.cube, then)

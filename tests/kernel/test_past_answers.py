"""An answer of the past stays what it was: whatever is told, merged, forgotten or restored later, the same question at the same time
(``as_of`` and ``known_at``) is answered by the same bytes."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import open_memory

from loci import Memory, Message, Outcome, State
from loci.errors import LociError
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, ManualClock
from loci.types import Interval

QUESTIONS = (
    "Where does ana live?", "Where did ana live?", "What is the rose like?", "What did Rose say of the kettle?", "kettle", "Rose",
    "When did the violin break?", "What is ana's favourite colour?", "How many kettles are there?", "nothing of the kind at all",
)  # fmt: skip
TEXTS = (
    "I live in Porto.", "I live in Oslo.", "I moved to Faro.", "The rose is red.", "My favourite colour is green.",
    "My favourite colour is black.", "The violin broke last week.", "Is the kettle on the shelf?", "Actually it was Berlin.",
    "A kettle, a ladder and a rose. The violin was never found.",
)  # fmt: skip


def live(cube: Cube, clock: ManualClock, dice: random.Random, steps: int, speakers: tuple[str, ...]) -> bool:
    """Random changes, some of them told of long ago; those that life does not allow are left out. Whether one brought back by hand
    what somebody had overruled."""
    is_brought_back = False
    for _ in range(steps):
        clock.advance(hours=dice.choice((0, 1, 30)))
        ids = [m.id for m in cube.list(archived=True, limit=1000)] or [""]
        try:
            match dice.choice(("add", "add", "add", "late", "update", "forget", "restore", "everything", "expiring", "sweep")):
                case "add":
                    speaker = dice.choice(speakers)
                    cube.add(Message("user", dice.choice(TEXTS), speaker=speaker), user="ana", session=dice.choice(("one", "two")))
                case "late":
                    cube.add(Message("user", dice.choice(TEXTS), at=clock.now() - timedelta(days=dice.randrange(40))), user="ana")
                case "update":
                    at = dice.choice((None, clock.now() - timedelta(days=9)))
                    cube.update(dice.choice(ids), dice.choice(TEXTS), mode=dice.choice(("overwrite", "append", "merge")), at=at)
                case "forget":
                    cube.forget(dice.choice(ids))
                case "restore":
                    back = cube.restore(dice.choice([r.object for r in cube.log(verb="forget")] or ids))
                    is_brought_back |= back.count(Outcome.POSSIBLE_CONFLICT) > 0
                case "everything":
                    back = cube.restore(to=clock.now() - timedelta(days=dice.randrange(9)))
                    is_brought_back |= back.count(Outcome.POSSIBLE_CONFLICT) > 0
                case "expiring":
                    cube.add(dice.choice(TEXTS), user="ana", expires=clock.now() + timedelta(days=dice.randrange(1, 9)))
                case "sweep":
                    cube.sweep()
        except LociError:
            continue
    cube.drain()
    return is_brought_back


def look(cube: Cube, then: datetime) -> list[object]:
    """What is answered of that time, but for how long it took."""
    found: list[object] = [[bare(m) for m in cube.list(as_of=then, known_at=then, limit=1000)]]
    for question in QUESTIONS:
        recall = cube.search(question, user="ana", as_of=then, known_at=then, budget_tokens=300)
        hits = tuple(replace(hit, memory=bare(hit.memory)) for hit in recall.hits)
        found.append(replace(recall, hits=hits, trace=replace(recall.trace, milliseconds={})))
    return found


def bare(memory: Memory) -> Memory:
    """A memory without what its header says of later: its state and uses, until when it was known, and what overruled its claims. When
    it ends is one thing, whether its time to live says it or, since that was lifted, its validity."""
    ends = [end for end in (memory.valid.end, memory.expires) if end is not None]
    valid, known = Interval(memory.valid.start, min(ends, default=None)), Interval(memory.recorded.start)
    return replace(memory, state=State.GENERATED, uses=0, last_used=None, recorded=known, claims=(), expires=None, valid=valid)


@pytest.mark.parametrize("seed", range(12))
def test_an_answer_of_the_past_is_the_same_for_ever(tmp_path: Path, seed: int) -> None:
    compared, changed = check(tmp_path, seed)
    assert changed == 0 < compared


@pytest.mark.slow
def test_hundreds_of_answers_of_the_past_are_the_same_for_ever(tmp_path: Path) -> None:
    """Lists always. A claim knows only its last closing, so that in some histories in a hundred one answer in thousands ranks otherwise:
    where it was overruled, brought back and overruled again, or by somebody else in between."""
    told = [check(tmp_path / str(seed), seed) for seed in range(12, 412)]
    compared, changed = (sum(counts) for counts in zip(*told, strict=True))
    assert changed / compared < 0.001, f"{changed} of {compared}"


def check(folder: Path, seed: int) -> tuple[int, int]:
    """How many answers were compared with what they had been, and how many were others. What is listed is always the same."""
    dice, clock = random.Random(seed), ManualClock()
    compared = changed = 0
    with open_memory(folder, clock=clock, ids=CountingIds(), embedder=HashEmbedder()) as memory:
        cube = memory.cube("main")
        seen: dict[datetime, list[object]] = {}
        for part in range(4):
            is_brought_back = live(cube, clock, dice, 8, ("ana", "bo") if part < 2 else ("ana", "Rose", "Violin", "Oslo"))
            clock.advance(hours=1)
            for then, shown in seen.items():
                if is_brought_back:  # what is open again ranks as if it had never been overruled
                    del shown[1:]
                now = look(cube, then)
                assert shown[0] == now[0]
                compared += len(shown) - 1
                changed += sum(before != after for before, after in zip(shown[1:], now[1:], strict=False))
            seen[clock.now()] = look(cube, clock.now())
            clock.advance(hours=1)
    return compared, changed

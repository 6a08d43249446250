"""How much of what the next turn needs is ready before it comes: next-scene prediction, replayed.

Two replays. **Questions**: all of a conversation is in memory, then its questions are asked one after another, in the order of the file and once
more shuffled; before each, a predictor that has seen only the questions before, and what a search found for them, prepares a text. What
counts is the share of the question's annotated evidence whose messages are in it. **Turns**: the conversation is held again, session by
session; each message of whoever spoke first is searched for before it is said, and what the search finds is what had to be ready.

The text may have twice the tokens that the question's own recall has (`Cube.search`, ten hits, packed). How many that will be is not known
before, so it is prepared for twice the median so far, and cut, the least likely first, where the question's own was smaller.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from loci.bench.data import message_of, rows_of
from loci.errors import Invalid
from loci.operation.foreseeing import Foresight
from loci.operation.operator import item
from loci.policy.foresight import WAYS, Course, Guess
from loci.policy.packing import SMALLEST_BUDGET, pack
from loci.ports import Embedder, RowFilter
from loci.system import Cube
from loci.types import Recall, Scope
from loci.wire import MemOS

TUNED_ON = 3  # conversations of LoCoMo that the predictor's numbers were chosen on; figures are of the others
FACTOR = 2
FIRST_TOKENS = 600  # what a recall is taken to have before there was one
FIXED = 20  # questions after which the fixed set stays as it is
SEED = 7
MOST = 400  # memories that a baseline names
SYSTEMS = ("nothing", "said last", "used most", "used most, fixed", "last recall", "foresight", "oracle", "its own recall")
ORDERS = ("questions", "questions, shuffled", "turns")


@dataclass(slots=True)
class Seen:
    """Of one replay, by system: the share that was ready, and the tokens for it over the question's own, a question each."""

    ready: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SYSTEMS})
    ratio: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SYSTEMS})
    weights: Counter[str] = field(default_factory=Counter)
    conversations: int = 0


@dataclass(slots=True)
class Replayed:
    """What a replay saw, by order; and milliseconds: of searches, of checking that what was prepared still holds, of preparing it."""

    seen: dict[str, Seen] = field(default_factory=lambda: {name: Seen() for name in ORDERS})
    search_ms: list[float] = field(default_factory=list)
    check_ms: list[float] = field(default_factory=list)
    foresee_ms: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """The means, in shares and milliseconds."""
        orders = {
            order: {
                "questions": len(seen.ready["foresight"]), "conversations": seen.conversations,
                "ready": {name: _mean(seen.ready[name]) for name in SYSTEMS}, "tokens": {name: _mean(seen.ratio[name]) for name in SYSTEMS},
                "weights": {way: seen.weights[way] / max(1, seen.conversations) for way in WAYS},
            } for order, seen in self.seen.items() if seen.conversations
        }  # fmt: skip
        return {
            "orders": orders, "search_ms": median(self.search_ms or [0.0]), "check_ms": median(self.check_ms or [0.0]),
            "foresee_ms": median(self.foresee_ms or [0.0]),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a replay asks it: what its search recalled, and the messages that it needs."""

    recall: Recall
    needs: frozenset[str]


def run(
    folder: Path, engine: Embedder | None, orders: Sequence[str], advance: Callable[[int, int], None], skip: int = TUNED_ON, limit: int = 0
) -> Replayed:  # fmt: skip
    """Replays the conversations after the first ``skip``, at most ``limit`` of them (0: all). Raises `Invalid` where there is nothing to ask."""
    conversations = list(rows_of(folder / "conversations.jsonl"))
    questions: dict[str, list[Mapping[str, Any]]] = {}
    for question in rows_of(folder / "questions.jsonl"):
        questions.setdefault(question["conversation"], []).append(question)
    chosen = conversations[skip:][: limit or None]
    if not any(questions.get(conversation["id"]) for conversation in chosen):
        raise Invalid(f"{folder} has no question for any of its conversations after the first {skip}: skip fewer.")
    found = Replayed()
    with tempfile.TemporaryDirectory(prefix="loci-bench-") as home, MemOS.open(home, embedder=engine or "none", background=False) as memory:
        for place, conversation in enumerate(chosen):
            asked = questions.get(conversation["id"], ())
            if set(orders) & set(ORDERS[:2]):
                _questions(memory.cube(f"q{place}"), conversation, asked, orders, found)
            if ORDERS[2] in orders:
                _turns(memory.cube(f"t{place}"), conversation, found)
            advance(place + 1, len(chosen))
    return found


def _questions(
    cube: Cube, conversation: Mapping[str, Any], questions: Sequence[Mapping[str, Any]], orders: Sequence[str], found: Replayed
) -> None:
    messages = [message_of(turn) for turn in conversation["turns"]]
    source_of: dict[str, str] = {}
    for start in range(0, len(messages), 250):
        batch = messages[start : start + 250]
        source_of.update(zip((str(m.id) for m in batch), cube.add(batch).sources, strict=True))
        cube.drain()
    asked = []
    for question in questions:
        began = perf_counter()
        recall = cube.search(question["text"])
        found.search_ms.append((perf_counter() - began) * 1000)
        asked.append(Asked(recall, frozenset(source_of[turn] for turn in question["evidence"])))
    for order in (order for order in ORDERS[:2] if order in orders):
        shuffled = random.Random(SEED).sample(asked, len(asked))
        _replay(cube, asked if order == ORDERS[0] else shuffled, found, found.seen[order])


def _turns(cube: Cube, conversation: Mapping[str, Any], found: Replayed) -> None:
    """The course goes on from session to session; what was said comes into memory at the end of each."""
    speaker, replay = conversation["turns"][0]["speaker"], None
    for _, turns in groupby(conversation["turns"], key=lambda turn: turn["session"]):
        messages = [message_of(turn) for turn in turns]
        for message in messages:
            if replay is not None and message.speaker == speaker:
                began = perf_counter()
                recall = cube.search(message.words[:2000])
                found.search_ms.append((perf_counter() - began) * 1000)
                replay.step(Asked(recall, frozenset(hit.memory.spans[-1].source for hit in recall.hits)))
        cube.add(messages)
        cube.drain()
        replay = replay or Replay(cube, found, found.seen[ORDERS[2]])
    if replay is not None:
        replay.end()


def _replay(cube: Cube, asked: Sequence[Asked], found: Replayed, seen: Seen) -> None:
    replay = Replay(cube, found, seen)
    for question in asked:
        replay.step(question)
    replay.end()


class Replay:
    """One conversation, question by question."""

    def __init__(self, cube: Cube, found: Replayed, seen: Seen) -> None:
        self._foresight, self._cube, self._found, self._seen = Foresight(cube._store, cube._redactor), cube, found, seen
        self._course, self._past = Course(), list[Asked]()
        self._used: Counter[str] = Counter()
        self._fixed: list[str] = []

    def step(self, question: Asked) -> None:
        """Measures what is ready for a question, then lets the predictors see what it recalled."""
        at = self._cube._allow("search", Scope(self._cube.name)).rows
        if self._past and question.needs and question.recall.tokens:
            self._measure(question, at)
        self._course = self._foresight.followed(self._course, question.recall, at)
        self._used.update(question.recall.ids)
        self._past.append(question)
        if len(self._past) == FIXED:
            self._fixed = [memory for memory, _ in self._used.most_common(MOST)]

    def end(self) -> None:
        self._seen.weights.update(self._course.weights)
        self._seen.conversations += 1

    def _measure(self, question: Asked, at: RowFilter) -> None:
        own, most = question.recall.tokens, FACTOR * question.recall.tokens
        tokens = [past.recall.tokens for past in self._past if past.recall.tokens]
        budget = max(FACTOR * int(median(tokens) if tokens else FIRST_TOKENS), SMALLEST_BUDGET)
        for name, recall in self._prepared(question, at, budget, most):
            if name != "its own recall" and recall.tokens > most:
                recall = cut(recall, most)
            sources = {hit.memory.spans[-1].source for hit in recall.hits}
            self._seen.ready[name].append(len(question.needs & sources) / len(question.needs))
            self._seen.ratio[name].append(recall.tokens / own)

    def _prepared(self, question: Asked, at: RowFilter, budget: int, most: int) -> Iterator[tuple[str, Recall]]:
        foreseen, self._course = self._foresight.foresee(self._course, at, budget, lambda: True)
        assert foreseen is not None
        self._found.foresee_ms.append(foreseen.recall.trace.milliseconds["foresee"])
        began = perf_counter()
        assert not self._foresight.why_not(foreseen, at)
        self._found.check_ms.append((perf_counter() - began) * 1000)
        yield "foresight", foreseen.recall
        yield "its own recall", question.recall
        late = self._cube._store.latest(at, MOST)
        ranked = {
            "nothing": (), "said last": late, "used most": [memory for memory, _ in self._used.most_common(MOST)],
            "used most, fixed": self._fixed, "last recall": self._past[-1].recall.ids,
        }  # fmt: skip
        for name, memories in ranked.items():
            yield name, self._packed(memories, at, budget)
        yield "oracle", self._packed(self._needed(question, at), at, most)

    def _packed(self, memories: Sequence[str], at: RowFilter, budget: int) -> Recall:
        guesses = [Guess(memory, 1 / (1 + place), "") for place, memory in enumerate(memories)]
        recall = self._foresight.packed(guesses, at, budget, lambda: True)
        assert recall is not None
        return recall

    def _needed(self, question: Asked, at: RowFilter) -> list[str]:
        """The whole messages of what it needs: what one who knew the question and its evidence would prepare."""
        every = self._cube._store.latest(at, 1 << 20)
        present = self._cube._store.present(every, at)
        return [memory for memory in every if memory in present and present[memory].spans[-1].source in question.needs]


def cut(recall: Recall, most: int) -> Recall:
    """The same without the least likely, so that it has no more tokens."""
    fitting = pack([item(hit, hit.memory.text) for hit in recall.hits], max(most, SMALLEST_BUDGET))
    return Recall(tuple(recall.hits[place] for place in fitting.taken), fitting.text, fitting.tokens, recall.trace)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

"""Conflict, time and abstention through the whole system: streams said to a cube message by message, then asked in words.

A question counts as right when the first hit tells the value that holds at the asked time. Wrong changes are restatements and
other people's facts that superseded something; "stale" is a superseded value first, without a mark that it is.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from loci.bench.streams import BANKS, Question, Stream, everyday, numbered, spelled, templated, timed
from loci.ports import Embedder
from loci.system import Cube
from loci.types import Message, Outcome, Recall
from loci.wire import MemOS

BATCH = 500  # messages a call of a long stream


@dataclass(slots=True)
class Figures:
    """What came of the questions, by kind; which changes were wrong; and how sure memory was, with and without an answer."""

    asked: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    stale: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    sure: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})

    def table(self) -> Mapping[str, Any]:
        kinds = {kind: {"asked": n, "right": self.right[kind] / n, "stale": self.stale[kind]} for kind, n in sorted(self.asked.items())}
        return {"kinds": kinds, "wrong changes": dict(self.wrong), "never said, area under ROC": area(self.sure[True], self.sure[False])}


def run(
    streams: int, seed: int, bank: str, facts: int, embedder: Embedder | str, advance: Callable[[int, int], None], letters: str = "written"
) -> Mapping[str, Any]:
    """The figures of so many streams of each kind, the everyday ones in ``letters`` (`spelled`), and, where ``facts`` are wanted, of one long
    stream of so many numbered facts."""
    told, figures = BANKS[bank], Figures()
    with tempfile.TemporaryDirectory(prefix="loci-bench-") as home, MemOS.open(home, embedder=embedder, background=False) as memory:
        for number in range(streams):
            advance(number, streams + bool(facts))
            own = seed * 1000 + number
            for kind, stream in (("t", templated(own)), ("e", spelled(everyday(own, told), letters)), ("v", timed(own, told))):
                _say(memory.cube(f"{kind}{number}"), stream, figures)
        if facts:
            advance(streams, streams + 1)
            _say_long(memory.cube("long"), numbered(seed, facts), figures)
        advance(streams + bool(facts), streams + bool(facts))
    return figures.table()


def area(answered: list[float], unanswered: list[float]) -> float | None:
    """How often memory is surer of a question with an answer than of one without; None where either is lacking."""
    if not answered or not unanswered:
        return None
    above = sum((a > b) + 0.5 * (a == b) for a in answered for b in unanswered)
    return above / (len(answered) * len(unanswered))


def _say(cube: Cube, stream: Stream, figures: Figures) -> None:
    """Says a stream message by message, and asks its questions."""
    place: dict[str, int] = {}
    labels = {label.message: label for label in stream.labels}
    for number, said in enumerate(stream.messages):
        receipt = cube.add(_message(said, number))
        place.update(dict.fromkeys(receipt.sources, number))
        for change in receipt.changes:
            if change.outcome is Outcome.SUPERSEDED and stream.kind != "timed" and change.memory is not None:
                old = place[cube.get(change.memory).spans[-1].source]
                label, owner = labels.get(number), labels.get(old)
                if label is None or (old not in label.changes and old != number):
                    is_cross = owner and owner.key and label and label.key and owner.key[0] != label.key[0]
                    figures.wrong["other people's facts" if is_cross else f"superseded by {label.kind if label else '?'}"] += 1
    cube.drain()
    for question in stream.questions:
        _ask(cube, stream.kind, question, place, figures)


def _say_long(cube: Cube, stream: Stream, figures: Figures) -> None:
    """The same for many messages, which go in batches."""
    place: dict[str, int] = {}
    for start in range(0, len(stream.messages), BATCH):
        receipt = cube.add([_message(said, start + n) for n, said in enumerate(stream.messages[start : start + BATCH])])
        place.update(zip(receipt.sources, range(start, start + BATCH), strict=False))
    cube.drain()
    for question in stream.questions:
        _ask(cube, f"{len(stream.messages):,} facts", question, place, figures)


def _message(said: Any, number: int) -> Message:
    return Message("user", said.text, said.at.replace(tzinfo=UTC), said.speaker, session=said.session, id=str(number))


def _ask(cube: Cube, stream: str, question: Question, place: Mapping[str, int], figures: Figures) -> None:
    """One question. One that has no answer only counts for how sure memory is."""
    as_of = question.as_of.replace(tzinfo=UTC) if question.as_of else None
    recall = cube.search(question.text, as_of=as_of, limit=5)
    if question.kind == "never-said":
        figures.sure[False].append(recall.confidence)
    if not question.expected or not question.sources:
        return
    if stream == "everyday":
        figures.sure[True].append(recall.confidence)
    kind = f"{stream}, {question.kind}"
    figures.asked[kind] += 1
    figures.right[kind] += _is_right(recall, question, place)
    figures.stale[kind] += _is_stale(recall, question)


def _is_right(recall: Recall, question: Question, place: Mapping[str, int]) -> bool:
    if not recall.hits:
        return False
    first = recall.hits[0].memory
    return place[first.spans[-1].source] in question.sources or _tells(first.text, question.expected)


def _is_stale(recall: Recall, question: Question) -> bool:
    if not recall.hits or recall.hits[0].note:
        return False
    text = recall.hits[0].memory.text
    return _tells(text, question.stale) and not _tells(text, question.expected)


def _tells(text: str, values: tuple[str, ...]) -> bool:
    return any(value.casefold() in text.casefold() for value in values)

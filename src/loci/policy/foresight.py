"""Which memories the next turn of a conversation will want, judged by what its turns so far have recalled. Pure.

Six ways of guessing are asked, and the guess is their mean, each as heavy as it has proved right in this very conversation: after every
turn each is told how much of what was recalled it would have had (exponential weights over experts, Littlestone and Warmuth 1994). Where a
talk goes through the past in order, what was said next wins, as a disk is read ahead; where it leaps about, what is used most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

NEXT, ONWARD, AROUND, KEPT, USED, LATE = "next", "onward", "around", "kept", "used", "late"
WAYS = {
    NEXT: "said soon after what was just recalled", ONWARD: "said some time after it", AROUND: "said just before or after it",
    KEPT: "just recalled", USED: "recalled often", LATE: "said last",
}  # fmt: skip
SHORT, LONG = 6.0, 20.0  # messages after which a guess is worth 1/e of the first
BEFORE, AFTER = 24, 60  # messages to look at on either side of what was recalled
PICKED = 20  # memories by which a way of guessing is judged
MEMORY = 0.95  # what a turn's judgement is worth after another turn
PULL = 20.0  # how far a way that is always right outweighs one that never is: e to this
LEAP = 0.001  # how likely a talk goes to a memory that nobody expected it at
FAINTEST = 0.001  # of the share of the best: what is less is no place where the talk might be


@dataclass(frozen=True, slots=True)
class Course:
    """Where a conversation has got to: what was just recalled and where it therefore might be (shares of memories), how often each was recalled,
    how right each way of guessing was, what each would have picked for the turn to come, and what was expected of it."""

    seen: Mapping[str, float] = field(default_factory=dict)
    focus: Mapping[str, float] = field(default_factory=dict)
    recalled: Mapping[str, int] = field(default_factory=dict)
    gains: Mapping[str, float] = field(default_factory=dict)
    picks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> Mapping[str, float]:
        """What each way of guessing is worth now; together 1."""
        return _shares({way: math.exp(PULL * (self.gains.get(way, 0.0) - max(self.gains.values(), default=0.0))) for way in WAYS})


@dataclass(frozen=True, slots=True)
class Guess:
    """A memory that the next turn might want: how likely, beside the others, and by which way of guessing above all."""

    memory: str
    share: float
    why: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a guess is made from. ``beside`` has, for each memory of the focus, the messages around it: how many later (negative: earlier), and
    which memory. ``used`` and ``late`` are in order, the best first."""

    beside: Mapping[str, Sequence[tuple[int, str]]]
    used: Sequence[str] = ()
    late: Sequence[str] = ()


def followed(course: Course, hits: Sequence[tuple[str, float]]) -> Course:
    """The course after a turn that recalled these memories, with their scores, the best first. Without any it stays where it was."""
    if not any(score > 0 for _, score in hits):
        return course
    best = max(score for _, score in hits)
    seen = _shares({memory: max(score, 0.0) / best for memory, score in hits})
    gains = course.gains
    if course.picks:
        right = {way: sum(share for memory, share in seen.items() if memory in picked) for way, picked in course.picks.items()}
        gains = {way: MEMORY * gains.get(way, 0.0) + (1 - MEMORY) * right.get(way, 0.0) for way in WAYS}
    focus = _shares({memory: share * (LEAP + course.expected.get(memory, 0.0)) for memory, share in seen.items()})
    most = max(focus.values())
    counts = {**course.recalled, **{memory: course.recalled.get(memory, 0) + 1 for memory, _ in hits}}
    return Course(seen, {m: s for m, s in focus.items() if s >= FAINTEST * most}, counts, gains)


def foresee(course: Course, given: Surroundings) -> tuple[list[Guess], Course]:
    """What the next turn might want, the likeliest first, and the course that remembers what was expected."""
    ways = _ways(course, given)
    weights = course.weights
    likely: dict[str, float] = {}
    for way, shares in ways.items():
        for memory, share in shares.items():
            likely[memory] = likely.get(memory, 0.0) + weights[way] * share
    order = sorted(likely, key=lambda memory: (-likely[memory], memory))
    guesses = [Guess(m, likely[m], max(ways, key=lambda way: weights[way] * ways[way].get(m, 0.0))) for m in order]
    picks = {way: frozenset(sorted(shares, key=lambda m: (-shares[m], m))[:PICKED]) for way, shares in ways.items()}
    return guesses, replace(course, picks=picks, expected=likely)


def _ways(course: Course, given: Surroundings) -> dict[str, dict[str, float]]:
    """The shares that each way of guessing gives."""
    counts = {**dict.fromkeys(given.used, 0), **course.recalled}
    order = {memory: 1 / (1 + place) for place, memory in enumerate(given.used)}  # of those used as often here, those used more before
    return {
        NEXT: _near(course.focus, given.beside, SHORT, is_ahead=True),
        ONWARD: _near(course.focus, given.beside, LONG, is_ahead=True),
        AROUND: _near(course.focus, given.beside, SHORT, is_ahead=False),
        KEPT: dict(course.seen),
        USED: _shares({memory: count + order.get(memory, 0.0) / 2 for memory, count in counts.items()}),
        LATE: _shares({memory: math.exp(-place / LONG) for place, memory in enumerate(given.late)}),
    }


def _near(focus: Mapping[str, float], beside: Mapping[str, Sequence[tuple[int, str]]], reach: float, *, is_ahead: bool) -> dict[str, float]:
    """What lies near the focus: less the farther away; ahead, or on both sides."""
    found: dict[str, float] = {}
    for memory, share in focus.items():
        for offset, other in beside.get(memory, ()):
            if not is_ahead or offset >= -1:
                found[other] = found.get(other, 0.0) + share * math.exp(-abs(offset) / reach)
    return _shares(found)


def _shares(values: Mapping[str, float]) -> dict[str, float]:
    total = sum(values.values())
    return {memory: value / total for memory, value in values.items()} if total else dict(values)

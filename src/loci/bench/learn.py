"""Tuning: what a user says was right moves the weights of the search, as far as it holds for questions left out.

Each weight may move from where it is, in proportion to how much its signal tells right memories from the other candidates of their question
(listwise softmax over the candidates). Few questions move them little: the penalty on moving falls with their number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loci.errors import Invalid, Malformed
from loci.operation.ranking import Floats, Ranking, signals
from loci.policy.fusion import SIGNALS, Ranker
from loci.system import Cube

FEWEST, FOLDS = 8, 5  # questions with a right candidate; groups of them that are left out in turn
STIFFNESS = 10.0  # how much a move costs, in questions
TEMPER, STEPS, RATE = 0.5, 200, 0.1
ALIKE = 1e-6  # a deviation that is none
FIGURES = ("R@1", "R@10", "nDCG@10")


@dataclass(frozen=True, slots=True)
class Feedback:
    """A question and the ids of memories, or of their sources, that answer it."""

    question: str
    right: frozenset[str]
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The new ranker, R@1, R@10 and nDCG@10 of the questions before and, each left out while learning, after; ``unreached`` are those of which
    no right memory was a candidate."""

    ranker: Ranker
    questions: int
    unreached: int
    before: Mapping[str, float]
    after: Mapping[str, float]

    @property
    def is_better(self) -> bool:
        return self.after["nDCG@10"] > self.before["nDCG@10"]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The candidates of one question: their signals, the score they have, and which are right."""

    values: Floats
    totals: Floats
    sources: Sequence[str]
    is_right: NDArray[np.bool_]


def read(path: Path) -> list[Feedback]:
    """JSON lines of ``{"question", "right": [ids], "user"}``. Raises `Malformed` with the line."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            told: Any = json.loads(line)
            right = told["right"]
            if isinstance(right, str) or not all(isinstance(id, str) for id in right) or not right:
                raise ValueError("right is no list of ids")
            found.append(Feedback(str(told["question"]), frozenset(right), told.get("user")))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Malformed(f'{path}, line {number}: expected {{"question": "...", "right": ["id", ...]}} ({error}).', number) from error
    return found


def tune(cube: Cube, feedback: Sequence[Feedback]) -> Tuned:
    """Raises `Invalid` when there is too little to learn from."""
    cube.drain()  # of a signal that is not there yet would be learned that it is worth nothing
    reached = [asked for told in feedback if (asked := _ask(cube, told)).is_right.any()]
    if len(reached) < FEWEST:
        raise Invalid(
            f"{len(reached)} of {len(feedback)} questions have a right memory among their candidates; {FEWEST} are needed to learn anything. "
            "Give more, and check the ids: `loci search QUESTION --json` shows them."
        )
    folds = min(FOLDS, len(reached))
    moves = [_learn([asked for place, asked in enumerate(reached) if place % folds != fold]) for fold in range(folds)]
    before = _figures([(asked, asked.totals) for asked in reached])
    after = _figures([(asked, asked.totals + asked.values @ moves[place % folds]) for place, asked in enumerate(reached)])
    move = _learn(reached)
    weights = {
        name: {**slopes, "base": round(slopes["base"] + float(move[SIGNALS.index(name)]), 4)}
        for name, slopes in cube.ranker.weights.items()
    }
    ranker = replace(cube.ranker, name=f"{cube.ranker.name}, tuned to {len(reached)} questions", weights=weights)
    return Tuned(ranker, len(feedback), len(feedback) - len(reached), before, after)


def _ask(cube: Cube, told: Feedback) -> _Asked:
    ranked, memories = cube.rank(told.question, user=told.user)
    count = len(memories)
    columns = {**signals(ranked.raw, ranked.background, count), **_second(ranked.ranking)}
    values = np.array([columns.get(name, np.zeros(count)) for name in SIGNALS]).reshape(len(SIGNALS), count).T
    is_right = np.array([memory.id in told.right or memory.spans[-1].source in told.right for memory in memories], dtype=bool)
    return _Asked(values, ranked.ranking.totals, [memory.spans[-1].source for memory in memories], is_right)


def _second(ranking: Ranking) -> dict[str, Floats]:
    """The signals of the second pass as they were, without their weights."""
    return {name: ranking.columns[name] / ranking.weights[name] for name in ("echo", "spread") if name in ranking.columns}


def _learn(asked: Sequence[_Asked]) -> Floats:
    """How far each weight moves: by Adam on the convex loss."""
    values = np.concatenate([a.values for a in asked])
    spread = values.std(0)
    is_telling = spread > ALIKE  # what is the same of all candidates teaches nothing
    values = np.where(is_telling, (values - values.mean(0)) / np.where(is_telling, spread, 1.0), 0.0)
    totals = np.concatenate([a.totals for a in asked])
    first = np.cumsum([0, *(len(a.totals) for a in asked)])[:-1]
    question = np.repeat(np.arange(len(asked)), [len(a.totals) for a in asked])
    target = np.concatenate([a.is_right / a.is_right.sum() for a in asked])

    def gradient(w: Floats) -> Floats:
        wrong = likely(TEMPER * (totals + values @ w), first, question) - target
        found: Floats = (TEMPER * values.T @ wrong + STIFFNESS * w) / len(asked)
        return found

    w = adam(np.zeros(len(SIGNALS)), gradient, STEPS, RATE)
    moved: Floats = np.where(is_telling, w / np.where(is_telling, spread, 1.0), 0.0)
    return moved


def _figures(ranked: Sequence[tuple[_Asked, Floats]]) -> dict[str, float]:
    """R@1, R@10 and nDCG@10 over messages."""
    rows = []
    for asked, totals in ranked:
        order: list[int] = np.argsort(-totals, kind="stable").tolist()
        right = {asked.sources[place] for place in np.flatnonzero(asked.is_right).tolist()}
        rows.append(found_of([asked.sources[place] for place in order], right))
    return {name: round(float(value), 4) for name, value in zip(FIGURES, np.mean(rows, 0), strict=True)}


def found_of(ranked: Sequence[str], right: Collection[str]) -> tuple[float, float, float]:
    """The ``FIGURES`` of one question: of ids as they are ranked, the best first, an id of several cuts at its best."""
    best = list(dict.fromkeys(ranked))[:10]
    gain = sum(1 / math.log2(place + 2) for place, id in enumerate(best) if id in right)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(10, len(right))))
    return sum(id in right for id in best[:1]) / len(right), sum(id in right for id in best) / len(right), gain / ideal


def likely(scores: Floats, first: NDArray[np.int64], question: NDArray[np.int64]) -> Floats:
    """Softmax within each question: ``first`` is where each begins, ``question`` to which each score belongs."""
    raised = np.exp(scores - np.maximum.reduceat(scores, first)[question])
    found: Floats = raised / np.add.reduceat(raised, first)[question]
    return found


def adam(start: Floats, gradient: Callable[[Floats], Floats], steps: int, rate: float) -> Floats:
    """The minimum of a convex loss (Kingma and Ba 2015), the rate falling along a cosine."""
    w, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for step in range(1, steps + 1):
        slope = gradient(w)
        m, v = 0.9 * m + 0.1 * slope, 0.99 * v + 0.01 * slope**2
        pace = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        w -= pace * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)
    return w

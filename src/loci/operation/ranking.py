"""Ranking: the columns of signals of a question's candidates to their order, by the weights that `policy.fusion` gives this question.

Every signal is a column: nats of surprise where it can be (of holding the question's words by chance, of lying that close in
meaning by chance), shares and marks where it cannot. The first pass sums them; the second looks around the best it found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loci.policy.answerable import EVIDENCE
from loci.policy.fusion import CLAIM, FARTHEST, Background, Ranker, attested, facts_of, surprise

if TYPE_CHECKING:
    from loci.ports.store import Column

FINE = 100  # points of a deviation at which a surprise is looked up; between them it is a straight line, off by 2e-5 nats at most
HALF = math.log(2.0)  # the surprise of a z of 0
BRIEF = 12.0  # words: what counts as few
LEADERS = 4
"""The best of the first pass that the second looks around."""
WIDTH = 0.1  # what cosines are taken to spread beyond what they do, so that few candidates do not stand out for nothing
TOPICAL = ("words", "covered", "nearby", "meaning", "date", "time")  # signals of what is asked, whoever said it
PLAIN = (
    "words", "words_before", "words_after", "words_session", "own", "question", "named", "date", "claim", "question_before",
)  # fmt: skip
"""Raw signals that are taken as they are."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Candidates by their place among those handed in: ``order`` has the best first; ``scores`` (0..1; 1 is the best of its
    question, fully attested) and the ``columns`` of what each signal gave are by place. ``weights`` are those of this question."""

    weights: Mapping[str, float]
    columns: Mapping[str, Floats]
    totals: Floats
    attested: float
    order: Sequence[int] = field(init=False)
    scores: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", np.argsort(-self.totals, kind="stable").tolist())
        object.__setattr__(self, "scores", self.attested * np.exp((self.totals - self.totals.max(initial=-np.inf)) / 2))

    def shares(self, place: int) -> dict[str, float]:
        """What each signal gave one candidate; those that gave it nothing are left out."""
        return {name: float(column[place]) for name, column in self.columns.items() if column[place]}

    def and_signals(self, values: Mapping[str, Column]) -> Ranking:
        """The same with more signals, as far as they are worth anything here."""
        names = [name for name in values if self.weights.get(name)]
        if not names or not len(self.totals):
            return self
        given = np.array([values[name] for name in names], dtype=np.float64) * np.array([[self.weights[name]] for name in names])
        said = {name: column for name, column, is_said in zip(names, given, given.any(1).tolist(), strict=True) if is_said}
        return Ranking(self.weights, {**self.columns, **said}, self.totals + given.sum(0), self.attested)


def fuse(raw: Mapping[str, Column], background: Background, ranker: Ranker) -> Ranking:
    """The first pass: every candidate by what is known of it alone, and the weights of this question.

    ``raw`` has a column a signal as ``Survey.signals`` names them, and ``date`` (0..1: said in the time asked for). A column
    that is absent says nothing of anyone, NaN nothing of this one.
    """
    count = max((len(column) for column in raw.values()), default=0)
    if not count:
        return Ranking({}, {}, np.zeros(0), 0.0)
    weights = {**ranker.worth(facts_of(background)), "claim": CLAIM}
    nothing = Ranking(weights, {}, np.zeros(count), attested(background, bool(np.any(raw.get("claim", ())))))
    return nothing.and_signals(signals(raw, background, count))


def again(ranking: Ranking, cosine: Column, likeness: Sequence[Column], sources: Sequence[int], sessions: Sequence[int]) -> Ranking:
    """The second pass: the candidates by how they stand to one another. ``likeness`` is of the ``leaders`` with every candidate."""
    if len(likeness):
        ranking = ranking.and_signals({"echo": echo(cosine, likeness, ranking.scores[leaders(ranking)])})
    if ranking.weights.get("spread"):
        ranking = ranking.and_signals({"spread": spread(ranking, sources, sessions)})
    return ranking


def leaders(ranking: Ranking) -> list[int]:
    """Places of the best candidates of a first pass, the best first."""
    return list(ranking.order[:LEADERS])


def echo(cosine: Column, likeness: Sequence[Column], scores: Column) -> Floats:
    """How far each candidate stands out in nearness to the question and the leaders together, these by their scores: what belongs to
    an answer is often nearer to the rest of it than to the question (Rocchio's feedback). In deviations; 0 where a vector is absent.
    A leader without one leads nowhere.

    ``cosine`` is of each candidate with the question, ``likeness`` a column of the same for each leader, ``scores`` are the leaders'.
    """
    near, shares = _floats(likeness), _floats(scores)
    leads = ~np.isnan(near).all(1)
    mixed = _floats(cosine) + (shares[leads] / shares.sum()) @ near[leads]
    is_known = ~np.isnan(mixed)
    if not is_known.any():
        return np.zeros(len(mixed))
    known = mixed[is_known]
    found: Floats = np.where(is_known, (mixed - known.mean()) / (known.std() + WIDTH), 0.0)
    return found


def spread(ranking: Ranking, sources: Sequence[int], sessions: Sequence[int]) -> list[float]:
    """For each candidate, taken best first, log(1 + n) of the n messages of its session that were taken before it: an answer told in
    several places is rather in another session than once more in this. ``spread`` weighs it already while taking."""
    weight, totals = ranking.weights.get("spread", 0.0), ranking.totals.tolist()
    taken: dict[int, set[int]] = {0: set()}  # messages by session; nothing is in session 0
    found = [0.0] * len(sources)
    waiting = [(-value, 0.0, place) for place, value in enumerate(totals)]
    heapify(waiting)
    while waiting:
        _, known, place = waiting[0]
        others = taken.setdefault(sessions[place], set()) if sessions[place] else taken[0]
        value = math.log1p(len(others) - (sources[place] in others))
        if value != known:
            heapreplace(waiting, (-(totals[place] + weight * value), value, place))
            continue
        heappop(waiting)
        found[place] = value
        if sessions[place]:
            taken[sessions[place]].add(sources[place])
    return found


def signals(raw: Mapping[str, Column], background: Background, count: int) -> dict[str, Floats]:
    """The columns of ``policy.fusion.SIGNALS``, and ``claim``, from the raw ones: cosines as nats of surprise, covered words as shares
    of what was attainable, lengths as logarithms. What does not apply to the question, or is not known of its candidates, is left out."""
    told = {name: _floats(column) for name, column in raw.items()}
    nothing = np.zeros(count)
    asked_before = told.get("question_before", nothing)
    found = {name: told[name] for name in PLAIN if name in told}
    if background.attainable > 0:
        found |= {name: told[name] / background.attainable for name in ("covered", "nearby", "session") if name in told}
    if "cosine" in told and background.deviation > 0:
        unknown = np.full(count, np.nan)
        for place in ("", "_before", "_after", "_session"):
            found[f"meaning{place}"] = _surprises(told.get(f"cosine{place}", unknown), background)
        found["meaning_answering"] = asked_before * (found["meaning_before"] - HALF)
    found["answering"] = asked_before * told.get("words_before", nothing)
    if background.asks_when:
        found["time"] = told.get("time", nothing)
    if background.names_one:
        found["speaker"] = told.get("speaker", nothing)
    words = np.log(np.maximum(told.get("length", nothing + BRIEF), 1.0) / BRIEF)
    found["brief"], found["long"] = np.maximum(-words, 0.0), np.maximum(words, 0.0)
    return found


def evidence_of(ranking: Ranking, raw: Mapping[str, Column], background: Background) -> dict[str, float]:
    """What speaks for an answer: the share of the question's words that any stretch of turns holds; the best score; the best share
    of words and nats of meaning of one text. Where one person is named, the last two are of what that person said, and
    the gaps say by how much they exceed the best of everybody else, in words, meaning and all that is topical together."""
    count = len(ranking.totals)
    if not count:
        return dict.fromkeys(EVIDENCE, 0.0)
    nothing = np.zeros(count)
    words = _floats(raw["covered"]) / background.attainable if "covered" in raw and background.attainable > 0 else nothing
    meaning = ranking.columns.get("meaning", nothing)
    topical = [ranking.columns[name] for name in TOPICAL if name in ranking.columns]
    found = {
        "nearby": facts_of(background)["nearby"], "best": float(ranking.totals.max()), "words": float(words.max()),
        "meaning": float(meaning.max()), "names_one": float(background.names_one),
    }  # fmt: skip
    theirs = _floats(raw.get("speaker", nothing)) > 0
    if background.names_one and theirs.any():
        found |= {
            "words": _best(words, theirs), "meaning": _best(meaning, theirs), "theirs_first": float(theirs[ranking.order[0]]),
        }  # fmt: skip
        if not theirs.all():
            whole = np.sum(topical, axis=0) if topical else words
            for name, column in (("words_gap", words), ("meaning_gap", meaning), ("score_gap", whole)):
                found[name] = _best(column, theirs) - _best(column, ~theirs)
    return {name: found.get(name, 0.0) for name in EVIDENCE}


def _best(column: Floats, among: NDArray[np.bool_]) -> float:
    return float(column[among].max())


def _surprises(cosines: Floats, background: Background) -> Floats:
    """-log P(a text of the background is that close), for each: 0.69 at the mean or where there is none, about z²/2 far above it."""
    z, table = _table()
    found = np.interp((cosines - background.mean) / background.deviation, z, table)
    return np.where(np.isnan(found), HALF, found)


@cache
def _table() -> tuple[Floats, Floats]:
    """`surprise` at points so close that a straight line between them is as good."""
    z = np.linspace(-FARTHEST, FARTHEST, 2 * int(FARTHEST) * FINE + 1)
    return z, np.array([surprise(value) for value in z.tolist()])


def _floats(column: Any) -> Floats:
    return np.asarray(column, dtype=np.float64)

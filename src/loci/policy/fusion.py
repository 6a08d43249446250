"""Fusion: from what each signal says of each candidate to an order, with weights decided for this very question.

Every signal is a column: nats of surprise where it can be (of holding the question's words by chance, of lying that close in
meaning by chance), shares and marks where it cannot. A `Ranker` is linear and can be read: what a signal is worth is a number
plus slopes along a few facts about the question, such as the share of its words that any text holds at all. Where words say
nothing, meaning counts for more, and the other way round; fixed sums of the two lose thirty points of R@10 there.

The numbers are learned (`python -m bench.train`, listwise softmax, conversations left out in turn) and lie in a file with their
provenance; none knows a set, a speaker or a category.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

HALF = math.log(2.0)  # the surprise of a z of 0
FARTHEST = 25.0  # deviations: beyond, the tail is too thin for a float
BRIEF = 12.0  # words: what counts as few
CLAIM = 9.0
"""Nats for a candidate that claims the very key the question asks for, and holds. Set, not learned: the sets to learn from do not
ask what is current, and the conflict streams do."""

Column = Sequence[float]


@dataclass(frozen=True, slots=True)
class Background:
    """What the candidates stand out from: the question, and all rows that its filter let through."""

    attainable: float  # nats of a text that holds every word of the question
    best: float  # nats of the best text there is
    nearby: float  # nats of the best stretch of turns
    closest: float  # the largest cosine
    mean: float  # of the cosine
    deviation: float
    asks_when: bool
    names_one: bool
    asks_many: bool = False


SIGNALS = (
    "words", "covered", "nearby", "session", "words_before", "words_after", "answering", "words_session", "meaning", "meaning_before",
    "meaning_after", "meaning_answering", "meaning_session", "own", "question", "time", "speaker", "named", "date", "brief", "long",
    "question_before", "echo", "spread",
)  # fmt: skip
"""The columns that weights are learned for; the last two are of the second pass."""
FACTS = ("attained", "nearby", "peak", "names_one", "asks_when", "asks_many")
"""What is known of a question before anything is ranked, and moves the weights."""


def facts_of(background: Background) -> dict[str, float]:
    """The share of the question's surprise that the best text, and the best stretch of turns, attain; how far the closest text
    stands out in meaning (tens of deviations); whether it names one person, asks when, or asks for several things."""
    attainable, deviation = background.attainable, background.deviation
    return {
        "attained": min(background.best / attainable, 1.0) if attainable > 0 else 0.0,
        "nearby": background.nearby / attainable if attainable > 0 else 0.0,
        "peak": (background.closest - background.mean) / deviation / 10 if deviation > 0 else 0.0,
        "names_one": float(background.names_one),
        "asks_when": float(background.asks_when),
        "asks_many": float(background.asks_many),
    }


@dataclass(frozen=True, slots=True)
class Ranker:
    """What each signal is worth: ``weights[signal]["base"]``, plus a slope for each of ``FACTS``. ``confidence`` has the weights of
    ``policy.answerable``, and the ``threshold`` under which a strict search withholds its hits."""

    name: str
    weights: Mapping[str, Mapping[str, float]]
    confidence: Mapping[str, float] = field(default_factory=dict)

    def worth(self, facts: Mapping[str, float]) -> dict[str, float]:
        """The weight of each signal for a question with these facts."""
        return {
            signal: slopes["base"] + sum(slopes.get(fact, 0.0) * value for fact, value in facts.items())
            for signal, slopes in self.weights.items()
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates by their place among those handed in: ``order`` has the best first; ``scores`` (0..1; 1 is the best of its
    question, fully attested) and the ``columns`` of what each signal gave are by place. ``weights`` are those of this question."""

    weights: Mapping[str, float]
    columns: Mapping[str, Column]
    totals: Column
    attested: float
    order: Sequence[int] = field(init=False)
    scores: Column = field(init=False)

    def __post_init__(self) -> None:
        best = max(self.totals, default=0.0)
        object.__setattr__(self, "order", sorted(range(len(self.totals)), key=self.totals.__getitem__, reverse=True))
        object.__setattr__(self, "scores", [self.attested * math.exp((value - best) / 2) for value in self.totals])

    def shares(self, place: int) -> dict[str, float]:
        """What each signal gave one candidate; those that gave it nothing are left out."""
        return {name: column[place] for name, column in self.columns.items() if column[place]}

    def and_signals(self, values: Mapping[str, Column]) -> Ranking:
        """The same with more signals, as far as they are worth anything here."""
        columns, totals = dict(self.columns), list(self.totals)
        for name, column in values.items():
            weight = self.weights.get(name, 0.0)
            if weight and any(column):
                columns[name] = given = [weight * value for value in column]
                totals = [a + b for a, b in zip(totals, given, strict=True)]
        return Ranking(self.weights, columns, totals, self.attested)


def fuse(raw: Mapping[str, Column], background: Background, ranker: Ranker) -> Ranking:
    """The first pass: every candidate by what is known of it alone, and the weights of this question.

    ``raw`` has a column a signal as ``Survey.signals`` names them, and ``date`` (0..1: said in the time asked for). A column
    that is absent says nothing of anyone, NaN nothing of this one.
    """
    count = max((len(column) for column in raw.values()), default=0)
    if not count:
        return Ranking({}, {}, [], 0.0)
    facts = facts_of(background)
    weights = {**ranker.worth(facts), "claim": CLAIM}
    nothing = Ranking(weights, {}, [0.0] * count, _attested(facts, background, any(raw.get("claim", ()))))
    return nothing.and_signals(signals(raw, background, count))


def again(ranking: Ranking, cosine: Column, likeness: Sequence[Column], sources: Sequence[int], sessions: Sequence[int]) -> Ranking:
    """The second pass: the candidates by how they stand to one another. ``likeness`` is of the ``leaders`` with every candidate."""
    if likeness:
        scores = [ranking.scores[place] for place in leaders(ranking)]
        ranking = ranking.and_signals({"echo": echo(cosine, likeness, scores)})
    if ranking.weights.get("spread"):
        ranking = ranking.and_signals({"spread": spread(ranking, sources, sessions)})
    return ranking


LEADERS = 4
"""The best of the first pass that the second looks around."""
WIDTH = 0.1  # what cosines are taken to spread beyond what they do, so that few candidates do not stand out for nothing


def leaders(ranking: Ranking) -> Sequence[int]:
    """Places of the best candidates of a first pass, the best first."""
    return ranking.order[:LEADERS]


def echo(cosine: Column, likeness: Sequence[Column], scores: Column) -> Column:
    """How far each candidate stands out in nearness to the question and the leaders together, these by their scores: what belongs to
    an answer is often nearer to the rest of it than to the question (Rocchio's feedback). In deviations; 0 where a vector is absent.
    A leader without one leads nowhere.

    ``cosine`` is of each candidate with the question, ``likeness`` a column of the same for each leader, ``scores`` are the leaders'.
    """
    whole = sum(scores)
    mixed = list(cosine)
    for column, score in zip(likeness, scores, strict=True):
        if all(value != value for value in column):
            continue
        mixed = [a + score / whole * b for a, b in zip(mixed, column, strict=True)]
    known = [value for value in mixed if value == value]
    if not known:
        return [0.0] * len(mixed)
    mean = sum(known) / len(known)
    scale = 1 / (math.sqrt(sum((value - mean) ** 2 for value in known) / len(known)) + WIDTH)
    return [(value - mean) * scale if value == value else 0.0 for value in mixed]


def spread(ranking: Ranking, sources: Sequence[int], sessions: Sequence[int]) -> Column:
    """For each candidate, taken best first, log(1 + n) of the n messages of its session that were taken before it: an answer told in
    several places is rather in another session than once more in this. ``spread`` weighs it already while taking."""
    weight = ranking.weights.get("spread", 0.0)
    taken: dict[int, set[int]] = {0: set()}  # messages by session; nothing is in session 0
    found = [0.0] * len(sources)
    waiting = [(-value, 0.0, place) for place, value in enumerate(ranking.totals)]
    heapify(waiting)
    while waiting:
        _, known, place = waiting[0]
        others = taken.setdefault(sessions[place], set()) if sessions[place] else taken[0]
        value = math.log1p(len(others) - (sources[place] in others))
        if value != known:
            heapreplace(waiting, (-(ranking.totals[place] + weight * value), value, place))
            continue
        heappop(waiting)
        found[place] = value
        if sessions[place]:
            taken[sessions[place]].add(sources[place])
    return found


def signals(raw: Mapping[str, Column], background: Background, count: int) -> dict[str, Column]:
    """The columns of ``SIGNALS``, and ``claim``, from the raw ones: cosines as nats of surprise, covered words as shares of what was
    attainable, lengths as logarithms. What does not apply to the question, or is not known of its candidates, is left out."""
    nothing = [0.0] * count
    asked_before = raw.get("question_before", nothing)
    found: dict[str, Column] = {name: raw[name] for name in PLAIN if name in raw}
    if background.attainable > 0:
        share = 1 / background.attainable
        found |= {name: [share * value for value in raw[name]] for name in ("covered", "nearby", "session") if name in raw}
    if "cosine" in raw and background.deviation > 0:
        for place in ("", "_before", "_after", "_session"):
            found[f"meaning{place}"] = _surprises(raw.get(f"cosine{place}", [math.nan] * count), background)
        found["meaning_answering"] = [a * (b - HALF) for a, b in zip(asked_before, found["meaning_before"], strict=True)]
    if any(asked_before):
        found["answering"] = [a * b for a, b in zip(asked_before, raw.get("words_before", nothing), strict=True)]
    if background.asks_when:
        found["time"] = raw.get("time", nothing)
    if background.names_one:
        found["speaker"] = raw.get("speaker", nothing)
    length = raw.get("length", ())
    found["brief"] = [math.log(BRIEF / max(words, 1.0)) if words < BRIEF else 0.0 for words in length] or nothing
    found["long"] = [math.log(words / BRIEF) if words > BRIEF else 0.0 for words in length] or nothing
    return found


PLAIN = (
    "words", "words_before", "words_after", "words_session", "own", "question", "named", "date", "claim", "question_before",
)  # fmt: skip
"""Raw signals that are taken as they are."""


def _surprises(cosines: Column, background: Background) -> Column:
    """-log P(a text of the background is that close), for each: 0.69 at the mean or where there is none, about z²/2 far above it."""
    mean, scale, top = background.mean, 1 / (background.deviation * math.sqrt(2.0)), FARTHEST / math.sqrt(2.0)
    log, erfc = math.log, math.erfc
    return [-log(0.5 * erfc(min((cosine - mean) * scale, top))) if cosine == cosine else HALF for cosine in cosines]


def _attested(facts: Mapping[str, float], background: Background, is_claimed: bool) -> float:
    """How well the best candidate is attested at all, in 0..1: by the share of the words found, or by its distance in meaning."""
    meaning = 1 - math.exp(-_surprises([background.closest], background)[0] / 4) if background.deviation > 0 else 0.0
    return max(facts["attained"], meaning * 0.9, 0.9 if is_claimed else 0.0)

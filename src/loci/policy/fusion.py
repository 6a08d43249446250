"""Fusion: from what each signal says to how likely each candidate is the answer, with weights decided for this very question.

Words and meaning are put on one scale, nats of surprise. A text that holds the question's rare words would hold them by chance with
probability exp(-words); a text whose cosine stands z deviations above the background does so with probability 1 - Phi(z). Two
readings of a question compete: that its answer shares its words, and that it does not (an advice question meets a preference stated
in other words). The share of the question's words that the best text holds decides between them; a mixture of the two posteriors is
the score. Fixed sums of the two signals lose thirty points of R@10 where words say nothing.

The constants were chosen on the four sets of the retrieval benchmark and are flat around their values; bench/RESULTS.md has the
figures. None knows a set, a speaker or a category.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HALF = math.log(2.0)  # the surprise of a z of 0
FARTHEST = 25.0  # deviations: beyond, the tail is too thin for a float


@dataclass(frozen=True, slots=True)
class Constants:
    """What a nat of each signal is worth."""

    words: float = 0.4  # a nat of the text's own words; less than 1, because words come together
    words_answering: float = 0.2  # of the turn before, when it asked something
    words_after: float = 0.2  # of the turn after
    words_session: float = 0.4  # of the best turn of the session
    meaning: float = 0.45  # a nat of the cosine
    meaning_answering: float = 0.1  # of the turn before, when it asked something
    own: float = 2.0  # it speaks in the first person: statements of fact and preference do
    speaker: float = 0.4  # the one person the question names said it
    time: float = 0.5  # the question asks when, and it names a time
    date: float = 3.5  # it was said in the time asked for; fades by a factor e in a week
    claim: float = 6.0  # it claims the very key that the question asks for, and holds
    brief: float = 0.8  # against texts of few words, a nat for each factor e
    brief_words: float = 12.0  # what counts as few
    gate: float = 8.0  # how sharply the share of words found decides between the readings
    gate_share: float = 0.47  # the share at which both readings are as likely


@dataclass(frozen=True, slots=True)
class Background:
    """What the candidates stand out from: the question, and all rows that its filter let through."""

    attainable: float  # nats of a text that holds every word of the question
    best: float  # nats of the best text there is
    mean: float  # of the cosine
    deviation: float
    has_meaning: bool
    asks_when: bool
    names_one: bool


Column = Sequence[float]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates by their place among those handed in: ``order`` has the best first, ``scores`` (0..1; 1 is the best of its
    question, fully attested) and the ``columns`` of nats that each signal gave are by place. ``weights`` are of the readings."""

    order: Sequence[int]
    scores: Column
    weights: Mapping[str, float]
    columns: Mapping[str, Column]

    def shares(self, place: int) -> dict[str, float]:
        """The nats that each signal gave one candidate."""
        return {name: column[place] for name, column in self.columns.items() if column[place]}


def gate(background: Background, constants: Constants = Constants()) -> float:
    """How likely it is, in 0..1, that the answer shares the question's words."""
    if not background.has_meaning:
        return 1.0
    if background.attainable <= 0:
        return 0.0
    return _sigmoid(constants.gate * (background.best / background.attainable - constants.gate_share))


def fuse(signals: Mapping[str, Column], background: Background, constants: Constants = Constants()) -> Ranking:
    """Candidates best first, and the weight of each reading.

    One column a signal, one value a candidate: words, words_before, words_after, words_session (nats), cosine, cosine_before (NaN
    where there is none), question_before, own, speaker, time, claim (0 or 1), date (0..1), length (words). A column that is
    absent says nothing of anyone.
    """
    count = max((len(column) for column in signals.values()), default=0)
    if not count:
        return Ranking([], [], {}, {})
    columns = _columns(signals, [0.0] * count, background, constants)
    without = columns["meaning"]
    for name in PRIOR:
        if name in columns:
            without = [a + b for a, b in zip(without, columns[name], strict=True)]
    with_words = [a + b + c for a, b, c in zip(columns["words"], columns["near"], without, strict=True)]
    weight = gate(background, constants)
    mixed = [weight * a + (1 - weight) * b for a, b in zip(_posterior(with_words), _posterior(without), strict=True)]
    best, attested = max(mixed), _attested(columns, weight, background)
    scores = [attested * math.sqrt(value / best) for value in mixed]
    order = sorted(range(count), key=scores.__getitem__, reverse=True)
    return Ranking(order, scores, {"words": weight, "meaning only": 1 - weight}, columns)


PRIOR = ("own", "speaker", "time", "date", "claim", "brief")
"""The signals that count whatever the reading."""


def _columns(signals: Mapping[str, Column], nothing: Column, background: Background, c: Constants) -> dict[str, Column]:
    """The nats of each signal; columns of zeros but for words, near and meaning are left out."""
    answering = signals.get("question_before", nothing)
    near = zip(
        answering, signals.get("words_before", nothing), signals.get("words_after", nothing), signals.get("words_session", nothing),
        strict=True,
    )  # fmt: skip
    before, after, session = c.words * c.words_answering, c.words * c.words_after, c.words * c.words_session
    columns: dict[str, Column] = {
        "words": [c.words * words for words in signals.get("words", nothing)],
        "near": [before * asked * b + after * a + session * s for asked, b, a, s in near],
        "meaning": [c.meaning * nats for nats in _surprises(signals.get("cosine", ()), background, len(nothing))],
    }
    if any(answering):
        beside = _surprises(signals.get("cosine_before", ()), background, len(nothing))
        worth = c.meaning * c.meaning_answering
        columns["meaning"] = [m + worth * asked * (b - HALF) for m, asked, b in zip(columns["meaning"], answering, beside, strict=True)]
    counted = {"own": c.own, "date": c.date, "claim": c.claim}
    counted |= {"speaker": c.speaker} if background.names_one else {}
    counted |= {"time": c.time} if background.asks_when else {}
    for name, worth in counted.items():
        values = signals.get(name, nothing)
        if any(values):
            columns[name] = [worth * value for value in values]
    columns["brief"] = [
        -c.brief * math.log(c.brief_words / max(length, 1.0)) if length < c.brief_words else 0.0 for length in signals.get("length", ())
    ] or nothing
    return columns


def _surprises(cosines: Column, background: Background, count: int) -> Column:
    """-log P(a text of the background is that close), for each: 0.69 at the mean or where there is none, about z²/2 far above it."""
    if not cosines or background.deviation <= 0:
        return [HALF] * count
    mean, scale, top = background.mean, 1 / (background.deviation * math.sqrt(2.0)), FARTHEST / math.sqrt(2.0)
    log, erfc = math.log, math.erfc
    return [-log(0.5 * erfc(min((cosine - mean) * scale, top))) if cosine == cosine else HALF for cosine in cosines]


def _posterior(evidence: Sequence[float]) -> list[float]:
    top = max(evidence)
    raised = [math.exp(value - top) for value in evidence]
    total = sum(raised)
    return [value / total for value in raised]


def _attested(columns: Mapping[str, Column], weight: float, background: Background) -> float:
    """How well the best candidate is attested at all, in 0..1: by the share of the words found, or by its distance in meaning."""
    words = background.best / background.attainable if background.attainable > 0 else 0.0
    meaning = 1 - math.exp(-max(columns["meaning"]) / 2)
    claim = 0.9 if "claim" in columns else 0.0
    return min(1.0, max(weight * words + (1 - weight) * meaning, meaning * 0.5, claim))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, x))))

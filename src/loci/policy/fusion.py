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


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate with its score in 0..1 (1 is the best of its question, fully attested) and the nats that each signal gave it."""

    key: int
    score: float
    shares: Mapping[str, float]


def gate(background: Background, constants: Constants = Constants()) -> float:
    """How likely it is, in 0..1, that the answer shares the question's words."""
    if not background.has_meaning:
        return 1.0
    if background.attainable <= 0:
        return 0.0
    return _sigmoid(constants.gate * (background.best / background.attainable - constants.gate_share))


def fuse(
    candidates: Mapping[int, Mapping[str, float]], background: Background, constants: Constants = Constants()
) -> tuple[list[Fused], dict[str, float]]:
    """Candidates best first, and the weight of each reading. A signal that a candidate lacks counts as saying nothing.

    Signals by name: words, words_before, words_after, words_session (nats), cosine, cosine_before, question_before, own, speaker,
    time, claim (0 or 1), date (0..1), length (words).
    """
    if not candidates:
        return [], {}
    keys = list(candidates)
    shares = [_shares(candidates[key], background, constants) for key in keys]
    prior = [sum(s[3:]) for s in shares]
    meaning = [s[2] for s in shares]
    weight = gate(background, constants)
    with_words = _posterior([s[0] + s[1] + m + p for s, m, p in zip(shares, meaning, prior, strict=True)])
    without = _posterior([m + p for m, p in zip(meaning, prior, strict=True)])
    mixed = [weight * a + (1 - weight) * b for a, b in zip(with_words, without, strict=True)]
    best = max(mixed)
    attested = _attested(shares, weight, background)
    fused = [
        Fused(key, attested * math.sqrt(value / best), {name: v for name, v in zip(SHARES, share, strict=True) if v})
        for key, value, share in zip(keys, mixed, shares, strict=True)
    ]
    fused.sort(key=lambda f: -f.score)
    return fused, {"words": weight, "meaning only": 1 - weight}


SHARES = ("words", "near", "meaning", "own", "speaker", "time", "date", "claim", "brief")


def _shares(signals: Mapping[str, float], background: Background, c: Constants) -> tuple[float, ...]:
    """The nats of each signal, in the order of ``SHARES``; from the fourth on they hold whatever the reading."""
    answering = signals.get("question_before", 0.0)
    near = answering * c.words_answering * signals.get("words_before", 0.0)
    near += c.words_after * signals.get("words_after", 0.0) + c.words_session * signals.get("words_session", 0.0)
    meaning = _surprise(signals.get("cosine"), background)
    beside = 0.0
    if answering:
        beside = answering * c.meaning_answering * (_surprise(signals.get("cosine_before"), background) - HALF)
    length = signals.get("length", c.brief_words)
    return (
        c.words * signals.get("words", 0.0),
        c.words * near,
        c.meaning * (meaning + beside),
        c.own * signals.get("own", 0.0),
        c.speaker * signals.get("speaker", 0.0) * background.names_one,
        c.time * signals.get("time", 0.0) * background.asks_when,
        c.date * signals.get("date", 0.0),
        c.claim * signals.get("claim", 0.0),
        -c.brief * math.log(c.brief_words / max(length, 1.0)) if length < c.brief_words else 0.0,
    )


def _surprise(cosine: float | None, background: Background) -> float:
    """-log P(a text of the background is that close): 0.69 at the mean, about z²/2 far above it."""
    if cosine is None or background.deviation <= 0:
        return HALF
    z = min((cosine - background.mean) / background.deviation, 25.0)
    return -math.log(0.5 * math.erfc(z / math.sqrt(2.0)))


def _posterior(evidence: Sequence[float]) -> list[float]:
    top = max(evidence)
    raised = [math.exp(value - top) for value in evidence]
    total = sum(raised)
    return [value / total for value in raised]


def _attested(shares: Sequence[tuple[float, ...]], weight: float, background: Background) -> float:
    """How well the best candidate is attested at all, in 0..1: by the share of the words found, or by its distance in meaning."""
    words = background.best / background.attainable if background.attainable > 0 else 0.0
    meaning = 1 - math.exp(-max(s[2] for s in shares) / 2)
    claim = 0.9 if any(s[7] for s in shares) else 0.0
    return min(1.0, max(weight * words + (1 - weight) * meaning, meaning * 0.5, claim))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, x))))

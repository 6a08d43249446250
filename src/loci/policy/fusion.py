"""Fusion: what each signal is worth for this very question.

A `Ranker` is linear and can be read: what a signal is worth is a number plus slopes along a few facts about the question, such as
the share of its words that any text holds at all. Where words say nothing, meaning counts for more, and the other way round; fixed
sums of the two lose thirty points of R@10 there. `operation.ranking` does the sums.

The numbers are learned (`python -m bench.train`, listwise softmax, conversations left out in turn) and lie in a file with their
provenance; none knows a set, a speaker or a category.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

FARTHEST = 25.0  # deviations: beyond, the tail is too thin for a float
CLAIM = 9.0
"""Nats for a candidate that claims the very key the question asks for, and holds. Set, not learned: the sets to learn from do not
ask what is current, and the conflict streams do."""


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


def surprise(z: float) -> float:
    """-log P(a text of the background stands out by that many deviations), in nats: 0.69 at the mean, about z²/2 far above it."""
    return -math.log(0.5 * math.erfc(min(z, FARTHEST) / math.sqrt(2.0)))


def attested(background: Background, is_claimed: bool) -> float:
    """How well the best candidate is attested at all, in 0..1: by the share of the words found, or by its distance in meaning."""
    peak = (background.closest - background.mean) / background.deviation if background.deviation > 0 else 0.0
    meaning = 1 - math.exp(-surprise(peak) / 4) if background.deviation > 0 else 0.0
    return max(facts_of(background)["attained"], meaning * 0.9, 0.9 if is_claimed else 0.0)

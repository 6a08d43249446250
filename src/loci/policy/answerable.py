"""How sure memory is that what was asked is in it at all, before anybody reads the hits.

A question about what was never said finds texts too: the nearest there are. Three things give it away: its words are not found
together, the best text does not stand out, and what comes closest was said by somebody else than the person asked about.
The weights are learned beside those of the ranker (`python -m bench.train`) from questions that have an answer and questions made
to have none, and lie in the same file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from loci.policy.fusion import Background, Column, Ranking, facts_of

EVIDENCE = ("nearby", "best", "words", "meaning", "names_one", "theirs_first", "words_gap", "meaning_gap", "score_gap")
CLAIMED = 0.9  # how sure it is at least where the very key that is asked for is claimed, and holds
TOPICAL = ("words", "covered", "nearby", "meaning", "date", "time")  # signals of what is asked, whoever said it


def evidence_of(ranking: Ranking, raw: Mapping[str, Column], background: Background) -> dict[str, float]:
    """What speaks for an answer: the share of the question's words that any stretch of turns holds; the best score; the best share
    of words and nats of meaning of one text. Where one person is named, the last two are of what that person said, and
    the gaps say by how much they exceed the best of everybody else, in words, meaning and all that is topical together."""
    count = len(ranking.totals)
    if not count:
        return dict.fromkeys(EVIDENCE, 0.0)
    share = 1 / background.attainable if background.attainable > 0 else 0.0
    words = [share * value for value in raw.get("covered", [0.0] * count)]
    meaning = ranking.columns.get("meaning", [0.0] * count)
    topical = [sum(values) for values in zip(*(ranking.columns[name] for name in TOPICAL if name in ranking.columns), strict=True)]
    found = {
        "nearby": facts_of(background)["nearby"],
        "best": max(ranking.totals),
        "words": max(words), "meaning": max(meaning), "names_one": float(background.names_one),
    }  # fmt: skip
    said = raw.get("speaker", ())
    if background.names_one and any(said):
        theirs = [place for place in range(count) if said[place]]
        others = [place for place in range(count) if not said[place]]
        found |= {
            "words": _best(words, theirs),
            "meaning": _best(meaning, theirs),
            "theirs_first": float(said[ranking.order[0]]),
        }
        for name, column in (("words_gap", words), ("meaning_gap", meaning), ("score_gap", topical or words)):
            found[name] = _best(column, theirs) - _best(column, others) if others else 0.0
    return {name: found.get(name, 0.0) for name in EVIDENCE}


def confidence(evidence: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """In 0..1. Without learned weights it says nothing: 0.5."""
    x = weights.get("base", 0.0) + sum(weights.get(name, 0.0) * value for name, value in evidence.items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, x))))


def _best(column: Sequence[float], places: Sequence[int]) -> float:
    return max((column[place] for place in places), default=0.0)

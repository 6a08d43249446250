"""How sure memory is that what was asked is in it at all, before anybody reads the hits.

A question about what was never said finds texts too: the nearest there are. Three things give it away: its words are not found
together, the best text does not stand out, and what comes closest was said by somebody else than the person asked about.
The weights are learned beside those of the ranker (`python -m bench.train`) from questions that have an answer and questions made
to have none, and lie in the same file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

EVIDENCE = ("nearby", "best", "words", "meaning", "names_one", "theirs_first", "words_gap", "meaning_gap", "score_gap")
CLAIMED = 0.9  # how sure it is at least where the very key that is asked for is claimed, and holds


def confidence(evidence: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """In 0..1. Without learned weights it says nothing: 0.5."""
    x = weights.get("base", 0.0) + sum(weights.get(name, 0.0) * value for name, value in evidence.items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, x))))

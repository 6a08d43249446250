"""Fusion: what a signal is worth for a question."""

import pytest

from loci.policy.fusion import Ranker


def test_a_weight_is_a_base_and_slopes():
    ranker = Ranker("by hand", {"words": {"base": 1.0, "attained": -0.5, "asks_when": 2.0}})
    assert ranker.worth({"attained": 0.4, "asks_when": 1.0, "peak": 9.0}) == {"words": pytest.approx(2.8)}

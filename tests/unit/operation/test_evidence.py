"""Answerability: each piece of evidence moves the confidence the way it should, and no candidates mean no confidence."""

import pytest

from loci.infrastructure import rankers
from loci.operation.ranking import evidence_of, fuse
from loci.policy.answerable import EVIDENCE, confidence
from loci.policy.fusion import Background

RANKER = rankers.load()
ONE = Background(attainable=12.0, best=9.0, nearby=10.0, closest=0.5, mean=0.1, deviation=0.1, asks_when=False, names_one=True)


def sure(raw, background=ONE):
    return confidence(evidence_of(fuse(raw, background, RANKER), raw, background), RANKER.confidence)


def told(theirs, others):
    """Two candidates, of whom one was said by the person asked about; (covered nats, cosine) each."""
    return {
        "words": [theirs[0], others[0]], "covered": [theirs[0], others[0]], "cosine": [theirs[1], others[1]], "length": [20.0, 20.0],
        "speaker": [1.0, 0.0],
    }  # fmt: skip


def test_what_the_person_asked_about_said_is_surer_than_what_somebody_else_did():
    own, swapped = sure(told((9.0, 0.5), (1.0, 0.1))), sure(told((1.0, 0.1), (9.0, 0.5)))
    assert own > 0.5 > swapped


def test_words_that_are_nowhere_lower_it():
    nobody = Background(12.0, 9.0, 10.0, 0.5, 0.1, 0.1, asks_when=False, names_one=False)
    absent = Background(12.0, 1.0, 1.0, 0.25, 0.1, 0.1, asks_when=False, names_one=False)
    assert sure({"words": [9.0], "covered": [9.0], "cosine": [0.5]}, nobody) > sure(
        {"words": [1.0], "covered": [1.0], "cosine": [0.25]}, absent
    )


def test_nothing_found_is_no_evidence():
    assert evidence_of(fuse({}, ONE, RANKER), {}, ONE) == dict.fromkeys(EVIDENCE, 0.0)


def test_without_learned_weights_it_says_nothing():
    assert confidence({"words": 3.0}, {}) == 0.5


@pytest.mark.parametrize("extreme", [1e9, -1e9])
def test_it_stays_between_zero_and_one(extreme):
    assert 0 <= confidence({"words": extreme}, {"words": 1.0}) <= 1

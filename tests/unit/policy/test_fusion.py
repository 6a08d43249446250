"""Fusion: each signal alone can change an order, a missing one degrades gracefully, and the gate hears the words of the question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.policy.fusion import Background, fuse, gate

CHAT = Background(attainable=10.0, best=9.0, mean=0.1, deviation=0.1, has_meaning=True, asks_when=True, names_one=True)
ADVICE = Background(attainable=20.0, best=2.0, mean=0.1, deviation=0.1, has_meaning=True, asks_when=False, names_one=False)
PLAIN = {"words": 3.0, "cosine": 0.2, "length": 20.0}


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        ("words", 6.0), ("cosine", 0.5), ("words_after", 5.0), ("words_session", 6.0), ("own", 1.0), ("speaker", 1.0), ("time", 1.0),
        ("date", 1.0), ("claim", 1.0),
    ],
)  # fmt: skip
def test_each_signal_alone_puts_its_candidate_first(signal, value):
    fused, _ = fuse({1: PLAIN, 2: {**PLAIN, signal: value}, 3: PLAIN}, CHAT)
    assert fused[0].key == 2 and fused[0].score > fused[1].score


def test_few_words_count_against_a_text():
    fused, _ = fuse({1: {**PLAIN, "length": 2.0}, 2: PLAIN}, CHAT)
    assert fused[0].key == 2


def test_words_decide_where_the_question_shares_them_and_meaning_where_not():
    by_words, by_meaning = {**PLAIN, "words": 9.0, "cosine": 0.1}, {**PLAIN, "words": 0.0, "cosine": 0.45}
    assert gate(CHAT) > 0.9 > 0.1 > gate(ADVICE)
    assert fuse({1: by_words, 2: by_meaning}, CHAT)[0][0].key == 1
    assert fuse({1: {**by_words, "words": 2.0}, 2: by_meaning}, ADVICE)[0][0].key == 2


def test_without_vectors_the_words_alone_decide():
    background = Background(10.0, 1.0, 0.0, 0.0, has_meaning=False, asks_when=False, names_one=False)
    fused, weights = fuse({1: {"words": 1.0}, 2: {"words": 4.0}}, background)
    assert weights["words"] == 1.0 and [f.key for f in fused] == [2, 1]


def test_no_candidates_no_answer():
    assert fuse({}, CHAT) == ([], {})


signals = st.dictionaries(
    st.sampled_from(["words", "cosine", "words_before", "words_after", "question_before", "own", "time", "date", "claim", "length"]),
    st.floats(-1, 50, allow_nan=False),
)


@given(st.dictionaries(st.integers(0, 99), signals, min_size=1, max_size=20), st.sampled_from([CHAT, ADVICE]))
def test_scores_lie_between_zero_and_one_in_order_and_are_the_same_again(candidates, background):
    fused, _ = fuse(candidates, background)
    scores = [f.score for f in fused]
    assert all(0 <= s <= 1 for s in scores) and scores == sorted(scores, reverse=True)
    assert {f.key for f in fused} == set(candidates)
    assert fuse(candidates, background)[0] == fused

"""Fusion: each signal alone can change an order, a missing one degrades gracefully, and the gate hears the words of the question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.policy.fusion import Background, fuse, gate

CHAT = Background(attainable=10.0, best=9.0, mean=0.1, deviation=0.1, has_meaning=True, asks_when=True, names_one=True)
ADVICE = Background(attainable=20.0, best=2.0, mean=0.1, deviation=0.1, has_meaning=True, asks_when=False, names_one=False)
PLAIN = {"words": 3.0, "cosine": 0.2, "length": 20.0}
NAN = float("nan")


def ranked(*candidates, background=CHAT):
    """What fusion makes of candidates told one by one."""
    names = dict.fromkeys(name for candidate in candidates for name in candidate)
    absent = {"cosine": NAN, "cosine_before": NAN, "length": 20.0}
    return fuse({name: [c.get(name, absent.get(name, 0.0)) for c in candidates] for name in names}, background)


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        ("words", 6.0), ("cosine", 0.5), ("words_after", 5.0), ("words_session", 6.0), ("own", 1.0), ("speaker", 1.0), ("time", 1.0),
        ("date", 1.0), ("claim", 1.0),
    ],
)  # fmt: skip
def test_each_signal_alone_puts_its_candidate_first(signal, value):
    found = ranked(PLAIN, {**PLAIN, signal: value}, PLAIN)
    assert found.order[0] == 1 and found.scores[1] > found.scores[0] == found.scores[2]


def test_few_words_count_against_a_text():
    assert ranked({**PLAIN, "length": 2.0}, PLAIN).order[0] == 1


def test_words_decide_where_the_question_shares_them_and_meaning_where_not():
    by_words, by_meaning = {**PLAIN, "words": 9.0, "cosine": 0.1}, {**PLAIN, "words": 0.0, "cosine": 0.45}
    assert gate(CHAT) > 0.9 > 0.1 > gate(ADVICE)
    assert ranked(by_words, by_meaning).order[0] == 0
    assert ranked({**by_words, "words": 2.0}, by_meaning, background=ADVICE).order[0] == 1


def test_without_vectors_the_words_alone_decide():
    background = Background(10.0, 1.0, 0.0, 0.0, has_meaning=False, asks_when=False, names_one=False)
    found = fuse({"words": [1.0, 4.0]}, background)
    assert found.weights["words"] == 1.0 and found.order == [1, 0]


def test_no_candidates_no_answer():
    found = fuse({}, CHAT)
    assert (found.order, found.scores, found.weights) == ([], [], {})


def test_shares_say_what_each_signal_gave_and_leave_out_what_gave_nothing():
    found = ranked(PLAIN, {**PLAIN, "own": 1.0})
    assert found.shares(1) == pytest.approx({**found.shares(0), "own": 2.0}) and "own" not in found.shares(0)


signals = st.dictionaries(
    st.sampled_from(["words", "cosine", "words_before", "words_after", "question_before", "own", "time", "date", "claim", "length"]),
    st.floats(-1, 50, allow_nan=False),
)


@given(st.lists(signals, min_size=1, max_size=20), st.sampled_from([CHAT, ADVICE]))
def test_scores_lie_between_zero_and_one_in_order_and_are_the_same_again(candidates, background):
    found = ranked({}, *candidates, background=background) if any(candidates) else ranked(PLAIN)
    scores = [found.scores[place] for place in found.order]
    assert all(0 <= s <= 1 for s in scores) and scores == sorted(scores, reverse=True)
    assert sorted(found.order) == list(range(len(found.scores)))
    again = ranked({}, *candidates, background=background) if any(candidates) else ranked(PLAIN)
    assert (again.order, again.scores) == (found.order, found.scores)

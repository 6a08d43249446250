"""Ranking: each signal alone can change an order, a missing one degrades gracefully, and the weights hear the words of the question."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.infrastructure import rankers
from loci.operation.ranking import LEADERS, Ranking, again, echo, fuse, leaders, signals, spread
from loci.policy.fusion import Background, facts_of, surprise

CHAT = Background(attainable=10.0, best=9.0, nearby=9.5, closest=0.5, mean=0.1, deviation=0.1, asks_when=True, names_one=True)
ADVICE = Background(attainable=20.0, best=2.0, nearby=4.0, closest=0.6, mean=0.1, deviation=0.1, asks_when=False, names_one=False)
PLAIN = {"words": 3.0, "cosine": 0.2, "length": 20.0}
NAN = float("nan")
SHIPPED = rankers.load()


def ranked(*candidates, background=CHAT, ranker=SHIPPED):
    """What fusion makes of candidates told one by one."""
    names = dict.fromkeys(name for candidate in candidates for name in candidate)
    absent = {"cosine": NAN, "cosine_before": NAN, "length": 20.0}
    return fuse({name: [c.get(name, absent.get(name, 0.0)) for c in candidates] for name in names}, background, ranker)


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        ("words", 6.0), ("covered", 6.0), ("nearby", 6.0), ("cosine", 0.5), ("own", 1.0), ("speaker", 1.0), ("time", 1.0), ("date", 1.0),
        ("claim", 1.0),
    ],
)  # fmt: skip
def test_each_signal_alone_puts_its_candidate_first(signal, value):
    found = ranked(PLAIN, {**PLAIN, signal: value}, PLAIN)
    assert found.order[0] == 1 and found.scores[1] > found.scores[0] == found.scores[2]


def test_words_decide_where_the_question_shares_them_and_meaning_where_not():
    by_words, by_meaning = {**PLAIN, "words": 9.0, "cosine": 0.1}, {**PLAIN, "words": 0.0, "cosine": 0.45}
    chat, advice = SHIPPED.worth(facts_of(CHAT)), SHIPPED.worth(facts_of(ADVICE))
    assert advice["meaning"] > chat["meaning"]
    assert ranked(by_words, by_meaning).order[0] == 0
    assert ranked({**by_words, "words": 2.0}, by_meaning, background=ADVICE).order[0] == 1


def test_without_vectors_the_words_alone_decide():
    background = Background(10.0, 4.0, 4.0, 0.0, 0.0, 0.0, asks_when=False, names_one=False)
    found = fuse({"words": [1.0, 4.0]}, background, SHIPPED)
    assert found.order == [1, 0] and facts_of(background)["peak"] == 0


def test_a_claim_of_the_key_asked_for_beats_any_words():
    assert ranked({**PLAIN, "words": 9.0, "covered": 9.0}, {**PLAIN, "claim": 1.0}).order[0] == 1


def test_no_candidates_no_answer():
    found = fuse({}, CHAT, SHIPPED)
    assert (found.order, found.scores.tolist(), found.weights) == ([], [], {})
    assert again(found, [], [], [], []) is found


def test_shares_say_what_each_signal_gave_and_leave_out_what_gave_nothing():
    found = ranked(PLAIN, {**PLAIN, "own": 1.0})
    assert found.shares(1) == pytest.approx({**found.shares(0), "own": found.weights["own"]}) and "own" not in found.shares(0)


@pytest.mark.parametrize("z", [-30.0, -3.0, 0.0, 0.004, 2.5, 7.777, 24.99, 25.0, 90.0])
def test_meaning_is_the_surprise_of_standing_out_so_far(z):
    found = signals({"cosine": [CHAT.mean + z * CHAT.deviation, NAN]}, CHAT, 2)["meaning"]
    assert found == pytest.approx([surprise(z), math.log(2)], abs=2e-5)


said = st.dictionaries(
    st.sampled_from(["words", "cosine", "words_before", "words_after", "question_before", "own", "time", "date", "claim", "length"]),
    st.floats(-1, 50, allow_nan=False),
)


@given(st.lists(said, min_size=1, max_size=20), st.sampled_from([CHAT, ADVICE]))
def test_scores_lie_between_zero_and_one_in_order_and_are_the_same_again(candidates, background):
    found = ranked({}, *candidates, background=background) if any(candidates) else ranked(PLAIN)
    scores = [found.scores[place] for place in found.order]
    assert all(0 <= s <= 1 for s in scores) and scores == sorted(scores, reverse=True)
    assert sorted(found.order) == list(range(len(found.scores)))
    again = ranked({}, *candidates, background=background) if any(candidates) else ranked(PLAIN)
    assert (again.order, again.scores.tolist()) == (found.order, found.scores.tolist())


# -- the second pass -----------------------------------------------------------------------------------------------------


def test_what_lies_near_the_best_found_rises_and_what_has_no_vector_stays():
    ranking = Ranking({"echo": 2.0}, {}, np.array([9.0, 5.0, 5.0, 5.0]), 1.0)
    near = [[1.0, 0.1, 0.6, NAN], [0.1, 1.0, 0.1, NAN], [0.6, 0.1, 1.0, NAN], [NAN] * 4]
    found = again(ranking, [0.5, 0.3, 0.3, NAN], near, [1, 2, 3, 4], [0] * 4)
    assert found.totals[0] > found.totals[2] > found.totals[1] and found.totals[3] == 5.0 and found.shares(0)["echo"] > 0


def test_the_leaders_are_the_best_and_few():
    ranking = Ranking({}, {}, np.arange(20.0) % 7, 1.0)
    assert len(leaders(ranking)) == LEADERS and all(ranking.totals[place] == 6.0 for place in list(leaders(ranking))[:2])


def test_the_echo_of_one_or_of_equals_is_nothing():
    assert echo([0.4], [[1.0]], [0.9]).tolist() == [0.0] and echo([NAN, NAN], [[NAN, NAN]], [1.0]).tolist() == [0.0, 0.0]
    assert echo([0.4, 0.4], [[0.7, 0.7]], [0.9]) == pytest.approx([0.0, 0.0])


def test_an_answer_in_several_places_is_not_looked_for_in_one():
    ranking = Ranking({"spread": -1.0}, {}, np.array([5.0, 4.9, 4.8, 4.5]), 1.0)
    found = again(ranking, [], [], [1, 2, 2, 3], [7, 7, 7, 8])
    assert list(found.order) == [0, 3, 1, 2], "another session goes before the second message of the first"
    assert found.columns["spread"] == pytest.approx([0.0, -0.6931, -0.6931, 0.0], abs=1e-4), "parts of one message count as one"
    assert again(ranking, [], [], [1, 2, 2, 3], [0] * 4).columns == {}, "what has no session is apart from everything"


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 3)), min_size=1, max_size=25), st.floats(-2, 0))
def test_spreading_takes_the_best_that_is_left_each_time(candidates, weight):
    totals, sessions = [value for value, _ in candidates], [session for _, session in candidates]
    found = spread(Ranking({"spread": weight}, {}, np.array(totals), 1.0), range(len(totals)), sessions)
    left, taken = set(range(len(totals))), {}
    worth = [a + weight * b for a, b in zip(totals, found, strict=True)]
    for place in sorted(left, key=lambda place: (-worth[place], found[place], place)):
        left.remove(place)
        count = taken[sessions[place]] = taken.get(sessions[place], 0) + 1
        if sessions[place]:
            assert found[place] == pytest.approx(math.log(count)) or weight == 0
        else:
            assert found[place] == 0

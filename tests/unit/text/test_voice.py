"""A question about somebody, as that person would put it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.text.voice import in_own_words

PEOPLE = ("Ann", "Bo Lind", "Will")


@pytest.mark.parametrize(
    ("question", "voiced"),
    [
        ("What did Ann paint?", "What did I paint?"),
        ("What is Ann's job?", "What is my job?"),
        ("When did Ann sell her car to her brother?", "When did I sell my car to my brother?"),
        ("Does she know what Bo plays?", "Do I know what I plays?"),
        ("Where does Bo Lind live?", "Where do I live?"),
        ("What has Ann bought, and is Ann happy with it?", "What have I bought, and am I happy with it?"),
        ("Which game do Ann and Bo play on their trips?", "Which game do I and I play on their trips?"),
        ("what did ann paint?", "what did I paint?"),
        ("what do ann and bo like?", "what do I and I like?"),
        ("will it rain in annapolis?", "will it rain in annapolis?"),
        ("What will Will do?", "What will I do?"),
        ("Who painted the door?", "Who painted the door?"),
    ],
)
def test_names_become_i_and_my(question: str, voiced: str) -> None:
    assert in_own_words(question, PEOPLE) == voiced


@given(st.lists(st.sampled_from(["she", "his", "is", "does", "Is", "annex", "Anne", "who", "they", "?", "\u2019s"])).map(" ".join))
def test_a_question_that_names_nobody_is_left_as_it_is(question: str) -> None:
    assert in_own_words(question, ("Ann",)) == question

"""What the next turn may want, by what the turns before it recalled."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from loci.policy.foresight import AFTER, AROUND, BEFORE, LATE, NEXT, ONWARD, USED, WAYS, Course, Guess, Surroundings, followed, foresee

SAID = 200  # messages m0, m1 ...


def around(course: Course) -> Surroundings:
    places = {memory: int(memory[1:]) for memory in course.focus}
    beside = {m: [(n, f"m{at + n}") for n in range(-BEFORE, AFTER + 1) if 0 <= at + n < SAID] for m, at in places.items()}
    return Surroundings(beside, (), [f"m{n}" for n in range(SAID - 1, SAID - 101, -1)])


def talk(turns: Sequence[int]) -> Iterator[tuple[list[Guess], Course]]:
    """What is foreseen before each turn but the first, which recalls the message of its number."""
    course = Course()
    for turn in turns:
        course = followed(course, [(f"m{turn}", 1.0)])
        guesses, course = foresee(course, around(course))
        yield guesses, course


def ready(turns: Sequence[int], first: int) -> float:
    """The share of the turns after the ``first`` that were among the twenty likeliest."""
    guesses = [[guess.memory for guess in found][:20] for found, _ in talk(turns)]
    told = [f"m{turn}" in before for turn, before in zip(turns[1:], guesses, strict=False)][first:]
    return sum(told) / len(told)


def test_a_talk_that_goes_through_the_past_in_order_is_read_ahead() -> None:
    turns = list(range(0, 190, 3))
    assert ready(turns, 5) == 1.0
    *_, (guesses, course) = talk(turns)
    assert guesses[0].why in (NEXT, ONWARD) and sum(course.weights[way] for way in (NEXT, ONWARD, AROUND)) > 0.95


def test_a_talk_that_leaps_among_a_few_is_guessed_by_what_is_used() -> None:
    chance = random.Random(1)
    known = [7, 40, 44, 90, 120, 131, 160, 188]
    turns = [chance.choice(known) for _ in range(80)]
    assert ready(turns, 30) > 0.9
    *_, (_, course) = talk(turns)
    assert max(course.weights, key=lambda way: course.weights[way]) == USED


def test_what_is_said_to_be_why_is_why() -> None:
    course = followed(Course(), [("m10", 0.9), ("m100", 0.1)])
    guesses, _ = foresee(course, around(course))
    assert guesses[0].memory == "m10" and all(guess.why in WAYS for guess in guesses)
    nothing, _ = foresee(Course(), Surroundings({}, (), ["m9", "m8"]))
    assert [(guess.memory, guess.why) for guess in nothing] == [("m9", LATE), ("m8", LATE)]
    assert foresee(Course(), Surroundings({}))[0] == []


def test_a_turn_that_recalls_nothing_changes_nothing() -> None:
    course = followed(Course(), [("m3", 0.5)])
    assert followed(course, []) == course == followed(course, [("m4", 0.0)])


hits = st.lists(st.tuples(st.sampled_from([f"m{n}" for n in range(30)]), st.floats(0, 1)), max_size=8, unique_by=lambda hit: hit[0])


@given(st.lists(hits, max_size=12))
def test_shares_are_shares_and_the_same_talk_gives_the_same_guess(talks: list[list[tuple[str, float]]]) -> None:
    told = []
    for _ in range(2):
        course, guesses = Course(), list[Guess]()
        for found in talks:
            course = followed(course, found)
            guesses, course = foresee(course, around(course))
            assert abs(sum(course.weights.values()) - 1) < 1e-9
            assert [g.share for g in guesses] == sorted((g.share for g in guesses), reverse=True)
            assert sum(g.share for g in guesses) < 1 + 1e-9 and len({g.memory for g in guesses}) == len(guesses)
        told.append(guesses)
    assert told[0] == told[1]

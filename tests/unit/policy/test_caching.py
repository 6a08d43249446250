"""What a cache should find, what that costs, and when something is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.errors import Invalid
from loci.policy.caching import (
    ANTHROPIC,
    LEAST,
    MOST,
    OPENAI,
    Mark,
    Provider,
    Usage,
    anchors_of,
    counted_as,
    gap,
    known_prefix,
    pays,
    shared,
    usage_of,
)


def marks(*ends: tuple[str, int, bool]) -> tuple[Mark, ...]:
    return tuple(Mark(*end) for end in ends)


def test_a_hit_ends_at_a_step_and_is_not_small() -> None:
    assert [OPENAI.hit_of(n) for n in (0, 1023, 1024, 1151, 1152, 1300.9)] == [0, 0, 1024, 1024, 1152, 1280]
    assert ANTHROPIC.hit_of(1025) == 1025 and ANTHROPIC.hit_of(1000) == 0
    assert ANTHROPIC.cost_of(2000, 1500) == pytest.approx(150 + 625)


@pytest.mark.parametrize("wrong", [{"read": 2.0}, {"breakpoints": 5}, {"step_tokens": 0}, {"idle_seconds": 0}, {"minimum_tokens": -1}])
def test_a_provider_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Invalid, match="is no provider"):
        replace(ANTHROPIC, **wrong)


def test_a_cache_knows_what_two_prompts_share_up_to_a_breakpoint() -> None:
    before = marks(("a", 500, True), ("ab", 900, True), ("abc", 1500, False), ("abcd", 1600, True))
    now = marks(("a", 500, True), ("ab", 900, True), ("abc", 1500, True), ("abx", 1700, True))
    assert shared(before, now) == 3 and shared(before, before) == 4 and shared((), now) == 0
    assert known_prefix(before, now, ANTHROPIC) == 900, "the last breakpoint that was set before"
    assert known_prefix(before, now, OPENAI) == 1500
    assert known_prefix((), now, OPENAI) == 0


def test_usage_is_read_in_both_manners() -> None:
    anthropic = {"input_tokens": 20, "cache_read_input_tokens": 1500, "cache_creation_input_tokens": 300, "output_tokens": 9}
    assert usage_of(anthropic) == Usage(1820, 1500, 1800)
    assert usage_of({"input_tokens": 20, "cache_read_input_tokens": None, "cache_creation_input_tokens": None}) == Usage(20, 0, 0)
    assert usage_of({"prompt_tokens": 2000, "prompt_tokens_details": {"cached_tokens": 1920}}) == Usage(2000, 1920)
    assert usage_of({"input_tokens": 2000, "input_tokens_details": {"cached_tokens": 1920}}) == Usage(2000, 1920)
    assert usage_of({"prompt_tokens": 2000, "prompt_tokens_details": None}) == Usage(2000, 0)
    for wrong in (
        {},
        {"prompt_tokens": 3},
        {"prompt_tokens": 3, "prompt_tokens_details": "none"},
        {"prompt_tokens": True, "prompt_tokens_details": {}},
    ):
        with pytest.raises(Invalid):
            usage_of(wrong)


ENDS = st.lists(st.tuples(st.integers(1, 500), st.floats(LEAST, MOST)), min_size=1, max_size=4)


@given(ENDS, st.integers(0, 2500))
def test_a_count_is_exact_where_the_provider_counted_and_never_less_than_the_least(ends: list[tuple[int, float]], prefix: int) -> None:
    anchors = [(0, 0)]
    for tokens, rate in ends:
        anchors.append((anchors[-1][0] + tokens, anchors[-1][1] + round(tokens * rate)))
    likely, least = counted_as(prefix, tuple(anchors))
    assert least <= likely + 1
    for estimated, counted in anchors:
        assert counted_as(estimated, tuple(anchors)) == (counted, counted)


@given(st.integers(0, 3000), st.integers(1, 500), st.floats(LEAST, MOST), st.floats(LEAST, MOST))
def test_what_a_cache_must_have_is_never_more_than_it_has(prefix: int, tail: int, dense: float, thin: float) -> None:
    """However unevenly the provider counts, no gap is seen where all of the prefix was found."""
    counted, rest = int(prefix * dense), int(tail * thin) + 1
    anchors = ((0, 0), (prefix + tail, counted + rest))
    assert gap(1, prefix, anchors, Usage(counted + rest, OPENAI.hit_of(counted)), OPENAI) is None


def test_a_gap_is_what_is_missing_beyond_a_step() -> None:
    sent = marks(("a", 1000, True), ("ab", 2000, True), ("abc", 2300, False))
    anchors = anchors_of(sent, Usage(2600, 0, 2200))
    assert anchors == ((0, 0), (2000, 2200), (2300, 2600))
    found = gap(7, 2000, anchors, Usage(2700, 1000), ANTHROPIC)
    assert found is not None and (found.expected, found.reported, found.missing, found.turn) == (2200, 1000, 1200, 7)
    assert gap(7, 2000, anchors, Usage(2700, 2200), ANTHROPIC) is None
    assert gap(7, 2300, anchors, Usage(2700, 2560 - 128), OPENAI) is None and gap(7, 2300, anchors, Usage(2700, 2304), OPENAI) is not None
    assert gap(7, 0, anchors, Usage(2700, 0), OPENAI) is None, "nothing was to be expected"
    assert gap(7, 1500, (), Usage(2700, 0), OPENAI) is None, "of what was never counted half may be there"


@given(st.floats(0, 1000), st.floats(1, 10_000), st.floats(0, 200))
def test_a_rewrite_pays_if_and_only_if_it_saves_more_than_it_costs(saved: float, rewritten: float, turns: float) -> None:
    provider = Provider("p", 1.25, 0.1)
    assert pays(saved, rewritten, turns, provider) is (saved * turns > rewritten * 1.15)
    assert not pays(saved, rewritten, turns, provider) or pays(saved + 1, rewritten, turns + 1, provider)

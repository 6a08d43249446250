"""What a memory is worth loading, from measured rates."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.policy.placement import is_worth_loading, load_seconds, page_key, read_seconds
from loci.ports.engine import Rates, Tier

RATES = Rates(0.001, 1e-3, 1e-7, 0.0, Tier(1e-5, 20e9), Tier(1e-4, 2e9))


def test_reading_in_two_parts_takes_the_start_once_more() -> None:
    assert read_seconds(RATES, 300, 700) + read_seconds(RATES, 700) == pytest.approx(read_seconds(RATES, 1000) + RATES.start_s)


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_more_bytes_take_longer_and_twice_as_many_not_twice_as_long(one: int, two: int) -> None:
    tier = RATES.disk
    assert (load_seconds(tier, one) < load_seconds(tier, two)) == (one < two)
    assert load_seconds(tier, one + two) <= load_seconds(tier, one) + load_seconds(tier, two)


def test_what_takes_as_long_to_load_as_to_read_is_read() -> None:
    assert is_worth_loading(80, 100) and not is_worth_loading(95, 100) and not is_worth_loading(200, 100)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), unique=True))
def test_the_end_of_a_text_goes_before_its_beginning_and_what_is_older_before_both(pages: list[tuple[int, int]]) -> None:
    order = sorted(pages, key=lambda page: page_key(*page))
    assert [used for used, _ in order] == sorted(used for used, _ in pages)
    assert all(a[1] > b[1] for a, b in pairwise(order) if a[0] == b[0])

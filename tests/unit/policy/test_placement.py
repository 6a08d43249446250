"""What a memory is worth loading, from measured rates."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.policy.placement import choose, load_seconds, read_seconds, uses_to_pay
from loci.ports.engine import Rates, Tier

RATES = Rates(0.001, 1e-3, 1e-7, 0.0, Tier(1e-5, 20e9), Tier(1e-4, 2e9))


def test_reading_in_two_parts_takes_the_start_once_more() -> None:
    assert read_seconds(RATES, 300, 700) + read_seconds(RATES, 700) == pytest.approx(read_seconds(RATES, 1000) + RATES.start_s)


def test_a_long_text_is_loaded_and_a_slow_disk_is_not_waited_for() -> None:
    assert choose(RATES, "disk", 6000, 100_000_000).is_loaded
    slow = Rates(0.001, 1e-3, 1e-7, 0.0, Tier(1e-5, 20e9), Tier(1e-4, 1e6))
    choice = choose(slow, "disk", 6000, 100_000_000)
    assert not choice.is_loaded and "reading the text again" in choice.reason and uses_to_pay(1000, choice) == math.inf


@given(st.integers(1, 100_000), st.integers(1, 10**10))
def test_the_decision_is_the_cheaper_one_but_for_a_margin(tokens: int, size: int) -> None:
    choice = choose(RATES, "host", tokens, size)
    assert choice.load_ms == pytest.approx(1000 * load_seconds(RATES.host, size))
    assert choice.is_loaded == (choice.load_ms < 0.9 * choice.read_ms)
    if choice.is_loaded:
        assert uses_to_pay(1000.0, choice) == math.ceil(1000.0 / (choice.read_ms - choice.load_ms))

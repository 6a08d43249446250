"""Budgets sum exactly whatever the profile, and payloads leave the disk in the right order."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.errors import Invalid
from loci.policy.eviction import Stored, allocate, layer_weights, payload_key, sensitivity_weights, shared

WEIGHTS = st.lists(st.floats(0, 1e6, allow_nan=False) | st.just(0.0), min_size=1, max_size=48).filter(any)


@given(WEIGHTS, st.integers(1, 5000), st.floats(1, 40))
def test_budgets_sum_exactly_and_stay_within_limits(weights, mean, most):
    given_out = allocate(weights, mean, most=most)
    assert sum(given_out) == mean * len(weights)
    assert all(math.ceil(mean / 4) <= budget <= int(most * mean) for budget in given_out)


@given(WEIGHTS, st.integers(1, 5000), st.floats(1, 40))
def test_more_weight_never_means_less(weights, mean, most):
    order = sorted(zip(weights, allocate(weights, mean, most=most), strict=True))
    assert all(low <= high + 1 for (_, low), (_, high) in pairwise(order))  # one for the rounding of equals


@pytest.mark.parametrize("weights", [[0.1] * 24 + [1.0] * 8, [1e-9] * 31 + [1.0], [1.0] * 32, [0.0] * 31 + [3.0]])
def test_profiles_that_break_a_clamped_share(weights):
    """Clamping to a quarter after normalising gives 1.19 times the budget for the first, and 29 times the mean to one layer of the second."""
    budgets = allocate(weights, 1000, most=3)
    assert sum(budgets) == 1000 * len(weights) and max(budgets) <= 3000 and min(budgets) >= 250


def test_what_a_full_layer_cannot_take_goes_to_the_others_by_weight():
    assert allocate([8, 1, 1], 100, most=2) == (200, 50, 50)
    assert allocate([6, 3, 1], 100, most=1.5) == (150, 100, 50)
    assert allocate([1, 0, 0], 100, most=1) == (100, 100, 100)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.floats(0.5, 3))
def test_weights_of_a_profile_fall_as_likeness_rises(likeness, alpha):
    weights = layer_weights(likeness, alpha)
    order = sorted(zip(likeness, weights, strict=True))
    assert all(0 <= w <= 1 for w in weights) and any(weights)
    assert all(first >= second for (_, first), (_, second) in pairwise(order))


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [-1.0, 2.0], [math.nan, 1.0], [math.inf]])
def test_what_is_no_profile_is_refused(weights):
    with pytest.raises(Invalid):
        allocate(weights, 10)


@pytest.mark.parametrize(("mean", "most"), [(0, 3.0), (10, 0.5)])
def test_what_is_no_budget_is_refused(mean, most):
    with pytest.raises(Invalid):
        allocate([1.0], mean, most=most)


def test_a_flat_profile_weighs_all_layers_alike_and_an_empty_one_is_refused():
    assert layer_weights([0.4, 0.4, 0.4]) == (1.0, 1.0, 1.0)
    with pytest.raises(Invalid):
        layer_weights([])


def test_the_payload_that_saves_least_for_its_bytes_leaves_first():
    dear = Stored(uses=4, recompute_ms=2000, load_ms=100, size=10**8)
    bulky = Stored(uses=4, recompute_ms=2000, load_ms=100, size=10**9)
    unused = Stored(uses=0, recompute_ms=9000, load_ms=1, size=10**6)
    slow = Stored(uses=9, recompute_ms=50, load_ms=80, size=10**6)
    keys = [payload_key(p, 5.0) for p in (dear, bulky, unused, slow)]
    assert keys[0] > keys[1] > keys[2] == keys[3] == 5.0


def test_age_outruns_former_use():
    """The clock is the key of the last that left: a payload used once lately overtakes one used often long ago."""
    former = payload_key(Stored(50, 1000, 10, 10**7), age_clock=0.0)
    assert payload_key(Stored(1, 1000, 10, 10**7), age_clock=former) > former


@pytest.mark.parametrize("stored", [Stored(1, 1, 0, 0), Stored(-1, 1, 0, 5)])
def test_a_payload_without_bytes_or_with_negative_uses_is_refused(stored):
    with pytest.raises(Invalid):
        payload_key(stored, 0.0)


@given(WEIGHTS, st.integers(1, 5000), st.integers(0, 500))
def test_what_is_protected_is_shared_out_first(weights, more, protected):
    """To the entry, within the same limits, and no layer is left with less than it has to hold and one more."""
    mean = protected + more
    budgets = shared(weights, mean, protected)
    assert sum(budgets) == mean * len(weights) and min(budgets) > protected
    assert all(math.ceil(mean / 4) <= budget <= 3 * mean for budget in budgets)
    assert [b - protected for b in budgets] == list(allocate(weights, more))
    with pytest.raises(Invalid, match="and one more"):
        shared(weights, protected, protected)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=48))
def test_layers_weigh_as_much_as_they_change(divergences):
    weights = sensitivity_weights(divergences)
    assert max(weights) == 1 and all(0 <= w <= 1 for w in weights)
    assert weights == pytest.approx([(d + 1e-3) / (max(divergences) + 1e-3) for d in divergences])


def test_where_no_layer_changes_anything_to_speak_of_rounding_decides_nothing():
    assert shared(sensitivity_weights([3e-9, 0.0, 1e-7]), 100, 0) == (100, 100, 100)
    assert shared(sensitivity_weights([5.0, 1e-7, 0.0]), 100, 0) == (250, 25, 25)


@pytest.mark.parametrize("divergences", [[], [math.nan], [1.0, math.inf], [-1e-9, 1.0]])
def test_what_is_no_divergence_is_refused(divergences):
    with pytest.raises(Invalid, match="finite and not negative"):
        sensitivity_weights(divergences)

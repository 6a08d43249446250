"""The rank by which a full cube archives: what use does to it, whenever and however often it is asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.errors import Invalid
from loci.methods.memorybank import MemoryBank
from loci.policy.retention import Recency, Retention, heat, overdue, rank, used
from loci.ports.retaining import Strength

NOW = datetime(2026, 3, 1, 15, 30, tzinfo=UTC)
DAY = timedelta(days=1)
BANK = MemoryBank()
RULES = [pytest.param(BANK, id="memorybank"), pytest.param(Recency(), id="recent")]
gaps = st.lists(st.floats(0, 60), max_size=12)


def after(gaps: list[float], by: Retention = BANK) -> Strength:
    """The strength of a memory after uses so many days apart, the last of them now."""
    moment = NOW - sum(gaps) * DAY
    strength = Strength(moment)
    for gap in gaps:
        moment += gap * DAY
        strength = used(strength, moment, by)
    return replace(strength, last_used=NOW)


def test_it_is_as_the_formula_says() -> None:
    fresh = Strength(NOW)
    assert BANK.retrievability(fresh, NOW) == 1 and BANK.retrievability(fresh, NOW + 3 * DAY) == pytest.approx(0.9)
    once = used(fresh, NOW + 10 * DAY, BANK)
    assert once.stability_days == pytest.approx(4) and once.uses == 1 and once.last_used == NOW + 10 * DAY, "a third at most"
    assert used(once, NOW + 10.5 * DAY, BANK).stability_days == pytest.approx(4.5), "the gap that was survived"
    assert MemoryBank(5.0).retrievability(fresh, NOW + 5 * DAY) == pytest.approx(0.9)


@given(gaps, st.floats(0, 1000), st.floats(0.01, 1000))
def test_it_falls_with_idleness(past: list[float], idle: float, more: float) -> None:
    for by in (BANK, Recency()):
        strength = after(past, by)
        now, later = (by.retrievability(strength, NOW + days * DAY) for days in (idle, idle + more))
        assert 0 <= later <= now <= 1


@given(gaps, st.floats(0, 60), st.floats(0, 1000))
def test_one_more_use_never_lowers_it(past: list[float], gap: float, idle: float) -> None:
    before, more = after(past), after([*past, gap])
    assert BANK.retrievability(more, NOW + idle * DAY) >= BANK.retrievability(before, NOW + idle * DAY)


def test_a_thousand_answers_in_a_row_are_worth_no_more_than_the_days_they_take() -> None:
    moment, wrong = NOW, Strength(NOW)
    for _ in range(1000):
        moment += timedelta(seconds=1)
        wrong = used(wrong, moment, BANK)
    twice = used(used(Strength(NOW), NOW + 2 * DAY, BANK), NOW + 4 * DAY, BANK)
    later = NOW + 20 * DAY
    assert wrong.stability_days < 3.02 and rank(twice, BANK, later) > rank(wrong, BANK, later)


def test_a_clock_that_was_put_back_makes_nothing_younger() -> None:
    strength = used(Strength(NOW), NOW - 5 * DAY, BANK)
    assert strength.last_used == NOW and strength.stability_days == 3 and strength.uses == 1
    assert BANK.retrievability(strength, NOW - 9 * DAY) == 1


@given(st.lists(st.tuples(st.integers(0, 90), gaps, st.booleans()), max_size=30), st.integers(0, 30))
def test_what_is_pinned_stays_and_the_rest_goes_by_rank(made: list[tuple[int, list[float], bool]], capacity: int) -> None:
    everything = {
        f"m{place}": replace(after(past), last_used=NOW - idle * DAY, is_pinned=pinned) for place, (idle, past, pinned) in enumerate(made)
    }
    gone = overdue(everything, BANK, capacity, NOW)
    left = everything.keys() - gone
    assert not any(everything[id].is_pinned for id in gone)
    assert len(left) == max(min(capacity, len(everything)), sum(s.is_pinned for s in everything.values()))
    ranks = {id: rank(strength, BANK, NOW) for id, strength in everything.items()}
    assert all(ranks[a] <= ranks[b] for a in gone for b in left if not everything[b].is_pinned)


@pytest.mark.parametrize("by", RULES)
@given(st.randoms(use_true_random=False))
def test_once_a_day_or_every_hour_leaves_the_same(by: Retention, chance: object) -> None:
    """A month in which memories are said and used at all hours; what was archived and is used comes back."""
    events = sorted((chance.randrange(30 * 24), place, chance.random() < 0.4) for place in range(60) for _ in range(chance.randint(1, 6)))  # type: ignore[attr-defined]
    kept = []
    for hours in (1, 24):
        known: dict[int, Strength] = {}
        hot: set[int] = set()
        for hour in range(30 * 24):
            moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour, minutes=7)
            for _, place, _ in (event for event in events if event[0] == hour):
                known[place] = used(known[place], moment, by) if place in known else Strength(moment)
                hot.add(place)
            if (hour + 1) % hours == 0:
                hot -= {int(id) for id in overdue({str(place): known[place] for place in hot}, by, 12, moment)}
        kept.append(hot)
    assert kept[0] == kept[1] and len(kept[0]) <= 12


def test_heat_halves_in_a_week() -> None:
    strength = after([1.0, 1.0])
    assert strength.heat == pytest.approx(1 + 0.5 ** (1 / 7)) and heat(strength, NOW + 7 * DAY) == pytest.approx(strength.heat / 2)


def test_what_makes_no_sense_is_refused() -> None:
    for initial, growth in ((0, 1), (-1, 1), (float("nan"), 1), (3, 0)):
        with pytest.raises(Invalid):
            MemoryBank(initial, growth)

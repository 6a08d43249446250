"""In which form a body of memory is kept: every move of the table, its numbers, and that nothing flaps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.policy import placing
from loci.policy.placing import (
    Body,
    Decision,
    Limits,
    Machine,
    Member,
    State,
    Terms,
    Training,
    body_of,
    plan,
    reuse,
    why_not_kept,
    worth_held,
)
from loci.ports.engine import Rates, Tier
from loci.types import Kind

RATES = Rates(0.01, 1e-3, 1e-8, 1e-7, Tier(1e-5, 20e9), Tier(1e-4, 2e9))
MACHINE = Machine(RATES, 16_384, 32_768)
ROOM = Limits(1 << 33, 1 << 36)
TEXT, HELD, LEARNED = Kind.PLAINTEXT, Kind.ACTIVATION, Kind.PARAMETRIC
BODY = Body("b", ("m",), 1000, 8.0, 8000.0, 8, changed_days=20.0)
TRAINING = Training(0.05, 5.0, 0.001, 1 << 20)


def of(body: Body, machine: Machine = MACHINE, limits: Limits = ROOM) -> Decision:
    (decision,) = plan([body], machine, limits)
    return decision


def held(body: Body = BODY, **more: object) -> Body:
    return replace(body, form=HELD, held_tokens=body.tokens, **more)  # type: ignore[arg-type]


def test_what_is_used_often_enough_is_made_and_not_before() -> None:
    found = of(BODY)
    assert found.after is HELD and found.is_move
    worth = worth_held(BODY, MACHINE, RATES.host)
    assert found.numbers["saved_ms"] == 1000 * worth.saved_s and found.numbers["build_ms"] == 1000 * worth.build_s
    assert worth.saved_s == pytest.approx(8 * 1.0, rel=0.05) and worth.build_s == pytest.approx(1.02, rel=0.05)
    assert all(word in found.why for word in ("8.0 expected uses", f"{1000 * worth.saved_s:,.0f} ms"))
    least = next(uses for uses in range(1, 99) if of(replace(BODY, uses=uses, used_tokens=1000.0 * uses, cited=uses)).after is HELD)
    assert least == 3, "twice what it costs to make and to keep it, and ties go to text"
    assert of(replace(BODY, uses=1.0, used_tokens=1000.0, cited=1)).after is TEXT


def test_what_is_edited_as_often_as_it_is_used_stays_text() -> None:
    assert reuse(BODY) == 8 and reuse(replace(BODY, cited=80, changes=40)) == 2
    assert of(replace(BODY, cited=80, changes=40)).after is TEXT and of(replace(BODY, cited=100, changes=10)).after is HELD


def test_what_a_use_takes_little_of_is_not_worth_bringing() -> None:
    assert of(replace(BODY, used_tokens=8.0 * 30)).after is TEXT, "30 of 1,000 tokens a use"


@pytest.mark.parametrize("why", ["its words changed", "another model"])
def test_what_no_longer_fits_goes_back(why: str) -> None:
    for form in (HELD, LEARNED):
        found = of(replace(held(), form=form, stale=why))
        assert (found.after, found.is_move) == (TEXT, True) and why in found.why


def test_disuse_takes_it_back_and_the_first_day_is_free() -> None:
    idle = held(replace(BODY, uses=1e-4, used_tokens=0.1))
    assert of(idle).after is TEXT and "out of use" in of(idle).why
    assert of(replace(idle, held_days=0.5)).after is HELD
    assert of(held(replace(BODY, uses=0.05, used_tokens=50.0))).after is HELD, "made already, it pays for its room by less"


def test_what_was_put_back_waits_until_its_words_stood_for_a_day() -> None:
    for demoted, changed, after in ((0.5, 20.0, TEXT), (2.0, 0.5, TEXT), (2.0, 2.0, HELD)):
        found = of(replace(BODY, demoted_days=demoted, changed_days=changed))
        assert found.after is after and ("waits" in found.why) == (after is TEXT)


@given(st.floats(0.01, 50), st.floats(1, 2000), st.integers(1, 5000), st.integers(0, 30), st.floats(0, 40))
def test_nothing_flaps(uses: float, taken: float, tokens: int, changes: int, demoted: float) -> None:
    """With the same facts, what is made is kept, and what is put back is not made again."""
    body = replace(
        BODY, tokens=tokens, uses=uses, used_tokens=uses * min(taken, tokens), cited=int(uses) + 1, changes=changes, demoted_days=demoted
    )
    if of(body).after is HELD:
        assert of(held(body, demoted_days=None)).after is HELD
    if of(held(body)).after is TEXT:
        assert of(replace(body, demoted_days=0.0)).after is TEXT and of(replace(body, demoted_days=99.0)).after is TEXT


def test_it_is_made_anew_of_more_where_that_pays() -> None:
    assert not of(replace(held(), held_tokens=990)).is_move
    more = of(replace(held(), held_tokens=300))
    assert more.is_move and more.after is HELD and more.numbers["added_tokens"] == 700


def test_the_most_worth_a_byte_has_the_room_and_what_is_there_does_not_give_way_to_its_like() -> None:
    size = round(BODY.tokens * MACHINE.token_bytes)
    few, many = replace(BODY, id="few", uses=6.0, used_tokens=6000.0), replace(BODY, id="many", uses=9.0, used_tokens=9000.0)
    one = Limits(size, size)
    assert {d.body.id: d.after for d in plan([few, many], MACHINE, one)} == {"few": TEXT, "many": HELD}
    alike = [held(replace(few, id="there")), replace(few, id="like")]
    assert {d.body.id: d.after for d in plan(alike, MACHINE, one)} == {"there": HELD, "like": TEXT}
    assert "no room" in plan(alike, MACHINE, one)[0].why


def test_where_the_disk_is_slower_than_reading_only_what_is_at_hand_is_worth_it() -> None:
    slow = replace(MACHINE, rates=replace(RATES, disk=Tier(1e-4, 1e7)))
    size = round(BODY.tokens * MACHINE.token_bytes)
    bodies = [replace(held(BODY), id=f"b{n}") for n in range(3)]
    forms = [d.after for d in plan(bodies, slow, Limits(2 * size, 1 << 40))]
    assert forms == [HELD, HELD, TEXT]


def test_learning_wants_a_stable_body_on_its_way_and_a_day_with_time_for_it() -> None:
    machine, limits = replace(MACHINE, training=TRAINING), replace(ROOM, adapter_bytes=1 << 30, training_s=600.0)
    hot = held(replace(BODY, tokens=8000, uses=2e5, used_tokens=16e8, cited=900_000), changed_days=30.0)
    found = of(hot, machine, limits)
    assert found.after is LEARNED and found.numbers["training_s"] == pytest.approx(8000 * 0.05 + 5) and "unchanged for 30 days" in found.why
    for body, room in (
        (replace(hot, changed_days=3.0), limits), (replace(hot, form=TEXT, held_tokens=0), limits), (hot, replace(limits, training_s=100.0)),
        (hot, replace(limits, adapter_bytes=100)), (replace(hot, uses=3e4, used_tokens=24e7), limits),
    ):  # fmt: skip
        assert of(body, machine, room).after is HELD
    assert "waits for its turn" in of(hot, machine, replace(limits, training_s=100.0)).why
    assert of(hot).after is HELD, "nothing learns here"
    long = replace(hot, form=TEXT, tokens=20_000)
    assert of(long).after is TEXT and "more than may begin a prompt" in of(long).why
    assert of(long, machine, replace(limits, training_s=2000.0)).after is LEARNED, "no prefix could hold it"


def test_what_was_learned_stays_until_it_is_stale_or_out_of_use() -> None:
    machine, limits = replace(MACHINE, training=TRAINING), replace(ROOM, adapter_bytes=1 << 30)
    kept = of(replace(BODY, form=LEARNED), machine, limits)
    assert kept.after is LEARNED and "saves" in kept.why and kept.numbers["learned_saved_ms"] > 0
    idle = replace(BODY, form=LEARNED, uses=0.0, used_tokens=0.0)
    assert of(idle, machine, limits).after is TEXT and "out of use" in of(idle, machine, limits).why
    assert of(replace(idle, held_days=0.5), machine, limits).after is LEARNED, "the first day is free"
    assert of(replace(idle, held_days=1.5), machine, limits).after is TEXT


@pytest.mark.parametrize("form", [HELD, LEARNED])
def test_what_is_used_and_saves_nothing_is_not_called_out_of_use(form: Kind) -> None:
    """A use of it costs more than reading the text, and the reason says that, with its numbers."""
    far = replace(MACHINE, rates=replace(RATES, host=Tier(2.0, 1e9), disk=Tier(2.0, 1e9)), training=replace(TRAINING, swap_s=2.0))
    made = replace(BODY, form=form, held_tokens=BODY.tokens, uses=18.0, used_tokens=18_000.0)
    found, limits = of(made, far), replace(ROOM, adapter_bytes=1 << 30)
    assert found.after is TEXT and "out of use" not in found.why and "takes longer than reading" in found.why
    assert "18.00 expected uses would save -" in found.why
    new = of(replace(made, held_days=0.01), far, limits)
    assert new.after is form and not new.is_move and "has 1 to be of use" in new.why and "would save -" in new.why
    roomy = replace(MACHINE, training=replace(TRAINING, swap_s=0.01), terms=Terms(room_s=1e5))
    assert "less than its room is worth" in of(made, roomy).why


def test_a_price_of_tokens_counts() -> None:
    rare = replace(BODY, tokens=100, uses=1.9, used_tokens=190.0)
    assert of(rare).after is TEXT
    assert worth_held(rare, replace(MACHINE, token_price_s=1.0), RATES.host).saved_s > worth_held(rare, MACHINE, RATES.host).saved_s + 180


def test_a_body_is_what_was_used_of_late_and_what_is_in_it() -> None:
    members = [Member("a", 10, 2.0, 5, 1, 3.0), Member("b", 20, 0.1, 9), Member("c", 30, 0.0, 0, 0, 9.0)]
    body = body_of("x", members, State(HELD, frozenset("c")))
    assert (body.memories, body.tokens, body.held_tokens, body.uses, body.used_tokens) == (("a", "c"), 40, 30, 2.0, 20.0)
    assert (body.cited, body.changes, body.changed_days) == (5, 1, 3.0) and body_of("y", []).changed_days == 0.0


@given(st.permutations([f"b{n}" for n in range(6)]))
def test_the_order_of_the_facts_does_not_matter(order: list[str]) -> None:
    bodies = [replace(BODY, id=id, uses=float(int(id[1:]) + 1), used_tokens=1000.0 * (int(id[1:]) + 1)) for id in order]
    size = round(BODY.tokens * MACHINE.token_bytes)
    assert plan(bodies, MACHINE, Limits(size, 2 * size)) == plan(sorted(bodies, key=lambda b: b.id), MACHINE, Limits(size, 2 * size))


def test_the_horizon_is_that_of_heat() -> None:
    """Steady use of u a day has a heat of u times the horizon: what was, is expected."""
    assert sum(0.5 ** (day / 7) for day in range(1000)) == pytest.approx(placing.HORIZON_DAYS + 0.5, abs=0.05)


def test_what_was_read_is_kept_where_its_expected_uses_save_more_than_twice_its_writing() -> None:
    assert not why_not_kept(1000, 1.0, MACHINE)
    dear = slower_by(122)  # written in a second, read in one
    assert "1.0 expected uses would save 1,004 ms, and writing it costs 1,000 ms, which counts 2 times" in why_not_kept(1000, 1.0, dear)
    assert not why_not_kept(1000, 3.0, dear), "read three times of late, as many more are expected"
    assert why_not_kept(1000, 3.0, replace(dear, terms=Terms(caution=4.0)))
    assert "may begin a prompt" in why_not_kept(20_000, 99.0, MACHINE)


def slower_by(times: float) -> Machine:
    return replace(MACHINE, rates=replace(RATES, disk=Tier(1e-4, 2e9 / times)))

"""Where memories stand in a prompt: decisions on facts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.policy.caching import Provider
from loci.policy.layout import (
    Block,
    Budget,
    Candidates,
    Correction,
    Entry,
    Known,
    Layout,
    Now,
    Rewrite,
    Standing,
    keeps,
    row_text,
    settled,
    stayed,
    tokens_of,
    why_rewrite,
    with_core,
    with_recalled,
    without_gone,
)
from loci.policy.packing import Item
from loci.policy.prompt import fenced
from loci.text.fence import parse

DEAR = Provider("dear", 1.25, 0.1)
BUDGET = Budget(400, 2000)
DAY = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [f"m{n}" for n in range(10)]


def known_of(names: Sequence[str] = NAMES, words: int = 8, **now: Now) -> Known:
    lines = {(name, 1): Item(" ".join([f"Said of {name}:", *("word",) * words]), "Ann", DAY) for name in names}
    return Known(lines, {name: Now(1) for name in names} | now)


def recall(layout: Layout, known: Known, *turns: Sequence[str], start: int = 0) -> Layout:
    for turn, memories in enumerate(turns, start):
        layout = with_recalled(layout, known, memories, (), 2 * turn)
    return layout


def test_a_row_is_a_line_of_data_that_reads_back() -> None:
    known = known_of()
    rows = (
        Entry(3, "m1", 1),
        Correction(3, Standing.REPLACED, 4),
        Correction(4, Standing.PARTLY, 3),
        Correction(4, Standing.ENDED),
        Correction(3, Standing.CURRENT),
    )
    lines = parse(fenced(Block(0, rows), known))
    assert [(line.citation, line.text, line.note) for line in lines] == [
        (3, known.lines["m1", 1].text, ""), (3, "", "no longer current: replaced by [4]"), (4, "", "no longer current: in part, see [3]"),
        (4, "", "no longer current: it ended"), (3, "", "current again"),
    ]  # fmt: skip


def test_what_would_be_written_anew_behind_it_speaks_for_keeping_what_was_recalled() -> None:
    """Nothing is ever recalled twice: carrying it along costs a tenth of it a turn, dropping it the rest of the price of the message behind it."""
    known, layouts = known_of(), dict[int, Layout]()
    for behind in (0, 2, 200):
        layout = Layout()
        for turn, name in enumerate(NAMES[:4]):
            layout = settled(with_recalled(layout, known, [name], (), 2 * turn, behind=behind), known, DEAR, BUDGET)
        layouts[behind] = layout
    assert [len(layouts[behind].blocks) for behind in (0, 2, 200)] == [1, 3, 4]
    layout, tokens = layouts[200], layouts[200].recalls["m0"][1]
    assert layout.behind == 4 * 200 and layout.carried == 6 * tokens and layout.reused == 0
    for behind, is_kept in ((tokens * 6 / 11.5 + 1, True), (tokens * 6 / 11.5 - 1, False)):
        assert keeps(replace(layout, behind=round(behind)), DEAR) is is_kept


def test_what_is_recalled_is_shown_once_in_the_order_of_ids() -> None:
    layout = recall(Layout(), known_of(), ["m3", "m1"], ["m1", "m2", "m3"], ["m1"])
    assert [[row.memory for row in block.rows] for block in layout.blocks] == [["m1", "m3"], ["m2"]]  # type: ignore[union-attr]
    assert [entry.cite for entry in layout.entries] == [1, 2, 3] and layout.cited == 3
    assert layout.recalls["m1"][0] == 3 and layout.turns == 3


def test_what_the_filter_does_not_let_through_is_not_recalled() -> None:
    assert recall(Layout(), known_of(["m1"]), ["m1", "m2"]).recalls.keys() == {"m1"}


def test_what_was_said_in_the_conversation_is_neither_shown_nor_counted() -> None:
    layout = with_recalled(Layout(), known_of(), ["m1", "m2"], (), 0, said={"m1"})
    assert [entry.memory for entry in layout.entries] == ["m2"] and layout.recalls.keys() == {"m2"}


def test_what_is_gone_goes_with_what_was_said_of_it() -> None:
    known = known_of(m1=Now(1, Standing.REPLACED, "m2"))
    layout = recall(Layout(core=(Entry(9, "m4", 1),), cited=9), known, ["m1", "m3"])
    (block,) = layout.blocks
    assert [type(row) for row in block.rows] == [Entry, Entry, Entry, Correction]
    left = without_gone(layout, known_of(["m1", "m3", "m4"]))
    assert [entry.memory for entry in left.entries] == ["m4", "m1", "m3"] and not any(
        isinstance(row, Correction) for row in left.blocks[0].rows
    )
    assert without_gone(layout, known_of(["m4"])).blocks == () and without_gone(layout, known_of([])).core == ()


def test_a_correction_is_told_once_and_again_when_it_changes() -> None:
    layout = recall(Layout(), known_of(), ["m1"])
    replaced = known_of(m1=Now(1, Standing.REPLACED, "m2"))
    layout = recall(layout, replaced, [], [], start=1)
    assert layout.blocks[1:] == (Block(2, (Entry(2, "m2", 1), Correction(1, Standing.REPLACED, 2))),)
    further = known_of(m1=Now(1, Standing.REPLACED, "m2"), m2=Now(1, Standing.REPLACED, "m3"))
    layout = recall(layout, further, [], start=3)
    assert layout.blocks[-1].rows == (Entry(3, "m3", 1), Correction(2, Standing.REPLACED, 3)), "and what replaces the replacement"
    layout = recall(layout, known_of(), [], start=4)
    assert layout.blocks[-1].rows == (Correction(1, Standing.CURRENT), Correction(2, Standing.CURRENT))


def test_a_successor_that_may_not_be_shown_is_not_named() -> None:
    known = known_of(["m1"], m1=Now(1, Standing.REPLACED, "m2"))
    assert recall(Layout(), known, ["m1"]).blocks[0].rows[-1] == Correction(1, Standing.ENDED)


def test_a_ring_of_replacements_ends() -> None:
    known = known_of(m1=Now(1, Standing.REPLACED, "m2"), m2=Now(1, Standing.REPLACED, "m1"))
    assert len(recall(Layout(), known, ["m1"]).blocks[0].rows) == 4


def test_the_core_is_of_what_is_trusted_holds_and_fits() -> None:
    known = known_of(m2=Now(1, Standing.ENDED))
    known = replace(known, lines={**known.lines, ("m3", 1): replace(known.lines["m3", 1], is_trusted=False)})
    layout = with_core(Layout(), known, Candidates(["m9", "m2", "m3"], ["m5", "m4", "absent"]), BUDGET, DEAR, said={"m4"})
    assert [entry.memory for entry in layout.core] == ["m5", "m9"] and layout.core_version == 1
    small = Budget(tokens_of(layout.core[:1], known) * 2 + 2, 0)
    assert len(with_core(Layout(), known, Candidates(NAMES, NAMES), small, DEAR).core) == 2, "half of it is for the profile"
    assert with_core(Layout(), known, Candidates(NAMES, NAMES), Budget(0, 0), DEAR).core == ()


def test_a_core_keeps_the_numbers_of_what_stood_there_and_gives_none_again() -> None:
    layout = recall(Layout(), known_of(), ["m1", "m2"], ["m1", "m3"], ["m1", "m3"])
    layout = with_core(layout, known_of(), Candidates(["m7"]), BUDGET, DEAR)
    assert {entry.memory: entry.cite for entry in layout.core} == {"m1": 1, "m3": 3, "m7": 4} and layout.blocks == ()
    assert recall(layout, known_of(), ["m2"], start=3).blocks[0].rows == (Entry(5, "m2", 1),)


def test_recalled_memories_are_kept_while_that_has_paid() -> None:
    again = recall(Layout(), known_of(), *[["m1", "m2"]] * 5)
    never = recall(Layout(), known_of([f"n{n:02}" for n in range(60)]), *[[f"n{n:02}"] for n in range(60)])
    assert keeps(Layout(), DEAR) and keeps(again, DEAR) and not keeps(never, DEAR)
    known = known_of([f"n{n:02}" for n in range(60)])
    assert settled(never, known, DEAR, BUDGET).blocks == never.blocks[:-1], "the last one goes, the others stay where they are"
    assert settled(again, known_of(), DEAR, BUDGET) is again, "nothing was said last"
    first = recall(Layout(), known_of(), ["m1"])
    assert settled(first, known_of(), DEAR, BUDGET) is first and settled(first, known_of(), DEAR, Budget(400, 0)).blocks == ()


def test_what_a_further_message_was_answered_by_stays() -> None:
    first = recall(Layout(), known_of(), ["m1"])
    assert settled(stayed(first, 1), known_of(), DEAR, Budget(400, 0)).blocks == (), "nothing came after it"
    assert settled(stayed(first, 3), known_of(), DEAR, Budget(400, 0)).blocks == first.blocks


def test_a_rewrite_waits_until_it_pays_and_then_does_not_come_again() -> None:
    known = known_of([f"n{n:02}" for n in range(99)], words=30)
    layout = with_core(Layout(), known, Candidates(), BUDGET, DEAR)
    reasons, history = [], 0
    for turn in range(90):
        layout = settled(layout, known, Provider("free", 1.25, 0.0), Budget(400, 10**6))  # keeps everything
        reason = why_rewrite(layout, layout, known, BUDGET, history, DEAR)
        if reason is not None:
            layout = with_core(layout, known, Candidates(), BUDGET, DEAR)
        reasons.append(reason)
        layout = recall(layout, known, [f"n{turn % 9:02}" if turn % 3 else f"n{turn:02}"], start=turn)
        history += 40
    assert 1 <= reasons.count(Rewrite.PAYS) <= 8 and Rewrite.PAYS not in reasons[:3]
    places = [place for place, reason in enumerate(reasons) if reason]
    assert all(b - a > 1 for a, b in pairwise(places)), "not twice in a row"
    assert why_rewrite(layout, layout, known, BUDGET, 10**6, DEAR) is None, "a long history is not worth it"


def test_a_core_without_one_of_its_memories_is_chosen_anew() -> None:
    layout = with_core(Layout(), known_of(), Candidates(["m1", "m2"]), BUDGET, DEAR)
    known = known_of(["m2"])
    assert why_rewrite(layout, without_gone(layout, known), known, BUDGET, 10**6, DEAR) is Rewrite.GONE


STEP = st.tuples(st.lists(st.sampled_from(NAMES), max_size=5), st.lists(st.sampled_from(NAMES), max_size=3), st.booleans())


@given(st.lists(STEP, min_size=1, max_size=12))
def test_nothing_is_said_twice_and_every_number_means_one_version(steps: list[tuple[list[str], list[str], bool]]) -> None:
    layout, meant = Layout(), {}
    versions = dict.fromkeys(NAMES, 1)
    for turn, (recalled, updated, is_rewritten) in enumerate(steps):
        for name in updated:
            versions[name] += 1
        lines = {(name, v): Item(f"Said of {name} in version {v}.", "Ann", DAY) for name in NAMES for v in range(1, versions[name] + 1)}
        known = Known(lines, {name: Now(version) for name, version in versions.items()})
        if is_rewritten:
            layout = with_core(layout, known, Candidates(NAMES[:2]), BUDGET, DEAR)
        before = layout
        layout = with_recalled(layout, known, recalled, (), turn)
        assert layout.blocks[: len(before.blocks)] == before.blocks and layout.core == before.core, "what stands stays"
        pairs = [entry.pair for entry in layout.entries]
        assert len(pairs) == len(set(pairs))
        for entry in layout.entries:
            assert meant.setdefault(entry.cite, entry.pair) == entry.pair
        current = {name for name, version in versions.items() if (name, version) in pairs}
        assert {*recalled} <= current and {memory for memory, _ in pairs} == current, "of all that is shown the latest version is shown too"
        assert all(row_text(row, known) for block in layout.blocks for row in block.rows)


@pytest.mark.parametrize("terms", [("crate", "seven"), ("boat",)])
def test_of_a_long_memory_what_is_asked_for_and_later_only_the_rest(terms: Sequence[str]) -> None:
    text = " ".join(f"The {thing} number {n} is painted in the colour of day {n}." for n in range(30) for thing in ("crate", "boat"))
    known = Known({("m1", 1): Item(text, "Ann", DAY)}, {"m1": Now(1)})
    first = with_recalled(Layout(), known, ["m1"], terms, 0)
    second = with_recalled(first, known, ["m1"], terms, 2)
    (entry,) = first.entries
    assert entry.places and second.blocks == first.blocks and tokens_of((entry,), known) < 200
    third = with_recalled(first, known, ["m1"], ("number", "29"), 2)
    more = [row for block in third.blocks[1:] for row in block.rows]
    assert all(isinstance(row, Entry) and row.cite == entry.cite and not {*row.places} & {*entry.places} for row in more)

"""The figure of placement: what a replay pays for, and that ours beats each rule where that rule is weak."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loci.bench.placement import (
    MACHINES,
    NOTHING,
    OURS,
    PREFIX_CACHE,
    RULES,
    TIMER_DAYS,
    Block,
    Event,
    Keeping,
    Latest,
    Planned,
    Timer,
    Trace,
    replay,
)
from loci.bench.placement_report import Row, run, table, targets, totals, write
from loci.bench.placement_traces import asked, made
from loci.policy import placing
from loci.policy.placement import load_seconds, read_seconds
from loci.policy.placing import QUESTION, Terms

CORE, *OTHERS = MACHINES
RATES = CORE.machine.rates


def uses(*days: float, edits: tuple[float, ...] = ()) -> Trace:
    events = [Event(day, ("m",)) for day in days] + [Event(day, ("m",), is_edit=True) for day in edits]
    return Trace("t", tuple(sorted(events, key=lambda event: event.day)), {"m": 1000}, {"m": "b"})


def test_text_pays_for_reading_each_time() -> None:
    cost = replay(uses(1, 2, 3), RULES[NOTHING](), CORE)
    assert cost.tokens == 3 * (1000 + QUESTION) and cost.ms == pytest.approx(3000 * read_seconds(RATES, 1000 + QUESTION))


def test_a_cache_pays_for_making_and_then_for_loading() -> None:
    cost = replay(uses(1, 2, 3), Latest(), CORE)
    size = 16_384_000
    assert (cost.made, cost.attached, cost.tokens) == (1, 2, 1000 + QUESTION + 1000 + 2 * QUESTION)
    made_s = read_seconds(RATES, 1000) + load_seconds(RATES.disk, size)
    attached_s = load_seconds(RATES.host, size) + read_seconds(RATES, QUESTION, 1000)
    assert cost.ms == pytest.approx(1000 * (read_seconds(RATES, 1000 + QUESTION) + made_s + 2 * attached_s))
    assert replay(uses(1, 2, 3), Latest(is_read=False), CORE).tokens == cost.tokens - 1000
    assert replay(uses(1, 2, 3, edits=(2.5,)), Latest(), CORE).made == 2, "what was read before the edit is not used"


def test_the_timer_copies_what_is_used_most_every_five_minutes() -> None:
    soon = [n * TIMER_DAYS for n in range(1, 6)]
    assert replay(uses(*soon), Timer(is_repaired=False), CORE).made == 4 and replay(uses(*soon), Timer(), CORE).made == 1
    assert replay(uses(*soon, edits=(soon[2] + 0.001,)), Timer(), CORE).made == 2


def test_the_plan_waits_for_the_third_use_and_after_an_edit_for_a_day() -> None:
    hours = [n / 4 for n in range(40)]
    steady, edited = replay(uses(*hours), Planned(), CORE), replay(uses(*hours, edits=(5.01,)), Planned(), CORE)
    assert (steady.made, steady.attached) == (1, 37)
    assert edited.made == 2 and steady.attached - 5 <= edited.attached < steady.attached
    calm = replace(CORE, machine=replace(CORE.machine, terms=Terms(quiet_days=0.0)))
    assert replay(uses(*hours, edits=(5.01,)), Planned(), calm).attached > edited.attached


def test_it_asks_the_policy_that_plan_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "plan", lambda bodies, machine, limits: [])
    assert replay(uses(*range(20)), Planned(), CORE) == replay(uses(*range(20)), RULES[NOTHING](), CORE)


def test_what_was_read_is_kept_at_once_and_after_an_edit_again() -> None:
    cost = replay(uses(1, 2, 3), Keeping(), CORE)
    assert (cost.made, cost.attached, cost.tokens) == (1, 2, 1000 + 3 * QUESTION), "nothing is read to be kept"
    cost = replay(uses(1, 2, 3, edits=(2.5,)), Keeping(), CORE)
    assert (cost.made, cost.attached, cost.tokens) == (2, 1, 2000 + 3 * QUESTION)


def test_where_writing_is_dear_it_waits_for_the_same_text_to_be_read_again() -> None:
    gpu = OTHERS[1]
    cost = replay(uses(1, 1.1, 1.2, 1.3, 1.4), Keeping(), gpu)
    assert cost.made == 1 and cost.attached == 2
    assert replay(uses(1, 1.1, 1.2, edits=(1.05, 1.15)), Keeping(), gpu).made == 0, "other words are another text"


def test_keeping_asks_the_policy_that_generate_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "why_not_kept", lambda tokens, reads, machine: "no")
    trace = uses(*range(20))
    assert replay(trace, Keeping(), CORE) == replay(trace, Planned(), CORE)


def test_what_was_read_for_an_answer_begins_what_wants_half_of_it() -> None:
    kept = Block(dict.fromkeys("abc", 0), 300, 0.0, is_kept=True)
    assert kept.may_begin("ab") and not kept.may_begin("a") and Block(kept.versions, 300, 0.0).may_begin("a")


def test_what_there_is_no_room_for_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    names = "abcd"
    events = tuple(Event(1 + n / 100, (names[n % 4] if n < 8 else "a",)) for n in range(40))
    trace = Trace("t", events, dict.fromkeys(names, 1000), {name: name for name in names})
    small = replace(CORE, limits=replace(CORE.limits, disk_bytes=3 * 16_384_000))
    assert replay(trace, Keeping(), small).made > replay(trace, Keeping(), CORE).made == 4
    assert replay(trace, Keeping(), small).attached >= 31, "what is used stays"


def test_it_is_never_much_dearer_than_text_and_beats_a_cache_where_things_change() -> None:
    stable, _, edited, once, _ = made(7)
    once = replace(once, events=once.events[:500])  # the rule looks at every body there is, each day
    for machine in MACHINES:
        for trace, below_cache in ((once, 0.6), (edited, 1.0)):
            ours, text, cache = (replay(trace, RULES[name](), machine).ms for name in (OURS, NOTHING, "LRU cache of activations"))
            assert ours <= 1.05 * text and ours < below_cache * cache
    assert replay(stable, RULES[OURS](), CORE).ms < 0.2 * replay(stable, RULES[NOTHING](), CORE).ms


def test_questions_are_uses_of_their_evidence(tmp_path: Path) -> None:
    turns = [
        {"id": f"D{s}:{n}", "session": s, "at": f"2023-05-0{s}T10:00:00", "speaker": "Ann", "text": "word " * 20, "caption": None}
        for s in (1, 2) for n in (1, 2)
    ]  # fmt: skip
    (tmp_path / "conversations.jsonl").write_text(json.dumps({"id": "c", "speakers": ["Ann"], "turns": turns}) + "\n")
    questions = [["D2:1", "D1:1"], ["D1:2"], [], ["D9:9"]]
    rows = [json.dumps({"id": str(n), "conversation": "c", "text": "?", "evidence": e}) for n, e in enumerate(questions)]
    (tmp_path / "questions.jsonl").write_text("\n".join(rows))
    (after,), (along,) = asked(tmp_path), asked(tmp_path, is_along=True)
    assert [event.memories for event in after.events] == [("D2:1", "D1:1"), ("D1:2",)] and after.bodies["D2:1"] == "2"
    assert [event.memories for event in along.events] == [("D1:2",), ("D2:1", "D1:1")], "each once its last evidence was said"
    assert 1 < along.events[1].day < 1.01


def test_the_report_tells_every_target(tmp_path: Path) -> None:
    rows = run({"t": [uses(*(n / 4 for n in range(40)))], "u": [uses(1.0)]}, [CORE])
    write(tmp_path, rows, {"as it is": [1.0, 2.0]}, ["t", "u"], "told")
    report = (tmp_path / "report.md").read_text()
    assert all(line in report for line in [*targets(rows), *table(rows, CORE.name)]) and (tmp_path / "cost.svg").exists()
    total = totals(rows, CORE.name)
    assert total[NOTHING].ms == total[NOTHING].mean_tokens == 1 and total[PREFIX_CACHE].ms < 1
    below = 1 - total[OURS].ms / total[PREFIX_CACHE].ms
    assert any("total ms" in line and f"; below the {PREFIX_CACHE}: {round(below, 3) + 0.0:.1%} |" in line for line in targets(rows)), (
        "told in the verdict"
    )
    dear = [Row(row.machine, row.trace, row.rule, row.tokens, row.ms * (9 if row.rule == OURS else 1), 0, 0) for row in rows]
    assert all("missed" in line for line in targets(dear) if "ms" in line or "above text" in line)

"""`plan` in a cube: bodies are what was said in a session, uses are citations, and every move is done by the verbs that there are, and recorded."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from loci import MemOS, Message
from loci.cli.queue import Plans, _work
from loci.errors import Denied, LociError, Unsupported
from loci.interface.typed import typed
from loci.operation.placing import Placed
from loci.policy.placing import HOT, Limits
from loci.ports.engine import Fingerprint, Rates, Tier
from loci.system import Cube
from loci.testing import HashEngine, ManualClock, TeachableEngine
from loci.testing.student import HashStudent
from loci.text.plain import plain
from loci.types import Kind, Role

TEXT, HELD, LEARNED = Kind.PLAINTEXT, Kind.ACTIVATION, Kind.PARAMETRIC


class Slow(HashEngine):
    """Reading takes long enough that loading pays, and so little is read at once that a long body does not fit."""

    def rates(self) -> Rates:
        return Rates(0.001, 1e-3, 1e-9, 1e-9, Tier(1e-5, 1e10), Tier(1e-5, 1e9))


class Short(Slow):
    """It reads a hundred tokens at once."""

    def fingerprint(self) -> Fingerprint:
        return replace(super().fingerprint(), context=100)


@pytest.fixture
def engine() -> Slow:
    return Slow()


@pytest.fixture
def cube(open_vault: Callable[..., MemOS], engine: Slow) -> Cube:
    return open_vault(engine=engine).cube("main")


def say(cube: Cube, session: str, count: int = 3, user: str = "ann") -> list[str]:
    texts = [f"In {session} the kettle number {n} was bought for {n + 3} crowns from the shop by the harbour." for n in range(count)]
    return [cube.add(Message("user", text, speaker="Ann"), user=user, session=session).ids[0] for text in texts]


def use(cube: Cube, clock: ManualClock, ids: Sequence[str], times: int, minutes: float = 120) -> None:
    for _ in range(times):
        clock.advance(minutes=minutes)
        cube.cite(ids)


def moves(found: list[Placed]) -> list[tuple[str, Kind, Kind]]:
    return [(one.name, one.decision.before, one.decision.after) for one in found if one.decision.is_move]


def test_what_answers_cite_is_made_and_what_a_search_finds_is_not(cube: Cube, clock: ManualClock) -> None:
    ids, other = say(cube, "s1"), say(cube, "s2")
    for _ in range(50):
        cube.search("kettle in s2", user="ann")
    assert cube.plan() == []
    use(cube, clock, ids[:2], 6)
    (shown,) = cube.plan()
    assert (shown.name, shown.user, shown.decision.body.memories, shown.is_done) == ("s1", "ann", tuple(sorted(ids[:2])), False)
    assert moves([shown]) == [("s1", TEXT, HELD)] and cube.activations(user="ann") == [], "a look changes nothing"
    (done,) = cube.plan(apply=True)
    (handle,) = cube.activations(user="ann")
    assert done.is_done and done.held == handle.id and set(handle.memories) == set(ids[:2]) and not set(other) & set(handle.memories)
    (record,) = cube.log(verb="place")
    assert (record.detail["before"], record.detail["after"], record.detail["held"]) == ("text", "activation", handle.id)
    assert record.detail["hash_after"] == cube.activation(handle.id).text and len(record.detail["hash_before"]) == 32, "of the words"
    assert record.detail["why"] == done.decision.why and record.detail["numbers"]["uses"] > 5
    assert "kettle" not in str(record.detail) and moves(cube.plan(apply=True)) == []
    assert cube.verify().is_clean


def test_it_is_json_that_any_program_reads(cube: Cube, clock: ManualClock) -> None:
    use(cube, clock, say(cube, "s1"), 3)
    cube.activate(say(cube, "s2"), user="ann")
    found = cube.plan()
    assert {one.decision.body.form for one in found} == {TEXT, HELD}
    assert typed(list[Placed], json.loads(json.dumps(plain(found), allow_nan=False))) == found


def test_an_edit_takes_it_back_and_it_waits_a_day(cube: Cube, clock: ManualClock) -> None:
    ids = say(cube, "s1")
    use(cube, clock, ids, 8)
    cube.plan(apply=True)
    held = cube.activations(user="ann")[0].id
    before = cube.activation(held).text
    cube.update(ids[0], "In s1 the first kettle was given away after all, to the neighbour by the harbour.")
    (back,) = cube.plan(apply=True)
    assert moves([back]) == [("s1", HELD, TEXT)] and "its words changed" in back.decision.why and back.held is None
    first, last = (record.detail for record in cube.log(verb="place"))
    assert cube.activations(user="ann") == [] and last["hash_before"] == before
    assert len(last["hash_after"]) == 32 and last["hash_after"] != first["hash_before"], "the words that serve are others"
    use(cube, clock, ids, 3)
    (waits,) = cube.plan(apply=True)
    assert not waits.decision.is_move and "waits" in waits.decision.why
    clock.advance(days=1)
    assert moves(cube.plan(apply=True)) == [("s1", TEXT, HELD)]


def test_another_model_takes_it_back(cube: Cube, open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    ids = say(cube, "s1")
    use(cube, clock, ids, 8)
    cube.plan(apply=True)
    other = open_vault(engine=Slow("another")).cube("main")
    (back,) = other.plan(apply=True)
    assert moves([back]) == [("s1", HELD, TEXT)] and back.is_done and other.activations(user="ann") == []
    assert set(other.search("kettle in s1", user="ann").ids) == set(ids), "the text serves"


def test_disuse_takes_it_back_after_its_first_day(cube: Cube, clock: ManualClock) -> None:
    made = cube.activate(say(cube, "s1"), user="ann")
    assert moves(cube.plan(apply=True)) == [], "what somebody made has a day to be of use"
    clock.advance(days=2)
    (back,) = cube.plan(apply=True)
    assert back.held is None and "out of use" in back.decision.why and made.id not in [h.id for h in cube.activations(user="ann")]


def test_hot_then_warm_then_archived_and_back(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(engine=Slow(), capacity=5).cube("main")
    ids = say(cube, "s1")
    use(cube, clock, ids, 6)
    assert moves(cube.plan(apply=True)) == [("s1", TEXT, HELD)]
    assert all(cube.count(user="ann").heat[id] >= HOT for id in ids), "hot: at hand as a KV memory"
    clock.advance(days=60)
    assert moves(cube.plan(apply=True)) == [], "its room costs less still than it saves"
    clock.advance(days=140)
    (back,) = cube.plan(apply=True)
    assert moves([back]) == [("s1", HELD, TEXT)] and "out of use" in back.decision.why
    assert all(cube.count(user="ann").heat[id] < HOT for id in ids), "warm: its text is found by any search"
    assert set(ids) <= set(cube.search("kettle in s1", user="ann").ids)
    others = say(cube, "s2", 5)
    use(cube, clock, others, 1)
    clock.advance(days=1)
    others += say(cube, "s3", 1)
    assert not set(ids) & set(cube.search("kettle in s1", user="ann").ids), "archived: beyond the capacity, and out of a plain search"
    assert set(ids) <= set(cube.search("kettle in s1", user="ann", archived=True).ids), "and nothing is deleted"
    use(cube, clock, ids[:1], 1)
    cube._scheduler.note_uses()
    assert ids[0] in cube.search("kettle in s1", user="ann").ids and cube.count(user="ann").heat[ids[0]] >= HOT


def test_it_grows_by_what_answers_begin_to_use(cube: Cube, clock: ManualClock) -> None:
    ids = say(cube, "s1", 8)
    use(cube, clock, ids[:1], 6)
    cube.plan(apply=True)
    held = cube.activations(user="ann")[0].id
    use(cube, clock, ids[1:], 8)
    (grown,) = cube.plan(apply=True)
    assert grown.is_done and grown.held == held and grown.decision.numbers["added_tokens"] > 0
    assert set(cube.activations(user="ann")[0].memories) == set(ids)


def test_users_and_sessions_do_not_share_a_body(cube: Cube, clock: ManualClock) -> None:
    both = [*say(cube, "s1"), *say(cube, "s1", user="bob"), *say(cube, "s2")]
    use(cube, clock, both, 8)
    assert {(one.user, one.name) for one in cube.plan(apply=True)} == {("ann", "s1"), ("bob", "s1"), ("ann", "s2")}
    assert [len(cube.activations(user=user)) for user in ("ann", "bob")] == [2, 1]
    cube.erase(both[0])
    assert cube.verify().is_clean and {one.left for one in cube.plan(apply=True)} == {""}


def test_what_no_prefix_can_hold_is_for_a_learner_and_without_one_it_is_said(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(engine=Short()).cube("main")
    ids = say(cube, "s1", 4)
    use(cube, clock, ids, 4000, minutes=1)
    clock.advance(days=8)
    cube._parts = replace(cube._parts, limits=Limits(1 << 30, 1 << 30, 1 << 30, 1e9))
    (left,) = cube.plan(apply=True)
    assert left.decision.after is LEARNED and not left.is_done and left.left.startswith("unsupported") and not cube.log(verb="place")
    assert "16,777,216 bytes, and 10 ms to mount it, are assumed" in left.decision.why, "there is none to measure"


class Pupil(TeachableEngine, Slow):
    """It can learn, and reads too little at once for a long body, but enough to be asked about a memory with its text."""

    def fingerprint(self) -> Fingerprint:
        return replace(super().fingerprint(), context=160)


def test_what_is_to_be_learned_is_taken_to_be_like_an_adapter_that_there_is(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(engine=Pupil()).cube("main")
    made = cube.distil(say(cube, "s0"), user="ann")
    cube.mount(made.id)
    use(cube, clock, say(cube, "s1", 4), 4000, minutes=1)
    clock.advance(days=8)
    cube._parts = replace(cube._parts, limits=Limits(1 << 30, 1 << 30, 1 << 30, 1e9))
    (new,) = [one for one in cube.plan() if one.name == "s1"]
    assert new.decision.after is LEARNED and new.decision.numbers["adapter_bytes"] == made.bytes and "assumed" not in new.decision.why


def test_what_is_learned_is_seen_as_learned_and_put_back_by_an_edit(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(engine=Pupil()).cube("main")
    ids = say(cube, "s1", 4)
    use(cube, clock, ids, 4000, minutes=1)
    clock.advance(days=8)
    cube._parts = replace(cube._parts, limits=Limits(1 << 30, 1 << 30, 1 << 30, 1e9))
    (done,) = cube.plan(apply=True)
    assert done.is_done and done.decision.after is LEARNED
    (adapter,) = cube.adapters(user="ann")
    assert adapter.is_mounted and adapter.id == done.held and set(adapter.memories) == set(ids)
    assert moves(cube.plan()) == [], "it is where it belongs"
    cube.update(ids[0], "In s1 the kettle number 0 was lost.")
    (back,) = cube.plan(apply=True)
    assert (back.decision.before, back.decision.after, back.is_done) == (LEARNED, TEXT, True) and "changed" in back.decision.why
    assert not cube.adapters(user="ann")[0].is_mounted
    assert moves(cube.plan()) == [], "and it waits"


class Swift(TeachableEngine, HashEngine):
    """Text is read in no time."""

    def rates(self) -> Rates:
        return Rates(0.001, 1e-6, 1e-9, 1e-9, Tier(1e-5, 1e10), Tier(1e-5, 1e9))


def heavy(student: HashStudent, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Mounting an adapter takes so long."""
    mounted = student.mounted
    monkeypatch.setattr(student, "mounted", lambda adapters: (time.sleep(seconds), mounted(adapters))[1])


@pytest.fixture
def by_hand(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> Cube:
    """A cube with an adapter of one session that somebody made and mounted, which takes longer than reading the text."""
    engine = Swift()
    heavy(engine.student(), monkeypatch, 0.02)
    cube = open_vault(engine=engine).cube("main")
    cube.mount(cube.distil(say(cube, "s1"), user="ann").id)
    return cube


def test_an_adapter_that_somebody_made_has_a_day_and_then_the_true_reason(by_hand: Cube, clock: ManualClock) -> None:
    (made,) = by_hand.adapters(user="ann")
    use(by_hand, clock, made.memories, 6, minutes=3)
    (kept,) = by_hand.plan(apply=True)
    assert not kept.decision.is_move and "has 1 to be of use" in kept.decision.why and by_hand.adapters(user="ann")[0].is_mounted
    assert kept.decision.numbers["learned_saved_ms"] < 0
    clock.advance(days=2)
    (back,) = by_hand.plan(apply=True)
    assert back.is_done and moves([back]) == [("s1", LEARNED, TEXT)] and not by_hand.adapters(user="ann")[0].is_mounted
    assert back.decision.numbers["expected_uses"] > 10 and "out of use" not in back.decision.why
    assert "would save -" in back.decision.why and "takes longer than reading" in back.decision.why
    record = by_hand.log(verb="place")[-1].detail
    assert record["why"] == back.decision.why and record["hash_before"] == by_hand.adapter(made.id).file.hash  # type: ignore[union-attr]
    assert len(record["hash_after"]) == 32 and record["hash_after"] != record["hash_before"], "of the words, which serve"


def test_an_adapter_counts_as_large_as_it_is_and_as_slow_to_mount_as_it_was(
    by_hand: Cube, clock: ManualClock, open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch
) -> None:
    (made,) = by_hand.adapters(user="ann")
    use(by_hand, clock, made.memories, 6, minutes=3)
    (kept,) = by_hand.plan()
    assert kept.decision.numbers["adapter_bytes"] == made.bytes and 20 <= kept.decision.numbers["swap_ms"] < 500
    assert "assumed" not in kept.decision.why
    light = open_vault(engine=Swift()).cube("main")
    clock.advance(days=2)
    (swift,) = light.plan()
    assert swift.decision.after is LEARNED and swift.decision.numbers["swap_ms"] < 20 and "it saves" in swift.decision.why
    (far,) = open_vault(engine=Swift("another")).cube("main").plan()
    assert far.decision.after is TEXT and made.id in far.decision.why, "what another model learned serves nobody here"


def test_the_plan_says_what_would_be_left_of_an_adapter_that_was_trained_on_and_decides_nothing_by_it(by_hand: Cube) -> None:
    (before,) = by_hand.plan()
    made = by_hand.adapters(user="ann")[0].id
    found = by_hand.probe_adapter(made, updates=[10])
    (after,) = by_hand.plan()
    assert after.decision.after is before.decision.after is LEARNED and "Trained on" not in before.decision.why
    assert f"would recall {found[1].recall:.0%} after 10 further updates" in after.decision.why
    assert after.decision.numbers["recall_after_10"] == found[1].recall


def test_an_adapter_that_nobody_uses_is_unmounted_after_its_first_day(by_hand: Cube, clock: ManualClock) -> None:
    assert moves(by_hand.plan(apply=True)) == []
    clock.advance(days=2)
    (back,) = by_hand.plan(apply=True)
    assert moves([back]) == [("s1", LEARNED, TEXT)] and back.is_done and "out of use" in back.decision.why
    assert not by_hand.adapters(user="ann")[0].is_mounted


def test_what_failed_its_examination_is_not_learned_over_and_over(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    engine = Pupil()
    engine.student().forgets = 0.5
    cube = open_vault(engine=engine).cube("main")
    ids = say(cube, "s1", 4)
    use(cube, clock, ids, 4000, minutes=1)
    clock.advance(days=8)
    cube._parts = replace(cube._parts, limits=Limits(1 << 30, 1 << 30, 1 << 30, 1e9))
    (left,) = cube.plan(apply=True)
    assert not left.is_done and left.left.startswith("failed_examination")
    assert "failed its examination" in str(cube.log(verb="place")[-1].detail["why"])
    steps = engine.student().steps
    cube.plan(apply=True)
    assert engine.student().steps == steps


class Apt(TeachableEngine, HashEngine):
    """It can learn, and what it learns is cheaper still than a KV memory."""

    def rates(self) -> Rates:
        return Rates(0.001, 1e-3, 1e-9, 1e-9, Tier(0.027, 1e10), Tier(0.027, 1e9))


def held(open_vault: Callable[..., MemOS], clock: ManualClock, engine: Apt, sessions: int) -> Cube:
    """Sessions that are kept as KV memories, and may be learned since today."""
    cube = open_vault(engine=engine).cube("main")
    ids = [id for number in range(sessions) for id in say(cube, f"s{number}", 4)]
    use(cube, clock, ids, 4000, minutes=1)
    cube._parts = replace(cube._parts, limits=Limits(1 << 30, 1 << 30, 0, 0))
    assert [one.decision.after for one in cube.plan(apply=True)] == [HELD] * sessions
    clock.advance(days=8)
    return cube


def test_what_failed_stays_held_and_waits_as_long_as_it_had_to_stand(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    engine = Apt()
    engine.student().forgets = 0.5
    cube = held(open_vault, clock, engine, 1)
    cube._parts = replace(cube._parts, limits=Limits(1 << 30, 1 << 30, 1 << 30, 1e9))
    (left,) = cube.plan(apply=True)
    assert left.left.startswith("failed_examination") and cube.log(verb="place")[-1].detail["after"] == "activation"
    steps = engine.student().steps
    for _ in range(3):
        clock.advance(days=2)
        assert [one.decision.after for one in cube.plan(apply=True)] == [HELD]
    assert engine.student().steps == steps and len(cube.activations(user="ann")) == 1
    use(cube, clock, [memory.id for memory in cube.list(user="ann")], 4000, minutes=1)
    again = cube.plan(apply=True)[0]
    assert again.decision.after is LEARNED and again.left.startswith("failed_examination")
    assert engine.student().steps == steps, "the same words by the same recipe would fail again"


def test_a_day_has_as_much_training_as_it_has_however_often_it_is_planned(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = held(open_vault, clock, Apt(), 3)
    cube._parts = replace(cube._parts, limits=Limits(1 << 30, 1 << 30, 1 << 30, 40.0))
    learned = []
    for _ in range(26):
        learned.append(sum(one.is_done for one in cube.plan(apply=True)))
        clock.advance(hours=1)
    assert learned == [1, *[0] * 23, 1, 0]


def test_what_somebody_had_read_besides_is_theirs_to_let_go_of(cube: Cube, clock: ManualClock) -> None:
    ids = say(cube, "s1", 4)
    use(cube, clock, ids, 40)
    cube.plan(apply=True)
    own = cube.activate(ids[:2], user="ann")
    clock.advance(days=2)
    use(cube, clock, ids[:2], 40)
    assert not any(one.decision.is_move for one in cube.plan(apply=True)) and own.id in [h.id for h in cube.activations(user="ann")]


def test_who_may_and_where_it_cannot_be(memory: MemOS, open_vault: Callable[..., MemOS], cube: Cube) -> None:
    memory.grant("writer", Role.CURATOR, cube="main")
    with pytest.raises(Denied):
        memory.acting("writer").cube("main").plan()
    with pytest.raises(Unsupported, match="engine"):
        open_vault().cube("main").plan()
    assert (open_vault().cube("main").stats()["engine"], cube.stats()["engine"]) == ("none", "here"), "and one can ask before"
    with pytest.raises(LociError):
        memory.acting("writer").cube("main").plan(apply=True)


def test_so_many_moves_are_done_and_the_worker_does_one_at_a_time(
    open_vault: Callable[..., MemOS], engine: Slow, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = open_vault(engine=engine)
    cube = memory.cube("main")
    said = {name: say(cube, name) for name in ("monday", "tuesday", "friday")}
    for name in said:
        use(cube, clock, said[name], 20, minutes=1)
    assert len(moves(cube.plan())) == 3
    assert [one.is_done for one in cube.plan(apply=True, most=1)].count(True) == 1 and len(moves(cube.plan())) == 2
    asked: list[int | None] = []
    right = type(cube).plan
    monkeypatch.setattr(
        type(cube), "plan", lambda self, *, apply=False, most=None: (asked.append(most), right(self, apply=apply, most=most))[1]
    )
    assert _work(memory, None, threading.Event(), True, Plans(None))[0] == 0 and not asked, "only where it was asked for"
    steps, failures, _ = _work(memory, None, threading.Event(), True, Plans(0.0))
    assert (steps, failures, asked) == (2, {}, [1, 1, 1]) and not moves(right(cube))


def test_a_plan_that_cannot_be_made_is_told_once_and_waits(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault()
    memory.cube("main")
    plans = Plans(60.0)
    steps, failures, _ = _work(memory, None, threading.Event(), True, plans)
    assert steps == 0 and list(failures.values()) == [Unsupported.exit_code]
    assert _work(memory, None, threading.Event(), True, plans)[1] == {}, "an hour has not gone by"

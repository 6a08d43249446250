"""Adapters in a cube: learned of memories, examined, mounted, and gone with what they learned. The engine is one without a model, which learns by heart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import open_memory

from loci.errors import (
    Conflict,
    Denied,
    Diverged,
    IncompatiblePayload,
    Invalid,
    Missing,
    OutOfTime,
    StorageFull,
    TooLarge,
    Unavailable,
    Unsupported,
)
from loci.operation import scheduler
from loci.policy import admission
from loci.ports.adapters import LEARN
from loci.ports.adapting import Examined, Learned
from loci.system import Cube
from loci.testing import HashEngine, ManualClock, TeachableEngine
from loci.testing import engine as engine_module
from loci.testing.student import WORSE, HashExaminee
from loci.types import Adapter, Job, Message, Role, State

SAID = ("I live in Oslo.", "My sister Ann works as a baker.", "The harbour opens at nine.")
Open = Callable[..., Cube]


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Open:
    def open_(engine: HashEngine | None = None, name: str = "cube", **named: object) -> Cube:
        memory = open_memory(tmp_path / name, clock=clock, engine=engine or TeachableEngine(), **named)
        return memory.cube(name)

    return open_


def tell(cube: Cube, *texts: str, user: str | None = "kim") -> list[str]:
    receipts = [cube.add([Message("user", text, speaker="Kim")], user=user) for text in texts]
    return [change.memory for receipt in receipts for change in receipt.changes if change.memory and change.outcome == "added"]


def ask(cube: Cube, question: str, **named: object) -> tuple[str, tuple[str, ...], str]:
    answer = cube.generate(question, user="kim", max_tokens=3, **named)  # type: ignore[arg-type]
    return answer.text(), answer.attached.adapters, answer.attached.reason


def until(is_so: Callable[[], bool]) -> None:
    """Gives another thread up to ten seconds."""
    ends = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def all_jobs(cube: Cube) -> list[Job]:
    return cube._store.jobs(99, ("ready", "leased", "dead", "cancelled"))


def only(cube: Cube) -> Adapter:
    (found,) = cube.adapters(user="kim")
    return found


def test_a_step_of_learning_is_left_in_the_middle_for_a_call(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 0.4 s in the background, and a call that takes longer than any of them."""
    monkeypatch.setattr(scheduler, "QUIET_SECONDS", 0.0)
    engine, parts = TeachableEngine(), list[float]()
    student = engine.student()

    def part() -> None:
        parts.append(time.monotonic())
        time.sleep(0.02)

    student.parts, student.part = 20, part
    cube = opened(engine, is_background=True)
    tell(cube, SAID[0])
    cube.distil(user="kim", exposures=3, wait=False)
    until(lambda: len(parts) > 3)
    with cube._parts.pace.foreground():
        begun = time.monotonic()
        time.sleep(1.5)
        ended = time.monotonic()
    assert not [at for at in parts if begun + 0.05 < at < ended] and len(parts) % 20, "in the middle of a step"
    until(lambda: only(cube).stage == "evaluated")
    assert len(parts) == 3 * 20


# -- learned, mounted, and off again -------------------------------------------------------------------------------------


def test_what_is_learned_answers_with_an_empty_prompt_and_off_is_as_before(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    before = ask(cube, "Where do I live?")
    made = cube.distil(user="kim")
    assert (made.stage, made.state, made.is_mounted, made.faults) == ("evaluated", State.ACTIVATED, False, ())
    assert ask(cube, "Where do I live?") == before, "learned is not mounted"
    assert cube.mount(made.id).is_mounted
    text, adapters, _ = ask(cube, "Where do I live?")
    assert (text, adapters) == ("Oslo", (made.id,))
    assert not cube.unmount(made.id).is_mounted and ask(cube, "Where do I live?") == before
    assert ask(cube, "Where do I live?", adapters=[made.id])[0] == "Oslo", "one that is named is mounted for that answer"
    cube.mount(made.id)
    assert ask(cube, "Where do I live?", adapters=[])[1] == ()


def test_what_is_not_in_an_adapter_is_in_the_prompt(opened: Open) -> None:
    cube = opened()
    ids = tell(cube, *SAID)
    made = cube.distil(ids[:1], user="kim")
    cube.mount(made.id)
    answer = cube.generate("Where do I live, and when does the harbour open?", user="kim", max_tokens=2)
    assert answer.attached.adapters == (made.id,) and answer.attached.read_tokens > len("The harbour opens at nine.")
    assert "1 of" in answer.attached.reason


def test_several_are_mounted_one_on_another_and_counted_as_used(opened: Open, clock: ManualClock) -> None:
    cube = opened()
    ids = tell(cube, *SAID)
    first, second = cube.distil(ids[:1], user="kim"), cube.distil(ids[1:], user="kim")
    for made in (first, second):
        cube.mount(made.id)
    text, adapters, _ = ask(cube, "What does Ann do for work?")
    assert (text, adapters) == ("baker", (first.id, second.id))
    cube._scheduler.note_uses()
    assert [adapter.uses for adapter in cube.adapters(user="kim")] == [1, 1]


def test_several_that_do_not_pass_together_are_not_mounted_together(opened: Open) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    ids = tell(cube, *SAID)
    first, second = cube.distil(ids[:1], user="kim"), cube.distil(ids[1:], user="kim")
    cube.mount(first.id)
    engine.student().stacks = False
    with pytest.raises(Conflict, match="do not pass"):
        cube.mount(second.id)
    cube.unmount(first.id)
    assert cube.mount(second.id).is_mounted


# -- the words are the truth ---------------------------------------------------------------------------------------------


def test_a_correction_archives_it_in_the_same_commit_and_holds_in_the_next_version(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    tell(cube, "I moved to Rome.")
    stale = only(cube)
    assert (stale.state, stale.is_valid, stale.is_mounted) == (State.ARCHIVED, False, False)
    text, adapters, _ = ask(cube, "Where do I live?")
    assert adapters == () and text != "Oslo", "no answer after the commit uses it"
    assert [job.verb for job in cube.jobs()] == [LEARN]
    cube.drain()
    again = only(cube)
    assert (again.version, again.is_mounted, again.is_valid) == (2, True, True), "what was mounted is mounted again"
    assert ask(cube, "Where do I live?")[0] == "Rome" and cube.jobs() == []


@pytest.mark.parametrize("change", ["update", "forget", "archive", "expire"])
def test_whatever_takes_a_memory_back_takes_the_adapter_off(opened: Open, clock: ManualClock, change: str) -> None:
    cube = opened()
    ids = tell(cube, *SAID[1:])
    if change == "expire":
        receipt = cube.add([Message("user", SAID[0], speaker="Kim")], user="kim", expires=clock.now() + timedelta(days=1))
        first = next(c.memory for c in receipt.changes if c.memory)
    else:
        first = tell(cube, SAID[0])[0]
    made = cube.distil(user="kim")
    cube.mount(made.id)
    if change == "update":
        cube.update(first, "I live in Bergen.")
    elif change == "forget":
        cube.forget(first)
    elif change == "archive":
        cube.move(first, "archive")
    else:
        clock.advance(2)
    assert not only(cube).is_mounted
    assert ask(cube, "Where do I live?")[1] == ()
    cube.drain() if change != "expire" else cube.distil(user="kim", id=made.id)
    assert first not in only(cube).memories or change == "update"
    assert set(ids) <= set(only(cube).memories) and only(cube).is_mounted


def test_restoring_what_was_forgotten_is_learned_when_it_is_asked_for(opened: Open) -> None:
    cube = opened()
    ids = tell(cube, *SAID)
    cube.distil(user="kim")
    cube.forget(ids[0])
    cube.drain()
    assert ids[0] not in only(cube).memories
    cube.restore(ids[0])
    assert only(cube).is_valid and cube.jobs() == [], "it never learned what came back, which is in the prompt"


# -- unlearning ----------------------------------------------------------------------------------------------------------


def test_after_an_erasure_it_is_as_if_the_words_had_never_been_there(opened: Open, tmp_path: Path) -> None:
    cube, never = opened(), opened(name="never")
    ids = tell(cube, *SAID)
    tell(never, *SAID[1:])
    made = cube.distil(user="kim")
    cube.mount(made.id)
    erased = cube.erase(ids[0])
    assert erased.removed["adapters"] == 1
    assert not list((tmp_path / "cube").rglob("*.safetensors")), "its file went before the receipt came"
    assert ask(cube, "Where do I live?")[1] == ()
    cube.drain()
    assert only(cube).is_mounted and ids[0] not in only(cube).memories
    told = never.distil(user="kim")
    learned = bytes(cube._adapters.weights(cube.adapter(made.id)).tensors["known"].data)
    expected = bytes(never._adapters.weights(never.adapter(told.id)).tensors["known"].data)
    for here, there in zip(sorted(only(cube).memories), sorted(told.memories), strict=True):
        learned = learned.replace(here.encode(), there.encode())
    assert learned == expected and b"Oslo" not in learned
    assert cube.verify().is_clean


def test_erasing_everything_that_it_learned_leaves_no_adapter(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    cube.distil(user="kim")
    cube.erase(user="kim")
    assert cube._store.adapters() == []
    cube.drain()
    assert cube._store.adapters() == [] and cube.jobs() == []


def test_how_far_learning_came_goes_with_a_source_that_is_erased(opened: Open) -> None:
    cube = opened(TeachableEngine(most_steps=20))
    ids = tell(cube, *SAID)
    with pytest.raises(OutOfTime, match="--id"):
        cube.distil(user="kim")
    draft = only(cube)
    assert (draft.stage, draft.state) == ("draft", State.GENERATED) and cube._store.page_files(), "how far it came is kept"
    assert cube.verify().is_clean
    cube.erase(ids[0])
    assert not cube._store.page_files(), "and goes with the words"
    cube._adapters.student.most_steps = 1 << 30  # type: ignore[attr-defined]
    cube.drain()
    assert ids[0] not in only(cube).memories and only(cube).is_valid


def in_the_examination(engine: TeachableEngine, act: Callable[[], object]) -> None:
    """Has something happen when all steps are learned, once."""
    student, examinee, open_ones = engine.student(), engine.student().examinee, [act]

    def meanwhile(adapters: Sequence[Learned] = (), rest: Callable[[], None] | None = None) -> HashExaminee:
        if adapters and open_ones:
            open_ones.pop()()
        return examinee(adapters, rest)

    student.examinee = meanwhile  # type: ignore[method-assign]


@pytest.mark.parametrize("step", [5, 15, None])
@pytest.mark.parametrize("what", [{"user": "kim"}, {}])
def test_what_is_erased_while_it_is_learned_is_on_no_disk(opened: Open, tmp_path: Path, what: dict[str, str], step: int | None) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    ids = tell(cube, *SAID)

    def erase(done: int | None = None, of: int = 0) -> None:
        if done == step:
            cube.erase(*(() if what else ids[:1]), **what)

    if step is None:
        in_the_examination(engine, erase)
    with pytest.raises(Missing if what else Conflict):
        cube.distil(user="kim", exposures=5 if step is None else 60, progress=erase)
    assert not list((tmp_path / "cube").rglob("*.safetensors"))


@pytest.mark.parametrize("when", ["between two steps", "in the examination"])
def test_what_is_let_go_of_while_it_is_learned_stays_gone(opened: Open, tmp_path: Path, when: str) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    tell(cube, *SAID)

    def drop(*step: int) -> None:
        if step in ((), (5, 60)):
            cube.drop_adapter(cube._store.adapters()[0].id)

    if when == "in the examination":
        in_the_examination(engine, drop)
    with pytest.raises(Missing):
        cube.distil(user="kim", progress=drop if when == "between two steps" else None)
    assert (cube._store.adapters(), cube.jobs(), list((tmp_path / "cube").rglob("*.safetensors"))) == ([], [], [])


# -- how it is learned ---------------------------------------------------------------------------------------------------


def test_learning_that_ran_out_of_time_goes_on_and_does_nothing_twice(opened: Open) -> None:
    engine = TeachableEngine(most_steps=25)
    cube = opened(engine)
    tell(cube, *SAID)
    with pytest.raises(OutOfTime):
        cube.distil(user="kim", exposures=60)
    made = only(cube)
    with pytest.raises(OutOfTime):
        cube.distil(user="kim", id=made.id)
    done = cube.distil(id=made.id)  # as the errors say it: whose it is is known
    assert (done.stage, done.steps, engine.student().steps) == ("evaluated", 60, 60)


def test_without_waiting_it_is_a_job_like_any_other(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim", wait=False)
    assert made.stage == "draft" and [(job.verb, job.user) for job in cube.jobs()] == [(LEARN, "kim")]
    with pytest.raises(Conflict, match="not learned yet"):
        cube.mount(made.id)
    cube.drain()
    assert only(cube).is_valid


def test_a_second_job_for_what_is_learned_does_nothing(opened: Open, clock: ManualClock) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    steps = engine.student().steps
    with cube._store.write(clock.now()) as tx:
        tx.enqueue(LEARN, {"adapter": made.id})
    cube.drain()
    assert (only(cube).version, engine.student().steps, cube.jobs()) == (1, steps, [])


@pytest.mark.parametrize("how", ["called again", "by its id"])
def test_the_job_of_a_process_that_was_killed_goes_with_what_it_was_for(opened: Open, clock: ManualClock, how: str) -> None:
    engine = TeachableEngine(most_steps=25)
    cube = opened(engine)
    tell(cube, *SAID)
    with pytest.raises(OutOfTime):
        cube.distil(user="kim", exposures=40)
    (draft,) = cube.adapters(user="kim")
    clock.advance(hours=3)
    with cube._store.write(clock.now()) as tx:
        assert tx.lease(LEARN, "killed", clock.now() + timedelta(minutes=1), 1)
    again = {"id": draft.id} if how == "by its id" else {"exposures": 40, "minutes": 3.0}
    made = cube.distil(user="kim", **again)  # type: ignore[arg-type]
    assert (made.id, made.stage, made.steps, engine.student().steps) == (draft.id, "evaluated", 40, 40), "it went on from where that was"
    assert all_jobs(cube) == [] and only(cube) == made
    other = cube.distil(user="kim", exposures=20)
    assert other.id != made.id, "what is asked for in another way is another"


def test_the_same_is_learned_once_and_said_to_be_there(opened: Open, tmp_path: Path) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    ids = tell(cube, *SAID)
    made = cube.distil(user="kim")
    records, steps = len(cube.log()), engine.student().steps
    for named in ({"user": "kim"}, {"user": "kim", "minutes": 1.0}, {"user": "kim", "memories": ids[::-1], "wait": False}):
        again = cube.distil(**named)  # type: ignore[arg-type]
        assert (again, again.is_reused) == (made, True)
    assert not made.is_reused and (len(cube.log()), engine.student().steps, all_jobs(cube)) == (records, steps, [])
    others = [cube.distil(user="kim", seed=1), cube.distil(ids[:2], user="kim"), cube.distil()]
    assert len({made.id, *(other.id for other in others)}) == 4 and not any(other.is_reused for other in others)
    assert cube.distil(id=made.id).version == 2, "who names it has it learned anew"
    tell(cube, "I moved to Rome.")
    cube.drain()
    assert cube.distil(user="kim").is_reused, "the version that the correction made is of these words"
    cube.update(ids[2], "The harbour opens at ten.")
    assert not cube.distil(user="kim").is_reused, "these words were never learned"


def test_one_that_failed_is_said_to_have_and_one_that_is_damaged_is_learned(opened: Open, tmp_path: Path) -> None:
    engine = TeachableEngine(forgets=0.5)
    cube = opened(engine)
    tell(cube, *SAID)
    failed = cube.distil(user="kim")
    again = cube.distil(user="kim")
    assert failed.stage == "failed" and (again, again.is_reused) == (failed, True)
    (file,) = (tmp_path / "cube").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    assert not cube.distil(user="kim").is_reused


def test_progress_counts_up_to_the_end(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    seen: list[tuple[int, int]] = []
    cube.distil(user="kim", exposures=7, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(n, 7) for n in range(1, 8)]


def test_short_work_is_done_between_two_steps_of_learning(opened: Open, clock: ManualClock) -> None:
    from loci.testing import HashEmbedder

    cube = opened(embedder=HashEmbedder())
    tell(cube, *SAID)
    cube.drain()
    tell(cube, "The kettle is blue.")
    pending: list[int] = []
    cube.distil(user="kim", exposures=3, progress=lambda done, of: pending.append(sum(job.verb == "embed" for job in cube.jobs())))
    assert pending == [0, 0, 0], "nobody's vectors wait until it is over"


# -- what may not answer -------------------------------------------------------------------------------------------------


def test_one_that_forgot_other_things_is_kept_as_failed_and_never_mounted(opened: Open) -> None:
    cube = opened(TeachableEngine(forgets=0.02))
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    assert (made.stage, made.state, made.is_valid) == ("failed", State.EXPIRED, False)
    assert "2.00% less" in made.reason and made.found["recall"] == 1.0
    with pytest.raises(Conflict, match=r"failed its examination: .*loci adapter inspect"):
        cube.mount(made.id)
    assert ask(cube, "Where do I live?", adapters=[made.id])[1] == (), "its memories' text is read"


def test_one_that_fails_does_not_take_the_place_of_one_that_passed(opened: Open) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    engine.student().forgets = 0.5
    failed = cube.distil(user="kim", id=made.id)
    assert (failed.version, failed.stage) == (2, "failed")
    assert ask(cube, "Where do I live?")[:2] == ("Oslo", (made.id,)), "what passed is still mounted"
    assert [(one.version, one.is_mounted) for one in cube.adapters(user="kim")] == [(1, True), (2, False)]
    with pytest.raises(TooLarge):
        cube.distil(user="kim", id=made.id, most_bytes=10)
    engine.student().most_steps = 5
    with pytest.raises(OutOfTime):
        cube.distil(user="kim", id=made.id)
    cube.distil(user="kim", id=made.id, wait=False)
    assert ask(cube, "Where do I live?")[1] == (made.id,)


@pytest.mark.parametrize("refused", [False, True])
def test_a_change_learns_anew_what_passed_last_though_something_failed_since(opened: Open, refused: bool) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    if refused:
        with pytest.raises(TooLarge):
            cube.distil(user="kim", id=made.id, most_bytes=10)
    else:
        engine.student().forgets = 0.5
        cube.distil(user="kim", id=made.id, exposures=7)
        cube.distil(user="kim", id=made.id, exposures=8)
        engine.student().forgets = 0.0
    tell(cube, "I moved to Rome.")
    cube.drain()
    assert ask(cube, "Where do I live?")[:2] == ("Rome", (made.id,)) and cube.adapter(made.id).recipe.exposures == 60


def test_an_erasure_carries_the_wish_of_any_version(opened: Open) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    ids = tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    engine.student().forgets = 0.5
    cube.distil(user="kim", id=made.id)
    engine.student().forgets = 0.0
    cube.erase(ids[0])
    cube.drain()
    assert only(cube).is_mounted and ids[0] not in only(cube).memories


def test_what_nobody_can_ask_about_stays_text(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    single = cube.add("Pizza!", user="kim").changes[0].memory
    made = cube.distil(user="kim")
    assert single and single not in made.memories and single not in {quoted.memory for quoted in cube.adapter(made.id).quoted}
    cube.mount(made.id)
    answer = cube.generate("Pizza?", user="kim", max_tokens=3)
    assert single in answer.recall.ids and f"{len(answer.recall.hits) - 1} of" in answer.attached.reason
    with pytest.raises(Invalid, match="stay text"):
        cube.distil([single], user="kim", progress=lambda *_: pytest.fail("it was learned all the same"))


def test_what_the_model_has_no_room_for_stays_text_and_is_no_question(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def losses(self: HashExaminee, cues: Sequence[str], answers: Sequence[str]) -> list[float]:
        read.extend(cue + answer for cue, answer in zip(cues, answers, strict=True))
        return right(self, cues, answers)

    right = HashExaminee.losses
    monkeypatch.setattr(HashExaminee, "losses", losses)
    monkeypatch.setattr(engine_module, "LONGEST", 300)
    cube = opened()
    ids, long = tell(cube, *SAID), tell(cube, f"The ferry {'far away ' * 20}leaves at ten.")
    for number in range(10):
        cube.add(f"The kettle {number} {'of blue tin ' * 30}is on shelf {number}." if number else "Z", user="kim")
        cube.add(f"The cup {number} is on shelf {number}.", user="kim")
    made = cube.distil([*ids, *long], user="kim")
    assert set(made.memories) == set(ids) and made.stage == "evaluated"
    assert cube.adapter(made.id).report.untouched == 11 and 2 <= min(map(len, read)) <= max(map(len, read)) <= 300  # type: ignore[union-attr]


PASSES = Examined(0.3, 1.0, 0.1, 0.97, 0.9, 0.002, 20, 64)


def test_each_mark_of_an_examination_is_asked_for() -> None:
    assert admission.faults(PASSES) == ()
    for broken in (
        {"recall": 0.89}, {"recall": 0.94, "recall_in_text": 1.0}, {"recognition": 0.29}, {"collateral": 0.011}, {"questions": 0},
        {"recall": float("nan")}, {"collateral": float("nan")},
    ):  # fmt: skip
        assert admission.faults(replace(PASSES, **broken)), broken  # type: ignore[arg-type]


# -- bad input -----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_learned_is_a_dead_letter_with_the_reason(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID, f"Now {WORSE}.")
    with pytest.raises(Diverged):
        cube.distil(user="kim")
    (job,) = cube.jobs(state="dead")
    assert job.verb == LEARN and job.error.startswith("diverged")
    assert only(cube).stage == "draft" and ask(cube, "Where do I live?")[1] == (), "answers go on"
    with pytest.raises(TooLarge):
        cube.distil(user="kim", most_bytes=10)


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("wanted", [{"rank": 65}, {"most_bytes": 10}, {"memories": ["Hm."]}])
def test_what_can_never_be_learned_is_refused_before_anything_is_stored(opened: Open, wanted: dict[str, object], wait: bool) -> None:
    cube = opened()
    tell(cube, *SAID)
    if "memories" in wanted:
        wanted = {"memories": tell(cube, "Hm.")}
    records = len(cube.log())
    with pytest.raises(Invalid):
        cube.distil(user="kim", wait=wait, **wanted)  # type: ignore[arg-type]
    assert cube.adapters(user="kim") == [] and all_jobs(cube) == [] and len(cube.log()) == records


def test_a_rank_too_high_leaves_the_adapter_that_is_there(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    with pytest.raises(Invalid, match="rank is 65"):
        cube.distil(id=made.id, rank=65)
    assert only(cube) == made and all_jobs(cube) == []


def test_what_turns_out_to_be_impossible_leaves_nothing_half_made(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    tell(cube, *SAID)
    right = engine.student().learn

    def refused(*arguments: Any, **named: Any) -> Learned:
        right(*arguments, **named)  # saved as it went
        raise Unsupported("Not by this machine.")

    monkeypatch.setattr(engine.student(), "learn", refused)
    with pytest.raises(Unsupported, match="Not by this machine"):
        cube.distil(user="kim")
    assert cube.adapters(user="kim") == [] and all_jobs(cube) == [] and list((tmp_path / "cube").rglob("*.safetensors")) == []
    made = cube.distil(user="kim", wait=False)  # nobody waits for the error, so the queue keeps it
    cube._scheduler.work()
    assert [job.state for job in all_jobs(cube)] == ["dead"] and "unsupported" in only(cube).reason and only(cube).id == made.id


def test_a_draft_says_what_learning_it_met_and_no_word_of_it(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    cube = opened()
    tell(cube, *SAID, f"Now {WORSE}.")
    with pytest.raises(Diverged):
        cube.distil(user="kim")
    reason = only(cube).reason
    assert "met diverged" in reason and f"loci distil --id {only(cube).id}" in reason and "grew" not in reason
    with pytest.raises(Diverged):
        cube.distil(id=only(cube).id, seed=1)
    assert [job.state for job in all_jobs(cube)] == ["dead"], "the former is asked for no more"


def test_another_model_is_refused_with_what_differs(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    other = open_memory(tmp_path / "cube", clock=clock, engine=TeachableEngine("other")).cube("cube")
    text, adapters, reason = ask(other, "Where do I live?")
    assert adapters == () and "model" in reason and "text was read" in reason and text
    assert f"loci distil --id {made.id}" in reason and "activate" not in reason
    with pytest.raises(IncompatiblePayload):
        other.mount(made.id)


def test_a_damaged_file_is_named_and_its_text_used(opened: Open, tmp_path: Path) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    (file,) = (tmp_path / "cube").rglob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    cube._adapters._learned.clear()
    _, adapters, reason = ask(cube, "Where do I live?")
    assert adapters == () and "not as it was written" in reason and f"loci distil --id {made.id}" in reason and "activate" not in reason
    assert [fault.where for fault in cube.verify().faults] == [f"adapter {made.id}"]
    file.unlink()
    assert cube.verify().let_go == (made.id,) and cube.jobs(), "it is learned anew"
    cube.drain()
    assert ask(cube, "Where do I live?")[0] == "Oslo"


def test_a_file_of_a_former_version_that_is_gone_leaves_the_one_that_answers(opened: Open, tmp_path: Path) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    former = cube.adapter(made.id).file
    tell(cube, "I moved to Rome.")
    cube.drain()
    assert former is not None
    next((tmp_path / "cube").rglob(f"{former.hash}*")).unlink()
    cube.verify()
    assert only(cube).is_mounted and [row.number for row in cube._store.adapters()] == [2]
    assert cube.verify().let_go == () and cube.jobs() == []


@pytest.mark.parametrize(
    "wanted", [{"rank": 0}, {"exposures": -1}, {"rate": 0}, {"rate": "fast"}, {"replay": 2}, {"minutes": 0}, {"form": "tablet"}, {"form": "cartridge"}, {"seed": -1}]
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything_is_queued(opened: Open, wanted: dict[str, object]) -> None:
    cube = opened()
    tell(cube, *SAID)
    with pytest.raises(Invalid):
        cube.distil(user="kim", **wanted)  # type: ignore[arg-type]
    assert cube.jobs() == [] and cube.adapters(user="kim") == []


def test_nothing_to_learn_no_model_and_a_model_that_cannot(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    cube = opened()
    with pytest.raises(Invalid, match="nothing to learn"):
        cube.distil(user="kim")
    with pytest.raises(Missing):
        cube.distil(["nobody"], user="kim")
    tell(cube, *SAID)
    for engine in (None, HashEngine()):
        other = open_memory(tmp_path / "cube", clock=clock, engine=engine).cube("cube")
        with pytest.raises(Unsupported):
            other.distil(user="kim")
        assert other.jobs() == []


def test_a_clock_that_jumps_back_changes_nothing(opened: Open, clock: ManualClock) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    clock._now -= timedelta(days=3)
    assert only(cube).is_mounted
    tell(cube, "I moved to Rome.")
    cube.drain()
    clock.advance(10)
    cube.drain()
    assert only(cube).is_valid and cube.verify().is_clean


def test_what_is_not_trusted_is_not_learned(opened: Open) -> None:
    cube = opened()
    ids = tell(cube, *SAID)
    page = cube.add("The ferry leaves at ten.", user="kim", origin="https://page.example").changes[0].memory
    assert page is not None
    made = cube.distil([*ids, page], user="kim")
    assert page not in made.memories, "it stays text, marked as what it is"
    with pytest.raises(Invalid, match="trusted"):
        cube.distil([page], user="kim")


def test_a_manifest_that_nobody_can_read_does_not_end_answers(opened: Open, clock: ManualClock) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    with cube._store.write(clock.now()) as tx:
        tx._db.execute("UPDATE adapters SET manifest = '{}'")  # type: ignore[attr-defined]
    text, adapters, reason = ask(cube, "Where do I live?")
    assert text and adapters == () and "cannot be read" in reason


def test_a_manifest_that_nobody_can_read_stops_no_erasure_and_nobody_else(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    memory = open_memory(tmp_path / "v", clock=clock, engine=TeachableEngine())
    cube = memory.cube("c")
    ids = tell(cube, *SAID)
    tell(cube, *SAID, user="sam")
    made, others = cube.distil(user="kim"), cube.distil(user="sam")
    second = cube.distil(ids[1:], user="kim")
    cube.mount(made.id)
    with cube._store.write(clock.now()) as tx:
        tx._db.execute("UPDATE adapters SET manifest = '{}' WHERE id IN (?, ?)", (made.id, second.id))  # type: ignore[attr-defined]
    assert [one.id for one in cube.adapters(user="sam")] == [others.id] and cube.adapters(user="kim") == [] and cube.plan() == []
    assert {f"adapter {made.id}", f"adapter {second.id}"} <= {fault.where for fault in cube.verify().faults}
    memory.grant("w", Role.CURATOR, cube="c", user="kim")
    with pytest.raises(Missing):  # whose it is cannot be told
        memory.acting("w").cube("c").drop_adapter(second.id)
    cube.erase(ids[0])
    assert {row.id for row in cube._store.adapters()} == {others.id, second.id}
    cube.drop_adapter(second.id)
    cube.erase(user="kim")
    assert [row.id for row in cube._store.adapters()] == [others.id]


@pytest.mark.parametrize("change", [{"id": "zz"}, {"version": 2}, {"file": {"hash": "0" * 64, "bytes": 1}}])
def test_a_manifest_of_something_else_does_not_answer(opened: Open, clock: ManualClock, change: dict[str, object]) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    told = json.dumps({**json.loads(cube._store.adapter(made.id).manifest), **change})
    with cube._store.write(clock.now()) as tx:
        tx._db.execute("UPDATE adapters SET manifest = ?", (told,))  # type: ignore[attr-defined]
    _, adapters, reason = ask(cube, "Where do I live?")
    assert adapters == () and "adapter drop" in reason


def test_in_another_session_its_text_is_read_and_nothing_is_said_to_have_changed(opened: Open) -> None:
    cube = opened()
    cube.add([Message("user", SAID[0], speaker="Kim")], user="kim", session="one")
    cube.add([Message("user", SAID[2], speaker="Kim")], user="kim", session="two")
    made = cube.distil(user="kim")
    cube.mount(made.id)
    _, adapters, reason = ask(cube, "Where do I live?", session="one")
    assert adapters == () and "not in the scope" in reason and "changed" not in reason


def test_a_cube_with_another_key_learns_its_adapters_anew(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    monkeypatch.setenv("KEY", "a long enough passphrase")
    with open_memory(tmp_path / "v", clock=clock, engine=TeachableEngine()) as plain:
        tell(plain.cube("c"), *SAID)
        made = plain.cube("c").distil(user="kim")
        plain.cube("c").mount(made.id)
    memory = open_memory(tmp_path / "v", clock=clock, engine=TeachableEngine(), passphrase_variable="KEY")
    memory.encrypt("c")
    cube = memory.cube("c")
    assert ask(cube, "Where do I live?")[1] == ()
    cube.drain()
    assert ask(cube, "Where do I live?")[:2] == ("Oslo", (made.id,)) and cube.verify().is_clean
    (file,) = (tmp_path / "v").rglob("*.safetensors")
    assert b"Oslo" not in file.read_bytes()
    with pytest.raises(Invalid, match="is encrypted, and its exported adapter is not"):
        cube.export_adapter(made.id, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not cube.log(verb="export_adapter")
    assert b"Oslo" in b"".join(file.read_bytes() for file in cube.export_adapter(made.id, tmp_path / "out", plain=True).iterdir())


def test_a_model_that_cannot_learn_answers_from_text(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    cube = opened()
    tell(cube, *SAID)
    cube.mount(cube.distil(user="kim").id)
    other = open_memory(tmp_path / "cube", clock=clock, engine=HashEngine()).cube("cube")
    text, adapters, reason = ask(other, "Where do I live?")
    assert text and adapters == () and "cannot learn" in reason


def test_what_is_masked_since_is_not_answered_from_weights(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    cube = opened()
    tell(cube, *SAID, "Write to me at kim@example.org.")
    made = cube.distil(user="kim")
    cube.mount(made.id)
    cube.protect(personal="mask")
    assert not only(cube).is_mounted and "masked" in only(cube).reason
    again = cube.distil(user="kim", id=made.id)
    assert again.is_mounted
    assert b"kim@example" not in bytes(cube._adapters.weights(cube.adapter(made.id)).tensors["known"].data)


def test_what_diverged_is_learned_by_another_recipe_and_the_rest_stays(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID, f"Now {WORSE}.")
    with pytest.raises(Diverged):
        cube.distil(user="kim", exposures=7, seed=3)
    id = only(cube).id
    with pytest.raises(Diverged):
        cube.distil(user="kim", id=id, rate=1e-4)
    recipe = cube.adapter(id).recipe
    assert (recipe.exposures, recipe.seed, recipe.rate) == (7, 3, 1e-4)


def test_what_a_driver_raises_is_told_as_what_it_was(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    tell(cube, *SAID)

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine.student(), "learn", full)
    with pytest.raises(Unavailable, match=r"RuntimeError: out of memory.*--id"):
        cube.distil(user="kim")
    assert cube.drain() == 0, "it was told, and waits for its next try"


def test_an_adapter_is_learned_anew_from_what_it_has(opened: Open) -> None:
    cube = opened()
    ids = tell(cube, *SAID)
    made = cube.distil(ids[:1], user="kim")
    for wanted in ({"memories": ids}, {"about": "Oslo"}, {"limit": 3}):
        with pytest.raises(Invalid, match="or id"):
            cube.distil(user="kim", id=made.id, **wanted)  # type: ignore[arg-type]


def test_a_recipe_that_is_said_anew_while_it_is_learned_is_what_it_is_learned_by(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)

    def say_anew(done: int, of: int) -> None:
        if (done, of) == (5, 60):
            cube.distil(user="kim", id=only(cube).id, exposures=7, wait=False)

    with pytest.raises(Conflict, match="in another way"):
        cube.distil(user="kim", progress=say_anew)
    cube.drain()
    assert (only(cube).stage, only(cube).steps) == ("evaluated", 7) and cube.adapter(only(cube).id).recipe.exposures == 7


def test_a_store_that_fails_ends_the_wait(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    cube = opened()
    tell(cube, *SAID)

    def full(*_: object, **__: object) -> None:
        raise StorageFull("No room.")

    monkeypatch.setattr(cube._scheduler, "_lease", full)
    with pytest.raises(StorageFull):
        cube.distil(user="kim")


def test_adapters_are_for_an_answer_from_text(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    with pytest.raises(Invalid, match="approximate"):
        cube.generate("Where do I live?", user="kim", approximate=True, adapters=[made.id])
    for limit in (0, 10**9, "all"):
        with pytest.raises(Invalid):
            cube.distil(user="kim", limit=limit)  # type: ignore[arg-type]


# -- the probe, on request ----------------------------------------------------------------------------------------------


def test_what_would_be_left_is_told_and_kept_and_nothing_else_is_changed(opened: Open) -> None:
    engine, told = TeachableEngine(), list[tuple[int, int]]()
    engine.student().lasts = 1
    cube = opened(engine)
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.mount(made.id)
    before, log = (cube.adapter(made.id), only(cube), ask(cube, "Where do I live?")), len(cube.log())
    found = cube.probe_adapter(made.id, updates=[100, 10, 10], progress=lambda done, every: told.append((done, every)))
    assert [(one.updates, one.recall) for one in found[:2]] == [(0, 1.0), (10, 1.0)]
    assert (found[2].updates, len(found)) == (100, 3) and found[2].recall < 0.9, "what it says still stands in the other texts"
    assert [one.collateral for one in found] == [0.0] * 3, "it is not judged by what it was trained on with"
    assert told and told[-1][1] == 110
    now, shown = cube.adapter(made.id), only(cube)
    assert now.retained == found and replace(now, retained=()) == before[0], "it is kept, and nothing else is changed"
    assert (shown.found["recall_after_10"], shown.found["recall_after_100"]) == (1.0, found[2].recall)
    assert (replace(shown, found=before[1].found), ask(cube, "Where do I live?")) == before[1:]
    assert [record.verb for record in cube.log()[log:]] == ["probe_adapter"] and cube.verify().is_clean
    engine.student().lasts = 1 << 30
    cube.probe_adapter(made.id, updates=[100])
    assert [(one.updates, one.recall) for one in cube.adapter(made.id).retained] == [(0, 1.0), (10, 1.0), (100, 1.0)], (
        "the last that was found"
    )
    cube.probe_adapter(made.id)
    assert [one.updates for one in cube.adapter(made.id).retained] == [0, 10, 100, 1000]
    assert cube.distil(user="kim", id=made.id).version == 2 and cube.adapter(made.id).retained == (), (
        "other weights, of which nothing was found"
    )


def test_where_nothing_may_be_changed_a_probe_is_answered_and_not_kept(opened: Open) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    looking = opened(read_only=True)
    assert looking.probe_adapter(made.id, updates=[10])[1].recall == 1.0 and looking.adapter(made.id).retained == ()


def test_a_probe_of_what_cannot_be_probed_says_why_before_it_begins(opened: Open) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    tell(cube, *SAID)
    made, short = cube.distil(user="kim"), cube.distil(user="kim", form="cartridge", tokens=4)
    steps = engine.student().steps
    for wrong in ([], "10", [0], [25], [10.0], [1 << 40], 10):
        with pytest.raises(Invalid, match="updates"):
            cube.probe_adapter(made.id, updates=wrong)  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="cartridge"):
        cube.probe_adapter(short.id)
    with pytest.raises(Missing):
        cube.probe_adapter("01NONE")
    tell(cube, "I live in Rome now.")
    with pytest.raises(Conflict):
        cube.probe_adapter(made.id)
    assert engine.student().steps == steps


def test_a_reader_has_nobodys_machine_train(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    memory = open_memory(tmp_path / "v", clock=clock, engine=TeachableEngine())
    cube = memory.cube("c")
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    for role, name in ((Role.READER, "r"), (Role.WRITER, "w")):
        memory.grant(name, role, cube="c")
    with pytest.raises(Denied):
        memory.acting("r").cube("c").probe_adapter(made.id, updates=[10])
    assert memory.acting("w").cube("c").probe_adapter(made.id, updates=[10])[1].recall == 1.0


# -- the gate ------------------------------------------------------------------------------------------------------------


def test_users_share_no_adapter_and_a_grant_that_is_narrower_does_not_reach_it(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    memory = open_memory(tmp_path / "v", clock=clock, engine=TeachableEngine())
    cube = memory.cube("c")
    ids = tell(cube, *SAID)
    tell(cube, *SAID, user="sam")
    made = cube.distil(user="kim")
    cube.mount(made.id)
    assert cube.adapters(user="sam") == []
    answer = cube.generate("Where do I live?", user="sam", max_tokens=2)
    assert answer.attached.adapters == ()
    with pytest.raises(Missing):
        cube.generate("Where do I live?", user="sam", adapters=[made.id])
    memory.grant("guest", Role.READER, cube="c", memory=ids[1])
    guest = memory.acting("guest").cube("c")
    for refused in (lambda: guest.adapter(made.id), lambda: guest.export_adapter(made.id, tmp_path / "out"), lambda: guest.mount(made.id)):
        with pytest.raises((Missing, Denied)):
            refused()


def test_an_export_is_what_others_load_and_the_log_knows_its_hash(opened: Open, tmp_path: Path) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    folder = cube.export_adapter(made.id, tmp_path / "out")
    assert sorted(file.name for file in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    (record,) = cube.log(verb="export_adapter")
    assert record.detail["file"] == cube.adapter(made.id).file.hash  # type: ignore[union-attr]
    assert [record.detail["form"] for record in cube.log(verb="distil") if "form" in record.detail] == ["lora"]


def test_an_export_is_in_the_log_before_its_files_are_out(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TeachableEngine()
    cube = opened(engine)
    tell(cube, *SAID)
    made = cube.distil(user="kim")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.student(), "export", crash)
    with pytest.raises(KeyboardInterrupt):
        cube.export_adapter(made.id, tmp_path / "out")
    assert len(cube.log(verb="export_adapter")) == 1


def test_what_is_let_go_of_is_gone_with_its_bytes(opened: Open, tmp_path: Path) -> None:
    cube = opened()
    tell(cube, *SAID)
    made = cube.distil(user="kim")
    cube.drop_adapter(made.id)
    assert cube.adapters(user="kim") == [] and not list((tmp_path / "cube").rglob("*.safetensors"))
    with pytest.raises(Missing):
        cube.adapter(made.id)

"""What an answer reads is kept where that pays: the next goes on from it with the same answer, and it dies with its words like any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loci import MemOS, Message
from loci.errors import Denied, Invalid, LociError, NotDurable, StorageFull
from loci.infrastructure.pages import PageFiles
from loci.operation.retaining import MOST_READS, Reads
from loci.ports.engine import Rates, Tier
from loci.system import Cube
from loci.system.activating import Generation
from loci.testing import HashEngine, ManualClock

SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "The harbour opens at nine.")
QUESTION = "Where does Ann live?"
FAST = Rates(0.0, 1e-6, 0.0, 0.0, Tier(0.0, 1e12), Tier(0.0, 4e5))  # a token is read in a microsecond, and its 32 bytes written in 80
GPU = Rates(0.0, 1e-4, 0.0, 0.0, Tier(0.0, 1e12), Tier(0.0, 4e5))  # 100 microseconds to read, 80 to write


@pytest.fixture
def cube(open_vault: Callable[..., MemOS], clock: ManualClock) -> Cube:
    return filled(open_vault(engine=HashEngine()).cube("main"), clock)


def filled(cube: Cube, clock: ManualClock) -> Cube:
    for text in SAID:
        clock.advance(1)
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann")
    return cube


def ids(cube: Cube) -> list[str]:
    return [memory.id for memory in cube.list(user="ann")]


def asked(cube: Cube, question: str = QUESTION, **options: Any) -> tuple[str, Generation]:
    found = cube.generate(question, user="ann", max_tokens=4, **{"keep": True, **options})
    return found.text(), found


def with_rates(monkeypatch: pytest.MonkeyPatch, rates: Rates) -> None:
    monkeypatch.setattr(HashEngine, "rates", lambda engine: rates)


def test_the_second_answer_goes_on_from_what_the_first_had_read(cube: Cube) -> None:
    first, answer = asked(cube)
    (kept,) = cube.activations(user="ann")
    assert answer.attached.reason == f"what was recalled was read, and is kept as {kept.id}"
    assert answer.attached.handle is None and answer.attached.held_tokens == 0 and answer.attached.read_tokens > kept.tokens
    assert kept.is_kept and set(kept.memories) == set(ids(cube)) and kept.uses == 0
    engine = cube._activations.engine
    before = engine.read_tokens
    again, answer = asked(cube, keep=False)
    assert again == first and answer.attached.handle == kept.id and answer.attached.held_tokens == kept.tokens
    assert engine.read_tokens - before < 100 < kept.tokens
    assert asked(cube)[1].attached.handle == kept.id and len(cube.activations(user="ann")) == 1


def test_it_is_read_once(cube: Cube) -> None:
    engine = cube._activations.engine
    cube.activate(ids(cube)[:1], user="ann")  # rates are known, the index is warm
    cube.deactivate(cube.activations(user="ann")[0].id)
    before = engine.read_tokens
    answer = asked(cube)[1]
    assert engine.read_tokens - before <= answer.attached.read_tokens + 4 * 16, "the prompt, and the words of the answer"


def test_the_log_says_that_nobody_asked_for_it(cube: Cube) -> None:
    asked(cube)
    (record,) = cube.log(verb="activate")
    assert record.detail["is_kept"] is True and record.object == cube.activations(user="ann")[0].id


def test_not_unless_it_is_asked_for(cube: Cube) -> None:
    asked(cube, keep=False)
    assert not cube.activations(user="ann")


def test_what_is_not_worth_its_writing_is_read(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    with_rates(monkeypatch, FAST)
    answers = [asked(cube)[1] for _ in range(3)]
    assert all("nothing was kept: " in found.attached.reason and "and writing it costs" in found.attached.reason for found in answers)
    assert not cube.activations(user="ann")


def test_a_text_that_is_read_again_is_worth_more(cube: Cube, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    with_rates(monkeypatch, GPU)
    asked(cube)
    assert not cube.activations(user="ann"), "one use saves less than the writing costs"
    clock.advance(60)
    asked(cube)
    assert not cube.activations(user="ann"), "two months later the first counts for nothing"
    asked(cube)
    assert len(cube.activations(user="ann")) == 1


def test_words_that_changed_are_read_and_kept_anew_in_its_place(cube: Cube) -> None:
    asked(cube)
    (old,) = cube.activations(user="ann")
    cube.update(ids(cube)[0], "I live in Bergen.")
    first, answer = asked(cube)
    (new,) = cube.activations(user="ann")
    assert (new.id, new.version) == (old.id, old.version + 1) and "kept as" in answer.attached.reason
    again, answer = asked(cube)
    assert again == first and answer.attached.handle == new.id


def test_one_that_somebody_made_is_never_replaced(cube: Cube) -> None:
    mine = cube.activate(ids(cube), user="ann")
    cube.update(ids(cube)[0], "I live in Bergen.")
    asked(cube)
    found = {handle.id: handle for handle in cube.activations(user="ann")}
    assert len(found) == 2 and found[mine.id].version == mine.version and not found[mine.id].is_kept
    assert asked(cube)[1].attached.handle in found.keys() - {mine.id}, "the one whose words stand"


def test_what_nobody_asked_for_begins_no_prompt_that_wants_less_than_half_of_it(cube: Cube) -> None:
    asked(cube)
    (kept,) = cube.activations(user="ann")
    one = asked(cube, keep=False, limit=1)[1]
    assert one.attached.handle is None and "no activation memory holds" in one.attached.reason
    assert asked(cube, keep=False, limit=2)[1].attached.handle == kept.id
    mine = cube.activate(ids(cube), user="ann")
    assert asked(cube, keep=False, limit=1)[1].attached.handle == mine.id


def test_its_numbers_are_those_of_the_prompt(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    question = "When does the harbour open?"
    ranked, in_block = asked(cube, question, keep=False)[1].recall.ids, sorted(ids(cube))
    place = next(n for n, (one, other) in enumerate(zip(ranked, in_block, strict=True)) if one != other)
    monkeypatch.setattr(HashEngine, "generate", lambda self, state, ids, **options: iter([f"See [{place + 1}]."]))
    asked(cube, question)
    cube._scheduler.note_uses()
    assert [memory.id for memory in cube.list(user="ann") if memory.cited] == [in_block[place]], "a block is in the order of ids"


def test_an_answer_is_made_of_all_that_it_begins_with(cube: Cube) -> None:
    first, second, *others = ids(cube)
    cube.activate([first, second], user="ann")
    cube.update(first, "I live in Bergen.")  # what was activated is of no use now, and still the nearest
    asked(cube)
    few = asked(cube, limit=2)[1]
    assert set(few.recall.ids) == {first, second} and set(others) <= set(few.memories)


def test_what_is_whole_longer_than_the_budget_is_not_kept(cube: Cube) -> None:
    said = "My parrot is called Otto and " + " and ".join(f"on day {n} I painted the shed of harbour {n}" for n in range(60))
    cube.add(Message("user", said, speaker="Ann"), user="ann")
    answer = asked(cube, "What is the parrot called?", budget_tokens=80)[1]
    assert "Otto" in answer.recall.text and "harbour 59" not in answer.recall.text, "a part of it is shown"
    assert not cube.activations(user="ann") and "more than budget_tokens (80)" in answer.attached.reason


def test_nothing_recalled_is_nothing_kept(open_vault: Callable[..., MemOS]) -> None:
    answer = asked(open_vault(engine=HashEngine()).cube("main"))[1]
    assert "nothing was recalled" in answer.attached.reason


def test_no_room_hinders_no_answer(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = filled(open_vault(engine=HashEngine(), kv_disk_bytes=100).cube("main"), clock)
    text, answer = asked(cube)
    assert text and "nothing was kept: " in answer.attached.reason and "kv_disk_bytes" in answer.attached.reason
    assert not cube.activations(user="ann") and cube.verify().is_clean


@pytest.mark.parametrize("error", [StorageFull("The disk is full."), NotDurable("The disk failed.")])
def test_a_disk_that_fails_hinders_no_answer(cube: Cube, monkeypatch: pytest.MonkeyPatch, error: LociError) -> None:
    def put(self: PageFiles, data: bytes) -> tuple[str, int]:
        raise error

    plain = asked(cube, keep=False)[0]
    monkeypatch.setattr(PageFiles, "put", put)
    text, answer = asked(cube)
    assert text == plain and f"nothing was kept: {error}" in answer.attached.reason and not cube.activations(user="ann")


def test_it_dies_with_its_words(cube: Cube) -> None:
    asked(cube)
    cube.erase(ids(cube)[0])
    assert not cube.activations(user="ann") and cube.verify().is_clean


def test_who_may_not_activate_may_not_keep(cube: Cube, open_vault: Callable[..., MemOS]) -> None:
    with pytest.raises(Invalid, match="keep is for an answer from text"):
        asked(cube, approximate=True)
    with open_vault() as owner:
        owner.grant("guest", "reader", cube="main")
    guest = open_vault(engine=HashEngine(), principal="guest").cube("main")
    with pytest.raises(Denied):
        asked(guest)
    assert asked(guest, keep=False)[0] and not cube.activations(user="ann")


def test_readings_are_counted_up_to_a_limit(clock: ManualClock) -> None:
    reads, now = Reads(), clock.now()
    assert [reads.count("a", now) for _ in range(3)] == [1.0, 2.0, 3.0]
    for number in range(MOST_READS):
        reads.count(str(number), now)
    assert reads.count("a", now) == 1.0 and reads.count(str(MOST_READS - 1), now) == 2.0

"""Laws 1, 2 and 9: nothing said is lost, every outcome is on the receipt, and a change is there whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from tests.conftest import MoodyReader

from loci import Message, Outcome, State
from loci.errors import LociError, Missing, Unavailable
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, ManualClock
from loci.wire import MemOS


class StumblingIds(CountingIds):
    """Ids that break off at one call."""

    stumbles_at = 0

    def new(self, at: datetime) -> str:
        if self._count + 1 == self.stumbles_at:
            raise RuntimeError("stumbled")
        return super().new(at)


# -- the journal comes first --------------------------------------------------------------------------------------------


def test_words_that_cannot_be_read_are_kept_found_and_read_again(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    reader = MoodyReader()
    cube = open_vault(reader=reader).cube("main")
    receipt = cube.add("I live in Porto. My dog Rex loves the long beach.", user="alice")
    assert receipt.count(Outcome.PENDING) == 1 and receipt.count(Outcome.ADDED) == 1
    assert "reading model is down" in receipt.changes[0].reason
    assert cube.search("beach", user="alice").hits[0].memory.text == "I live in Porto. My dog Rex loves the long beach."
    assert [job.verb for job in cube._store.jobs()] == ["read"]

    clock.advance(minutes=1)
    with pytest.raises(Unavailable):
        cube.drain()
    assert cube.pending() == 1, "a reader that still fails keeps its job"

    reader.is_failing = False
    clock.advance(hours=1)
    assert cube.drain() == 1 and cube.pending() == 0
    clock.advance(days=1)
    moved = cube.add("I moved to Lisbon.", user="alice")
    assert moved.count(Outcome.SUPERSEDED) == 1, "what was read late counts as if it had been read at once"
    assert cube.verify().is_clean


def test_what_is_read_late_is_found_at_once(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    reader = MoodyReader()
    cube = open_vault(reader=reader, embedder=HashEmbedder()).cube("main")
    cube.add("I live in Porto. My dog Rex loves the long beach.", user="alice")
    assert len(cube.list()) == 1  # a picture of the cube is in memory now
    reader.is_failing = False
    clock.advance(hours=1)
    cube.drain()
    assert len(cube.list()) == 3
    assert not cube.search("dog").trace.missing
    assert cube.verify().is_clean


def test_a_single_sentence_read_late_makes_its_claim(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    reader = MoodyReader()
    cube = open_vault(reader=reader).cube("main")
    cube.add("I live in Porto.", user="alice")
    reader.is_failing = False
    clock.advance(hours=1)
    cube.drain()
    clock.advance(days=1)
    assert cube.add("I moved to Lisbon.", user="alice").count(Outcome.SUPERSEDED) >= 1
    assert [m.text for m in cube.list(user="alice")] == ["I moved to Lisbon."]


def test_a_job_whose_words_were_erased_ends(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(reader=MoodyReader()).cube("main")
    cube.add("I live in Porto.", user="alice")
    cube.erase(user="alice")
    clock.advance(hours=1)
    cube.drain()
    assert cube.pending() == 0


def test_words_are_kept_verbatim_with_their_origin(cube: Cube, clock: ManualClock) -> None:
    text = "  Two  spaces,\ttab,\nline\r\nand \0 NUL: שלום عليكم 👩‍👩‍👧‍👦 e\u0301 \u200e "
    receipt = cube.add(Message("user", text, speaker="Rémy", caption="a red kite", id="m-1"), user="r", agent="bot", session="s")
    source = cube._store.source(receipt.sources[0])
    assert source.message.text == text and source.message.caption == "a red kite" and source.message.id == "m-1"
    assert (source.scope.user, source.scope.agent, source.scope.session) == ("r", "bot", "s")
    assert source.principal == "owner" and source.recorded == clock.now()
    whole = cube.get(receipt.ids[0])
    assert whole.text == source.message.words
    for id in receipt.ids:
        memory = cube.get(id)
        assert "\n".join(source.message.words[s.start : s.end] for s in memory.spans) == memory.text


# -- receipts -----------------------------------------------------------------------------------------------------------


def test_the_receipt_names_every_outcome(cube: Cube, clock: ManualClock) -> None:
    first = cube.add(Message("user", "I live in Porto.", at=clock.now()), user="alice")
    clock.advance(days=1)
    again = cube.add("I live in Porto.", user="alice")
    assert again.count(Outcome.ADDED) == 1 and again.count(Outcome.EVIDENCE) == 1
    clock.advance(days=1)
    moved = cube.add("I moved to Lisbon.", user="alice")
    assert {c.memory for c in moved.changes if c.outcome is Outcome.SUPERSEDED} == {first.ids[0], again.ids[0]}
    same = cube.add(Message("user", "I live in Porto.", at=clock.now() - timedelta(days=2)), user="alice")
    assert [c.outcome for c in same.changes] == [Outcome.IGNORED] and not same.sources
    updated = cube.update(moved.ids[0], "I moved to Lisbon in spring.", mode="overwrite", reason="more exact")
    assert (updated.changes[0].outcome, updated.changes[0].before, updated.changes[0].after) == (Outcome.UPDATED, 1, 2)
    merged = cube.update(moved.ids[0], "Alfama is loud.", mode="merge")
    assert merged.changes[0].outcome is Outcome.MERGED
    assert cube.update(moved.ids[0], "Alfama is loud.", mode="merge").changes[0].outcome is Outcome.IGNORED
    assert cube.forget(moved.ids[0]).changes[0].outcome is Outcome.FORGOTTEN
    assert cube.restore(moved.ids[0]).changes[0].outcome is Outcome.RESTORED
    assert cube.move(moved.ids[0], "freeze").changes[0].outcome is Outcome.MOVED
    for receipt in (first, again, moved, updated, merged):
        assert all(c.reason for c in receipt.changes), "no outcome without a reason"


def test_an_equal_message_twice_in_one_call_is_two(cube: Cube, clock: ManualClock) -> None:
    said = Message("user", "Knock, knock.", at=clock.now())
    assert len(cube.add([said, said]).sources) == 2
    assert len(cube.add([said, said]).sources) == 0
    assert len(cube.add([said, said, said]).sources) == 1


# -- nothing is overwritten ---------------------------------------------------------------------------------------------


def test_no_verb_but_erase_takes_a_word_away(cube: Cube, clock: ManualClock) -> None:
    texts = ["The blue kettle leaks.", "The green kettle leaks.", "The red kettle leaks."]
    id = cube.add(texts[0]).ids[0]
    clock.advance(days=1)
    cube.update(id, texts[1], reason="wrong colour")
    clock.advance(days=1)
    cube.update(id, texts[2], reason="wrong again")
    clock.advance(days=1)
    cube.forget(id, reason="sold it")
    clock.advance(days=1)
    cube.restore(id, to=1, reason="it was blue")
    assert [(m.version, m.text) for m in cube.history(id)] == [(1, texts[0]), (2, texts[1]), (3, texts[2]), (4, texts[0])]
    assert sorted(s.message.text for s in cube._store.sources()) == sorted(texts)
    assert all(m.author for m in cube.history(id))


def test_a_restored_memory_still_tells_why_it_was_forgotten(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The blue kettle leaks.").ids[0]
    clock.advance(days=1)
    cube.forget(id, reason="sold it")
    clock.advance(days=1)
    cube.restore(id, reason="bought it back")
    told = {text for m in cube.why(id).versions for text in (m.reason, m.ending)}
    assert {"sold it", "bought it back"} <= told


def test_two_updates_with_the_same_words_and_time_are_two(cube: Cube, clock: ManualClock) -> None:
    first, second = cube.add("The blue kettle leaks.").ids[0], cube.add("The old roof leaks.").ids[0]
    at = clock.now()
    clock.advance(days=1)
    cube.update(first, "It was repaired.", at=at)
    cube.update(second, "It was repaired.", at=at)
    assert cube.get(first).text == cube.get(second).text == "It was repaired."
    assert cube.verify().is_clean


# -- one transaction ----------------------------------------------------------------------------------------------------


def test_an_add_that_breaks_off_anywhere_leaves_nothing(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    said = [
        Message("user", "I moved to Lisbon. The flat is small and bright."),
        Message("user", "My sister is called Ana. She likes rain."),
    ]
    ids = StumblingIds()
    cube = open_vault(ids=ids, embedder=HashEmbedder()).cube("main")
    porto = cube.add("I live in Porto.", user="alice").ids[0]
    clock.advance(days=1)
    dry = cube.branch("dry-run")
    before = ids._count
    expected = [change.outcome for change in dry.add(said, user="alice", session="new").changes]
    taken = ids._count - before
    assert taken >= 6 and Outcome.SUPERSEDED in expected
    kept = (_rows(cube), cube.log(), cube.get(porto), cube.list())
    for call in range(1, taken + 1):
        ids.stumbles_at = ids._count + call
        with pytest.raises(RuntimeError):
            cube.add(said, user="alice", session="new")
        assert (_rows(cube), cube.log(), cube.get(porto), cube.list()) == kept, f"after a stumble at id {call} of {taken}"
    ids.stumbles_at = 0
    again = [change.outcome for change in cube.add(said, user="alice", session="new").changes]
    assert again == expected, "the same words are taken in as if nothing had happened"
    assert cube.verify().is_clean


def _rows(cube: Cube) -> dict[str, int]:
    """Rows of every table, the file's size left out."""
    return {table: rows for table, rows in cube._store.sizes().items() if table != "bytes"}


def test_a_failed_update_leaves_the_memory_as_it_was(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    ids = StumblingIds()
    cube = open_vault(ids=ids).cube("main")
    id = cube.add("I live in Porto.", user="alice").ids[0]
    before, history = _rows(cube), cube.history(id)
    clock.advance(days=1)
    ids.stumbles_at = ids._count + 1
    with pytest.raises(RuntimeError):
        cube.update(id, "I moved to Lisbon.")
    ids.stumbles_at = 0
    assert _rows(cube) == before and cube.history(id) == history


def test_a_cube_restored_to_a_time_is_restored_whole_or_not_at_all(cube: Cube, clock: ManualClock) -> None:
    cube.add("The first thing I said.")
    then = clock.now()
    clock.advance(days=1)
    plain, frozen = cube.add("The second thing I said.").ids[0], cube.add("The third thing I said.").ids[0]
    cube.move(frozen, "freeze")
    with pytest.raises(LociError):  # what is frozen cannot be taken back
        cube.restore(to=then)
    assert cube.get(plain).state is State.GENERATED and len(cube.list()) == 3


def test_ids_are_never_replaced(cube: Cube, clock: ManualClock) -> None:
    ids = cube.add("I live in Porto. My dog Rex loves the long beach.", user="alice").ids
    clock.advance(days=1)
    cube.add("I moved to Lisbon.", user="alice")
    cube.update(ids[1], "My dog Rex hates the beach.")
    cube.forget(ids[0])
    assert [cube.get(id).id for id in ids] == list(ids)
    with pytest.raises(Missing):
        cube.get("01JGFJJZ00NOTANYWHERE00000")

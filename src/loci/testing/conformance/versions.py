"""Two times of every version, states and their reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from loci.memories.plaintext import Header, draft_of
from loci.testing.conformance.scene import DAY, NOW, OpenStore, expect_missing, journaled, log, remembered, said, seen_at, tell, texts_with
from loci.types import Interval, Message, Outcome, State, Transition


def a_version_holds_from_its_start_to_its_end(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    second = NOW + 10 * DAY
    with store.write(second) as tx:
        number = tx.close("m", second, "painted")
        source = journaled(store, tx, "m-2", "the kettle is green", second)
        tx.revise(draft_of(replace(remembered(store, source, "m"), version=number + 1, reason="painted")), number + 1, Outcome.UPDATED)
        log(tx)
    late = seen_at(NOW + 99 * DAY)
    assert [(m.version, m.text, m.valid) for m in store.history("m")] == [
        (1, "the kettle is blue", Interval(NOW, second)), (2, "the kettle is green", Interval(second))
    ]  # fmt: skip
    for moment, version in ((NOW, 1), (second - timedelta(microseconds=1), 1), (second, 2), (second + DAY, 2)):
        assert store.get("m", replace(late, as_of=moment)).version == version
        assert [m.version for m in store.select(replace(late, as_of=moment), 9)] == [version]
    expect_missing(lambda: store.get("m", replace(late, as_of=NOW - timedelta(microseconds=1))))
    assert store.get("m", replace(late, known_at=second - DAY)).version == 1, "what we knew then"
    assert store.get("m", replace(late, known_at=second - DAY, as_of=second + DAY)).version == 1, "and took to be so later"
    assert [m.text for m in store.select(late, 9)] == ["the kettle is green"]
    assert texts_with(store, "blue") == set() and texts_with(store, "green") == {"the kettle is green"}
    assert not store.faults()[1]


def a_closed_memory_stays_in_history(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    with store.write(NOW + DAY) as tx:
        assert tx.close("m", NOW + DAY, "sold") == 1
        assert tx.current("m")[3] == Interval(NOW, NOW + DAY)
        log(tx)
    assert store.select(seen_at(NOW + 2 * DAY), 9) == []
    (kept,) = store.history("m")
    assert (kept.text, kept.reason, kept.ending, kept.valid) == ("the kettle is blue", "remembered", "sold", Interval(NOW, NOW + DAY))
    assert store.get("m", replace(seen_at(NOW + 2 * DAY), as_of=NOW)).text == "the kettle is blue"


def a_memory_without_a_time_can_end_without_one(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        source = said(store, "s", Message("user", "the kettle is blue", None, id="1"))
        tx.journal(source, 0)
        tx.add(draft_of(remembered(store, source, "m")))
        log(tx)
    assert store.get("m", replace(seen_at(), as_of=NOW - 9999 * DAY)).valid == Interval()
    with store.write(NOW + DAY) as tx:
        tx.close("m", None, "superseded, nobody knows when")
        log(tx)
    assert store.select(seen_at(NOW + 2 * DAY), 9) == []
    assert store.history("m")[-1].text == "the kettle is blue", "nothing is lost for want of a date"


def header_fields_move_without_a_version(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    with store.write(NOW + DAY) as tx:
        assert tx.state("m") == (State.GENERATED, None, 0)
        tx.set_state("m", State.ARCHIVED, NOW + 9 * DAY, 4)
        assert tx.state("m") == (State.ARCHIVED, NOW + 9 * DAY, 4)
        assert tx.use({"m": 3, "unknown": 1}, NOW) == ["m"]
        tx.use({"m": 2}, NOW + DAY)
        log(tx)
    found = store.history("m")[-1]
    assert (found.version, found.state, found.priority, found.uses, found.last_used) == (1, State.ARCHIVED, 4, 5, NOW + DAY)
    assert store.select(seen_at(), 9) == [] and len(store.select(replace(seen_at(), states=frozenset({State.ARCHIVED})), 9)) == 1
    with store.write(NOW + 9 * DAY) as tx:
        assert tx.overdue(NOW + 8 * DAY) == [] and tx.overdue(NOW + 9 * DAY) == [("m", State.ARCHIVED, NOW + 9 * DAY, 4)]


def a_change_of_state_with_a_reason_is_told_until_its_memory_is_removed(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        source = journaled(store, tx, "m", "the kettle is blue")
        tx.add(draft_of(remembered(store, source, "m")))
        log(tx)
    for day, state, reason in (
        (1, State.FROZEN, "for good"),
        (2, State.FROZEN, "again"),
        (3, State.ACTIVATED, ""),
        (4, State.ARCHIVED, "old"),
    ):
        with store.write(NOW + day * DAY) as tx:
            tx.set_state("m", state, None, 0, "ana", reason)
            log(tx)
    told = [Transition(NOW + DAY, State.GENERATED, State.FROZEN, "ana", "for good")]
    told.append(Transition(NOW + 4 * DAY, State.ACTIVATED, State.ARCHIVED, "ana", "old"))
    assert store.transitions("m") == told and store.transitions("unknown") == []
    with store.write(NOW + 5 * DAY) as tx:
        tx.remove([source.id])
        log(tx)
    store.scrub([source])
    assert store.transitions("m") == [] and not store.faults()[1]


def a_time_to_live_hides_at_its_instant(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        source = journaled(store, tx, "m", "the kettle is on loan")
        tx.add(draft_of(remembered(store, source, "m", header=Header(2, NOW + DAY))))
        log(tx)
    assert store.count(seen_at(NOW + DAY - timedelta(microseconds=1))) == 1 and store.count(seen_at(NOW + DAY)) == 0
    assert store.history("m")[0].priority == 2

"""All of a write is there, or nothing of it, and writers wait for each other."""

from __future__ import annotations

import threading

from loci.errors import LociError
from loci.ports import Store
from loci.testing.conformance.scene import DAY, NOW, OpenStore, log, put, row_counts, seen_at, tell, texts_with
from loci.types import State


def nothing_is_there_after_a_failed_write(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m0", "the kettle is blue")
    before, records = row_counts(store), store.records(None, None, None, None, 100)
    try:
        with store.write(NOW + DAY) as tx:
            put(store, tx, "m1", "the kettle is green", NOW + DAY)
            tx.close("m0", NOW + DAY, "changed", "m1")
            tx.set_state("m0", State.FROZEN, None, 3)
            tx.link("m1", "m0", "supersedes", "changed")
            tx.enqueue("embed", {"contents": [1]})
            log(tx)
            raise RuntimeError
    except RuntimeError:
        pass
    assert row_counts(store) == before and store.records(None, None, None, None, 100) == records
    assert [m.id for m in store.select(seen_at(), 10)] == ["m0"] and store.get("m0", seen_at()).state is State.GENERATED
    assert not texts_with(store, "green")
    tell(store, "m1", "the kettle is green")
    assert [m.id for m in store.select(seen_at(), 10)] == ["m0", "m1"]


def a_write_sees_itself_and_others_see_it_after_the_commit(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    tell(store, "m0", "the kettle is blue")
    assert [m.id for m in other.select(seen_at(), 10)] == ["m0"]
    with store.write(NOW + DAY) as tx:
        put(store, tx, "m1", "the kettle is green", NOW + DAY)
        log(tx)
        assert tx.current("m1")[1] == 1 and store.history("m1")[0].text == "the kettle is green"
        assert [m.id for m in other.select(seen_at(), 10)] == ["m0"]
    assert [m.id for m in other.select(seen_at(), 10)] == ["m0", "m1"] and texts_with(other, "green") == {"the kettle is green"}
    with other.write(NOW + 2 * DAY) as tx:
        tx.close("m0", NOW + 2 * DAY, "gone")
        tx.set_state("m0", State.EXPIRED, None, 0)
        log(tx)
    assert [m.id for m in store.select(seen_at(NOW + 3 * DAY), 10)] == ["m1"], "a change of an older row is seen as well"


def a_write_within_a_write_joins_it(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    tell(store, "m0", "the kettle is blue")
    assert not store.is_writing
    with store.write(NOW + DAY) as tx:
        put(store, tx, "m1", "the kettle is green", NOW + DAY)
        tx.tell({"by": "both"})
        with store.write(NOW + 2 * DAY) as joined:
            assert store.is_writing and store.is_within
            put(store, joined, "m2", "the kettle is red", NOW + DAY)
            joined.close("m0", NOW + DAY, "gone")
            log(joined)
        put(store, tx, "m3", "the kettle is gone", NOW + DAY)
        assert [m.id for m in store.select(seen_at(), 10)] == ["m1", "m2", "m3"], "a write sees itself, whatever has joined it"
        assert texts_with(store, "red") == {"the kettle is red"} and [m.id for m in other.select(seen_at(), 10)] == ["m0"]
        assert _elsewhere(store) == ["m0"], "nor does another thread see it"
        log(tx)
    assert [m.id for m in other.select(seen_at(), 10)] == ["m1", "m2", "m3"] == _elsewhere(store)
    times = {m.id: m.recorded.start for m in store.select(seen_at(), 10)}
    assert times["m1"] == NOW + DAY and times["m2"] == NOW + 2 * DAY <= times["m3"], "each block has its time, and none is set back"
    assert [r.detail for r in store.records(None, None, None, None, 9)] == [{}, {"by": "both"}, {"by": "both"}]
    assert store.faults()[1] == []


def what_has_joined_goes_with_the_outermost(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m0", "the kettle is blue")
    before = row_counts(store)
    for is_caught in (False, True):
        try:
            with store.write(NOW + DAY) as tx:
                put(store, tx, "m1", "the kettle is green", NOW + DAY)
                try:
                    with store.write(NOW + DAY) as joined:
                        put(store, joined, "m2", "the kettle is red", NOW + DAY)
                        log(joined)
                        assert [m.id for m in store.select(seen_at(), 10)] == ["m0", "m1", "m2"]
                        raise RuntimeError
                except RuntimeError:
                    if not is_caught:
                        raise
                log(tx)
        except (RuntimeError, AssertionError):
            pass
        else:
            raise AssertionError("half a write must not be kept, whoever catches what a block of it raised")
        assert row_counts(store) == before and [m.id for m in store.select(seen_at(), 10)] == ["m0"] == _elsewhere(store)
        assert not store.is_writing
    with store.write(NOW + DAY) as tx:
        with store.write(NOW + DAY) as joined:
            put(store, joined, "m1", "the kettle is green", NOW + DAY)
            log(joined)
        log(tx)
    assert [m.id for m in store.select(seen_at(), 10)] == ["m0", "m1"] and not texts_with(store, "red")


def _elsewhere(store: Store) -> list[str]:
    """What another thread sees."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(m.id for m in store.select(seen_at(), 10)))
    thread.start()
    thread.join()
    return found


def writers_wait_for_each_other(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]
    errors: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for n in range(20):
                tell(stores[who], f"w{who}-{n:02}", f"kettle {who} {n}")
        except LociError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    assert [len(store.select(seen_at(), 100)) for store in stores] == [40, 40]
    assert [r.seq for r in stores[0].records(None, None, None, None, 100)] == list(range(1, 41))

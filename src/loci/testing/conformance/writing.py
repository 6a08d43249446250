"""All of a write is there, or nothing of it, and writers wait for each other."""

from __future__ import annotations

import threading

from loci.errors import LociError
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

"""What a store promises of parametric memory: it goes with its sources, and what was made of words that no longer hold is not mounted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from loci.ports import Store
from loci.ports.adapters import LEARN, Kept
from loci.ports.engine import Quoted
from loci.testing.conformance.scene import DAY, NOW, OpenStore, expect_missing, log, tell
from loci.types import State


def _learned(store: Store, id: str, number: int, memories: Sequence[str], state: State = State.ACTIVATED, *, mounted: bool = True) -> None:
    with store.write(NOW + timedelta(hours=number)) as tx:
        quoted = [Quoted(memory, 1, "", (f"{memory}-source",)) for memory in memories]
        tx.put_adapter(id, number, f"manifest {number}", quoted, state, Kept(f"{id}{number}-file", 10), "ann")
        if mounted:
            tx.mount_adapter(id, number)
        log(tx)


def what_was_learned_is_there_by_its_versions(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    _learned(store, "a", 1, ["m"])
    _learned(store, "a", 2, ["m"], mounted=False)
    first, second = store.adapters()
    assert (first.number, first.is_mounted, second.number, second.is_mounted) == (1, True, 2, False), (
        "a newer one does not take its place by itself"
    )
    assert store.adapter("a") == second and store.adapter("a", 1) == first and second.manifest == "manifest 2"
    assert second.file == Kept("a2-file", 10) and {"a1-file", "a2-file"} <= store.page_files()
    with store.write(NOW + DAY) as tx:
        tx.mount_adapter("a", 2)
        assert [(row.number, row.is_mounted, row.user) for row in store.adapters()] == [(1, False, "ann"), (2, True, "ann")]
        tx.mount_adapter("a", None)
        assert tx.drop_adapters(["a"], [1, 3]) == 1
        log(tx)
    assert [(row.number, row.is_mounted) for row in store.adapters()] == [(2, False)] and "a1-file" not in store.page_files()
    expect_missing(lambda: store.adapter("a", 1))
    expect_missing(lambda: store.adapter("b"))


def a_version_takes_the_place_of_the_same_and_keeps_the_uses(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    _learned(store, "a", 1, ["m"], State.GENERATED, mounted=False)
    with store.write(NOW + DAY) as tx:
        tx.use({"a": 3}, NOW + DAY)
        log(tx)
    _learned(store, "a", 1, ["m"], mounted=False)
    (row,) = store.adapters()
    assert (row.uses, row.last_used, row.state, row.is_mounted) == (3, NOW + DAY, State.ACTIVATED, False)
    with store.write(NOW + DAY) as tx:
        tx.mount_adapter("a", 1)
        tx.move_adapter("a", 1, State.ARCHIVED, "cold")
        log(tx)
    (row,) = store.adapters()
    assert (row.state, row.reason, row.is_mounted) == (State.ARCHIVED, "cold", False), "what is archived is not mounted"


def a_manifest_is_amended_and_nothing_else_of_its_version(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    _learned(store, "a", 1, ["m"])
    _learned(store, "b", 1, ["m"])
    before = store.adapters()
    with store.write(NOW + 9 * DAY) as tx:
        tx.amend_adapter("a", 1, "more")
        expect_missing(lambda: tx.amend_adapter("a", 2, "more"))
        log(tx)
    assert store.adapters() == [replace(before[0], manifest="more"), before[1]] and not store.faults()[1]


def a_change_to_what_was_learned_archives_it_in_the_same_transaction(open_store: OpenStore) -> None:
    store = open_store()
    for id in ("m", "n"):
        tell(store, id, f"the kettle of {id} is blue")
    _learned(store, "a", 1, ["m"])
    _learned(store, "b", 1, ["n"])
    with store.write(NOW + DAY) as tx:
        tx.close("m", NOW + DAY, "the kettle was painted")
        log(tx)
    rows = {row.id: row for row in store.adapters()}
    assert (rows["a"].state, rows["a"].is_mounted) == (State.ARCHIVED, False) and "m" in rows["a"].reason
    assert (rows["b"].state, rows["b"].is_mounted) == (State.ACTIVATED, True), "nothing that it was made of changed"
    (job,) = [job for job in store.jobs() if job.verb == LEARN]
    assert (job.arguments, job.user) == ({"adapter": "a"}, "ann")
    assert any(record.verb == "archive_adapter" and record.object == "a" for record in store.records(None, None, None, None, 100))


def what_only_moves_or_is_used_stays_learned(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    _learned(store, "a", 1, ["m"])
    with store.write(NOW + DAY) as tx:
        tx.use({"m": 1}, NOW + DAY)
        tx.set_state("m", State.ACTIVATED, None, 0)
        log(tx)
    assert store.adapter("a").is_mounted and not [job for job in store.jobs() if job.verb == LEARN]
    for state in (State.ARCHIVED,):
        with store.write(NOW + 2 * DAY) as tx:
            tx.set_state("m", state, None, 0)
            log(tx)
    assert store.adapter("a").state is State.ARCHIVED, "what is archived is not answered from, in weights neither"


def what_is_held_back_is_not_mounted(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    _learned(store, "a", 1, ["m"])
    with store.write(NOW + DAY) as tx:
        tx.hold("m", "doubtful")
        log(tx)
    assert store.adapter("a").state is State.ARCHIVED


def what_was_learned_of_a_source_goes_with_it(open_store: OpenStore) -> None:
    store = open_store()
    for id in ("m", "n"):
        tell(store, id, f"the kettle of {id} is blue")
    _learned(store, "a", 1, ["m", "n"])
    _learned(store, "a", 2, ["n"])
    _learned(store, "b", 1, ["m"])
    with store.write(NOW + DAY) as tx:
        assert tx.remove(["m-source"]).counts["adapters"] == 2
        log(tx)
    assert [(row.id, row.number) for row in store.adapters()] == [("a", 2)]
    assert not {"a1-file", "b1-file"} & store.page_files()

    def learn_of_what_is_gone() -> None:
        _learned(store, "c", 1, ["m"])

    expect_missing(learn_of_what_is_gone)
    assert [row.id for row in store.adapters()] == ["a"]

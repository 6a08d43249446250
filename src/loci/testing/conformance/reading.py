"""What is read: as far as the filter lets it through, as of one moment, and missing where it is not there."""

from __future__ import annotations

from dataclasses import replace

from loci.ports import Probe
from loci.ports.retaining import Strength
from loci.testing.conformance.scene import DAY, NOW, OpenStore, expect_missing, log, put, seen_at, tell, texts_with
from loci.types import Channel, State, Type


def the_filter_comes_before_the_ranking(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for n in range(400):
            put(store, tx, f"other-{n:03}", "kettle kettle kettle", user=f"user-{n % 7}")
        for n in range(10):
            put(store, tx, f"mine-{n}", f"somewhere there is a kettle {n}", user="ana")
        log(tx)
    at = replace(seen_at(), user="ana")
    found = store.load(store.survey(Probe(("kettle",)), at).contents, at)
    assert {m.id for m in found.values()} == {f"mine-{n}" for n in range(10)}
    assert store.count(at) == len(store.select(at, 1000)) == store.survey(Probe(("kettle",)), at).documents == 10


def what_the_filter_leaves_out_is_nowhere(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        ana = put(store, tx, "ana", "the kettle is blue", user="ana", agent="x", session="one")
        bea = put(store, tx, "bea", "Is the kettle green?", NOW + DAY, user="bea", agent="y", session="two", type=Type.QUESTION)
        log(tx)
    now = seen_at(NOW + 9 * DAY)
    for narrow, only in (
        (replace(now, user="ana"), "ana"), (replace(now, agent="y"), "bea"), (replace(now, session="one"), "ana"),
        (replace(now, types=(Type.QUESTION,)), "bea"), (replace(now, since=NOW + DAY), "bea"), (replace(now, until=NOW + DAY), "ana"),
        (replace(now, as_of=NOW), "ana"), (replace(now, user="nobody"), None), (replace(now, states=frozenset({State.ARCHIVED})), None),
    ):  # fmt: skip
        expected = set() if only is None else {only}
        assert {m.id for m in store.select(narrow, 10)} == expected, narrow
        assert {m.id for m in store.load([ana, bea], narrow).values()} == expected
        assert set(store.present(["ana", "bea"], narrow)) == expected
        assert store.count(narrow) == store.counted(narrow).total == len(expected)
        assert set(store.counted(narrow).users) == expected, "each is its user's"
        assert set(store.survey(Probe(("kettle",)), narrow).contents) == {c for c, id in ((ana, "ana"), (bea, "bea")) if id in expected}
        for id in {"ana", "bea"} - expected:
            expect_missing(lambda id=id, narrow=narrow: store.get(id, narrow))  # type: ignore[misc]


def memories_are_counted_by_what_they_are(open_store: OpenStore) -> None:
    store = open_store()
    assert store.counted(seen_at()).total == 0 and not store.counted(seen_at()).days and not store.warm(seen_at())
    with store.write(NOW) as tx:
        for n in range(3):
            put(store, tx, f"f{n}", f"the kettle is blue {n}", NOW - n * DAY, user="ana", channel=Channel.WEB, origin="a page")
        put(store, tx, "q", "Is the kettle green?", NOW, user="bea", type=Type.QUESTION)
        log(tx)
    found = store.counted(seen_at())
    assert (found.total, found.types, found.states) == (4, {"fact": 3, "question": 1}, {"generated": 4})
    assert found.channels == {"web": 3, "user": 1} and found.origins == {"a page": 3, "": 1} and found.users == {"ana": 3, "bea": 1}
    assert found.days == {"2025-12-30": 1, "2025-12-31": 1, "2026-01-01": 2}
    with store.write(NOW) as tx:
        tx.cite("f0", Strength(NOW, uses=2, heat=1.5))
        log(tx)
    assert {id: one.heat for id, one in store.warm(seen_at()).items()} == {"f0": 1.5}
    assert not store.warm(replace(seen_at(), user="bea"))


def pages_are_cut_from_one_order(open_store: OpenStore) -> None:
    store = open_store()
    for n in range(7):
        tell(store, f"m{n}", f"kettle number {n}")
    assert [[m.id for m in store.select(seen_at(), 3, offset)] for offset in (0, 3, 6, 9)] == [
        ["m0", "m1", "m2"],
        ["m3", "m4", "m5"],
        ["m6"],
        [],
    ]
    found, place = store.page(seen_at(), 3, 0, 0)
    with store.write(NOW) as tx:
        tx.remove(["m0-source", "m2-source"])
        log(tx)
    rest, last = store.page(seen_at(), 3, 0, place)
    assert [[m.id for m in found], [m.id for m in rest]] == [["m0", "m1", "m2"], ["m3", "m4", "m5"]], "whatever goes before a place"
    assert [m.id for m in store.page(seen_at(), 3, 0, last)[0]] == ["m6"] and store.page(seen_at(), 3, 1, last) == ([], last)


def a_snapshot_is_of_one_moment(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    tell(store, "m0", "the kettle is blue")
    assert not store.is_within
    with store.snapshot():
        assert store.is_within and not store.is_writing
        assert store.count(seen_at()) == 1
        tell(other, "m1", "the kettle is green")
        assert store.count(seen_at()) == 1 and len(texts_with(store, "kettle")) == 1, "as it was when the snapshot began"
        with store.snapshot():
            assert store.count(seen_at()) == 1, "a snapshot inside is the same"
    assert store.count(seen_at()) == 2 and len(texts_with(store, "kettle")) == 2


def what_is_not_there_is_missing(open_store: OpenStore) -> None:
    store = open_store()
    assert (
        store.is_empty()
        and store.people() == []
        and store.jobs() == []
        and store.sources() == []
        and store.records(None, None, None, None, 9) == []
    )
    for ask in (lambda: store.get("x", seen_at()), lambda: store.history("x"), lambda: store.source("x")):
        expect_missing(ask)
    assert store.load([1, 2], seen_at()) == {} and store.present(["x"], seen_at()) == {} and store.present([], seen_at()) == {}
    with store.write(NOW) as tx:
        for change in (
            lambda: tx.current("x"), lambda: tx.state("x"), lambda: tx.close("x", NOW, "r"),
            lambda: tx.set_state("x", State.FROZEN, None, 0), lambda: tx.link("x", "y", "t", "r"), lambda: tx.content_of("x", 1),
        ):  # fmt: skip
            expect_missing(change)
    assert store.is_empty()


def what_lies_beside_a_memory_is_what_was_remembered_around_it(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for n in range(6):
            put(store, tx, f"a{n}", f"kettle {n}", user="ana")
            put(store, tx, f"b{n}", f"ladder {n}", user="bea")
        log(tx)
    at = replace(seen_at(), user="ana")
    assert store.beside(["a2", "a5", "b1", "gone"], at, 1, 2) == {
        "a2": [(-1, "a1"), (0, "a2"), (1, "a3"), (2, "a4")], "a5": [(-1, "a4"), (0, "a5")],
    }  # fmt: skip
    assert store.beside(["a1"], seen_at(), 1, 1) == {"a1": [(-1, "b0"), (0, "a1"), (1, "b1")]}
    assert store.latest(at, 2) == ["a5", "a4"] and store.latest(seen_at(), 3) == ["b5", "a5", "b4"] and store.latest(at, 0) == []
    with store.write(NOW + DAY) as tx:
        tx.close("a3", NOW + DAY, "gone")
        log(tx)
    later = replace(at, now=NOW + 2 * DAY)
    assert store.beside(["a2"], later, 1, 2) == {"a2": [(-1, "a1"), (0, "a2"), (1, "a4"), (2, "a5")]}

"""Erasure, the log, options, copies, secrets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from loci.ports import Lent
from loci.testing.conformance.scene import DAY, NOW, OpenStore, embed, expect_missing, log, put, row_counts, seen_at, tell, texts_with
from loci.testing.embedder import HashEmbedder
from loci.types import Scope


def what_is_removed_is_gone_with_all_that_rested_on_it(open_store: OpenStore) -> None:
    store, embedder = open_store(), HashEmbedder()
    with store.write(NOW) as tx:
        put(store, tx, "m0", "I live in Porto", user="ana", session="s", claims=[("ana", "residence", "porto")])
        put(store, tx, "m1", "the zyxquokker is in Lisbon", NOW + DAY, user="ana", session="t", claims=[("ana", "residence", "lisbon")])
        tx.close_claims("m0", ("ana", "residence"), "m1", NOW + DAY)
        tx.close("m0", NOW + DAY, "moved to the zyxquokker", "m1")
        tx.link("m1", "m0", "supersedes", "moved to the zyxquokker")
        number = tx.generation(embedder.name, 64)
        embed(tx, number, embedder, tx.lease("embed", "w", NOW + DAY, 9, number))
        tx.promote(number)
        log(tx)
    with store.write(NOW + 2 * DAY) as tx:
        for by, value, expected in (("memory", "m1", ["m1-source"]), ("source", "m1-source", ["m1-source"]), ("session", "t", ["m1-source"]), ("user", "ana", ["m0-source", "m1-source"]), ("user", "nobody", [])):  # fmt: skip
            assert tx.quoting(by, value) == expected
        for scope, expected in ((Scope(store.cube, "ana", None, "t"), ["m1-source"]), (Scope(store.cube, "ana", "bot"), []), (Scope(store.cube), ["m0-source", "m1-source"])):  # fmt: skip
            assert tx.said_in(scope) == expected
        gone = store.source("m1-source")
        removed = tx.remove(["m1-source"])
        assert removed.counts["sources"] == removed.counts["memories"] == 1 and removed.memories == ("m1",)
        log(tx)
    assert store.scrub([gone]) > 0
    expect_missing(lambda: store.history("m1"))
    expect_missing(lambda: store.source("m1-source"))
    (kept,) = store.history("m0")
    assert kept.valid.end is None and "zyxquokker" not in kept.reason + kept.ending and kept.claims[0].closed_by is None
    assert store.links("m0") == [] and not texts_with(store, "zyxquokker") and not store.faults()[1]
    assert [m.id for m in store.select(seen_at(NOW + 9 * DAY), 9)] == ["m0"]
    with store.write(NOW + 3 * DAY) as tx:
        tx.remove(tx.quoting("user", "ana"))
        log(tx)
    store.scrub()
    assert store.is_empty() and {t: n for t, n in row_counts(store).items() if n} == {"audit": 3} and not store.faults()[1]


def the_log_is_a_chain_and_can_be_asked(open_store: OpenStore) -> None:
    store = open_store()
    for n, verb in enumerate(("add", "update", "add", "forget")):
        with store.write(NOW + n * DAY) as tx:
            tx.audit("owner", verb, f"m{n}", {"count": n})
    every = store.records(None, None, None, None, 99)
    assert [(r.seq, r.verb, r.object, r.detail, r.at) for r in every] == [
        (n + 1, verb, f"m{n}", {"count": n}, NOW + n * DAY) for n, verb in enumerate(("add", "update", "add", "forget"))
    ]
    assert len({r.hash for r in every}) == 4
    assert [r.object for r in store.records(None, None, "add", None, 9)] == ["m0", "m2"]
    assert [r.verb for r in store.records(None, None, None, "m1", 9)] == ["update"]
    assert [r.object for r in store.records(NOW + DAY, NOW + 3 * DAY, None, None, 9)] == ["m1", "m2"], "since is in, until is out"
    assert [r.object for r in store.records(None, None, None, None, 2)] == ["m2", "m3"], "the newest, oldest first"
    with store.write(NOW + 4 * DAY) as tx:
        tx.audit("owner", "read", "m0", {"verb": "search", "memories": ["m0"]})
        tx.audit("scheduler", "read", "s0", {"memories": ["m0"]})
    assert [r.object for r in store.records(None, None, None, None, 2)] == ["m0", "s0"]
    assert [r.object for r in store.records(None, None, None, None, 2, changes=True)] == ["m3", "s0"], "who looked is no change"


def a_log_goes_on_from_a_head_that_was_kept(open_store: OpenStore) -> None:
    store, other = open_store("one"), open_store("other")
    first = store.head()
    assert (first.cube, first.id, first.seq, first.at, first.hash) == (store.cube, store.id, 0, None, "")
    for cube in (store, other):
        for n in range(2):
            with cube.write(NOW + n * DAY) as tx:
                tx.audit("owner", "add", f"m{n}", {})
    kept, last = store.head(), store.records(None, None, None, None, 1)[0]
    assert (kept.seq, kept.at, kept.hash) == (last.seq, last.at, last.hash) == (2, NOW + DAY, last.hash)
    with store.write(NOW + 2 * DAY) as tx:
        tx.audit("owner", "add", "m2", {})
        tx.audit("owner", "add", "m3", {})
    assert store.head().seq == 4
    for head in (first, kept, store.head()):
        assert store.faults(head)[1] == [], "more of the log is no fault"
    for head in (replace(kept, hash=other.head().hash), replace(kept, seq=3), replace(kept, seq=5)):
        faults = store.faults(head)[1]
        assert [fault.where for fault in faults] == ["audit log"], "of another log, or longer than this one"
    assert store.faults()[1] == []


def a_cube_keeps_what_it_was_told_for_itself(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    assert store.options() == {}
    with store.write(NOW) as tx:
        tx.set_option("quota", "5")
        tx.set_option("secrets", "refuse")
        assert store.options() == {"quota": "5", "secrets": "refuse"} and other.options() == {}, "for others, after the commit"
    assert store.options() == other.options() == {"quota": "5", "secrets": "refuse"}
    with other.write(NOW) as tx:
        tx.set_option("quota", "6")
        tx.set_option("secrets", None)
        tx.set_option("never set", None)
    assert store.options() == other.options() == {"quota": "6"}, "what another has changed is seen at once"
    try:
        with store.write(NOW) as tx:
            tx.set_option("quota", "7")
            raise RuntimeError
    except RuntimeError:
        pass
    assert store.options() == other.options() == open_store().options() == {"quota": "6"}


def what_is_lent_is_known_until_it_is_taken_back(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for name, size in (("b", 0), ("a", 5), ("b", 7)):
            tx.lend(Lent(name, "llamacpp http://127.0.0.1:8080", size))
        log(tx)
    assert [(lent.name, lent.bytes) for lent in store.lent()] == [("a", 5), ("b", 7)], "under a name there is one"
    with store.write(NOW) as tx:
        tx.take_back(["a", "never lent"])
        log(tx)
    assert [(lent.name, lent.server) for lent in open_store().lent()] == [("b", "llamacpp http://127.0.0.1:8080")]


def a_copy_is_a_cube_of_its_own(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m0", "the kettle is blue")
    with TemporaryDirectory() as folder:
        target = Path(folder) / "copy"
        store.copy(target)
        assert target.exists()
    tell(store, "m1", "the kettle is green")
    assert len(store.select(seen_at(), 9)) == 2 and not store.faults()[1]


def two_cubes_have_two_secrets(open_store: OpenStore) -> None:
    first, second = open_store("first"), open_store("second")
    assert first.hash("kettle") == first.hash("kettle") == open_store("first").hash("kettle")
    assert first.hash("kettle") != second.hash("kettle") and first.id != second.id
    assert first.hash("a", "b") != first.hash("ab") != first.hash("a", None)
    tell(first, "m", "the kettle is blue")
    assert second.is_empty() and second.select(seen_at(), 9) == []
    expect_missing(lambda: second.history("m"))

"""What a store promises of activation memory: it goes with its sources, and a name finds what holds it furthest."""

from __future__ import annotations

from collections.abc import Sequence

from loci.ports import Store
from loci.ports.engine import Page
from loci.testing.conformance.scene import DAY, NOW, OpenStore, expect_missing, log, tell


def _pages(*chains: str) -> list[Page]:
    return [Page(chain, f"{chain}-file", 10, 64) for chain in chains]


def _build(store: Store, id: str, number: int, sources: Sequence[str], *chains: str) -> None:
    with store.write(NOW) as tx:
        tx.put_payload(id, number, f"manifest {number}", sources, _pages(*chains))
        log(tx)


def what_was_built_is_there_until_it_is_dropped(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    _build(store, "k", 1, ["m-source"], "a", "b")
    row = store.payload("k")
    assert (row.id, row.number, row.manifest, row.uses, row.last_used) == ("k", 1, "manifest 1", 0, None)
    assert [(r.id, r.manifest) for r in store.payloads()] == [("k", "")] and store.page_files() == {"a-file", "b-file"}
    with store.write(NOW) as tx:
        assert tx.drop_payloads(["k", "nobody"]) == 1
        log(tx)
    assert store.payloads() == [] and store.page_files() == set() and store.holding(["a"]) is None
    expect_missing(lambda: store.payload("k"))


def a_further_version_takes_the_place_and_keeps_the_uses(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    _build(store, "k", 1, ["m-source"], "a")
    with store.write(NOW + DAY) as tx:
        assert tx.use({"k": 3, "m": 1}, NOW + DAY) == ["m"]
        log(tx)
    _build(store, "k", 2, ["m-source"], "c")
    row = store.payload("k")
    assert (row.number, row.uses, row.last_used) == (2, 3, NOW + DAY) and store.page_files() == {"c-file"}


def a_name_finds_what_holds_it_furthest(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")
    _build(store, "k", 1, ["m-source"], "a", "b")
    _build(store, "n", 1, ["m-source"], "a", "b", "c")
    found = store.holding(["a", "b", "c", "d"])
    assert found is not None and (found.id, found.manifest) == ("n", "manifest 1")
    assert store.holding(["x"]) is None and store.holding([]) is None


def what_was_built_of_a_source_goes_with_it(open_store: OpenStore) -> None:
    store = open_store()
    for id in ("m", "n"):
        tell(store, id, f"the kettle of {id}")
    _build(store, "one", 1, ["m-source"], "a")
    _build(store, "both", 1, ["m-source", "n-source"], "a", "b")
    with store.write(NOW) as tx:
        assert tx.remove(["n-source"]).counts["activations"] == 1
        assert store.page_files() == {"a-file"}, "seen inside the transaction"
        log(tx)
    store.scrub()
    assert [row.id for row in store.payloads()] == ["one"]


def what_a_memory_quotes_finds_what_was_built_of_it(open_store: OpenStore) -> None:
    store = open_store()
    for id in ("m", "n", "o"):
        tell(store, id, f"the kettle of {id}")
    _build(store, "both", 1, ["m-source", "n-source"], "a")
    _build(store, "one", 3, ["m-source"], "b")
    found = {id: [row.id for row in store.payloads([id])] for id in ("m", "n", "o", "nobody")}
    assert found == {"m": ["both", "one"], "n": ["both"], "o": [], "nobody": []}
    assert [row.id for row in store.payloads(["n", "m"])] == ["both", "one"] and store.payloads([]) == []
    assert store.payload_numbers() == {"both": 1, "one": 3}


def nothing_is_built_of_a_source_that_is_gone(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "the kettle is blue")

    def attempt() -> None:
        with store.write(NOW) as tx:
            tx.put_payload("k", 1, "manifest", ["m-source", "gone"], _pages("a"))

    expect_missing(attempt)
    assert store.payloads() == [] and store.page_files() == set()

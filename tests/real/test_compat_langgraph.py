"""LangGraph's store over a cube, held against LangGraph's own `InMemoryStore`: the same operations, the same answers. The packages carry no conformance
suite for stores (`langgraph-checkpoint-conformance` examines savers), so that one is the contract."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import pytest

pytest.importorskip("langgraph.graph", reason="LangGraph is not installed: pip install 'langgraph>=1.2,<2'")
pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore, GetOp, InvalidNamespaceError, Item, ListNamespacesOp, MatchCondition, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore
from served import Server, serving

import loci
from loci import MemOS, State
from loci.compat.langgraph import LociStore
from loci.errors import Denied, Invalid, Missing, TooLarge
from loci.system import Cube, System
from loci.types import Trust

NUMBERS = itertools.count()
HOME = ("memories", "alice")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("open") / "vault", "--open") as running:
        yield running


@pytest.fixture(params=["folder", "server"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """The same tests on a vault in a folder, and on one behind a server."""
    if request.param == "folder":
        with MemOS.open(tmp_path / "vault", embedder="none") as opened:
            yield opened
    else:
        with loci.connect(request.getfixturevalue("server").url) as opened:
            yield opened


@pytest.fixture
def cube(memory: System) -> Cube:
    return memory.cube(f"c{next(NUMBERS)}")


@pytest.fixture
def store(cube: Cube) -> LociStore:
    return LociStore(cube)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with MemOS.open(tmp_path_factory.mktemp("both") / "vault", embedder="none") as opened:
        yield opened


def said(found: Any) -> Any:
    """An answer without times and order, which stores may choose."""
    if isinstance(found, Item):
        return (found.namespace, found.key, found.value)
    if isinstance(found, list):
        return sorted((said(one) for one in found), key=repr)
    return found


# -- beside InMemoryStore ---------------------------------------------------------------------------------------------------

LABELS = st.sampled_from(["a", "b", "Ä /%", "*", "_"])
NAMESPACES = st.lists(LABELS, min_size=1, max_size=3).map(tuple)
PREFIXES = st.lists(LABELS, max_size=2).map(tuple)
KEYS = st.sampled_from(["k", "*", "a.b", "ü/ $x", ""])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text('xyz ß\n"\\.{}', max_size=6)
INNER = st.recursive(
    SCALARS, lambda deeper: st.lists(deeper, max_size=2) | st.dictionaries(st.sampled_from("pq$"), deeper, max_size=2), max_leaves=4
)
VALUES = st.dictionaries(st.sampled_from(["n", "s", "text", "deep"]), INNER, max_size=3)
ORDERS = st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$ne", "$eq"]), st.integers(-3, 3), min_size=1, max_size=2)
FILTERS = st.none() | st.dictionaries(st.sampled_from(["n", "s", "text", "deep"]), INNER, max_size=2)
CONDITIONS = st.lists(
    st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), st.lists(LABELS, min_size=1, max_size=2).map(tuple)), max_size=2
).map(tuple)
LOOKS = (
    st.builds(lambda namespace, key: GetOp(namespace, key), NAMESPACES, KEYS)
    | st.builds(lambda prefix, filter: SearchOp(prefix, filter, limit=1000), PREFIXES, FILTERS)
    | st.builds(lambda conditions, depth: ListNamespacesOp(conditions, depth, 1000), CONDITIONS, st.none() | st.integers(1, 3))
)
PUTS = st.builds(lambda namespace, key, value: PutOp(namespace, key, value), NAMESPACES, KEYS, st.none() | VALUES)
OPERATIONS = st.lists(st.lists(PUTS | LOOKS, max_size=4), max_size=8)


def is_answered(filter: dict[str, Any] | None) -> bool:
    """Whether the other store has an answer: it raises for operators that are none, and we do too."""
    return "$" not in repr(filter)


def without_ghosts(store: InMemoryStore) -> InMemoryStore:
    """The same items in a store that never held others: it lists namespaces in which nothing is any more, or was only asked for."""
    other = InMemoryStore()
    other.batch([PutOp(item.namespace, item.key, item.value) for item in store.search((), limit=1000)])
    return other


@settings(max_examples=40, deadline=None)
@given(OPERATIONS, st.lists(LOOKS, max_size=6))
def test_the_same_operations_give_the_same_answers(vault: System, batches: list[list[Any]], looks: list[Any]) -> None:
    theirs, ours = InMemoryStore(), LociStore(vault.cube(f"h{next(NUMBERS)}"))
    for batch in [*batches, looks]:
        asked = [op for op in batch if not isinstance(op, SearchOp) or is_answered(op.filter)]
        expected = [None if isinstance(op, PutOp) else without_ghosts(theirs).batch([op])[0] for op in asked]
        for op, their, our in zip(asked, expected, ours.batch(asked), strict=True):
            assert (their == our) if isinstance(op, ListNamespacesOp) else (said(their) == said(our)), op
        theirs.batch(asked)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 3) | st.floats(-2, 2) | st.booleans(), min_size=1, max_size=5), ORDERS)
def test_comparisons_are_the_same(vault: System, numbers: list[float], asked: dict[str, int]) -> None:
    theirs, ours = InMemoryStore(), LociStore(vault.cube(f"h{next(NUMBERS)}"))
    puts = [PutOp(("a",), str(place), {"n": number}) for place, number in enumerate(numbers)]
    theirs.batch(puts)
    ours.batch(puts)
    assert said(theirs.search(("a",), filter={"n": asked})) == said(ours.search(("a",), filter={"n": asked}))


def test_what_has_no_order_does_not_pass(store: LociStore) -> None:
    """Where the other store raises `ValueError`: Postgres' answers."""
    store.put(("a",), "old", {"day": "2024-01-31"})
    store.put(("a",), "new", {"day": "2025-03-01"})
    store.put(("a",), "none", {"other": 1})
    assert [item.key for item in store.search(("a",), filter={"day": {"$gt": "2024-12-01"}})] == ["new"]
    assert store.search(("a",), filter={"day": {"$gt": 3}}) == []
    with pytest.raises(Invalid, match=r"\$near"):
        store.search(("a",), filter={"day": {"$near": 3}})


def test_pages_are_what_is_there_each_once(store: LociStore) -> None:
    store.batch([PutOp((f"n{place % 3}", "x"), f"k{place}", {"place": place}) for place in range(25)])
    found = [item.key for offset in range(0, 30, 7) for item in store.search((), limit=7, offset=offset)]
    assert sorted(found) == sorted(f"k{place}" for place in range(25))
    assert [item.value["place"] for item in store.search((), filter={"place": {"$gte": 20}}, limit=3, offset=1)] == [21, 22, 23]
    assert store.list_namespaces(prefix=("*", "x"), limit=2) == [("n0", "x"), ("n1", "x")]
    assert store.list_namespaces(suffix=("x",), max_depth=1, offset=1) == [("n1",), ("n2",)]
    assert store.search((), limit=0) == []
    with pytest.raises(Invalid, match="less than 0"):
        store.search((), offset=-1)


def test_what_is_put_between_two_pages_moves_nothing(store: LociStore) -> None:
    for place in range(5):
        store.put(("n",), f"k{place}", {"place": place})
    first = store.search(("n",), limit=3)
    store.put(("n",), "k5", {"place": 5})
    store.put(("n",), "k0", {"place": 0, "again": True})
    rest = store.search(("n",), limit=9, offset=3)
    assert [item.key for item in (*first, *rest)] == [f"k{place}" for place in range(6)], (
        "oldest first, and a further version stays where it was"
    )


@pytest.mark.parametrize("namespace", [(), ("a.b",), ("",), ("langgraph", "x"), (1,), ("a\0",)])
def test_a_namespace_that_is_none_is_refused_as_there(store: LociStore, namespace: Any) -> None:
    with pytest.raises(InvalidNamespaceError):
        InMemoryStore().put(namespace, "k", {})
    with pytest.raises(InvalidNamespaceError):
        store.put(namespace, "k", {})
    assert store.search(()) == []


def test_a_batch_of_a_namespace_with_a_full_stop_is_refused(store: LociStore) -> None:
    store.put(("a", "b"), "k", {"v": 1})
    for op in (GetOp(("a.b",), "k"), PutOp(("a.b",), "k", None), PutOp((), "k", {}), SearchOp(("a.b",))):
        with pytest.raises(InvalidNamespaceError):
            store.batch([op])
    assert store.get(("a", "b"), "k") is not None


@pytest.mark.parametrize("value", [{"v": {1, 2}}, {"v": float("nan")}, {"v": "\ud800"}, {"v": object()}])
def test_what_is_no_json_is_refused_and_nothing_of_its_batch_is_stored(store: LociStore, value: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"JSON|surrogate"):
        store.batch([PutOp(HOME, "good", {"v": 1}), PutOp(HOME, "bad", value)])
    assert store.search(()) == []


def test_names_too_long_are_refused(store: LociStore) -> None:
    with pytest.raises(TooLarge, match="1,000"):
        store.put(HOME, "k" * 1001, {"v": 1})
    with pytest.raises(TooLarge, match="1,000"):
        store.put(("n" * 1001,), "k", {"v": 1})


# -- what is kept -----------------------------------------------------------------------------------------------------------


def test_a_put_is_a_further_version_and_the_past_stays(cube: Cube, store: LociStore) -> None:
    store.put(HOME, "city", {"text": "Alice lives in Porto."})
    first = store.get(HOME, "city")
    then = datetime.now(UTC)
    store.put(HOME, "city", {"text": "Alice lives in Lisbon."})
    now = store.get(HOME, "city")
    assert first is not None and now is not None and now.value == {"text": "Alice lives in Lisbon."}
    assert first.created_at == first.updated_at == now.created_at < now.updated_at
    store.put(HOME, "city", {"text": "Alice lives in Lisbon."})
    (held,) = cube.list()
    assert [version.text for version in {one.version: one for one in cube.history(held.id)}.values()] == [
        '{"text": "Alice lives in Porto."}', '{"text": "Alice lives in Lisbon."}',
    ]  # fmt: skip
    assert cube.list(known_at=then)[0].text == '{"text": "Alice lives in Porto."}'


def test_no_item_ends_another_whatever_it_says(cube: Cube) -> None:
    store = LociStore(cube, index={"fields": ["text"]})
    cities = ["Porto", "Lisbon", "Rome", "Rome"]
    for day in ("Monday", "Friday"):
        for place, city in enumerate(cities):
            store.put(HOME, str(place), {"text": f"I live in {city}. Actually, I moved to {city} on {day}. My name is {city}.", "day": day})
    assert [item.value["text"].split()[3] for item in store.search(HOME)] == [f"{city}." for city in cities]
    assert {memory.origin.trust for memory in cube.list()} == {Trust.REPORTED} and not any(memory.claims for memory in cube.list())


def test_values_come_back_whole(store: LociStore) -> None:
    deep: Any = "bottom"
    for _ in range(40):
        deep = {"$down": [deep]}
    values = {"deep": deep, "long": "word " * 60_000, "text": 'quote " and \\ and\nline', "numbers": [0, -1.5, True, None, 10**30], "": {}}
    for index in (None, False, ["text"]):
        store.put(HOME, "k", values, index=index)
        found = store.get(HOME, "k")
        assert found is not None and found.value == values
    store.put(HOME, "k", {})
    found = store.get(HOME, "k")
    assert found is not None and found.value == {}


def test_what_is_deleted_is_gone_from_reads_and_can_be_brought_back(cube: Cube, store: LociStore) -> None:
    store.put(HOME, "k", {"text": "tea"})
    (held,) = cube.list()
    store.delete(HOME, "k")
    store.delete(HOME, "never")
    assert store.get(HOME, "k") is None and store.search((), query="tea") == [] and store.list_namespaces() == []
    assert cube.get(held.id).state is State.EXPIRED
    store.put(HOME, "k", {"text": "coffee"})
    assert [item.value for item in store.search(())] == [{"text": "coffee"}]
    store.delete(HOME, "k")
    cube.restore(held.id)
    found = store.get(HOME, "k")
    assert found is not None and found.value == {"text": "tea"}


def test_a_store_that_erases_destroys(cube: Cube) -> None:
    store = LociStore(cube, erases=True)
    store.put(HOME, "k", {"text": "tea"})
    store.put(HOME, "other", {"text": "coffee"})
    gone = next(memory.id for memory in cube.list() if "tea" in memory.text)
    store.delete(HOME, "k")
    with pytest.raises(Missing):
        cube.history(gone)
    assert [item.key for item in store.search(())] == ["other"]


def test_other_memories_of_the_cube_are_no_items(cube: Cube, store: LociStore) -> None:
    cube.add("I like tea.", session="memories.alice")
    cube.add("I like coffee.", metadata={"langgraph_key": "k", "langgraph_namespace": "spoofed"})
    store.put(HOME, "k", {"text": "I like milk."})
    assert [item.key for item in store.search((), query="like")] == ["k"] and store.list_namespaces() == [HOME]


def test_words_changed_at_another_door_are_the_value(cube: Cube, store: LociStore) -> None:
    store.put(HOME, "k", {"text": "tea"})
    cube.update(cube.list()[0].id, "She likes coffee.")
    found = store.get(HOME, "k")
    assert found is not None and found.value == {"text": "She likes coffee."}


# -- searching --------------------------------------------------------------------------------------------------------------

FACTS = {"tea": "She drinks green tea in the morning.", "dog": "Her dog is called Bruno.", "job": "She works at a museum of clocks."}


def test_a_query_ranks_with_scores_and_the_rest_follows_without(store: LociStore) -> None:
    for key, text in FACTS.items():
        store.put(HOME, key, {"text": text})
    store.put(HOME, "hidden", {"text": "Her dog is old."}, index=False)
    store.put(("memories", "bob"), "dog", {"text": "His dog is called Rex."})
    first, *rest = store.search(HOME, query="What is the name of her dog?")
    assert first.key == "dog" and first.score is not None and 0 < first.score <= 1
    assert {item.key for item in rest} == {"tea", "job", "hidden"}
    assert next(item for item in rest if item.key == "hidden").score is None
    (second,) = store.search(HOME, query="What is the name of her dog?", limit=1, offset=1)
    assert second.key == rest[0].key
    assert [item.key for item in store.search(HOME, query="dog", filter={"text": FACTS["job"]})] == ["job"]


def test_fields_say_what_is_searched(cube: Cube) -> None:
    with pytest.warns(UserWarning, match="dims and embed"):
        store = LociStore(cube, index={"dims": 8, "embed": len, "fields": ["memory", "notes[*].words"]})
    store.put(HOME, "k", {"memory": "green tea", "notes": [{"words": "in the morning"}, {"words": "with milk"}], "secret": "elephant"})
    store.put(HOME, "bare", {"secret": "elephant"})
    assert sorted(memory.text for memory in cube.list()) == ["green tea\nin the morning\nwith milk", '{"secret": "elephant"}']
    assert [item.score for item in store.search(HOME, query="elephant")] == [None, None]
    best, other = store.search(HOME, query="milk")
    assert (best.key, best.value["secret"], other.score) == ("k", "elephant", None) and best.score is not None


# -- whose, and who may ------------------------------------------------------------------------------------------------------


def test_what_is_put_below_a_user_is_theirs(cube: Cube) -> None:
    store = LociStore(cube, users=("memories", "{langgraph_user_id}"))
    for user in ("alice", "bob"):
        store.put(("memories", user), "k", {"text": f"{user} likes tea"})
        store.put(("memories", user, "work"), "k", {"text": f"{user} sells tea"})
    store.put(("shared",), "k", {"text": "tea is sold here"})
    assert [memory.scope.user for memory in cube.list()] == ["alice", "alice", "bob", "bob", None]
    assert {item.namespace[1] for item in store.search(HOME, query="tea")} == {"alice"}
    cube.erase(user="alice")
    assert store.search(HOME) == [] and store.get((*HOME, "work"), "k") is None
    assert store.list_namespaces() == [("memories", "bob"), ("memories", "bob", "work"), ("shared",)]
    assert store.list_namespaces(prefix=("*", "bob"), max_depth=2) == [("memories", "bob")]
    with pytest.raises(Invalid, match="users"):
        LociStore(cube, users=("memories", "alice"))


def test_a_key_for_one_user_reaches_no_other(tmp_path: Path) -> None:
    form = ("memories", "{langgraph_user_id}")
    with MemOS.open(tmp_path / "vault", embedder="none") as opened:
        LociStore(opened.cube("notes"), users=form).put(("memories", "bob"), "k", {"text": "bob's"})
        opened.grant("app", "curator", cube="notes", user="alice")
        secret = opened.issue_key("app")[1]
    with serving(tmp_path / "vault") as running, loci.connect(running.url, secret) as remote:
        store = LociStore(remote.cube("notes"), users=form)
        store.put(HOME, "k", {"text": "hers"})
        store.put(HOME, "k", {"text": "still hers"})
        assert [item.value for item in store.search(HOME, query="hers")] == [{"text": "still hers"}]
        assert store.list_namespaces(prefix=HOME) == [HOME]
        for refused in (
            lambda: store.get(("memories", "bob"), "k"),
            lambda: store.search(()),
            lambda: store.put(("memories", "bob"), "k", {}),
        ):
            with pytest.raises(Denied):
                refused()


# -- time to live ------------------------------------------------------------------------------------------------------------


def test_an_item_ends_and_reading_it_lengthens_its_life(cube: Cube) -> None:
    store = LociStore(cube, ttl={"default_ttl": 0.05})  # three seconds
    store.put(HOME, "read", {"v": 1})
    store.put(HOME, "left", {"v": 1})
    store.put(HOME, "kept", {"v": 1}, ttl=None)
    ends = {memory.metadata["langgraph_key"]: memory.expires for memory in cube.list()}
    time.sleep(1)
    assert store.get(HOME, "left", refresh_ttl=False) is not None and store.get(HOME, "read") is not None
    time.sleep(2.5)
    assert store.get(HOME, "left") is None and [item.key for item in store.search(HOME, refresh_ttl=False)] == ["read", "kept"]
    after = {memory.metadata["langgraph_key"]: memory.expires for memory in cube.list()}
    assert ends["kept"] is None is after["kept"] and ends["read"] is not None and after["read"] is not None and after["read"] > ends["read"]
    store.put(HOME, "read", {"v": 2}, ttl=None)
    assert {memory.expires for memory in cube.list()} == {None}
    with pytest.raises(Invalid, match="minutes"):
        store.put(HOME, "bad", {"v": 1}, ttl=float("nan"))


# -- together ----------------------------------------------------------------------------------------------------------------


def test_what_was_put_is_there_when_the_vault_is_opened_again(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "vault", embedder="none") as opened:
        LociStore(opened.cube("notes")).put(HOME, "k", {"text": "tea"})
    with MemOS.open(tmp_path / "vault", embedder="none") as opened:
        found = LociStore(opened.cube("notes")).get(HOME, "k")
        assert found is not None and found.value == {"text": "tea"} and found.namespace == HOME


def test_threads_that_put_one_key_leave_one_item(cube: Cube, store: LociStore) -> None:
    def work(name: int) -> None:
        for turn in range(5):
            store.put(HOME, "shared", {"by": name, "turn": turn})
            store.put(HOME, f"own{name}", {"turn": turn})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {item.key: item.value["turn"] for item in store.search(HOME)}
    assert found == {"shared": 4, **{f"own{name}": 4 for name in range(4)}} and len(cube.list()) == 5


def test_of_two_first_puts_at_once_the_last_holds_and_a_delete_takes_both(
    cube: Cube, store: LociStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(HOME, "k", {"by": 1})
    other = LociStore(cube)
    with monkeypatch.context() as patch:  # what another process sees that looked before the first put was stored
        patch.setattr(other, "_known", lambda *_: [])
        other.put(HOME, "k", {"by": 2})
    found = store.get(HOME, "k")
    assert found is not None and found.value == {"by": 2}
    store.delete(HOME, "k")
    assert store.get(HOME, "k") is None and store.search(()) == []


def test_the_awaited_ones_are_the_same(store: LociStore) -> None:
    async def walk() -> None:
        await asyncio.gather(*(store.aput(HOME, str(place), {"place": place}) for place in range(6)))
        assert (await store.aget(HOME, "3")).value == {"place": 3}  # type: ignore[union-attr]
        await store.adelete(HOME, "3")
        assert {item.key for item in await store.asearch(HOME, filter={"place": {"$gte": 2}})} == {"2", "4", "5"}
        assert await store.alist_namespaces() == [HOME]

    asyncio.run(walk())


class Talk(TypedDict):
    user: str
    said: str
    answer: str


def graph(store: BaseStore) -> Any:
    def remember(state: Talk, runtime: Runtime[None]) -> dict[str, str]:
        assert runtime.store is not None
        runtime.store.put(("memories", state["user"]), state["said"][:20], {"text": state["said"]})
        return {}

    async def recall(state: Talk, runtime: Runtime[None]) -> dict[str, str]:
        assert runtime.store is not None
        found = await runtime.store.asearch(("memories", state["user"]), query=state["said"], limit=2)
        return {"answer": "; ".join(sorted(item.value["text"] for item in found))}

    made = StateGraph(Talk).add_node("remember", remember).add_node("recall", recall)
    return made.add_edge(START, "remember").add_edge("remember", "recall").add_edge("recall", END).compile(store=store)


def test_a_graph_is_compiled_with_it(store: LociStore) -> None:
    app = graph(store)
    for user, words in (("ana", "I like tea."), ("ben", "I like beer.")):
        asyncio.run(app.ainvoke({"user": user, "said": words, "answer": ""}))
    answer = asyncio.run(app.ainvoke({"user": "ana", "said": "What tea do I like?", "answer": ""}))["answer"]
    assert answer == "I like tea.; What tea do I like?"

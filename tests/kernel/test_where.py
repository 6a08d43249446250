"""Filters by what is kept with memories: every operator against a second, plain reading of the language; before anything is ranked; and nothing
that is no filter is taken for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.conftest import open_memory

from loci.errors import Invalid, TooLarge
from loci.interface.filters import where_of
from loci.system import Cube
from loci.testing import ManualClock

KEYS = ("a", "b", "'; DROP TABLE contents; --")
TEXTS = ("", "x", "X", "xy", "Straße", "1", "*", "%", "_", "' OR 1=1 --", '"', "\\", "\0", "null")
scalars = st.one_of(st.sampled_from(TEXTS), st.integers(-2, 2), st.sampled_from([0.5, 1.0, -0.0]), st.booleans(), st.none())
objects = st.dictionaries(st.sampled_from(KEYS), st.one_of(scalars, st.lists(scalars, max_size=3), st.just({"n": 1})), max_size=3)
one = st.one_of(
    scalars.filter(lambda v: v != "*"),
    st.just("*"),
    st.dictionaries(st.sampled_from(["eq", "ne"]), scalars, min_size=1),
    st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), st.one_of(st.integers(-2, 2), st.sampled_from(TEXTS)), min_size=1),
    st.dictionaries(st.sampled_from(["in", "nin"]), st.lists(scalars, max_size=3), min_size=1),
    st.dictionaries(st.sampled_from(["contains", "icontains"]), st.sampled_from(TEXTS), min_size=1),
)
leaves = st.dictionaries(st.sampled_from(KEYS), one, min_size=1, max_size=2)
filters = st.recursive(
    leaves, lambda inner: st.dictionaries(st.sampled_from(["AND", "OR", "NOT"]), st.lists(inner, min_size=1, max_size=3), min_size=1), max_leaves=6
)  # fmt: skip


def kind(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


def says(filters: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    """The language once more, as plainly as can be."""
    return all(_says(key, wanted, kept) for key, wanted in filters.items())


def _says(key: str, wanted: Any, kept: Mapping[str, Any]) -> bool:
    if key == "AND":
        return all(says(part, kept) for part in wanted)
    if key == "OR":
        return any(says(part, kept) for part in wanted)
    if key == "NOT":
        return not any(says(part, kept) for part in wanted)
    if not isinstance(wanted, dict):
        wanted = {"any": None} if wanted == "*" else {"eq": wanted}
    return all(_passes(operator, value, key, kept) for operator, value in wanted.items())


def _passes(operator: str, value: Any, key: str, kept: Mapping[str, Any]) -> bool:
    if operator in ("ne", "nin"):
        return not _passes({"ne": "eq", "nin": "in"}[operator], value, key, kept)
    if key not in kept:
        return False
    entries = kept[key] if isinstance(kept[key], list) else [kept[key]]
    if operator == "any":
        return True
    if operator == "in":
        return any(kind(e) == kind(v) and e == v for e in entries for v in value)
    alike = [e for e in entries if kind(e) == kind(value) and not isinstance(e, dict)]
    return any(
        {
            "eq": lambda e: e == value, "gt": lambda e: e > value, "gte": lambda e: e >= value, "lt": lambda e: e < value,
            "lte": lambda e: e <= value, "contains": lambda e: value in e, "icontains": lambda e: value.casefold() in e.casefold(),
        }[operator](e)
        for e in alike
    )  # fmt: skip


@given(filters, st.lists(objects, min_size=1, max_size=4))
@example({"a": {"gte": 1}}, [{"a": 0}, {"a": 1}, {"a": 2}, {"a": True}])
@example({"a": {"lte": 1}}, [{"a": 0}, {"a": 1}, {"a": 2}, {"a": True}])
@example({"a": {"gt": 1}}, [{"a": 0}, {"a": 1}, {"a": 2}, {"a": "2"}])
@example({"a": {"lt": 1}}, [{"a": 0}, {"a": 1}, {"a": 2}, {"a": None}])
@settings(max_examples=400)
def test_a_filter_means_what_it_says(asked: dict[str, Any], all_kept: list[dict[str, Any]]) -> None:
    where = where_of(asked)
    assert where is not None
    assert [where.holds(kept) for kept in all_kept] == [says(asked, kept) for kept in all_kept]


KEPT: list[dict[str, Any]] = [
    {}, {"a": 1}, {"a": True}, {"a": "1"}, {"a": ["x", 1]}, {"a": "xy", "b": "X"}, {"b": None}, {"a": {"n": 1}},
    {KEYS[2]: "' OR 1=1 --"}, {"a": "*", "b": "%"},
]  # fmt: skip


@pytest.fixture(scope="module")
def kettles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cube]:
    with open_memory(tmp_path_factory.mktemp("v")) as memory:
        for number, metadata in enumerate(KEPT):
            memory.cube("c").add(f"Kettle number {number} is blue.", user="ana", metadata=metadata)
        yield memory.cube("c")


@given(filters)
def test_the_store_lets_through_what_the_filter_holds_of(kettles: Cube, asked: dict[str, Any]) -> None:
    expected = [n for n, metadata in enumerate(KEPT) if says(asked, metadata)]
    assert [int(m.text.split()[2]) for m in kettles.list(where=asked)] == expected
    found = kettles.search("Which kettle is blue?", where=asked, limit=50)
    assert sorted(int(h.memory.text.split()[2]) for h in found.hits) == expected


def test_it_narrows_before_ranking_and_follows_changes(cube: Cube, clock: ManualClock) -> None:
    for number in range(60):
        cube.add(f"The kettle in room {number} is blue and boils water for tea.", user="ana", metadata={"n": number})
    id = cube.add("A kettle.", user="ana", metadata={"n": 1000}).ids[0]
    asked = {"n": {"gte": 500}}
    assert cube.search("Which kettle in which room is blue and boils water?", user="ana", limit=1, where=asked).ids == (id,)
    before = clock.now()
    clock.advance(days=1)
    cube.update(id, metadata={"n": 0})
    assert cube.search("kettle", user="ana", where=asked).hits == () and cube.list(where=asked) == []
    assert [m.id for m in cube.list(where=asked, as_of=before)] == [id]
    assert [m.id for m in cube.list(where={"n": 59})] == [cube.list()[59].id]


def test_the_header_is_asked_by_names_that_no_metadata_has(cube: Cube, clock: ManualClock) -> None:
    first = cube.add("I like figs.", user="ana", session="s1", metadata={"user": "bea", "at": "2030"}).ids[0]
    clock.advance(days=2)
    second = cube.add("I like plums. My sister Ada likes every kind of pear there is.", user="bea", agent="bot").ids
    ids = {m.id for m in cube.list()}
    for asked, expected in (
        ({"$user": "ana"}, {first}), ({"user": "bea"}, {first}), ({"$user": {"ne": "ana"}}, ids - {first}), ({"$agent": "*"}, set(second)),
        ({"$session": {"icontains": "S"}}, {first}), ({"$speaker": {"in": ["bea", "zoe"]}}, set(second)), ({"$part": "turn"}, {first, second[0]}),
        ({"$at": {"lt": (clock.now() - timedelta(days=1)).isoformat()}}, {first}), ({"$recorded": {"gte": clock.now()}}, set(second)),
        ({"$at": {"gte": clock.now().timestamp()}}, set(second)), ({"OR": [{"$user": "ana"}, {"$agent": "bot"}]}, ids),
    ):  # fmt: skip
        assert {m.id for m in cube.list(where=asked)} == expected, asked


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"a": {"gtee": 1}}, "'gte'"), ({"a": {"$eq": 1}}, "'eq'"), ({"a": {"like": "x"}}, "operator"), ({"a": {}}, "operator with one"), ([], "object"),
        ("a", "object"), ({"a": [1]}, "'in'"), ({"a": {"in": 1}}, "list"), ({"a": {"gt": True}}, "order"), ({"a": {"gt": None}}, "order"),
        ({"a": {"contains": 1}}, "text"), ({"and": [{"a": 1}]}, "'AND'"), ({"OR": []}, "list"), ({"OR": {"a": 1}}, "list"), ({"AND": [{}]}, "nothing"),
        ({"$usr": "x"}, r"'\$user'"), ({"$trust": "x"}, "header"), ({"$at": "soon"}, "ISO"), ({"$at": {"contains": "2"}}, "ISO|text"), ({1: 2}, "key"),
        ({"a": {"eq": {"b": 1}}}, "text, a number"), ({"a": float("nan")}, "number"), ({"a": {1: 2}}, "operator"), ({"$at": 1e300}, "ISO"),
        ({"$at": float("nan")}, "ISO"), ({"a": {"eq": object()}}, "number"),
    ],
)  # fmt: skip
def test_what_is_no_filter_says_what_would_be_one(cube: Cube, wrong: Any, told: str) -> None:
    cube.add("I like figs.")
    for ask in (lambda: cube.list(where=wrong), lambda: cube.search("figs", where=wrong)):
        with pytest.raises(Invalid, match=told):
            ask()


def test_it_has_limits(cube: Cube) -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(5000):
        deep = {"NOT": [deep]}
    for wrong in (deep, {"OR": [{"AND": [{"a": 1}] * 50}] * 3}, {"a": "x" * 2000}):
        with pytest.raises(TooLarge):
            cube.list(where=wrong)
    for wrong in ({"x" * 2000: 1}, {"a": {"in": [1] * 2000}}, {"OR": [{"a": 1}] * 200}):
        with pytest.raises(Invalid):
            cube.list(where=wrong)
    assert cube.list(where={}) == [] and where_of(None) is None and where_of({}) is None


def test_a_filter_opens_nothing_that_a_grant_does_not(open_vault: Any, tmp_path: Path) -> None:
    memory = open_vault()
    memory.cube("main").add("The secret of ana.", user="ana", metadata={"a": 1})
    memory.cube("main").add("The word of bea.", user="bea", metadata={"a": 1})
    memory.grant("bea", "reader", cube="main", user="bea")
    theirs = memory.acting("bea").cube("main")
    for asked, found in (({"a": 1}, ["bea"]), ({"OR": [{"$user": "ana"}, {"a": "*"}]}, ["bea"]), ({"NOT": [{"$user": "bea"}]}, [])):
        assert [m.scope.user for m in theirs.list(user="bea", where=asked)] == found


def test_times_without_a_zone_are_utc() -> None:
    where = where_of({"$at": {"gte": "2026-01-01"}})
    assert where is not None and where.holds({"$at": int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6)})

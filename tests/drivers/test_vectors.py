"""Vectors in memory: what signs leave out is not missed, and a few, many, or some of them give the same answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import open_memory

from loci import MemOS, Message
from loci.drivers.sqlite import connection, vectors, view
from loci.drivers.sqlite.vectors import Nearness, Vectors
from loci.errors import Corrupt, StorageFull
from loci.system import Cube
from loci.testing import HashEmbedder, ManualClock

COUNT, SIZE, TOP = 3000, 100, 20  # 100 components: no whole number of words


def units(count: int, seed: int) -> vectors.Direction:
    """Directions that are drawn to a few dozen centres, as those of texts are to topics."""
    chance = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((30, SIZE))
    made = centres[chance.integers(0, 30, count)] + 0.8 * chance.standard_normal((count, SIZE))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def held() -> tuple[Vectors, vectors.Direction]:
    data = units(COUNT, 1)
    found = Vectors()
    for start in range(0, COUNT, 700):  # contents are numbered backwards from 10,000
        part = data[start : start + 700]
        found.append([10_000 - n for n in range(start, start + len(part))], [row.tobytes() for row in part])
    return found, data


def near(held: Vectors, question: vectors.Direction, of: slice = slice(None)) -> Nearness:
    """The nearness of the vectors in a part, each at the place of its row, among as many rows without one."""
    rows = np.arange(COUNT)[of]
    content = np.concatenate([held.contents[rows], np.arange(len(rows))])
    return Nearness(held, question, content, np.arange(len(rows)), None if len(rows) == COUNT else rows, TOP)


@pytest.mark.parametrize("of", [slice(None), slice(0, 1200), slice(1, None, 2), slice(100, 2900)])
def test_of_many_the_signs_find_what_comparing_all_finds(held, of, monkeypatch: pytest.MonkeyPatch) -> None:
    known, data = held
    every = [near(known, question, of) for question in units(20, 2)]
    for name, value in (("EXACT", 100), ("SHORTLIST", 400), ("SAMPLE", 500)):
        monkeypatch.setattr(vectors, name, value)
    shared = 0
    for whole, question in zip(every, units(20, 2), strict=True):
        found = near(known, question, of)
        assert found.best[0] == whole.best[0] and found.closest == whole.closest
        assert found.of(found.best) == pytest.approx(data[of][found.best] @ question, abs=1e-6)
        assert list(found.of(found.best)) == sorted(found.of(found.best), reverse=True)
        assert np.isnan(found.of(np.array([len(data[of])]))).all() and np.isnan(whole.of(np.array([len(data[of])]))).all()
        assert found.mean == pytest.approx(whole.mean, abs=0.03) and found.deviation == pytest.approx(whole.deviation, rel=0.2)
        shared += len(set(found.best) & set(whole.best))
    assert shared >= 0.95 * 20 * TOP


@pytest.mark.parametrize("damaged", [[b"1234" * 3, b"1234" * 4], [b"12345"], [b"1234" * 99]])
def test_a_vector_of_another_length_is_damage(damaged: list[bytes]) -> None:
    whole = Vectors()
    whole.append([1], [units(1, 4)[0].tobytes()])
    with pytest.raises(Corrupt, match="loci verify"):
        whole.append(range(2, 2 + len(damaged)), damaged)


def test_of_none_nothing_is_near() -> None:
    found = Nearness(Vectors(), np.zeros(0, dtype=np.float32), np.arange(3), np.zeros(0, dtype=np.int64), None, TOP)
    assert (found.count, found.closest, found.deviation, len(found.best)) == (0, 0.0, 0.0, 0)
    assert np.isnan(found.of(np.arange(3))).all()


def test_of_many_equals_the_latest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "EXACT", 10)
    monkeypatch.setattr(vectors, "SHORTLIST", 30)
    same = Vectors()
    same.append(range(200), [units(1, 3)[0].tobytes()] * 200)
    assert set(near_all(same, units(1, 3)[0]).best) <= set(range(170, 200))


def near_all(held: Vectors, question: vectors.Direction) -> Nearness:
    every = np.arange(len(held))
    return Nearness(held, question, every, every, None, TOP)


def test_a_search_answers_the_same_by_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_memory(tmp_path, clock=ManualClock(), embedder=HashEmbedder()) as memory:
        cube = memory.cube("main")
        things = ("kettle", "ladder", "violin", "garden", "passport", "bicycle")
        cube.add([Message("user", f"The {things[n % 6]} of number {n} went to {things[n * n % 5]} street.") for n in range(600)], user="u")
        cube.drain()
        asked = ("Where is the violin?", "garden street", "number 77", "What about bicycles?")
        before = [[hit.memory.id for hit in cube.search(question, user="u").hits] for question in asked]
        monkeypatch.setattr(vectors, "EXACT", 50)
        monkeypatch.setattr(vectors, "SHORTLIST", 300)
        after = [[hit.memory.id for hit in cube.search(question, user="u").hits] for question in asked]
    assert [ids[0] for ids in after] == [ids[0] for ids in before]
    assert all(len(set(a) & set(b)) >= 8 for a, b in zip(after, before, strict=True))


def test_what_is_read_in_parts_is_the_same_also_after_one_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened() -> MemOS:
        return open_memory(tmp_path, clock=ManualClock(), embedder=HashEmbedder())

    def answers(cube: Cube) -> list[tuple[str, float]]:
        return [(hit.memory.id, hit.score) for hit in cube.search("Where did the kettle go?", user="u").hits]

    with opened() as memory:
        cube = memory.cube("main")
        cube.add([Message("user", f"The kettle number {n} went to street {n % 5}.", speaker=f"s{n % 3}") for n in range(40)], user="u")
        cube.drain()
        expected, count = answers(cube), cube.count().total
    monkeypatch.setattr(connection, "BATCH", 7)
    calls, append, columns = [0], Vectors.append, view._columns

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def third_fails(*given: Any) -> Any:
            calls[0] += 1
            if calls[0] == 3:
                raise StorageFull("no room")
            return real(*given)

        return third_fails

    for where, name, real in ((Vectors, "append", append), (view, "_columns", columns)):
        calls[0] = 0
        with opened() as memory, monkeypatch.context() as patched:
            patched.setattr(where, name, failing(real))
            cube = memory.cube("main")
            with pytest.raises(StorageFull):
                cube.search("Where did the kettle go?", user="u")
            assert answers(cube) == expected and cube.count().total == count
            assert calls[0] >= 7, "in parts"
            assert len(cube._store._picture.view.vectors) == count  # type: ignore[attr-defined]

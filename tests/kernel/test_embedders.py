"""Law 7 for vectors: they belong to one embedder, are rebuilt for another, and are never mixed; whatever was open before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import numpy as np
import pytest

from loci import Message
from loci.errors import EmbedderFailed
from loci.system import Cube
from loci.testing import FailingEmbedder, HashEmbedder, ManualClock
from loci.wire import MemOS

TEXTS = ["The kettle is blue.", "The roof leaks in autumn.", "Rex sleeps under the table.", "A ferry crosses the river."]


def stored(cube: Cube) -> dict[str, set[str]]:
    """Which memories have a vector of which embedder, as they lie in the file."""
    found: dict[str, set[str]] = {}
    for name, id, data in cube._store._db().execute(
        "SELECT g.embedder, m.id, v.data FROM vectors v JOIN generations g ON g.number = v.generation JOIN contents c ON c.seq = v.content"
        " JOIN memories m ON m.seq = c.memory"
    ):
        vector = np.frombuffer(data, np.float32)
        (expected,) = HashEmbedder(str(name), len(vector)).embed([cube.get(str(id)).text])
        assert np.allclose(vector, expected, atol=1e-5), "the vector is not of the embedder it is filed under"
        found.setdefault(str(name), set()).add(str(id))
    return found


@pytest.fixture
def filled(open_vault: Callable[..., MemOS]) -> set[str]:
    """A vault whose vectors are all of embedder A, closed again. Returns the ids."""
    memory = open_vault(embedder=HashEmbedder("A"))
    cube = memory.cube("main")
    ids = set(cube.add([Message("user", text) for text in TEXTS]).ids)
    cube.drain()
    assert not cube.search("kettle").trace.missing and stored(cube) == {"A": ids}
    memory.close()
    return ids


def test_a_new_embedder_takes_over_when_it_has_everything(open_vault: Callable[..., MemOS], filled: set[str]) -> None:
    cube = open_vault(embedder=FailingEmbedder("B")).cube("main")
    assert cube.pending() == 1
    with pytest.raises(EmbedderFailed):
        cube.drain()
    cube._operator.embedder.is_failing = False  # type: ignore[union-attr]
    recall = cube.search("kettle")
    assert "vectors are still of A" in recall.trace.missing["dense"] and recall.hits[0].memory.text == TEXTS[0]
    assert recall.trace.signals["dense"] == 0, "a vector of A is not compared with a direction of B"
    assert stored(cube) == {"A": filled}


def test_after_draining_all_is_of_the_new_one(open_vault: Callable[..., MemOS], filled: set[str]) -> None:
    embedder = HashEmbedder("B", dimensions=64)
    cube = open_vault(embedder=embedder).cube("main")
    cube.drain()
    assert stored(cube) == {"B": filled} and embedder.embedded == len(filled)
    recall = cube.search("kettle blue")
    assert not recall.trace.missing and recall.trace.signals["dense"] == len(filled)
    assert cube.verify().is_clean


def test_an_embedder_of_other_dimensions_takes_over(open_vault: Callable[..., MemOS], filled: set[str]) -> None:
    cube = open_vault(embedder=HashEmbedder("B", dimensions=16)).cube("main")
    assert "dense" in cube.search("kettle").trace.missing or cube.pending() == 0
    cube.drain()
    assert not cube.search("kettle").trace.missing and cube.verify().is_clean


def test_words_added_while_rebuilding_are_rebuilt_too(open_vault: Callable[..., MemOS], filled: set[str]) -> None:
    embedder = FailingEmbedder("B")
    cube = open_vault(embedder=embedder).cube("main")
    new = cube.add("The kettle whistles.").ids[0]
    embedder.is_failing = False
    cube.drain()
    assert stored(cube) == {"B": filled | {new}} and not cube.search("kettle").trace.missing


def test_an_erased_memory_is_not_rebuilt(open_vault: Callable[..., MemOS], filled: set[str]) -> None:
    cube = open_vault(embedder=HashEmbedder("B")).cube("main")
    gone = min(filled)
    cube.erase(gone)
    cube.drain()
    assert stored(cube) == {"B": filled - {gone}}


def test_words_added_without_an_embedder_get_vectors_later(open_vault: Callable[..., MemOS], filled: set[str]) -> None:
    without = open_vault()
    new = without.cube("main").add("The kettle whistles.").ids[0]
    without.close()
    cube = open_vault(embedder=HashEmbedder("A")).cube("main")
    cube.drain()
    assert stored(cube) == {"A": filled | {new}}
    assert not cube.search("kettle").trace.missing and cube.verify().is_clean


def test_there_and_back_and_there_again(open_vault: Callable[..., MemOS], filled: set[str]) -> None:
    for name, is_drained in (("B", False), ("A", True), ("B", True)):
        memory = open_vault(embedder=HashEmbedder(name))
        if is_drained:
            memory.cube("main").drain()
        else:
            memory.cube("main")
        memory.close()
    cube = open_vault(embedder=HashEmbedder("B")).cube("main")
    cube.drain()
    assert not cube.search("kettle").trace.missing and stored(cube) == {"B": filled}


def test_restored_and_updated_words_have_vectors(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(embedder=HashEmbedder("A")).cube("main")
    id = cube.add("The kettle is blue.").ids[0]
    for text in ("The kettle is green.", "The kettle is red."):
        clock.advance(days=1)
        cube.update(id, text)
    clock.advance(days=1)
    cube.restore(id, to=1)
    cube.drain()
    assert not cube.search("kettle").trace.missing and cube.verify().is_clean


def test_a_job_held_by_a_dead_worker_is_taken_over(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(embedder=HashEmbedder("A")).cube("main")
    cube.add("The kettle is blue.")
    with cube._store.write(clock.now()) as tx:
        assert tx.lease("embed", "somebody who dies", clock.now() + timedelta(minutes=5), 8, tx.generation("A", 64))
    assert cube.drain() == 0 and "dense" in cube.search("kettle").trace.missing
    clock.advance(minutes=6)
    assert cube.drain() == 0 and cube.jobs()[0].error == "its worker was gone", "it may be the job that ended it, so it waits a little"
    clock.advance(minutes=1)
    assert cube.drain() == 1 and not cube.search("kettle").trace.missing


def test_nobody_waits_for_the_model_that_another_asks(open_vault: Callable[..., MemOS]) -> None:
    """It may be far away, and it was asked while the picture of the cube was held: every other search, list and count stood behind it."""
    looked = Event()

    class Slow(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Any:
            assert list(texts) != ["Where is the ferry?"] or looked.wait(30), "nobody else could look meanwhile"
            return super().embed(texts)

    cube = open_vault(embedder=Slow("A")).cube("main")
    cube.add([Message("user", text) for text in TEXTS])
    cube.drain()
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(cube.search, "Where is the ferry?")
        found = pool.submit(lambda: (cube.search("kettle"), cube.count().total, looked.set()))
        assert found.result(60)[1] == len(TEXTS)
        assert asked.result(60).hits[0].memory.text == TEXTS[3]

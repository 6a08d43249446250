"""Several processes on one vault at once. The work of each is a function of this module, run in a process of its own."""

from __future__ import annotations

import multiprocessing
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.conftest import open_memory

from loci import Memory, Message
from loci.errors import Locked, VersionConflict
from loci.system import Cube
from loci.testing import HashEmbedder
from loci.wire import MemOS

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["loci.wire", "loci.testing"])


def _report(work: Callable[..., Any], pipe: Any, *arguments: Any) -> None:
    try:
        pipe.send(("done", work(pipe, *arguments)))
    except BaseException:  # noqa: BLE001 - told to the test
        pipe.send(("failed", traceback.format_exc()))


class Worker:
    """Another process at work. ``said()`` waits for what it says, ``result()`` for what it returns."""

    def __init__(self, work: Callable[..., Any], *arguments: Any) -> None:
        self._here, there = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_report, args=(work, there, *arguments))
        self.process.start()
        there.close()

    def said(self) -> Any:
        assert self._here.poll(60), "the other process says nothing"
        return self._here.recv()

    def has_spoken(self) -> bool:
        return bool(self._here.poll())

    def tell(self, word: str) -> None:
        self._here.send(word)

    def result(self) -> Any:
        while True:
            what, value = self.said()
            if what in ("done", "failed"):
                self.process.join()
                assert what == "done", value
                return value


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[MemOS]:
    memory = open_memory(tmp_path / "vault")
    yield memory
    memory.close()


# -- work for other processes -------------------------------------------------------------------------------------------


def add_many(pipe: Any, folder: Path, who: str, count: int) -> list[str]:
    with MemOS.open(folder, embedder=HashEmbedder()) as memory:
        cube = memory.cube("main")
        pipe.send(("ready", who))
        return [cube.add(f"Kettle {n} of {who} whistles.", user=who).ids[0] for n in range(count)]


def import_batches(pipe: Any, folder: Path, batches: int, size: int) -> int:
    with MemOS.open(folder, embedder=HashEmbedder()) as memory:
        cube = memory.cube("main")
        for batch in range(batches):
            cube.add([Message("user", f"Kettle {n} of batch {batch} whistles.") for n in range(size)], user="importer", session=f"b{batch}")
            pipe.send(("batch", batch))
    return batches * size


def update_it(pipe: Any, folder: Path, seen: bytes, text: str) -> str | tuple[int, int]:
    memory: Memory = pickle.loads(seen)
    with open_memory(folder) as vault:
        cube = vault.cube("main")
        pipe.send(("ready", text))
        pipe.recv()
        try:
            cube.update(memory, text)
        except VersionConflict as error:
            return (error.expected, error.found)
        return text


def open_it(pipe: Any, folder: Path, name: str) -> int:
    pipe.send(("ready", name))
    pipe.recv()
    with open_memory(folder) as vault:
        return len(vault.cube(name).add("The kettle is blue.", user=f"user-{time.monotonic_ns()}").ids)


def read_on(pipe: Any, path: Path) -> int:
    db = apsw.Connection(str(path))
    db.execute("BEGIN")
    count = db.execute("SELECT count(*) FROM sources").fetchall()
    pipe.send(("reading", count))
    pipe.recv()
    db.close()
    return 0


def search_it(pipe: Any, folder: Path) -> tuple[int, int]:
    with open_memory(folder) as vault:
        cube = vault.cube("main")
        return len(cube.list(limit=10_000)), len(cube.search("kettle", limit=5).hits)


# -- the tests ----------------------------------------------------------------------------------------------------------


def test_two_processes_add_and_nothing_is_lost(vault: MemOS) -> None:
    root = vault._parts.vault.root
    workers = [Worker(add_many, root, who, 200) for who in ("ana", "bea")]
    ids = [worker.result() for worker in workers]
    cube = vault.cube("main")
    for who, mine in zip(("ana", "bea"), ids, strict=True):
        listed = cube.list(user=who, limit=1000)
        assert [m.id for m in listed] == mine and len(set(mine)) == 200, "all of them, once, in order"
        assert [m.text for m in listed] == [f"Kettle {n} of {who} whistles." for n in range(200)]
    assert cube._store.sizes()["sources"] == 400 and cube.verify().is_clean
    assert [r.seq for r in cube.log(verb="add", limit=1000)] == sorted({r.seq for r in cube.log(verb="add", limit=1000)})


def test_one_process_searches_while_another_imports(vault: MemOS) -> None:
    cube = vault.cube("main")
    cube.add("The old kettle was there before.", user="ana")
    worker = Worker(import_batches, vault._parts.vault.root, 12, 60)
    seen = [0]
    is_going_on = True
    while is_going_on:
        while is_going_on and worker.has_spoken():
            what, value = worker.said()
            assert what in ("batch", "done"), value
            is_going_on = what != "done"
        hits = cube.search("Which old kettle was there before?", user="ana").hits
        assert hits and hits[0].memory.scope.user == "ana"
        count = len(cube.list(user="importer", limit=10_000))
        assert count >= seen[-1] and count % 60 == 0, "a batch is there whole or not at all, and does not go away"
        seen.append(count)
    worker.process.join()
    assert len(cube.list(user="importer", limit=10_000)) == 720 and len(set(seen)) > 2, "it was watched while it went on"
    assert cube.verify().is_clean


def test_another_process_sees_a_write_as_soon_as_it_is_acknowledged(vault: MemOS) -> None:
    cube = vault.cube("main")
    cube.add("The kettle is blue.")
    assert Worker(search_it, vault._parts.vault.root).result() == (1, 1)


def test_of_two_processes_with_one_memory_one_wins(vault: MemOS) -> None:
    cube = vault.cube("main")
    id = cube.add("The kettle is blue.").ids[0]
    seen = pickle.dumps(cube.get(id))
    workers = [Worker(update_it, vault._parts.vault.root, seen, f"The kettle is {colour}.") for colour in ("red", "green")]
    for worker in workers:
        assert worker.said()[0] == "ready"
    for worker in workers:
        worker.tell("go")
    results = [worker.result() for worker in workers]
    assert (1, 2) in results and [r for r in results if r != (1, 2)] == [cube.get(id).text]
    assert [m.version for m in cube.history(id)] == [1, 2] and cube.verify().is_clean


def test_processes_that_open_a_new_cube_at_once_share_it(vault: MemOS) -> None:
    root = vault._parts.vault.root
    for name in ("first", "second"):
        workers = [Worker(open_it, root, name) for _ in range(3)]
        for worker in workers:
            assert worker.said()[0] == "ready"
        for worker in workers:
            worker.tell("go")
        assert [worker.result() for worker in workers] == [1, 1, 1]
        assert vault.cube(name)._store.sizes()["sources"] == 3 and vault.cube(name).verify().is_clean


def test_an_erasure_waits_for_a_reader_in_another_process(vault: MemOS) -> None:
    cube: Cube = vault.cube("main")
    cube.add("The kettle is quibblewicked.", user="ana")
    cube._store._db().set_busy_timeout(50)
    reader = Worker(read_on, cube._store.path)
    assert reader.said()[0] == "reading"
    with pytest.raises(Locked, match="another process still reads"):
        cube.erase(user="ana")
    assert not cube.list(user="ana")
    reader.tell("stop")
    reader.result()
    root = vault._parts.vault.root
    vault.close()
    with open_memory(root) as again:
        again.cube("main")
        assert not any(b"quibblewick" in file.read_bytes() for file in root.iterdir())

"""The worker of a cube: what happens to it must not end it, and it must end when the vault does."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import apsw
import pytest

from loci import Message
from loci.errors import JobFailed, Locked
from loci.operation.scheduler import GATHER_SECONDS
from loci.testing import HashEmbedder
from loci.wire import MemOS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUIET = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class ClumsyEmbedder(HashEmbedder):
    """Raises once what no driver should raise."""

    is_clumsy = True

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.is_clumsy:
            self.is_clumsy = False
            raise ZeroDivisionError("a bug of the driver's")
        return super().embed(texts)


class MovingEmbedder(HashEmbedder):
    """Its model's file is being replaced just once."""

    is_moving = False

    def __getattribute__(self, name: str) -> object:
        if name == "dimensions" and self.is_moving:
            self.is_moving = False
            raise OSError("the file is being replaced")
        return super().__getattribute__(name)


class CountingEmbedder(HashEmbedder):
    calls = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls += 1
        return super().embed(texts)


def wait_until(done: Callable[[], bool]) -> bool:
    """Gives another thread up to five seconds."""
    for _ in range(250):
        if done():
            return True
        time.sleep(0.02)
    return False


def loci_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("loci-")]


def test_a_cube_that_many_threads_ask_for_at_once_is_opened_once(open_vault: Callable[..., MemOS]) -> None:
    names = [f"c{number}" for number in range(20)]
    with open_vault() as memory:
        for name in names:
            memory.cube(name)
    memory = open_vault()
    for name in names:
        together, found = threading.Barrier(6), list[object]()

        def ask(name: str = name, together: threading.Barrier = together, found: list[object] = found) -> None:
            together.wait()
            found.append(memory.cube(name))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(one) for one in found}) == 1


def test_words_get_vectors_in_the_background(open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault(embedder=HashEmbedder(), is_background=True).cube("main")
    cube.add([Message("user", f"The kettle number {n} is blue.") for n in range(300)])
    assert wait_until(lambda: cube.pending() == 0)
    assert not cube.search("kettle").trace.missing and cube.verify().is_clean


def test_what_is_said_in_quick_succession_gets_its_vectors_together(open_vault: Callable[..., MemOS]) -> None:
    """A step is two commits, for which whoever adds would wait: there is time between two of them."""
    embedder = CountingEmbedder()
    cube = open_vault(embedder=embedder, is_background=True).cube("main")
    begun, count = time.monotonic(), 0
    while time.monotonic() < begun + 5 * GATHER_SECONDS:
        cube.add(f"The kettle number {(count := count + 1)} is blue.")
    assert wait_until(lambda: cube.pending() == 0)
    assert embedder.calls <= (time.monotonic() - begun) / GATHER_SECONDS + 1


def test_a_closed_vault_leaves_no_thread(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault(embedder=HashEmbedder(), is_background=True)
    memory.cube("main").add("The kettle is blue.")
    assert loci_threads()
    memory.close()
    assert not loci_threads()


def test_many_that_wake_a_cube_at_once_begin_one_worker(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    together, begun = threading.Barrier(2), list[str]()

    class Slow(threading.Thread):
        def __init__(self, *, name: str, **named: object) -> None:
            begun.append(name)
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(0.5)
            super().__init__(name=name, **named)  # type: ignore[arg-type]

    memory = open_vault(embedder=HashEmbedder(), is_background=True)
    cube = memory.cube("main")
    callers = [threading.Thread(target=cube._scheduler.wake) for _ in range(2)]
    monkeypatch.setattr(threading, "Thread", Slow)
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    memory.close()
    assert begun == ["loci-main"] and not loci_threads()
    cube._scheduler.wake()
    assert not loci_threads()


@QUIET
def test_a_closed_vault_leaves_no_thread_of_a_branch(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault(embedder=HashEmbedder(), is_background=True)
    memory.cube("main").add("The kettle is blue.")
    memory.cube("main").branch("what-if").add("The kettle is green.")
    before = loci_threads()
    try:
        memory.close()
    finally:
        left = loci_threads()
    assert len(before) == 2 and not left


def test_a_branch_has_one_worker_however_it_is_reached(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault(is_background=True, embedder=HashEmbedder())
    memory.cube("main").add("The kettle is blue.")
    memory.cube("main").branch("what-if").add("The kettle is green.")
    memory.cube("what-if").add("The kettle is red.")
    assert sorted(loci_threads()) == ["loci-main", "loci-what-if"]
    assert len(memory.cube("what-if").list()) == 3


def test_that_others_write_when_vectors_are_there_is_no_failure_of_theirs(open_vault: Callable[..., MemOS]) -> None:
    class Slow(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if texts == ["The roof leaks."]:
                db.execute("BEGIN IMMEDIATE")
            return super().embed(texts)

    cube = open_vault(embedder=Slow()).cube("main")
    cube.add("The roof leaks.")
    db = apsw.Connection(str(cube._store.path))
    assert cube.search("roof").hits and cube._scheduler.failure is None
    db.close()
    (job,) = cube.jobs()
    assert job.attempts == 0


@pytest.mark.parametrize("then", ["the next answer", "closing"])
def test_a_job_that_could_not_be_given_back_is_soon_after(open_vault: Callable[..., MemOS], then: str) -> None:
    others: list[apsw.Connection] = []

    class Slow(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if texts == ["The roof leaks."] and others:
                others[-1].execute("BEGIN IMMEDIATE")
            return super().embed(texts)

    memory = open_vault(embedder=Slow())
    cube = memory.cube("main")
    cube.add("The roof leaks.")
    others.append(apsw.Connection(str(cube._store.path)))
    assert cube.search("roof").hits and cube.jobs()[0].state == "leased"
    others.pop().close()
    if then == "closing":
        memory.close()
        (job,) = open_vault(embedder=None).cube("main").jobs()
        assert (job.state, job.attempts) == ("ready", 0)
    else:
        assert cube.search("roof").hits and cube.pending() == 0


def test_that_others_write_is_no_failure_of_an_answer(open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    cube.add("The roof leaks.")
    db = apsw.Connection(str(cube._store.path))
    db.execute("BEGIN IMMEDIATE")
    assert cube.search("roof").hits and cube.pending() == 1 and cube._scheduler.failure is None
    db.close()
    assert cube.search("roof").hits and cube.pending() == 0


@pytest.mark.parametrize("is_background", [True, False], ids=["worker", "answer"])
def test_what_goes_wrong_between_two_jobs_ends_nobody(open_vault: Callable[..., MemOS], is_background: bool) -> None:
    embedder = MovingEmbedder()
    cube = open_vault(embedder=embedder, is_background=is_background).cube("main")
    cube.add("The roof leaks.")
    assert not is_background or wait_until(lambda: cube.pending() == 0)
    with cube._store.write(cube._parts.clock.now()) as tx:
        tx.enqueue("embed", {"generation": tx.generation(embedder.name, embedder.dimensions), "contents": [1]})
    embedder.is_moving = True
    if is_background:
        cube._scheduler.wake()
        assert wait_until(lambda: cube.pending() == 0), "the worker went on"
    else:
        assert cube.search("roof").hits and cube.pending()
    assert isinstance(cube._scheduler.failure, JobFailed) and isinstance(cube._scheduler.failure.__cause__, OSError)


@QUIET
@pytest.mark.parametrize("what", ["a lock", "a bug"])
def test_the_worker_survives(open_vault: Callable[..., MemOS], what: str) -> None:
    embedder = ClumsyEmbedder()
    embedder.is_clumsy = what == "a bug"
    cube = open_vault(embedder=embedder, is_background=True).cube("main")
    if what == "a lock":
        cube.add("The roof leaks.")
        assert wait_until(lambda: cube.pending() == 0)
        worker = cube._scheduler._thread
        db = apsw.Connection(str(cube._store.path))
        db.set_busy_timeout(5000)  # the worker may be looking for more
        cube.add("The door creaks.")
        db.execute("BEGIN IMMEDIATE")  # before the worker has gathered that
        for opened in cube._store._opened:
            opened.set_busy_timeout(20)
        assert wait_until(lambda: isinstance(cube._scheduler.failure, Locked))
        db.close()
    else:
        cube.add("The roof leaks.")
        worker = cube._scheduler._thread
        assert wait_until(lambda: not embedder.is_clumsy)
        time.sleep(0.1)
    assert worker is not None and worker.is_alive()
    cube.add([Message("user", f"The kettle number {n} is blue.") for n in range(20)])
    assert wait_until(lambda: cube.pending() == 0 or what == "a bug")

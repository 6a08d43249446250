"""The log of what was read, while another process writes: no answer waits for it, and nothing is missing from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw
import pytest

from loci.operation import noting
from loci.system import Cube
from loci.wire import MemOS

FEW = 3


@contextmanager
def held(cube: Cube) -> Iterator[apsw.Connection]:
    """While another process writes."""
    db = apsw.Connection(str(cube._store.path))
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    finally:
        db.close()


def reads(cube: Cube) -> int:
    return len(cube.log(verb="read", limit=1000))


def test_no_answer_waits_for_the_log_of_reads(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "READS_KEPT", FEW)
    memory = open_vault(embedder=None, audit_reads=True)
    cube = memory.cube("main")
    cube.add("The roof leaks.")
    write = cube._store.write

    def patient(now: object) -> object:
        raise AssertionError("an answer waits for whoever writes")

    monkeypatch.setattr(cube._store, "write", patient)
    with held(cube):
        for _ in range(4 * FEW):
            assert cube.search("roof").hits
    monkeypatch.setattr(cube._store, "write", write)
    assert reads(cube) == 4 * FEW
    for _ in range(FEW):
        cube.search("roof")
    assert not cube._scheduler._reads and reads(cube) == 5 * FEW


def test_the_worker_writes_what_no_answer_could(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "READS_KEPT", FEW)
    cube = open_vault(embedder=None, audit_reads=True, is_background=True).cube("main")
    cube.add("The roof leaks.")
    with held(cube):
        for _ in range(FEW):
            assert cube.search("roof").hits
    deadline = time.monotonic() + 20
    while (cube._scheduler._reads or reads(cube) < FEW) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not cube._scheduler._reads and reads(cube) == FEW


def test_closing_waits_to_log_what_was_read(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault(embedder=None, audit_reads=True)
    cube = memory.cube("main")
    cube.add("The roof leaks.")
    cube.search("roof")
    with held(cube) as others:
        timer = threading.Timer(0.5, others.execute, ("ROLLBACK",))
        timer.start()
        memory.close()
        timer.join()
    assert reads(open_vault(embedder=None, audit_reads=True).cube("main")) == 1

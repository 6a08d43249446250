"""A store that is closed while other threads use it."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw
import pytest

from loci import MemOS
from loci.drivers.sqlite.store import SqliteStore
from loci.errors import Unavailable
from loci.system import Cube


def made(folder: Path) -> tuple[MemOS, Cube, SqliteStore]:
    memory = MemOS.open(folder, embedder="none", background=False)
    cube = memory.cube("main")
    cube.add("The roof leaks.")
    store = cube._store
    assert isinstance(store, SqliteStore)
    return memory, cube, store


def test_closing_waits_for_the_statement_that_another_thread_runs(tmp_path: Path) -> None:
    memory, _, store = made(tmp_path)
    begun, found = threading.Event(), list[object]()

    def pause(value: int) -> int:
        begun.set()
        threading.Event().wait(0.5)
        return value

    def work() -> None:
        with store._read() as db:
            db.create_scalar_function("pause", pause, 1)
            found.extend(db.execute("SELECT pause(7)").fetchall())

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10)
    memory.close()
    thread.join()
    assert found == [(7,)]


def test_who_uses_a_closed_store_is_told(tmp_path: Path) -> None:
    memory, cube, _ = made(tmp_path)
    memory.close()
    with pytest.raises(Unavailable, match="open the vault again"):
        cube.add("The cellar floods.")


def test_who_was_using_it_when_it_was_closed_is_told(tmp_path: Path) -> None:
    _, _, store = made(tmp_path)
    begun, closed, told = threading.Event(), threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            with store._read() as db:
                begun.set()
                closed.wait(10)
                db.execute("SELECT 1").fetchall()
        except (Unavailable, apsw.Error) as error:
            told.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10)
    store.close()
    closed.set()
    thread.join()
    assert isinstance(told[0], Unavailable) and "was closed while it was in use" in str(told[0])

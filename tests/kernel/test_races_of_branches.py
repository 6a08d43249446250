"""What happens to a cube while it is branched: its branch holds nothing that was erased meanwhile, and the registry knows whose it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import pytest

from loci.drivers.sqlite import SqliteStore
from loci.drivers.sqlite.store import SqliteTransaction
from loci.errors import Conflict
from loci.infrastructure import vault
from loci.infrastructure.files import publish
from loci.operation.erasure import Erased
from loci.ports import Store
from loci.system import Cube
from loci.wire import MemOS


def test_a_branch_that_something_was_erased_from_while_it_was_made_is_none(
    memory: MemOS, cube: Cube, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube.add("The kettle is quibblewicked.", user="ana")
    cube.add("The spoon is silver.", user="bo")
    copy, erased = SqliteStore.copy, list[Erased]()

    def copy_and_erase(store: SqliteStore, target: Path, key: bytes | None = None) -> None:
        copy(store, target, key)
        if not erased:
            erased.append(cube.erase(user="ana"))

    monkeypatch.setattr(SqliteStore, "copy", copy_and_erase)
    with pytest.raises(Conflict, match="branch again"):
        cube.branch("what-if")
    assert erased[0].branches == () and memory.cubes() == ["main"] and not list(folder.glob(".branching-*"))
    assert [m.text for m in cube.branch("what-if").list()] == ["The spoon is silver."]


def test_an_erasure_names_a_branch_that_was_made_while_it_waited(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    cube.add("The kettle is quibblewicked.", user="ana")
    note_uses = cube._scheduler.note_uses

    def hold_up_the_writing() -> None:
        note_uses()
        monkeypatch.setattr(SqliteStore, "write", branch_and_write)

    def branch_and_write(store: SqliteStore, now: datetime) -> AbstractContextManager[SqliteTransaction]:
        monkeypatch.undo()
        cube.branch("what-if")
        return store.write(now)

    monkeypatch.setattr(cube._scheduler, "note_uses", hold_up_the_writing)
    assert cube.erase(user="ana").branches == ("what-if",)


def test_of_two_branches_to_one_name_the_registry_knows_the_one_that_is_there(memory: MemOS, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kitchen", "cellar"):
        memory.cube(name).add(f"The kettle of the {name} is quibblewicked.", user="ana")
    is_naming, is_noted, is_named, outcomes = threading.Event(), threading.Event(), threading.Event(), dict[str, object]()

    def hold_up(made: Path, path: Path) -> None:
        """The kitchen's branch waits between the registry and its name, until the cellar's is there too or cannot get there."""
        if threading.current_thread() is kitchen:
            is_naming.set()
            is_noted.wait(1)
            publish(made, path)
            is_named.set()
        else:
            is_noted.set()
            is_named.wait(10)
            publish(made, path)

    def branch(origin: str) -> None:
        try:
            outcomes[origin] = memory.cube(origin).branch("what-if").name
        except Conflict as error:
            outcomes[origin] = error

    monkeypatch.setattr(vault, "publish", hold_up)
    kitchen, cellar = (threading.Thread(target=branch, args=(name,)) for name in ("kitchen", "cellar"))
    kitchen.start()
    assert is_naming.wait(10)
    cellar.start()
    kitchen.join()
    cellar.join()
    assert outcomes["kitchen"] == "what-if" and isinstance(outcomes["cellar"], Conflict)
    assert memory.cube("kitchen").erase(user="ana").branches == ("what-if",)
    assert memory.cube("cellar").erase(user="ana").branches == ()


def test_a_cube_that_was_branched_while_it_was_to_be_made_is_known_as_a_branch(
    memory: MemOS, cube: Cube, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube.add("The kettle is quibblewicked.", user="ana")
    kernel = cube._parts.vault
    make = kernel._make

    def branch_and_make(path: Path, name: str) -> bool:
        monkeypatch.undo()
        kernel.branch("main", "what-if", None, lambda _: None)
        del kernel._stores["what-if"]
        return make(path, name)

    monkeypatch.setattr(kernel, "_make", branch_and_make)
    memory.cube("what-if")
    assert cube.erase(user="ana").branches == ("what-if",)


def test_a_branch_that_takes_hours_is_not_cleared_away(cube: Cube, folder: Path) -> None:
    cube.add("The kettle is quibblewicked.", user="ana")
    kernel = cube._parts.vault

    def take_hours(_: Store) -> None:
        (way,) = folder.glob(".branching-*")
        os.utime(way, (0, 0))
        kernel.clear()

    kernel.branch("main", "what-if", None, take_hours)
    assert not list(folder.glob(".branching-*"))
    assert cube.erase(user="ana").branches == ("what-if",)


def test_what_a_killed_process_had_on_its_way_is_cleared_away(cube: Cube, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    script = f"import os, pathlib; from loci.infrastructure.vault import Unfinished; way = Unfinished(pathlib.Path({str(folder)!r})); os._exit(0)"
    subprocess.run([sys.executable, "-c", script], check=True)
    (left,) = folder.glob(".branching-*")
    os.utime(left, (0, 0))
    cube._parts.vault.clear()
    assert not left.exists()

"""What happens to a cube while it is branched: its branch holds nothing that was erased meanwhile, and the registry knows whose it is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import pytest

from loci.drivers.sqlite import SqliteStore
from loci.drivers.sqlite.store import SqliteTransaction
from loci.errors import Conflict
from loci.operation.erasure import Erased
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

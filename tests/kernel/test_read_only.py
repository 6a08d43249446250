"""A vault that was opened for reading only: every verb that changes something is refused, with the next step, and what is asked changes nothing but the log."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from loci import MemOS, Message
from loci.errors import Denied, Missing, ReadOnly
from loci.system import Cube, System, table
from loci.testing import HashEmbedder
from loci.types import Scope


def at_the_gate(cube: Cube, verb: str) -> None:
    """A verb that looks first for what a model made, of which there is nothing here."""
    cube._parts.governance.allow(verb, Scope("main"))


CHANGES: dict[str, Callable[[Cube, str, Path], object]] = {
    "add": lambda cube, id, _: cube.add("The piano is green.", user="ann"),
    "update": lambda cube, id, _: cube.update(id, "The kettle is red."),
    "forget": lambda cube, id, _: cube.forget(id),
    "restore": lambda cube, id, _: cube.restore(id),
    "move": lambda cube, id, _: cube.move(id, "archive"),
    "erase": lambda cube, id, _: cube.erase(id),
    "accept": lambda cube, id, _: cube.accept(id),
    "reject": lambda cube, id, _: cube.reject(id),
    "revert": lambda cube, id, _: cube.revert(user="ann"),
    "cite": lambda cube, id, _: cube.cite([id]),
    "branch": lambda cube, id, _: cube.branch("copy"),
    "sweep": lambda cube, id, _: cube.sweep(),
    "protect": lambda cube, id, _: cube.protect(quota=3),
    "activate": lambda cube, id, _: cube.activate([id]),
    "activate_episodes": lambda cube, id, _: cube.activate_episodes([id], budget=64),
    "deactivate": lambda cube, id, _: at_the_gate(cube, "deactivate"),
    "generate": lambda cube, id, _: cube.generate("What is blue?", keep=True),
    "plan": lambda cube, id, _: cube.plan(apply=True),
    "write_off": lambda cube, id, _: cube.write_off("slot"),
    "distil": lambda cube, id, _: cube.distil([id]),
    "mount": lambda cube, id, _: at_the_gate(cube, "mount"),
    "unmount": lambda cube, id, _: at_the_gate(cube, "unmount"),
    "drop_adapter": lambda cube, id, _: at_the_gate(cube, "drop_adapter"),
    "retry": lambda cube, id, _: cube.retry(1),
    "cancel": lambda cube, id, _: cube.cancel(1),
    "pause": lambda cube, id, _: cube.pause(),
    "resume": lambda cube, id, _: cube.resume(),
    "run": lambda cube, id, _: cube.run({"name": "p", "steps": [{"verb": "generate", "with": {"question": "kettle"}}]}),
    "import_file": lambda cube, id, folder: cube.import_file(folder / "chat.json"),
    "mirror": lambda cube, id, folder: cube.mirror(folder / "notes"),
    "import_activation": lambda cube, id, folder: cube.import_activation(folder),
    "drain": lambda cube, id, _: cube.drain(),
}
LOOKS = {"export"} | (set(table.STAYING) - CHANGES.keys())
OF_THE_VAULT: dict[str, Callable[[System], object]] = {
    "cube": lambda memory: memory.cube("new"),
    "grant": lambda memory: memory.grant("ann", "owner", cube="main"),
    "revoke": lambda memory: memory.revoke(memory.grants()[0].id),
    "issue_key": lambda memory: memory.issue_key("ann"),
    "encrypt": lambda memory: memory.encrypt("main"),
    "decrypt": lambda memory: memory.decrypt("main"),
    "rekey": lambda memory: memory.rekey("main", passphrase="another"),
    "shred": lambda memory: memory.shred("main"),
}


@pytest.fixture
def closed(open_vault: Callable[..., MemOS], tmp_path: Path) -> MemOS:
    """With a memory of ann's, a job that waits, and somebody who may look at it twice."""
    first = open_vault(embedder=HashEmbedder())
    first.cube("main").add([Message("user", "The kettle is blue.")], user="ann")
    first.grant("bob", "reader", cube="main", uses=2)
    first.close()
    (tmp_path / "chat.json").write_text(json.dumps([{"role": "user", "content": "The roof leaks.", "id": "a"}]))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "shop.md").write_text("The shop opens at nine.\n")
    return open_vault(embedder=HashEmbedder(), read_only=True, audit_reads=True)


def held(path: Path) -> dict[str, list[Any]]:
    """Every row of a cube's file but those of its log."""
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'") if not name.startswith("audit")]
        rows = {name: sorted(map(repr, db.execute(f'SELECT * FROM "{name}"'))) for name in names}
    rows["header"] = [row for row in rows["header"] if "'head'" not in row]
    return rows


def test_every_verb_that_changes_something_is_tried_here() -> None:
    assert CHANGES.keys() == table.WRITING | (table.CARRYING - LOOKS) | (table.STAYING.keys() - LOOKS)
    assert {"acting", "authenticate", "within", "close", "look"} | OF_THE_VAULT.keys() == table.VAULT_WRITING | table.VAULT_STAYING.keys()


@pytest.mark.parametrize("verb", CHANGES)
def test_a_verb_that_changes_something_is_refused(closed: MemOS, verb: str, tmp_path: Path) -> None:
    cube = closed.cube("main")
    (id,) = [memory.id for memory in cube.list()]
    before = held(cube._store.path)  # type: ignore[attr-defined]
    with pytest.raises(ReadOnly, match=r"reading only .*ask whoever opened it"):
        CHANGES[verb](cube, id, tmp_path)
    assert held(cube._store.path) == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", OF_THE_VAULT)
def test_a_verb_of_the_vault_that_changes_something_is_refused(closed: MemOS, verb: str) -> None:
    with pytest.raises(ReadOnly, match="reading only"):
        OF_THE_VAULT[verb](closed)
    assert closed.cubes() == ["main"] and len(closed.grants()) == 1 and not closed.keys()


def test_what_is_asked_changes_nothing_but_the_log(closed: MemOS) -> None:
    cube = closed.cube("main")
    before = held(cube._store.path)  # type: ignore[attr-defined]
    recall = cube.search("What colour is the kettle?", user="ann")
    assert recall.ids and "dense" in recall.trace.missing, "the vector that waits is not made"
    steps = [
        {"verb": "search", "name": "found", "with": {"question": "kettle", "user": "ann"}},
        {"verb": "get", "with": {"id": "$found.first"}},
    ]
    ran = cube.run({"name": "p", "steps": steps})
    assert ran.is_done
    assert cube.get(recall.ids[0]).uses == 0 and cube.count().total == 1 and cube.verify().is_clean
    with pytest.raises(ReadOnly):
        cube.forget(recall.ids[0])
    read = [record.detail["verb"] for record in cube.log(verb="read")]
    assert {"search", "get", "count"} <= set(read)
    assert [(record.object, record.detail["verb"]) for record in closed.log(verb="denied")] == [("main", "forget")]
    closed.close()
    assert held(cube._store.path) == before  # type: ignore[attr-defined]


def test_a_counted_grant_is_used_up_by_looking(closed: MemOS) -> None:
    bob = closed.acting("bob").cube("main")
    for _ in range(2):
        assert bob.search("kettle").ids
    with pytest.raises(Denied, match="no grant"):
        bob.search("kettle")


def test_what_is_not_there_is_not_made(folder: Path, open_vault: Callable[..., MemOS]) -> None:
    with pytest.raises(Missing, match="reading only"):
        open_vault(read_only=True)
    assert not folder.exists()

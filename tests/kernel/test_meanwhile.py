"""What another thread does in the middle: files that are taken away or saved, memories that are erased, a writer that comes in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from loci import MemOS
from loci.errors import Conflict
from loci.infrastructure import files, markdown, pages
from loci.operation.residence import Residence
from loci.operation.scheduler import Scheduler
from loci.system import Cube
from loci.testing import HashEngine

SECONDS = 20


@pytest.fixture
def cube(open_vault: Callable[..., MemOS]) -> Cube:
    return open_vault(engine=HashEngine()).cube("main")


def begun(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Work in a thread of its own, and what came of it."""
    came: list[object] = []

    def run() -> None:
        try:
            came.append(work())
        except Exception as error:  # noqa: BLE001
            came.append(error)

    thread = threading.Thread(target=run, name="beside")
    thread.start()
    return thread, came


def test_what_is_saved_while_a_mirror_writes_is_not_written_over(cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, real, count = tmp_path / "mirror", markdown.write, [0]
    for session in "xy":
        cube.add(f"Ann likes tea in {session}.", user="u", session=session)
    cube.mirror(home)
    for session in "xy":
        cube.add("A third.", user="u", session=session)

    def write(folder: Path, path: str, *given: Any) -> bool:
        count[0] += 1
        if count[0] == 2:
            (folder / path).write_text((folder / path).read_text("utf-8") + "\nWritten by hand.\n", "utf-8")
        return real(folder, path, *given)

    monkeypatch.setattr(markdown, "write", write)
    with pytest.raises(Conflict, match="mirror again"):
        cube.mirror(home)
    cube.mirror(home)
    assert "Written by hand." in {memory.text for memory in cube.list()}
    assert any("Written by hand." in file.read_text("utf-8") for file in home.rglob("*.md"))


def test_what_was_said_is_acknowledged_though_capacity_cannot_be_kept_now(
    open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch
) -> None:
    cube = open_vault(capacity=1).cube("main")
    cube.add("The first.", user="u")
    other, real = apsw.Connection(str(cube._store.path)), Scheduler.wake

    def wake(self: Scheduler) -> None:
        other.execute("BEGIN IMMEDIATE")
        real(self)

    monkeypatch.setattr(Scheduler, "wake", wake)
    assert cube.add("The second.", user="u").ids
    other.execute("ROLLBACK")
    monkeypatch.setattr(Scheduler, "wake", real)
    assert len(cube.list()) == 2
    cube.add("The third.", user="u")
    assert len(cube.list()) == 1, "the next write puts away what is too much"


@pytest.mark.parametrize("is_zeroed", [False, True])
def test_a_page_that_is_being_written_survives_a_tidying(cube: Cube, monkeypatch: pytest.MonkeyPatch, is_zeroed: bool) -> None:
    reached, erased, opened, renamed = (threading.Event() for _ in range(4))
    publish, real_open = files.publish, pages.os.open

    def publish_late(temporary: Path, path: Path, **given: Any) -> None:
        if threading.current_thread().name == "beside" and not reached.is_set():
            reached.set()
            (opened if is_zeroed else erased).wait(SECONDS)
        publish(temporary, path, **given)
        renamed.set()

    def open_slowly(path: Any, *given: Any, **named: Any) -> int:
        handle = real_open(path, *given, **named)
        if is_zeroed and str(path).endswith(".part") and threading.current_thread().name != "beside":
            opened.set()
            renamed.wait(SECONDS)
        return handle

    mine, others = cube.add("Ann likes tea.", user="u").ids, cube.add("Bob is 4.", user="v").ids
    assert others
    monkeypatch.setattr(files, "publish", publish_late)
    monkeypatch.setattr(pages.os, "open", open_slowly)
    thread, came = begun(lambda: cube.activate(list(mine), user="u").id)
    assert reached.wait(SECONDS)
    cube.erase(user="v")
    erased.set()
    thread.join(SECONDS)
    assert isinstance(came[0], str), came
    assert cube.verify().is_clean


def test_what_was_erased_while_it_came_to_hand_stays_not_at_hand(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, erased, put = threading.Event(), threading.Event(), Residence.put

    def put_late(self: Residence, *given: Any) -> None:
        reached.set()
        erased.wait(SECONDS)
        put(self, *given)

    ids = cube.add("My number is 4711.", user="u").ids
    cube.add("Bob likes milk.", user="v")
    monkeypatch.setattr(Residence, "put", put_late)
    thread, _ = begun(lambda: cube.activate(list(ids), user="u"))
    assert reached.wait(SECONDS)
    cube.erase(user="u")
    erased.set()
    thread.join(SECONDS)
    assert set(cube._parts.residence.bytes().values()) == {0}


@pytest.mark.parametrize("away", ["the activation memory", "what it holds"])
def test_what_is_let_go_of_between_search_and_answer_is_read_as_text(cube: Cube, monkeypatch: pytest.MonkeyPatch, away: str) -> None:
    tea, milk = cube.add("Ann likes tea.", user="u").ids[0], cube.add("Ann likes milk.", user="u").ids[0]
    handle, recall = cube.activate([tea], user="u"), Cube._recall

    def late(self: Cube, *given: Any, **named: Any) -> Any:
        found = recall(self, *given, **named)
        assert found.handles == (handle,)
        if away == "what it holds":
            cube.forget(tea)
        else:
            cube.deactivate(handle.id)
        return found

    monkeypatch.setattr(Cube, "_recall", late)
    answer = cube.generate("What does Ann like?", user="u")
    assert answer.text() and answer.attached.handle is None and milk in answer.memories
    assert (tea if away == "what it holds" else handle.id) in answer.attached.reason


def test_two_searches_may_learn_at_once_that_an_activation_memory_is_gone(cube: Cube, open_vault: Callable[..., MemOS]) -> None:
    class Slow(dict[Any, Any]):
        def pop(self, *given: Any) -> Any:
            both.wait(SECONDS)
            return super().pop(*given)

    both = threading.Barrier(2)
    handle = cube.activate(list(cube.add("Ann likes tea.", user="u").ids), user="u")
    cube._activations._manifests = Slow(cube._activations._manifests)  # type: ignore[attr-defined]
    open_vault(engine=HashEngine()).cube("main").deactivate(handle.id)
    others = [begun(lambda: cube.search("What does Ann like?", user="u").ids) for _ in range(2)]
    for thread, came in others:
        thread.join(SECONDS)
        assert isinstance(came[0], tuple | list), came

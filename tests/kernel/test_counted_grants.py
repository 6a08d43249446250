"""What a counted grant has left: a call that did something takes one use, one that failed takes none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loci import Memory, MemOS
from loci.errors import Conflict, Denied, Invalid, LociError, Missing, VersionConflict
from loci.system import Cube, System


@pytest.fixture
def memory(tmp_path: Path) -> System:
    return MemOS.open(tmp_path / "vault", embedder="none", background=False)


@pytest.fixture
def ids(memory: System) -> list[str]:
    cube = memory.cube("main")
    return [cube.add(text, user="ann").ids[0] for text in ("The house is blue.", "The garden is large.")]


def counted(memory: System, uses: int, role: str = "owner", user: str | None = None) -> Cube:
    memory.grant("ann", role, cube="main", user=user, uses=uses)
    return memory.acting("ann").cube("main")


def left(memory: System) -> int | None:
    return memory.grants()[-1].uses


FAILING: dict[str, tuple[type[LociError], Callable[[Cube, list[str]], object]]] = {
    "an id that is not there": (Missing, lambda cube, ids: cube.get("nothing")),
    "a value that cannot be": (Invalid, lambda cube, ids: cube.search("blue?", user="ann", limit=-1)),
    "words that cannot be stored": (Invalid, lambda cube, ids: cube.add("\ud800", user="ann")),
    "a version that is not the last": (VersionConflict, lambda cube, ids: cube.update(stale(cube, ids[0]), "The house is red.")),
    "a version that never was": (Missing, lambda cube, ids: cube.as_read(ids[0], 9)),
    "several memories, one of which is not there": (Missing, lambda cube, ids: cube.cite([*ids, "nothing"])),
    "a pipeline whose last step fails": (
        LociError,
        lambda cube, ids: cube.run(
            {"name": "p", "steps": [{"verb": "list", "with": {"user": "ann"}}, {"verb": "forget", "with": {"id": "nothing"}}]}
        ),
    ),
    "an import of what cannot be read": (LociError, lambda cube, ids: cube.import_file("/nowhere/chat.json", user="ann")),
    "a vault's verb on what cannot be": (Invalid, lambda cube, ids: cube.protect(quota=-1)),
}


def stale(cube: Cube, id: str) -> Memory:
    from dataclasses import replace

    return replace(next(cube.walk(user="ann")), id=id, version=7)


@pytest.mark.parametrize("what", FAILING)
def test_a_call_that_fails_takes_no_use(memory: System, ids: list[str], what: str) -> None:
    error, fails = FAILING[what]
    cube = counted(memory, 9)
    before = left(memory)
    with pytest.raises(error):
        fails(cube, ids)
    reads = what == "a version that is not the last"  # which it looked up first: a call of its own
    assert left(memory) == (before or 0) - reads


@pytest.mark.parametrize(
    "call",
    [
        lambda cube, ids: cube.why_not("Which house?", ids[0]),
        lambda cube, ids: cube.cite(ids),
        lambda cube, ids: cube.update(ids[0], "The house is red."),
        lambda cube, ids: [*cube.walk(user="ann")],
        lambda cube, ids: cube.erase(id=ids[0]),
        lambda cube, ids: cube.conversation(user="ann", session="s", budget_tokens=100).turn("Which house?"),
    ],
    ids=["why_not", "cite", "update", "walk", "erase", "turn"],
)
def test_a_call_takes_one_use_however_often_it_passes_the_gate(memory: System, ids: list[str], call: Callable[..., object]) -> None:
    cube = counted(memory, 1)
    call(cube, ids)
    assert left(memory) == 0
    with pytest.raises(Denied):
        call(cube, ids)
    assert left(memory) == 0


def test_each_step_of_a_pipeline_is_a_call(memory: System, ids: list[str]) -> None:
    cube = counted(memory, 3)
    plan = {"name": "p", "steps": [{"verb": "list", "with": {"user": "ann"}}, {"verb": "forget", "with": {"id": ids[0]}}]}
    cube.run(plan)
    assert left(memory) == 1
    with pytest.raises(Denied):
        cube.run({**plan, "steps": [{"verb": "list", "with": {"user": "ann"}}, {"verb": "forget", "with": {"id": ids[1]}}]})
    assert left(memory) == 1, "it was undone as a whole"


def test_what_failed_after_something_was_written_is_paid_for(memory: System, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cube = counted(memory, 1)

    def unfinished(*_: object) -> None:
        raise Conflict("The disk is full.")

    monkeypatch.setattr(type(cube._store), "scrub", unfinished)  # the rows are gone by then
    with pytest.raises(Conflict):
        cube.erase(id=ids[0])
    assert left(memory) == 0 and len(memory.cube("main").list()) == 1


def test_a_repeat_is_answered_and_takes_no_use(memory: System) -> None:
    memory.cube("main")
    cube = counted(memory, 1)
    first = cube.once("k").add("The pond is deep.", user="ann")
    assert left(memory) == 0 and cube.once("k").add("The pond is deep.", user="ann") == first, "though none is left"
    with pytest.raises(Conflict, match="another call"):
        cube.once("k").add("The pond is shallow.", user="ann")
    with pytest.raises(Denied):
        cube.once("other").add("The pond is shallow.", user="ann")
    assert left(memory) == 0
    memory.revoke(memory.grants()[-1].id)
    with pytest.raises(Denied):
        cube.once("k").add("The pond is deep.", user="ann")


def test_a_repeat_of_a_change_to_what_was_read_takes_no_use(memory: System, ids: list[str]) -> None:
    cube = counted(memory, 2).once("k")
    first = cube.update(cube.as_read(ids[0], 1), "The house is red.")
    assert left(memory) == 0
    assert cube.update(cube.as_read(ids[0], 1), "The house is red.") == first and left(memory) == 0


def test_a_hundred_repeats_at_once_take_one_use(memory: System) -> None:
    memory.cube("main")
    cube, start = counted(memory, 1), threading.Barrier(20)

    def ask(n: int) -> object:
        if n < 20:
            start.wait()
        return cube.once("k").add("The pond is deep.", user="ann")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(100)))
    assert all(answer == answers[0] for answer in answers) and left(memory) == 0
    assert len(memory.cube("main").list()) == 1


def test_calls_at_once_never_get_one_use_twice(memory: System) -> None:
    memory.cube("main")
    cube, done = counted(memory, 20), list[int]()

    def ask(n: int) -> None:
        try:
            cube.add(f"Room {n} is cold." if n % 2 else "\ud800", user="ann")
        except (Invalid, Denied):
            return
        done.append(n)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(120)))
    assert len(memory.cube("main").list()) == len(done) <= 20 and left(memory) == 20 - len(done)

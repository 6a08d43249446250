"""Fixtures of all floors: a hand-turned clock, a door to a vault that closes itself, the path to what `bench` shares, and no egress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from loci.errors import Unavailable
from loci.interface.reader import MemReader
from loci.operation.intake import Heard
from loci.ports import Embedder, Ids
from loci.ports.engine import Engine
from loci.settings import Settings
from loci.system import CallReader, Cube
from loci.testing import CountingIds, ManualClock
from loci.types import Message
from loci.wire import MemOS, parts, server_of

ROOT = Path(__file__).resolve().parent.parent
for place in (
    ROOT / "bench",
    ROOT,
    ROOT / "tests" / "guard",
    ROOT / "tests" / "real",
):  # scripts of `bench` by their own name, and as the package they are run as
    if str(place) not in sys.path:
        sys.path.append(str(place))
pytest_plugins = ["egress"]  # a connection to anything but this machine fails the run

_slack = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("loci", deadline=None, derandomize=True, suppress_health_check=_slack, phases=(Phase.explicit, Phase.generate))
settings.register_profile("hunt", deadline=None, suppress_health_check=_slack, max_examples=1000)  # shrinks: --hypothesis-profile=hunt
settings.load_profile("loci")


class MoodyReader(MemReader):
    """Reads by rules, unless it is told that it cannot."""

    is_failing = True

    def read(self, message: Message, people: Collection[str]) -> Heard:
        if self.is_failing:
            raise Unavailable("the reading model is down")
        return super().read(message, people)


def open_memory(
    folder: Path, *, clock: ManualClock | None = None, embedder: Embedder | None = None, reader: CallReader | None = None,
    ids: Ids | None = None, capacity: int = 0, is_background: bool = False, limit: int = 10, audit_reads: bool = False,
    engine: Engine[Any] | str | None = None, **named: Any,
) -> MemOS:  # fmt: skip
    """A vault wired as `MemOS.open` wires it, with any part of it changed for another. No model, no background thread, no
    reads in the log."""
    chosen = Settings(
        vault=str(folder),
        embedder="none",
        background=is_background,
        capacity=capacity,
        limit=limit,
        audit_reads=audit_reads,
        engine=engine if isinstance(engine, str) else "",
        **named,
    )
    given = None if engine is None or isinstance(engine, str) else engine
    model = None if given is None else lambda: given
    made = parts(chosen, clock=clock, ids=ids, embedder=embedder, model=model, server=server_of(chosen))
    return MemOS(made if reader is None else replace(made, reader=reader))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vault"


@pytest.fixture
def open_vault(folder: Path, clock: ManualClock) -> Iterator[Callable[..., MemOS]]:
    """Opens the same vault as often as wanted; all are closed at the end."""
    opened: list[MemOS] = []
    ids = CountingIds()

    def door(where: Path | None = None, **changed: object) -> MemOS:
        memory = open_memory(where or folder, **{"clock": clock, "ids": ids, **changed})  # type: ignore[arg-type]
        opened.append(memory)
        return memory

    yield door
    for memory in opened:
        memory.close()


@pytest.fixture
def memory(open_vault: Callable[..., MemOS]) -> MemOS:
    return open_vault()


@pytest.fixture
def cube(memory: MemOS) -> Cube:
    return memory.cube("main")

"""What every `Store` promises, as plain functions that any driver can run. With pytest:

    @pytest.mark.parametrize("promise", PROMISES, ids=name_of)
    def test_promise(promise, tmp_path):
        with contextlib.ExitStack() as stack:
            promise(lambda name="cube": stack.enter_context(contextlib.closing(MyStore(tmp_path / name))))

The factory opens a store by name: an empty one at first, and the same again, by another handle, when it is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType

from loci.testing.conformance import adapters, care, claims, doubt, finding, jobs, journal, payloads, reading, versions, writing
from loci.testing.conformance.scene import DAY, NOW, OpenStore

__all__ = ["DAY", "NOW", "PROMISES", "OpenStore", "Promise", "name_of"]

Promise = Callable[[OpenStore], None]


def name_of(promise: object) -> str:
    """The promise in words, for a test's name."""
    return getattr(promise, "__name__", str(promise)).replace("_", " ")


def _promises(room: ModuleType) -> Iterator[Promise]:
    """The functions that a module defines, in their order: what is written there is promised."""
    for name, made in vars(room).items():
        if isinstance(made, FunctionType) and made.__module__ == room.__name__ and not name.startswith("_"):
            yield made


PROMISES: tuple[Promise, ...] = tuple(
    promise
    for room in (journal, writing, reading, versions, claims, finding, jobs, doubt, care, payloads, adapters)
    for promise in _promises(room)
)

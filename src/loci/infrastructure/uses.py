"""What calls use up of grants that are counted: a call that did something one use, however often it passes the gate; one that failed, none.

A use is taken at the gate, before anything is done, so that two calls at a time never get one use twice; and given back where the call ends in an
error with nothing written. A process that is killed in between has used it up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from loci.errors import LociError
from loci.ports import Registry


@dataclass(slots=True)
class Call:
    """A call that goes on. ``is_several``: a pipeline, whose steps are calls of their own. ``is_repeat``: what it asks was done before, and was paid then."""

    is_several: bool = False
    is_repeat: bool = False
    is_done: bool = False  # something was written
    spent: list[tuple[Registry, str]] = field(default_factory=list)

    def has_paid(self, grant: str) -> bool:
        return any(id == grant for _, id in self.spent)


_running: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def call(writes: Callable[[], int] = lambda: 0, *, is_several: bool = False) -> Iterator[None]:
    """What passes the gate in this is one call, with the one around it if there is one. ``writes`` counts the transactions that were committed."""
    outer = _running.get()
    own = Call(is_several) if outer is None or outer.is_several else outer
    mark, before, token = len(own.spent), writes(), _running.set(own)
    try:
        yield
    except BaseException as error:
        own.is_done |= writes() != before
        if not own.is_done:
            _give_back(own.spent[mark:], error)
            del own.spent[mark:]
        raise
    finally:
        _running.reset(token)
        own.is_done |= writes() != before
        if outer is not None and outer is not own:
            outer.spent += own.spent
            outer.is_done |= own.is_done


@contextmanager
def repeat() -> Iterator[None]:
    """What passes the gate in this was done before: it takes no use, and needs none to be left."""
    token = _running.set(Call(is_repeat=True))
    try:
        yield
    finally:
        _running.reset(token)


def spend(registry: Registry, grant: str) -> bool:
    """Takes a use of a grant for the call that goes on, unless it has one; whether there was one."""
    now = _running.get()
    if now is not None and (now.is_repeat or now.has_paid(grant)):
        return True
    if not registry.spend(grant):
        return False
    if now is not None:
        now.spent.append((registry, grant))
    return True


def is_paid(grant: str) -> bool:
    """Whether the call that goes on needs no further use of a grant."""
    now = _running.get()
    return now is not None and (now.is_repeat or now.has_paid(grant))


def _give_back(spent: list[tuple[Registry, str]], error: BaseException) -> None:
    for registry, grant in spent:
        try:
            registry.give_back(grant)
        except LociError as other:
            error.add_note(f"A use of grant {grant} could not be given back: {other}")

"""Writes that are safe to ask for again: with a key, the same call gives the answer that the first one gave, and changes nothing more.

The answer is kept with what it answers, in one transaction: whoever was cut off asks again and learns what became of it. It is kept for a day;
an erasure takes every answer at once, and leaves that there was one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from weakref import WeakValueDictionary

from loci.errors import Conflict, Denied, Missing, TooLarge
from loci.infrastructure import uses
from loci.infrastructure.governance import Allowed
from loci.interface import inputs
from loci.interface.typed import typed
from loci.policy import access
from loci.ports import Earlier, Store, Transaction
from loci.system.gated import Gated
from loci.text.plain import plain
from loci.types import Memory, Receipt, Scope

KEPT = timedelta(days=1)
_TURN, _TURNS = threading.Lock(), WeakValueDictionary[bytes, threading.Lock]()  # of calls that go on
P = ParamSpec("P")
C = TypeVar("C", bound="Once")


@dataclass(frozen=True, slots=True)
class Request:
    """A call with a key: the keyed hashes of whose and which it is, and of what it asks."""

    key: bytes
    asked: bytes


class Answered(Exception):
    """It was done before, and whoever asks may still ask it: what they are shown of the answer."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__()
        self.receipt = receipt


class Once(Gated):
    """A cube whose writes can be asked for with a key."""

    _key: str | None = None
    _request: Request | None = None

    def once(self, key: str) -> Self:
        """The same open cube, whose next write is done once for this ``key``, however often it is asked for within a day: the answer is that of the
        first time, for who still has the right to it. Another write with the same key raises `Conflict`. For the writes of `REPEATABLE`; the rest take
        no key."""
        other = copy(self)
        other._key = inputs.key_of(key)
        return other

    def _reach(self, verb: str, id: str) -> Allowed:
        return self._unless_done(verb, lambda: super(Once, self)._reach(verb, id))

    def _allow(self, verb: str, scope: Scope) -> Allowed:
        return self._unless_done(verb, lambda: super(Once, self)._allow(verb, scope))

    def _unless_done(self, verb: str, gate: Callable[[], Allowed]) -> Allowed:
        """What the gate allows. Raises `Answered` where the write was done before, and `Conflict` where that answer is not to be had."""
        if self._request is None or verb not in access.WRITES or self._store.answered(self._request.key) is None:
            return gate()
        with uses.repeat():  # it was paid for when it was done
            allowed = gate()
        known = _known(self._store, self._request)
        if known is None:  # an answer is kept for a day
            return gate()
        raise Answered(self._shown(known, allowed))

    def kept(self, key: str) -> Receipt | None:
        """The answer to the write that this principal asked for with this key, as far as it is about what they may get now; None where there is none, or
        none any more. Raises `Conflict` where an erasure took it."""
        found = self._store.answered(self._own(key))
        if found is None:
            return None
        receipt = _answer(found)
        return replace(
            receipt, changes=tuple(change for change in receipt.changes if change.memory is None or self._may_get(change.memory))
        )

    def as_read(self, id: str, version: int) -> Memory:
        """A memory as it was in a version, for a change that holds only if that is still its latest. Raises `Missing`."""
        with uses.repeat() if self._key is not None and self._store.answered(self._own(self._key)) else nullcontext():
            self._reach("history", id)
        versions = self._store.history(id)
        self._note_read("history", (id,))
        read = next((memory for memory in versions if memory.version == version), None)
        if read is None:
            raise Missing(f"Memory {id} has no version {version}; its history shows which it has. Nothing was changed.")
        return read

    def _own(self, key: str) -> bytes:
        """What an answer is kept under: whose key it is, too."""
        return self._store.hash("request", self._parts.governance.principal, inputs.key_of(key))

    def _may_get(self, id: str) -> bool:
        try:
            self._reach("get", id)
        except Missing:
            return False
        return True

    def _record(self, tx: Transaction, verb: str, object: str, receipt: Receipt, *, scope: Scope | None = None, **detail: object) -> None:
        super()._record(tx, verb, object, receipt, scope=scope, **detail)
        if self._request is not None:
            answer = json.dumps(plain(receipt), ensure_ascii=False)
            tx.answer(self._request.key, self._request.asked, answer, self._parts.clock.now() - KEPT)


REPEATABLE: set[str] = set()
"""The names of the verbs that `Once.once` is for."""


def repeatable(verb: Callable[Concatenate[C, P], Receipt]) -> Callable[Concatenate[C, P], Receipt]:
    """A verb of a cube that writes one receipt, asked for once where the cube was given a key."""
    REPEATABLE.add(verb.__name__)

    @wraps(verb)
    def asked(self: C, /, *args: P.args, **named: P.kwargs) -> Receipt:
        if self._key is None:
            return verb(self, *args, **named)
        args, named = tuple(map(inputs.kept, args)), {name: inputs.kept(value) for name, value in named.items()}  # type: ignore[assignment]
        given = signature(verb).bind(self, *args, **named).arguments
        words = _spelled({name: value for name, value in given.items() if name != "self"})
        request = Request(self._own(self._key), self._store.hash("asked", verb.__name__, words))
        other = copy(self)
        other._key, other._request = None, request

        def tried() -> Receipt:
            try:
                with uses.call(self._writes):
                    return verb(other, *args, **named)
            except Answered as before:
                return before.receipt

        with _turn(request.key):
            try:
                return tried()
            except (Conflict, Denied):
                if self._store.answered(request.key) is None:
                    raise
            return tried()  # the same call was quicker, in another process

    return asked


def _turn(key: bytes) -> threading.Lock:
    """One after the other for the same call: the second would take another use of a counted grant, or find none, while the first has its own in hand."""
    with _TURN:
        return _TURNS.setdefault(key, threading.Lock())


def _known(store: Store, request: Request) -> Receipt | None:
    """What this was answered before; None when it was not. Raises `Conflict` for a key that was used for something else, and where an erasure took the answer."""
    found = store.answered(request.key)
    if found is None:
        return None
    if found.asked != request.asked:
        raise Conflict("This key was used for another call. Give each call a key of its own; nothing was changed.")
    return _answer(found)


def _answer(found: Earlier) -> Receipt:
    if found.answer is None:
        raise Conflict(
            "This was done once already, and something was erased since, which took the answer. Nothing was changed: look again."
        )
    receipt: Receipt = typed(Receipt, json.loads(found.answer))
    return receipt


def _spelled(given: Mapping[str, Any]) -> str:
    """What is asked, as text: of a memory that was read, which version it was, for the rest of it may be told otherwise by now."""
    try:
        asked = {name: [value.id, value.version] if isinstance(value, Memory) else plain(value) for name, value in given.items()}
        return json.dumps(asked, sort_keys=True)  # in ASCII: what is no text, the verb refuses
    except RecursionError as error:
        raise TooLarge("The call is nested too deep to be kept with its key. Make it flatter; nothing was changed.") from error

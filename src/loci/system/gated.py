"""What every verb of a cube goes through: the gate, and the log of what was read or changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import wraps
from types import FunctionType
from typing import Concatenate, ParamSpec, Self, TypeVar

from loci.errors import Missing, ReadOnly, Unsupported
from loci.infrastructure import uses
from loci.infrastructure.governance import Allowed, Governance
from loci.interface import inputs
from loci.operation.redact import Redactor
from loci.operation.scheduler import Scheduler
from loci.policy import access
from loci.ports import RowFilter, Store, Transaction
from loci.system.parts import Parts
from loci.types import Kind, Link, Memory, Receipt, Scope

SEVERAL = frozenset({"run"})
"""Verbs whose parts are calls of their own."""
OF_WORDS = frozenset({"update", "forget", "restore", "move", "cite"})
"""Verbs that name a memory and mean its words. What was made of words is neither changed nor put away: it follows them."""
HOW = {
    Kind.ACTIVATION: "`loci activate --id {id}` makes it anew from its memories as they read now, `loci kv drop {id}` lets go of it.",
    Kind.PARAMETRIC: "`loci distil --id {id}` learns it anew from what its memories say now, `loci adapter unmount {id}` has answers given without it, `loci adapter drop {id}` lets go of it.",
}
P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound="Calls")


class Calls:
    """Verbs: each is one call at the gate, whatever it asks of it; what that uses up of a counted grant is given back where it fails."""

    def __init_subclass__(cls, **named: object) -> None:
        super().__init_subclass__(**named)
        for name, what in list(vars(cls).items()):
            if isinstance(what, FunctionType) and not name.startswith("_"):
                setattr(cls, name, _counted(what, is_several=name in SEVERAL))

    def _writes(self) -> int:
        """How many transactions were committed here by this thread."""
        return 0


def _counted(verb: Callable[Concatenate[C, P], T], *, is_several: bool) -> Callable[Concatenate[C, P], T]:
    @wraps(verb)
    def called(self: C, /, *args: P.args, **named: P.kwargs) -> T:
        with uses.call(self._writes, is_several=is_several):
            return verb(self, *args, **named)

    return called


class Gated(Calls):
    """A cube's parts, and its gate."""

    _parts: Parts
    _store: Store
    _redactor: Redactor
    _scheduler: Scheduler
    name: str

    def _writes(self) -> int:
        return self._store.writes

    def acting(self, governance: Governance) -> Self:
        """The same open cube at another gate."""
        other = copy(self)
        other._parts = replace(self._parts, governance=governance)
        return other

    def _reason(self, reason: str) -> str:
        """Why, without a secret in it: reasons are stored too."""
        return self._redactor.text(inputs.reason_of(reason))

    def _reach(self, verb: str, id: str) -> Allowed:
        """The gate, for a verb that names a memory. Raises `Unsupported` for one of another form where the verb is of words."""
        self._check_open(verb)
        if verb in OF_WORDS:
            self._check_words(verb, id)
        return self._parts.governance.allow_memory(verb, self.name, inputs.id_of(id), self._store.scope_of)

    def _made_into(self, verb: str, id: str) -> Sequence[Link]:
        """Links from what models made of a memory, as it is now, to it."""
        return ()

    def _check_words(self, verb: str, id: str) -> None:
        """Raises `Unsupported` for an id of what was made of words, and has none."""
        if headers := self._derived(verb, inputs.id_of(id)):
            made = headers[-1]
            raise Unsupported(f"{verb} is of words, and {id} has none: {_lower(made.text)} {HOW[made.kind].format(id=id)}")

    def _derived(self, verb: str, id: str) -> Sequence[Memory]:
        """The headers of what a model made of memories, every version that is kept, oldest first; none for an id of no such thing."""
        return ()

    def _allow(self, verb: str, scope: Scope) -> Allowed:
        """The gate, for a verb that names a scope, or is about the whole cube."""
        self._check_open(verb)
        return self._parts.governance.allow(verb, scope)

    def _check_unreadable(self, verb: str, absent: Missing) -> None:
        """The gate for what nobody can read, so that whose it is cannot be told: it is there for who may see all of the cube, and ``absent`` for everybody else."""
        if not self._parts.governance.may_all("activations", self.name):
            raise absent
        self._allow(verb, Scope(self.name))

    def _check_open(self, verb: str) -> None:
        """A cube that was made read-only takes nothing in, from its owner neither."""
        if verb in access.WRITES and verb != "protect" and self._store.options().get("read_only") == "yes":
            raise ReadOnly(f"Cube {self.name} was made read-only; `loci protect --writable` opens it. Nothing was changed.")

    def _note_read(self, verb: str, memories: Sequence[str]) -> None:
        """That these were read, for the log, by whom."""
        self._scheduler.note_read(self._parts.governance.principal, verb, memories)

    def _everything(self) -> RowFilter:
        return RowFilter(now=self._parts.clock.now())

    def _settle(self) -> None:
        """Lets a small backlog of vectors finish first, so that what was just said is found by meaning too."""
        self._scheduler.settle()

    def _shown(self, receipt: Receipt, allowed: Allowed) -> Receipt:
        """A receipt without what happened to memories that the caller may not reach."""
        if allowed.rows.within is None:
            return receipt
        rows, find = allowed.rows, self._store.scope_of
        shown = [c for c in receipt.changes if c.memory is None or self._parts.governance.admits(rows, c.memory, find)]
        return replace(receipt, changes=tuple(shown))

    def _record(self, tx: Transaction, verb: str, object: str, receipt: Receipt, *, scope: Scope | None = None, **detail: object) -> None:
        counts: dict[str, int] = {}
        for change in receipt.changes:
            counts[change.outcome.value] = counts.get(change.outcome.value, 0) + 1
        if verb in ("add", "update", "restore", "accept"):
            self._scheduler.enqueue_vectors(tx, scope)
        tx.audit(self._parts.governance.principal, verb, object, {**detail, **counts, "sources": receipt.sources})


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]

"""MemGovernance: the one gate. Every verb passes it, and what it returns is the row filter the store applies first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from loci.errors import Denied, LociError, Missing, ReadOnly, missing
from loci.infrastructure.credentials import is_valid
from loci.policy.access import EVERYBODY, HIDDEN, OWNER, OWNS, READS, ROLES, Decision, admits, covers, decide, is_live, narrowed, within
from loci.policy.lifecycle import FINDABLE
from loci.policy.trust import least
from loci.ports import Act, Clock, Registry, RowFilter
from loci.types import Channel, Grant, Key, Query, Scope, State, Trust

FindScope = Callable[[str], Scope]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a call may do: the rows that it may see or change, and what its words are taken to have come by and are trusted as."""

    rows: RowFilter
    channel: Channel | None
    trust: Trust


@dataclass(frozen=True, slots=True)
class Governance:
    """Decides for one vault, on behalf of one principal, as far as the ``key`` goes by which it came in, and the ``bounds`` of the door. Words
    that come in are trusted as far as ``trust`` at the most."""

    clock: Clock
    principal: str
    registry: Registry
    is_writable: bool = True
    key: Key | None = None
    bounds: tuple[Scope, ...] = ()
    trust: Trust = Trust.TRUSTED

    @property
    def is_owner(self) -> bool:
        return self.principal == OWNER and self.key is None and not self.bounds

    @property
    def is_live(self) -> bool:
        """Whether the key, if there is one, is still good."""
        return self.key is None or is_valid(self.registry, self.key, self.clock.now())

    def allow(self, verb: str, scope: Scope) -> Allowed:
        """The call may be about this scope. Raises `Denied` with the reason."""
        return self._pass(verb, scope, self._decide(verb, scope))

    def allow_memory(self, verb: str, cube: str, memory: str, scope_of: FindScope) -> Allowed:
        """The call may be about this memory. What the principal may not reach is not there: `Missing`, in the same words."""
        if self.is_owner:
            return self.allow(verb, Scope(cube))
        try:
            scope = scope_of(memory)
        except Missing:
            scope = Scope(cube)
        decision = self._decide(verb, scope, memory)
        if decision.reason == HIDDEN:
            raise missing(memory, cube)
        return self._pass(verb, scope, decision)

    @staticmethod
    def narrow(rows: RowFilter, query: Query) -> RowFilter:
        """The rows of a call, as the limits of its question narrow them further."""
        return replace(
            rows, as_of=query.as_of, known_at=query.known_at, states=rows.states | {State.ARCHIVED} if query.archived else rows.states,
            kinds=query.kinds, types=query.types, since=query.since, until=query.until, is_past=query.call.intent in ("past", "when"),
        )  # fmt: skip

    def may(self, verb: str, scope: Scope) -> bool:
        """Whether a call would be allowed. Spends nothing, and is not noted."""
        grants = (OWNS,) if self.is_owner else self.grants()
        return decide(self.principal, verb, scope, grants, self.clock.now(), self.is_writable).is_allowed

    def knows(self, cube: str) -> bool:
        """Whether the principal has anything to do with a cube; of others it is not told whether they are there."""
        return self.is_owner or any(covers(grant.cube, cube) for grant in self.grants())

    @property
    def is_reader(self) -> bool:
        """Whether the principal may search anything at all. Spends nothing, and is not noted."""
        now = self.clock.now()
        live = (grant for grant in self.grants() if is_live(grant, self.principal, grant.cube, now))
        return self.is_owner or any("search" in ROLES[grant.role] for grant in live)

    def grants(self) -> list[Grant]:
        """What this principal was given, as far as its key and the bounds go."""
        if not self.is_live:
            return []
        given = narrowed((OWNS,) if self.principal == OWNER else self.registry.grants(self.principal, EVERYBODY), self.key)
        for bounds in self.bounds:
            given = within(given, bounds)
        return given

    def admits(self, rows: RowFilter, memory: str, scope_of: FindScope) -> bool:
        """Whether a memory is among the rows of a call."""
        return rows.within is None or admits(rows.within, memory, scope_of(memory))

    def _decide(self, verb: str, scope: Scope, memory: str | None = None) -> Decision:
        grants = (OWNS,) if self.is_owner else self.grants()
        decision = decide(self.principal, verb, scope, grants, self.clock.now(), self.is_writable, memory)
        if decision.is_allowed and decision.spends is not None and not self.registry.spend(decision.spends):
            return Decision(False, f"grant {decision.spends} is used up")
        return decision

    def _pass(self, verb: str, scope: Scope, decision: Decision) -> Allowed:
        if not decision.is_allowed:
            kind = Denied if verb in READS or self.is_writable else ReadOnly
            raise kind(f"{verb} on cube {scope.cube} was refused: {decision.reason}.{self._noted(verb, scope, decision)}")
        rows = RowFilter(
            now=self.clock.now(), user=scope.user, agent=scope.agent, session=scope.session, states=FINDABLE, within=decision.within
        )
        return Allowed(rows, decision.channel, least((decision.trust, self.trust)))

    def _noted(self, verb: str, scope: Scope, decision: Decision) -> str:
        """Puts a refusal into the vault's log. That it could not be written is said with it, and makes no other error of it."""
        if not self.is_writable:
            return ""
        try:
            self.registry.audit(Act(self.clock.now(), self.principal, "denied", scope.cube, {"verb": verb, "reason": decision.reason}))
        except LociError as error:
            return f" That could not be logged: {error}"
        return ""

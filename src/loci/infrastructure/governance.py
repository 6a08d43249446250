"""MemGovernance: the one gate. Every verb passes it, and what it returns is the row filter the store applies first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from loci.errors import Denied, LociError, Missing, ReadOnly, missing
from loci.infrastructure import uses
from loci.infrastructure.credentials import is_valid
from loci.policy.access import (
    CLOSED,
    EVERYBODY,
    HIDDEN,
    OWNER,
    OWNS,
    READS,
    WHOLE,
    WRITES,
    Decision,
    admits,
    covers,
    decide,
    fits,
    is_whole,
    narrowed,
    within,
)  # fmt: skip
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
    that come in are trusted as far as ``trust`` at the most. ``is_writable``: whether anything in the vault may be changed; ``is_logging``: whether
    what was read and refused can be written down."""

    clock: Clock
    principal: str
    registry: Registry
    is_writable: bool = True
    is_logging: bool = True
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
            types=query.types, since=query.since, until=query.until, is_past=query.call.intent in ("past", "when") or query.call.then is not None,
        )  # fmt: skip

    def check_writable(self, verb: str, where: str) -> None:
        """Raises `ReadOnly` where nothing may be changed: for what a verb that looks does beside looking."""
        if not self.is_writable:
            raise ReadOnly(f"{verb} on {where} was refused: {CLOSED}. Nothing was changed.")

    def may(self, verb: str, scope: Scope) -> bool:
        """Whether a call would be allowed. Spends nothing, and is not noted."""
        return self._looked(verb, scope).is_allowed

    def may_all(self, verb: str, cube: str) -> bool:
        """The same of a call that reaches whatever is in a cube."""
        decision = self._looked(verb, Scope(cube))
        return decision.is_allowed and decision.within is None

    def _looked(self, verb: str, scope: Scope) -> Decision:
        grants = (OWNS,) if self.is_owner else self.grants()
        return decide(self.principal, verb, scope, grants, self.clock.now(), self.is_writable)

    def knows(self, cube: str) -> bool:
        """Whether the principal has anything to do with a cube; of others it is not told whether they are there."""
        return self.is_owner or any(covers(grant.cube, cube) for grant in self.grants())

    @property
    def is_reader(self) -> bool:
        """Whether the principal may search anything at all. Spends nothing, and is not noted."""
        now = self.clock.now()
        return self.is_owner or any(fits(grant, self.principal, "search", grant.cube, now) for grant in self.grants())

    def grants(self) -> list[Grant]:
        """What this principal was given, as far as its key and the bounds go."""
        return self._grants(self.key) if self.is_live else []

    def _grants(self, key: Key | None) -> list[Grant]:
        held = (OWNS,) if self.principal == OWNER else self.registry.grants(self.principal, EVERYBODY)
        paid = [replace(grant, uses=grant.uses + 1) if grant.uses is not None and uses.is_paid(grant.id) else grant for grant in held]
        given = narrowed(paid, key)
        for bounds in self.bounds:
            given = within(given, bounds)
        return given

    def seen(self) -> list[Grant]:
        """The grants that this principal may look at: all of a vault that it owns; else its own, and those of others as far as they are about cubes whose grants
        it may look at."""
        if self.is_owner:
            return self.registry.grants()
        own, now = self.grants(), self.clock.now()
        found = {grant.id: grant for grant in own}
        for mine in own:
            if fits(mine, self.principal, "grants", mine.cube, now) and is_whole(mine):
                found = {grant.id: grant for grant in within(self.registry.grants(), Scope(mine.cube))} | found
        return [found[id] for id in sorted(found)]

    def unknown(self, cube: str) -> str:
        """Why a cube is none that the principal has to do with, and what would help."""
        if self.is_live and self._is_narrow and any(covers(grant.cube, cube) for grant in self._grants(None)):
            return self._wider()
        return f"{self.principal!r} has no grant for it. `loci grant` gives one."

    @property
    def _is_narrow(self) -> bool:
        """Whether the key opens less than its principal may."""
        return self.key is not None and (self.key.role, self.key.cube, self.key.user) != (None, None, None)

    def _wider(self) -> str:
        named = {} if self.key is None else {"role": self.key.role, "cube": self.key.cube, "user": self.key.user}
        told = ", ".join(f"{word} {name}" for word, name in named.items() if name is not None)
        return f"this key is narrowed to {told}, and {self.principal!r} has a grant that reaches further. Use a wider key (`loci key {self.principal}`)"

    def _explained(self, verb: str, scope: Scope, decision: Decision, now: datetime) -> Decision:
        """The same refusal; where the principal may do it, and only its key is too narrow, with that for the reason. What a grant is looked for by is the verb
        and the cube alone: of whose memories there are, it tells nothing."""
        if (
            decision.is_allowed
            or decision.reason == HIDDEN
            or not (self.is_live and self._is_narrow)
            or (verb in WRITES and not self.is_writable)
        ):
            return decision
        mine, wide = (
            any(fits(grant, self.principal, verb, scope.cube, now) and (verb not in WHOLE or is_whole(grant)) for grant in grants)
            for grants in (self.grants(), self._grants(None))
        )
        return Decision(False, self._wider()) if wide and not mine else decision

    def admits(self, rows: RowFilter, memory: str, scope_of: FindScope) -> bool:
        """Whether a memory is among the rows of a call."""
        return rows.within is None or admits(rows.within, memory, scope_of(memory))

    def _decide(self, verb: str, scope: Scope, memory: str | None = None) -> Decision:
        grants = (OWNS,) if self.is_owner else self.grants()
        now = self.clock.now()
        decision = self._explained(verb, scope, decide(self.principal, verb, scope, grants, now, self.is_writable, memory), now)
        if decision.is_allowed and decision.spends is not None and not uses.spend(self.registry, decision.spends):
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
        if not self.is_logging:
            return ""
        try:
            self.registry.audit(Act(self.clock.now(), self.principal, "denied", scope.cube, {"verb": verb, "reason": decision.reason}))
        except LociError as error:
            return f" That could not be logged: {error}"
        return ""

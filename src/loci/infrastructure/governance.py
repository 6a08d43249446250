"""MemGovernance: the one gate. Every verb passes it, and what it returns is the row filter the store applies first."""

from __future__ import annotations

from dataclasses import dataclass

from loci.errors import Denied, ReadOnly
from loci.policy.access import READS, decide
from loci.policy.lifecycle import FINDABLE
from loci.ports import Clock, RowFilter
from loci.types import Query, Scope, State


@dataclass(frozen=True, slots=True)
class Governance:
    """Decides for one vault, on behalf of one principal."""

    clock: Clock
    principal: str
    is_writable: bool = True

    def allow(self, verb: str, scope: Scope) -> RowFilter:
        """The rows that this principal may see or change by this verb. Raises `Denied` with the reason."""
        decision = decide(self.principal, verb, self.is_writable)
        if not decision.is_allowed:
            kind = Denied if verb in READS or self.is_writable else ReadOnly
            raise kind(f"{verb} on cube {scope.cube} was refused: {decision.reason}.")
        return RowFilter(now=self.clock.now(), user=scope.user, agent=scope.agent, session=scope.session, states=FINDABLE)

    def allow_query(self, verb: str, query: Query) -> RowFilter:
        """The same for a question: its own limits narrow the rows further."""
        rows = self.allow(verb, query.scope)
        return RowFilter(
            now=rows.now, user=rows.user, agent=rows.agent, session=rows.session, as_of=query.as_of, known_at=query.known_at,
            states=rows.states | {State.ARCHIVED} if query.archived else rows.states, kinds=query.kinds, types=query.types,
            since=query.since, until=query.until, is_past=query.call.intent in ("past", "when"),
        )  # fmt: skip

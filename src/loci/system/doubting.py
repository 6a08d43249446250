"""The verbs of a cube that doubt: what waits in quarantine, what is taken back, and what is let in at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loci.errors import Invalid
from loci.interface import inputs
from loci.operation import doubt
from loci.operation.intake import Intake
from loci.operation.redact import Leak
from loci.policy.redacting import Rules
from loci.system.once import Once, repeatable
from loci.types import Receipt, Scope, Suspect


class Doubting(Once):
    """Whom a cube believes, and what it keeps to itself."""

    _intake: Intake

    def review(
        self, *, user: str | None = None, agent: str | None = None, session: str | None = None, decision: str = ""
    ) -> Sequence[Suspect]:
        """What is in quarantine and waits for a decision: words of untrusted origin that give orders or contradict what is trusted more.
        ``decision``: what was ``rejected``, or ``reverted``, instead."""
        rows = self._allow("review", inputs.scope_of(self.name, user, agent, session)).rows
        found = doubt.review(self._store, self._intake, rows, decision)
        self._note_read("review", [suspect.memory.id for suspect in found])
        return found

    @repeatable
    def accept(self, id: str, *, reason: str = "") -> Receipt:
        """Lets a message out of quarantine: from now on it is found, and what it claims overrules what it contradicts. It authorises
        nothing even so: where it came from does not change."""
        allowed = self._reach("accept", id)
        now = self._parts.clock.now()
        with self._store.write(now) as tx:
            receipt = doubt.accept(self._store, self._intake, tx, id, self._reason(reason) or "accepted in review", allowed.rows.within)
            self._record(tx, "accept", id, receipt)
        self._scheduler.wake()
        return self._shown(receipt, allowed)

    @repeatable
    def reject(self, id: str, *, reason: str = "") -> Receipt:
        """Keeps a message in quarantine for good. It stays in its history; `erase` takes its words."""
        allowed = self._reach("reject", id)
        with self._store.write(self._parts.clock.now()) as tx:
            receipt = doubt.reject(self._store, tx, id, self._reason(reason) or "rejected in review")
            self._record(tx, "reject", id, receipt)
        return self._shown(receipt, allowed)

    def revert(
        self,
        *,
        origin: str | None = None,
        session: str | None = None,
        user: str | None = None,
        principal: str | None = None,
        reason: str = "",
    ) -> doubt.Reverted:
        """Takes back everything learnt from a page, tool or file (``origin``), in a session, for a user, or from a principal, with all that was
        made of it: the present is as if it had never been said. The past keeps it, as it was known then; `review` shows it."""
        self._allow("revert", Scope(self.name))
        named = {"origin": origin, "session": session, "user": user, "principal": principal}
        by = {word: inputs.id_of(name) for word, name in named.items() if name is not None}
        if origin is not None:
            by["origin"] = self._redactor.text(origin)  # as it was stored
        if not by:
            raise Invalid("revert needs one of: origin, session, user, principal. Several narrow it.")
        now, author = self._parts.clock.now(), self._parts.governance.principal
        with self._store.write(now) as tx:
            found = doubt.revert(self._store, tx, by, self._reason(reason) or "taken back with all that came from there", author, now)
            detail = {"by": sorted(by), "memories": found.memories[:100], "sources": found.sources[:100], "reopened": found.reopened}
            tx.audit(author, "revert", self.name, detail)
        return found

    def scan(self) -> Sequence[Leak]:
        """What the journal holds of secrets and personal data: from before they were masked, or let in. It names sources and kinds, and
        shows nothing; `erase` takes a source."""
        self._allow("scan", Scope(self.name))
        return list(self._redactor.leaks())

    def protect(
        self,
        *,
        secrets: str | None = None,
        personal: str | None = None,
        quota: int | None = None,
        read_only: bool | None = None,
    ) -> Mapping[str, str]:
        """What this cube does with secrets and with personal data in what comes in (keep, mask, refuse), how many messages a user may have
        in it, and whether it takes in anything at all. What is None stays. Answers what holds; where that is silent, the settings do."""
        self._allow("protect", Scope(self.name))
        named = {
            "secrets": secrets, "personal": personal, "quota": None if quota is None else str(inputs.number(quota, "quota", 0, inputs.MAX_USES)),
            "read_only": None if read_only is None else ("yes" if read_only else "no"),
        }  # fmt: skip
        wanted = {name: value for name, value in named.items() if value is not None}
        Rules.of(wanted.get("secrets", "mask"), wanted.get("personal", "keep"))  # refuses what is none, before anything is written
        if wanted:
            with self._store.write(self._parts.clock.now()) as tx:
                for name, value in wanted.items():
                    tx.set_option(name, value)
                tx.audit(self._parts.governance.principal, "protect", self.name, wanted)
        return self._store.options()

    def fingerprint(self) -> str:
        """A hash of what the cube holds at present: words, times, claims, links and vectors. Cubes that hold the same have the same one."""
        at = self._allow("fingerprint", Scope(self.name)).rows
        with self._store.snapshot():
            return doubt.fingerprint(self._store, at)

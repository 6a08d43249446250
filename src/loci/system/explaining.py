"""The verbs of a cube that explain: what changed, why something is there or not, and who did what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from loci.errors import Missing
from loci.interface import inputs
from loci.interface.inputs import aware, sure
from loci.operation import explain
from loci.operation.lifecycle import Difference, difference
from loci.system.asking import Asking
from loci.types import Head, Query, Record, Scope, Source


class Explaining(Asking):
    """Differences between times, causes, and the audit log."""

    def diff(self, t1: datetime, t2: datetime, *, known: bool = False) -> Difference:
        """What changed in the world between two times, as known now; with ``known``, what changed in our knowledge."""
        at = self._allow("diff", Scope(self.name)).rows
        views = [replace(at, known_at=t) if known else replace(at, as_of=t) for t in (sure(t1, "t1"), sure(t2, "t2"))]
        before, after = (self._store.select(view, limit=1 << 40) for view in views)
        self._note_read("diff", ())
        return difference(before, after)

    def why(self, id: str) -> explain.Why:
        """Where a memory comes from and what happened to it: sources in their own words, versions, steps of its life, links, audit. An activation
        memory and an adapter rest on the memories that they were made of, and are among the links of these."""
        try:
            rows = self._reach("why", id).rows
            found = explain.why(self._store, id)
        except Missing:
            if not (headers := self._derived("why", id)):
                raise
            found = explain.why_made(self._store, headers)
            self._note_read("why", (id,))
            return found if self._reach("why", found.links[0].target).rows.within is None else replace(found, records=())
        made = self._made_into("why", id)
        self._note_read("why", (id,))
        if rows.within is None:
            return replace(found, links=(*found.links, *made))
        near = [
            k for k in found.links if all(self._parts.governance.admits(rows, end, self._store.scope_of) for end in (k.source, k.target))
        ]
        return replace(found, links=(*near, *made), records=())  # the log is the auditor's

    def quoted(self, memories: Sequence[str]) -> Mapping[str, Sequence[Source]]:
        """The messages that each of these memories quotes, for who shows what was found already: it is no look of its own, and in no log."""
        found = {}
        for id in inputs.ids_of(memories):
            found[id] = [self._store.source(span.source) for span in self._versions("why", id)[-1].spans]
        return found

    def why_not(self, question: str, id: str, *, user: str | None = None, as_of: datetime | None = None) -> explain.WhyNot:
        """Why a memory is not in the answer to a question: which filter, rank or budget kept it out, and by how much."""
        scope = inputs.scope_of(self.name, user)
        rows = self._allow("why_not", scope).rows
        call = self._call(inputs.question(question), rows)
        query = Query(call=call, limit=self._parts.limit, as_of=aware(as_of, "as_of"))
        self._reach("get", id)
        self._check_words("why_not", id)
        at = self._parts.governance.narrow(rows, query)
        self._settle()
        return explain.why_not(self._store, self._operator, query, at, inputs.id_of(id))

    def log(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        verb: str | None = None,
        object: str | None = None,
        principal: str | None = None,
        before: int | None = None,
        changes: bool = False,
        limit: int = 100,
    ) -> Sequence[Record]:
        """The newest records of the audit log, oldest first: who did what to what, when. Reads are in it as the setting ``audit_reads`` says, and left out with ``changes``.
        ``before`` is the number (`seq`) of a record: those that came earlier, which whatever is written meanwhile does not move."""
        self._allow("log", Scope(self.name))
        number = inputs.number(limit, "limit", 0, inputs.MAX_PAGE)
        verb, object, principal = inputs.word_of(verb, "verb"), inputs.word_of(object, "object"), inputs.word_of(principal, "principal")
        before = None if before is None else inputs.number(before, "before", 1, inputs.MAX_PAGE)
        self._scheduler.write_reads()
        return self._store.records(*inputs.between(since, until), verb, object, number, principal, before, changes)

    def head(self) -> Head:
        """The last record of the audit log. Who keeps it can tell later, by ``verify``, whether the log before it is still the same."""
        self._allow("head", Scope(self.name))
        return self._store.head()

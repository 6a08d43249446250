"""The verbs of a cube that ask. They write nothing but, later, that it was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from loci.errors import Missing
from loci.interface import inputs
from loci.interface.filters import where_of
from loci.interface.inputs import aware, sure
from loci.operation.activation import Activations
from loci.operation.operator import Operator, Ranked
from loci.policy.fusion import Ranker
from loci.policy.retention import heat
from loci.ports import RowFilter
from loci.system.gated import Gated
from loci.types import Counts, Memory, MemoryCall, Query, Recall, State, Type

HOTTEST = 20
WALKED = 1_000  # memories that `walk` reads at a time
FILL_LIMIT = 100  # hits considered when a budget, not a number, says how many
LINE_TOKENS = 10  # a line with a date and a speaker is hardly shorter


class Asking(Gated):
    """Search, and looking things up."""

    _operator: Operator
    _activations: Activations

    def search(
        self,
        question: str,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        budget_tokens: int | None = None,
        limit: int | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        types: Sequence[Type | str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        archived: bool = False,
        strict: bool = False,
        pertinent: bool = False,
        where: Mapping[str, object] | None = None,
        expired: bool = False,
        asked_at: datetime | None = None,
    ) -> Recall:
        """The memories that answer, best first, and the same packed for a prompt. ``as_of``: what was true then;
        ``known_at``: what we knew then; ``since`` and ``until``: when it was said. With a budget and no limit, as many as fit.
        ``where`` narrows it to what is kept with memories (`interface.filters`), before anything is ranked; ``expired`` lets in what
        its time to live has ended. What "last week" means counts from ``asked_at``, or from now.
        ``recall.confidence`` says how sure it is that an answer is in memory; ``strict`` gives none where that is too low.
        ``pertinent`` leaves out what is plainly about something else, as a prompt wants it: far in meaning, without a word of the question."""
        rows = self._allow("search", inputs.scope_of(self.name, user, agent, session)).rows
        rows = replace(rows, where=where_of(where), has_expired=expired)
        then = aware(asked_at, "asked_at") or rows.now
        since, until = inputs.between(since, until)
        query = replace(
            self._query(replace(rows, known_at=aware(known_at, "known_at"), now=then), question, limit, budget_tokens),
            as_of=aware(as_of, "as_of"), known_at=aware(known_at, "known_at"), types=inputs.types_of(types), since=since, until=until,
            archived=archived, strict=strict, pertinent=pertinent,
        )  # fmt: skip
        return self._search(query, rows)

    def _query(self, rows: RowFilter, question: str, limit: int | None, budget_tokens: int | None) -> Query:
        """A question over the rows that the gate has let through."""
        limit, budget_tokens = inputs.whole(limit, "limit"), inputs.whole(budget_tokens, "budget_tokens")
        usual = self._parts.limit if budget_tokens is None else min(max(budget_tokens // LINE_TOKENS, self._parts.limit), FILL_LIMIT)
        return Query(
            call=self._call(inputs.question(question), rows),
            limit=usual if limit is None else limit,
            budget_tokens=budget_tokens,
        )

    def _recall(self, rows: RowFilter, question: str, *, limit: int | None = None, budget_tokens: int | None = None) -> Recall:
        """What goes into a prompt whatever is asked: nothing that is plainly about something else."""
        return self._search(replace(self._query(rows, question, limit, budget_tokens), pertinent=True), rows)

    def _search(self, query: Query, rows: RowFilter) -> Recall:
        recall = self._with_faults(self._found(query, rows), rows)
        self._scheduler.use(recall.ids)
        self._note_read("search", recall.ids)
        return recall

    def _found(self, query: Query, rows: RowFilter) -> Recall:
        """The answer to a question, which counts as no use."""
        at = self._parts.governance.narrow(rows, query)
        self._settle()
        with self._parts.pace.foreground():
            return self._with_handles(self._operator.search(query, at), at)

    def _with_faults(self, recall: Recall, rows: RowFilter) -> Recall:
        """With what went wrong with pages that were sent for since the last search."""
        wrong = self._parts.porter.fault(self._activations, self._activations.tenant(rows))
        return replace(recall, trace=replace(recall.trace, missing={**recall.trace.missing, "prepare": wrong})) if wrong else recall

    def _with_handles(self, recall: Recall, at: RowFilter) -> Recall:
        """With the activation memories that hold some of the hits; of those that cannot be read the trace says so."""
        handles, wrong = self._activations.handles(at, recall.ids)
        if wrong:
            recall = replace(recall, trace=replace(recall.trace, missing={**recall.trace.missing, "activation": wrong[0]}))
        return replace(recall, handles=tuple(handles)) if handles else recall

    def cite(self, memories: Sequence[str]) -> tuple[str, ...]:
        """Says that an answer was shown these memories and rests on them: what is kept at hand, and in which form, is decided by that. Where
        the answer is Loci's own, or is given to `Conversation.replied`, the numbers that it cites say so already. Returns the ids, each
        once. Raises `Missing` for what is not there, and `ReadOnly` where nothing can be counted; counts are written later, with those of searches."""
        named = inputs.ids_of(memories)
        self._parts.governance.check_writable("cite", f"cube {self.name}")
        for id in named:
            self._reach("cite", id)
            self._store.scope_of(id)
        self._scheduler.cite(named)
        return named

    def rank(self, question: str, *, user: str | None = None) -> tuple[Ranked, Sequence[Memory]]:
        """The candidates of a question and their signals, in the order of ``survey.contents``: what a ranker is learned from."""
        at = self._allow("rank", inputs.scope_of(self.name, user, None, None)).rows
        call = self._call(inputs.question(question), at)
        probe = self._operator.probe(call)
        with self._store.snapshot():
            ranked = self._operator.rank(call, probe, at)
            found = self._store.load(ranked.survey.contents, at)
        return ranked, [found[content] for content in ranked.survey.contents]

    @property
    def ranker(self) -> Ranker:
        """What its signals are worth."""
        return self._operator.ranker

    def call(self, question: str, *, user: str | None = None) -> MemoryCall:
        """How a question in words is read: intent, people, time window, terms, and the keys it asks for. ``user`` is "I"."""
        return self._call(question, self._allow("search", inputs.scope_of(self.name, user)).rows)

    def _call(self, question: str, rows: RowFilter) -> MemoryCall:
        return self._parts.reader.call(question, rows.now, self._store.people(rows), rows.user)

    def get(self, id: str, *, as_of: datetime | None = None, known_at: datetime | None = None) -> Memory:
        """One memory: its latest version, or the one that held then. Of an activation memory or an adapter the header, as it is now. Raises `Missing`."""
        if as_of is None and known_at is None:
            found = self._versions("get", id)[-1]
        else:
            found = self._at(id, aware(as_of, "as_of"), aware(known_at, "known_at"))
        self._note_read("get", (id,))
        return found

    def _at(self, id: str, as_of: datetime | None, known_at: datetime | None) -> Memory:
        """The version that held then, and was known then."""
        try:
            at = self._reach("get", id).rows
            return self._store.get(id, replace(at, states=frozenset(State), as_of=as_of, known_at=known_at))
        except Missing:
            times = [time for time in (as_of, known_at) if time is not None]
            held = [header for header in self._derived("get", id) if all(header.recorded.holds(time) for time in times)]
            if not held:
                raise
            return held[-1]

    def list(
        self,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        types: Sequence[Type | str] = (),
        archived: bool = False,
        limit: int = 100,
        offset: int = 0,
        where: Mapping[str, object] | None = None,
        expired: bool = False,
    ) -> list[Memory]:
        """Memories in the order they were remembered, at present or as they held then; ``where`` and ``expired`` as in `search`."""
        at = self._listed(
            "list", user=user, agent=agent, session=session, as_of=as_of, known_at=known_at, types=types, where=where, archived=archived, expired=expired
        )  # fmt: skip
        return [*self._cut(at, limit, offset, 0)[0]]

    def page(self, moment: datetime, after: int = 0, *, limit: int = 100, offset: int = 0, **asked: Any) -> tuple[Sequence[Memory], int]:
        """A page of what `list` would have shown at a moment, of memories behind the place ``after``, and the place of its last one. What is erased,
        forgotten or runs out between two pages moves nothing from one to the other."""
        asked = {name: value for name, value in asked.items() if value is not None}
        at = replace(self._listed("list", **{"known_at": moment, **asked}), now=sure(moment, "moment"))
        return self._cut(at, limit, offset, after)

    def walk(self, *, step: int = WALKED, **asked: Any) -> Iterator[Memory]:
        """Every memory that `list` would show now, asked as there but for limit and offset. So many are read at a time, however many there are; what is
        added or erased meanwhile moves nothing: the one does not come, the other is missing where it was."""
        moment, after = self._parts.clock.now(), 0
        inputs.number(step, "step", 1, inputs.MAX_PAGE)
        while True:
            found, after = self.page(moment, after, limit=step, **asked)
            yield from found
            if len(found) < step:
                return

    def _cut(self, at: RowFilter, limit: int, offset: int, after: int) -> tuple[Sequence[Memory], int]:
        found, place = self._store.page(
            at, inputs.number(limit, "limit", 0, inputs.MAX_PAGE), inputs.number(offset, "offset", 0, inputs.MAX_PAGE),
            inputs.number(after, "after", 0, inputs.MAX_PAGE),
        )  # fmt: skip
        self._note_read("list", [memory.id for memory in found])
        return found, place

    def count(
        self,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        types: Sequence[Type | str] = (),
        archived: bool = False,
        where: Mapping[str, object] | None = None,
        expired: bool = False,
    ) -> Counts:
        """How many memories `list` would show, without a limit, and of what: by type, state, channel, trust, user, speaker, origin and day; and which
        of them answers cite most of late."""
        at = self._listed(
            "count", user=user, agent=agent, session=session, as_of=as_of, known_at=known_at, types=types, where=where, archived=archived, expired=expired
        )  # fmt: skip
        with self._store.snapshot():
            found, warm = self._store.counted(at), self._store.warm(at)
        self._note_read("count", ())
        heats = {id: heat(strength, at.now) for id, strength in warm.items()}
        return replace(found, heat=dict(sorted(heats.items(), key=lambda entry: -entry[1])[:HOTTEST]))

    def _listed(
        self, verb: str, *, user: str | None = None, agent: str | None = None, session: str | None = None, as_of: datetime | None = None,
        known_at: datetime | None = None, types: Sequence[Type | str] = (), where: Mapping[str, object] | None = None, archived: bool = False,
        expired: bool = False,
    ) -> RowFilter:  # fmt: skip
        """The rows of a list, through the gate."""
        at = self._allow(verb, inputs.scope_of(self.name, user, agent, session)).rows
        return replace(
            at, states=at.states | {State.ARCHIVED} if archived else at.states, as_of=aware(as_of, "as_of"),
            known_at=aware(known_at, "known_at"), types=inputs.types_of(types), where=where_of(where), has_expired=expired,
        )  # fmt: skip

    def history(self, id: str) -> Sequence[Memory]:
        """Every version of a memory, oldest first, each with author, reason and times; of an activation memory or an adapter those that are kept."""
        found = self._versions("history", id)
        self._note_read("history", (id,))
        return found

    def _versions(self, verb: str, id: str) -> Sequence[Memory]:
        """Every version of a memory, of whatever form, through the gate."""
        try:
            self._reach(verb, id)
            return self._store.history(id)
        except Missing:
            if headers := self._derived(verb, id):
                return headers
            raise

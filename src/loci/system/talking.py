"""The verb of a cube that keeps a conversation with a model behind an API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from loci.errors import Invalid
from loci.interface import inputs
from loci.operation import standing
from loci.operation.foreseeing import Foreseen, Foresight
from loci.operation.preparing import Preparing
from loci.policy.caching import Provider
from loci.policy.foresight import Course
from loci.policy.layout import Budget, Known, Pair
from loci.policy.packing import SMALLEST_BUDGET
from loci.ports import RowFilter
from loci.system.asking import Asking
from loci.system.coming import Coming
from loci.system.conversation import Conversation, Look, Setting
from loci.types import Recall, Scope

MAX_PROMPT = 1_000_000  # tokens of memories in a prompt
SHARE = 2  # times the tokens of a recall that are foreseen
MOST_QUESTIONS = 100  # that a guess is made from


class Talking(Asking):
    """Prompts that begin as the last one did."""

    def conversation(
        self,
        *,
        session: str,
        user: str | None = None,
        agent: str | None = None,
        system: str = "",
        tools: Sequence[Mapping[str, object]] = (),
        provider: Provider | str = "anthropic",
        budget_tokens: int = 600,
        core_tokens: int | None = None,
        kept_tokens: int | None = None,
        history: Sequence[Mapping[str, object]] = (),
        state: Mapping[str, object] | None = None,
        ahead: bool = False,
    ) -> Conversation:
        """A conversation with a model behind an API, whose prompts a provider's cache finds again: each turn searches the memories of this
        ``user`` and ``agent``, and what was sent before stays as it was. ``session`` names it. ``budget_tokens`` are for what a turn recalls,
        ``core_tokens`` (as many) for memories that stand at the start, ``kept_tokens`` (eight times as many) for recalled ones that stay
        where they were said; 0 drops them after their turn. To go on with one, give its ``state`` and ``history``. With ``ahead``, whenever a
        turn is over, what the next may want is foreseen and prepared in the background, in twice the tokens."""
        scope = inputs.scope_of(self.name, user, agent)
        budget = inputs.number(budget_tokens, "budget_tokens", SMALLEST_BUDGET, MAX_PROMPT)
        core = budget if core_tokens is None else inputs.number(core_tokens, "core_tokens", 0, MAX_PROMPT)
        kept = 8 * budget if kept_tokens is None else inputs.number(kept_tokens, "kept_tokens", 0, MAX_PROMPT)
        key = self._store.hash("conversation", inputs.session_of(session), user, agent).hex()[:32]
        setting = Setting(
            key, session, inputs.system_of(system), inputs.tools_of(tools), inputs.provider_of(provider), budget, Budget(core, kept), self._parts.clock,
            lambda *parts: self._store.hash(*parts).hex()[:16],
        )  # fmt: skip
        coming = None
        if ahead:
            made = self._coming(scope, SHARE * budget)
            coming = made, partial(made.send, self._parts.porter, self._activations, self._activations.tenant)
        return Conversation(setting, partial(self._look, scope), history, state, coming)

    def _coming(self, scope: Scope, budget_tokens: int) -> Coming:
        def rows() -> RowFilter:
            return self._allow("foresee", scope).rows

        def find(question: str, at: RowFilter) -> Recall:
            return self._found(self._query(at, question, None, None), at)

        return Coming(self._foresight, rows, find, self._bring, budget_tokens, self._parts.pace)

    def _bring(self, memories: Sequence[str], at: RowFilter, is_wanted: Callable[[], bool]) -> str:
        if not isinstance(self._activations, Preparing):
            return "What a server keeps is not brought ahead."
        return self._activations.bring(memories, at, is_wanted)

    def foresee(
        self,
        questions: Sequence[str] = (),
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        budget_tokens: int = 1200,
    ) -> Foreseen:
        """What the next turn of a conversation may want that has asked these ``questions`` so far, oldest first: packed to a budget, with each
        memory's share and why. It is a guess, and no search: what a question finds may differ. Counts as no use."""
        rows = self._allow("foresee", inputs.scope_of(self.name, user, agent, session)).rows
        budget = inputs.number(budget_tokens, "budget_tokens", SMALLEST_BUDGET, MAX_PROMPT)
        if isinstance(questions, str) or not isinstance(questions, Sequence) or len(questions) > MOST_QUESTIONS:
            raise Invalid(f"questions is {questions!r:.100}; it must be a list of at most {MOST_QUESTIONS}, the last ones asked.")
        course, foreseen = Course(), None
        for question in (None, *questions):
            if question is not None:
                course = self._foresight.followed(course, self._found(self._query(rows, question, None, None), rows), rows)
            foreseen, course = self._foresight.foresee(course, rows, budget, lambda: True)
        assert foreseen is not None
        self._note_read("foresee", foreseen.recall.ids)
        return foreseen

    @property
    def _foresight(self) -> Foresight:
        return Foresight(self._store, self._redactor)

    def _look(self, scope: Scope, question: str | None, budget_tokens: int, prepared: Foreseen | None = None) -> Look:
        """What a turn of a conversation may see: one pass of the gate, one search, or what was prepared where that holds."""
        rows = self._allow("search", scope).rows
        is_prepared = question is not None and prepared is not None and not self._foresight.why_not(prepared, rows)
        recall = None
        if is_prepared and prepared is not None:
            recall = prepared.recall
            self._scheduler.use(recall.ids)
            self._note_read("search", recall.ids)
        elif question is not None:
            recall = self._recall(rows, question, budget_tokens=budget_tokens)

        def known(pairs: Collection[Pair], memories: Collection[str]) -> Known:
            return standing.known(self._store, self._redactor, pairs, memories, rows)

        cite = self._scheduler.cite
        return Look(
            recall, known, partial(standing.candidates, self._store, rows), partial(self._note_read, "get"), cite, rows, is_prepared
        )

"""The verb of a cube that keeps a conversation with a model behind an API."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from loci.interface import inputs
from loci.operation import standing
from loci.policy.caching import Provider
from loci.policy.layout import Budget, Known, Pair
from loci.policy.packing import SMALLEST_BUDGET
from loci.system.asking import Asking
from loci.system.conversation import Conversation, Look, Setting
from loci.types import Scope

MAX_PROMPT = 1_000_000  # tokens of memories in a prompt


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
    ) -> Conversation:
        """A conversation with a model behind an API, whose prompts a provider's cache finds again: each turn searches the memories of this
        ``user`` and ``agent``, and what was sent before stays as it was. ``session`` names it. ``budget_tokens`` are for what a turn recalls,
        ``core_tokens`` (as many) for memories that stand at the start, ``kept_tokens`` (eight times as many) for recalled ones that stay
        where they were said; 0 drops them after their turn. To go on with one, give its ``state`` and ``history``."""
        scope = inputs.scope_of(self.name, user, agent)
        budget = inputs.number(budget_tokens, "budget_tokens", SMALLEST_BUDGET, MAX_PROMPT)
        core = budget if core_tokens is None else inputs.number(core_tokens, "core_tokens", 0, MAX_PROMPT)
        kept = 8 * budget if kept_tokens is None else inputs.number(kept_tokens, "kept_tokens", 0, MAX_PROMPT)
        key = self._store.hash("conversation", inputs.session_of(session), user, agent).hex()[:32]
        setting = Setting(
            key, session, inputs.system_of(system), inputs.tools_of(tools), inputs.provider_of(provider), budget, Budget(core, kept), self._parts.clock,
            lambda *parts: self._store.hash(*parts).hex()[:16],
        )  # fmt: skip
        return Conversation(setting, partial(self._look, scope), history, state)

    def _look(self, scope: Scope, question: str | None, budget_tokens: int) -> Look:
        """What a turn of a conversation may see: one pass of the gate, one search."""
        rows = self._allow("search", scope).rows
        recall = None
        if question is not None:
            recall = self._recall(rows, question, budget_tokens=budget_tokens)

        def known(pairs: Collection[Pair], memories: Collection[str]) -> Known:
            return standing.known(self._store, self._redactor, pairs, memories, rows)

        return Look(recall, known, partial(standing.candidates, self._store, rows), partial(self._note_read, "get"), self._scheduler.cite)

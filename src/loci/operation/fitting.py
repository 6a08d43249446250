"""Prompts that a model has room for: as much of what was recalled as it reads, and no activation memory whose words would be more.

What is left out is told. A question that is too long by itself is refused, since nothing could be left out for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loci.errors import Invalid
from loci.operation.activation import GIVES_WAY, nearest
from loci.operation.composing import Composing, Wish
from loci.operation.operator import pack
from loci.policy.packing import SMALLEST_BUDGET
from loci.ports import RowFilter
from loci.types import Handle, Message, Recall

TEMPLATE = 1024  # tokens that a template takes at the most, as good as surely
TURN = 64  # and those of one message


@dataclass(frozen=True, slots=True)
class Fitted:
    """What an answer is made of: what was recalled and what was wished for, as far as there is room for them, and the budget that this leaves. ``told`` says what was left
    out, and why; of an activation memory that was, ``is_begun`` says so."""

    recall: Recall
    wish: Wish | None
    budget_tokens: int | None
    told: tuple[str, ...] = ()
    is_begun: bool = False


class Fitting(Composing):
    """The activation memories of one cube, whose answers are made of what the model has room for."""

    def fitted(
        self, recall: Recall, wish: Wish | None, messages: Sequence[Message], at: RowFilter, budget_tokens: int | None, answer_tokens: int
    ) -> Fitted:
        """What an answer of so many tokens is made of. Raises `Invalid` where the conversation alone is too long."""
        context = self._context()
        if not context:
            return Fitted(recall, wish, budget_tokens)
        room, told, begun = context - answer_tokens, list[str](), ""
        if not self._has_room(recall.text, messages, room):
            count = len(recall.ids)
            recall = self._shortened(recall, messages, context, room)
            budget_tokens = min(recall.tokens, budget_tokens or recall.tokens)
            told.append(
                f"what was recalled was cut down to what this model reads ({context} tokens, with the answer's {answer_tokens}): {len(recall.ids)} of {count} memories"
            )
        if wish is not None:
            found = self.shown(wish, at)
            text = self._block(found, at.now) if found else ""
            if not self._has_room(text, self._with_rest(recall, found, messages, budget_tokens), room):
                begun, wish = ", ".join(manifest.id for manifest in wish.manifests), None
        handles = tuple(handle for handle in recall.handles if self._fits(handle, recall, messages, at, budget_tokens, room))
        if len(handles) < len(recall.handles):
            lost = nearest(recall.handles, recall.ids)
            begun = begun or (lost.id if lost is not None and lost not in handles else "")
            recall = replace(recall, handles=handles)
        if begun:
            told.append(
                f"with {begun} the prompt would be more than this model reads ({context} tokens), so that the text of what was recalled was read"
            )
        return Fitted(recall, wish, budget_tokens, tuple(told), bool(begun))

    def _context(self) -> int:
        """How many tokens the model reads; 0 where nobody knows."""
        return self.engine.fingerprint().context

    def _prompt(self, text: str, messages: Sequence[Message]) -> Sequence[int]:
        """The tokens of a prompt."""
        return self.engine.tokenize(self.engine.prompt(text, messages)[0])

    def _has_room(self, text: str, messages: Sequence[Message], room: int) -> bool:
        """Whether a prompt is no longer than that. A token has a byte at least, so that most are not counted."""
        size = TEMPLATE + len(text.encode()) + sum(TURN + len(message.text.encode()) for message in messages)
        return size <= room or len(self._prompt(text, messages)) <= room

    def _fits(
        self, handle: Handle, recall: Recall, messages: Sequence[Message], at: RowFilter, budget_tokens: int | None, room: int
    ) -> bool:
        """Whether a prompt that begins with an activation memory has room; of one that cannot be used at all, that is found where it is used."""
        if self._has_room(recall.text, messages, room - handle.tokens):
            return True
        try:
            found = self._present(handle.memories, at)
        except GIVES_WAY:
            return True
        return self._has_room(self._block(found, at.now), self._with_rest(recall, found, messages, budget_tokens), room)

    def _shortened(self, recall: Recall, messages: Sequence[Message], context: int, room: int) -> Recall:
        """As much of what was recalled as there is room for, best first, packed as a smaller budget would have it."""
        bare = len(self._prompt("", messages))
        if bare > room:
            raise Invalid(
                f"The question, with what was said before it, is {bare} tokens, and with an answer of {context - room} more than this model reads ({context}). Ask for a "
                "shorter answer (max_tokens, --max-tokens), or a shorter question."
            )
        length, budget = len(self._prompt(recall.text, messages)) - bare, recall.tokens
        while length > room - bare:
            budget = min(budget - 1, budget * (room - bare) // length)
            if budget < SMALLEST_BUDGET:
                return replace(recall, hits=(), text="", tokens=0)
            packed = pack(recall.hits, self._redactor, budget, recall.trace.call.terms)
            length = len(self._prompt(packed.text, messages)) - bare
        return replace(recall, hits=tuple(recall.hits[rank] for rank in packed.taken), text=packed.text, tokens=packed.tokens)

"""``LociBlock``: what LlamaIndex's `Memory` asks of a block, over the verbs of a cube."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.memory import BaseMemoryBlock
from llama_index.core.utils import get_tokenizer
from pydantic import Field, PrivateAttr, SkipValidation

from loci.errors import Invalid, LociError, TooLarge
from loci.interface.inputs import MAX_QUESTION
from loci.policy.packing import SMALLEST_BUDGET
from loci.system import Cube
from loci.types import Message, Recall

USER = (MessageRole.USER,)
ASSISTANT = (MessageRole.ASSISTANT, MessageRole.CHATBOT, MessageRole.MODEL)
REMEMBERED = 64  # recalls that may still be asked to be shorter


class LociBlock(BaseMemoryBlock[str]):
    """A block of `Memory` over a ``cube``, of `MemOS.open` or of `loci.connect`.

    It answers with what the cube recalls for the user's last message, fenced and cited, of all sessions, within ``budget_tokens``; where ``strict``, only if
    memory is sure enough. It keeps what users and assistants said, in LlamaIndex's session. All of it is ``user``'s and ``agent``'s: None keeps what is
    nobody's, and recalls everybody's. Where there is less room it recalls again, into what there is. Errors are `loci.errors`.
    """

    name: str = "loci"
    priority: int = 1
    cube: SkipValidation[Cube] = Field(exclude=True, repr=False)
    user: str | None
    agent: str | None = None
    budget_tokens: int = Field(default=1000, ge=SMALLEST_BUDGET)
    strict: bool = False
    _recalled: OrderedDict[str, tuple[str, int]] = PrivateAttr(default_factory=OrderedDict)  # by its text, the question and the tokens

    async def _aget(self, messages: list[ChatMessage] | None = None, **_: Any) -> str:
        question = next((words for m in reversed(messages or []) if m.role in USER and (words := words_of(m))), None)
        return "" if question is None else await self._recall(question[:MAX_QUESTION], self.budget_tokens)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        refused = [error for session, said in _by_session(messages) for error in await self._kept(said, session)]
        if refused:
            raise refused[-1]

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """Recalls again, until that has so many tokens less, as LlamaIndex counts them; None where no memory would be left. Of a block that had nothing
        LlamaIndex hands in an empty list."""
        if not content or content not in self._recalled:
            return None
        question, budget = self._recalled[content]
        counted = get_tokenizer()
        goal, over = len(counted(content)) - tokens_to_truncate, tokens_to_truncate
        while (budget := budget - over) >= SMALLEST_BUDGET:
            shorter = await self._recall(question, budget)
            over = len(counted(shorter)) - goal
            if over <= 0:
                return shorter or None
        return None

    async def _recall(self, question: str, budget: int) -> str:
        recall: Recall = await asyncio.to_thread(
            self.cube.search, question, user=self.user, agent=self.agent, budget_tokens=budget, strict=self.strict, pertinent=True
        )
        if not recall.hits:
            return ""
        self._recalled[recall.text] = (question, recall.tokens)
        self._recalled.move_to_end(recall.text)
        if len(self._recalled) > REMEMBERED:
            self._recalled.popitem(last=False)
        return recall.text

    async def _kept(self, said: Sequence[Message], session: str | None) -> list[LociError]:
        """Keeps it, at once or else one by one, so that what cannot be kept takes nothing else along: LlamaIndex hands it over once. Returns what was
        refused."""
        try:
            await asyncio.to_thread(self.cube.add, said, user=self.user, agent=self.agent, session=session)
        except (Invalid, TooLarge) as error:
            return [error] if len(said) == 1 else [refused for one in said for refused in await self._kept([one], session)]
        return []


def words_of(message: ChatMessage) -> str:
    """What a message says, without its pictures and calls; empty where that is nothing."""
    words = message.content or ""
    return words if words.strip() else ""


def _by_session(messages: Sequence[ChatMessage]) -> list[tuple[str | None, list[Message]]]:
    """What was said, as messages of ours, by the session that LlamaIndex writes beside each; what tools answered and prompts of the system are left out."""
    found: dict[str | None, list[Message]] = {}
    for message in messages:
        role = "user" if message.role in USER else "assistant" if message.role in ASSISTANT else None
        if role is not None and (words := words_of(message)):
            found.setdefault(message.additional_kwargs.get("session_id"), []).append(Message(role, words))
    return list(found.items())

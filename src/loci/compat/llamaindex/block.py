"""``LociBlock``: what LlamaIndex's `Memory` asks of a block, over the verbs of a cube."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.memory import BaseMemoryBlock
from pydantic import Field, PrivateAttr, SkipValidation

from loci.system import Cube
from loci.types import Message, Recall

USER = (MessageRole.USER,)
ASSISTANT = (MessageRole.ASSISTANT, MessageRole.CHATBOT, MessageRole.MODEL)
REMEMBERED = 64  # recalls that may still be asked to be shorter


class LociBlock(BaseMemoryBlock[str]):
    """A block of `Memory` over a ``cube``, of `MemOS.open` or of `loci.connect`.

    It answers with what the cube recalls for the user's last message, fenced and cited, of all sessions, within ``budget_tokens``; of ``strict`` ones only
    where memory is sure enough. It keeps what users and assistants said, for ``user`` and ``agent``, in LlamaIndex's session. Where there is no room for all
    of it, it recalls again into what there is. Errors are `loci.errors`.
    """

    name: str = "loci"
    priority: int = 1
    cube: SkipValidation[Cube] = Field(exclude=True, repr=False)
    user: str | None = None
    agent: str | None = None
    budget_tokens: int = Field(default=1000, gt=0)
    strict: bool = False
    _recalled: OrderedDict[str, tuple[str, int]] = PrivateAttr(default_factory=OrderedDict)  # by its text, the question and the tokens

    async def _aget(self, messages: list[ChatMessage] | None = None, **_: Any) -> str:
        question = next((m.content for m in reversed(messages or []) if m.role in USER and m.content), None)
        return "" if question is None else await self._recall(question, self.budget_tokens)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        for session, said in _by_session(messages):
            await asyncio.to_thread(self.cube.add, said, user=self.user, agent=self.agent, session=session)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """The same recall in so many tokens less; None where nothing would be left of it. Of a block that had nothing LlamaIndex hands in an empty list."""
        question, tokens = self._recalled.get(content, ("", 0)) if content else ("", 0)
        return await self._recall(question, tokens - tokens_to_truncate) or None if tokens > tokens_to_truncate else None

    async def _recall(self, question: str, budget: int) -> str:
        recall: Recall = await asyncio.to_thread(
            self.cube.search, question, user=self.user, agent=self.agent, budget_tokens=budget, strict=self.strict
        )
        if not recall.hits:
            return ""
        self._recalled[recall.text] = (question, recall.tokens)
        if len(self._recalled) > REMEMBERED:
            self._recalled.popitem(last=False)
        return recall.text


def _by_session(messages: Sequence[ChatMessage]) -> list[tuple[str | None, list[Message]]]:
    """What was said, as messages of ours, by the session that LlamaIndex writes beside each; what tools answered and prompts of the system are left out."""
    found: dict[str | None, list[Message]] = {}
    for message in messages:
        role = "user" if message.role in USER else "assistant" if message.role in ASSISTANT else None
        if role is not None and message.content:
            found.setdefault(message.additional_kwargs.get("session_id"), []).append(Message(role, message.content))
    return list(found.items())

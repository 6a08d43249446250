"""A layout as a prompt: its segments in order, and the requests that providers take.

Memories stand in fenced blocks (`text.fence`) in messages of the user's, the core in the first of them, never in the system prompt: recalled
text is data. Words of the user and of memories are different blocks of a message for Anthropic, and are set apart by an empty line for others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from loci.policy.caching import Mark, Provider
from loci.policy.layout import Block, Entry, Known, Layout, Rewrite, row_text
from loci.text.fence import CLOSE, OPEN, OPEN_UNTRUSTED
from loci.text.tokens import count_tokens

EPHEMERAL = {"type": "ephemeral"}


class Place(StrEnum):
    """What a segment of a prompt is."""

    TOOLS = "tools"
    SYSTEM = "system"
    CORE = "core"
    RECALLED = "recalled"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a prompt that is the same as a whole or not at all. ``message`` is what a caller handed in, if it is not text alone."""

    place: Place
    role: str
    text: str
    message: Mapping[str, Any] | None = None

    @property
    def tokens(self) -> int:
        return count_tokens(self.text)


def segments(
    system: str, tools: Sequence[Mapping[str, Any]], layout: Layout, history: Sequence[Mapping[str, Any]], known: Known
) -> list[Segment]:
    """The prompt in order: tools and system prompt, which are there also when they are empty, core, and the history with each block before
    its message."""
    found = [Segment(Place.TOOLS, "", canonical(list(tools)) if tools else ""), Segment(Place.SYSTEM, "system", system)]
    if layout.core:
        found.append(Segment(Place.CORE, "user", fenced(Block(0, layout.core), known)))
    blocks: dict[int, list[Block]] = {}
    for block in layout.blocks:
        blocks.setdefault(block.at, []).append(block)
    for place, message in enumerate(history):
        found += [Segment(Place.RECALLED, "user", fenced(block, known)) for block in blocks.get(place, ())]
        found.append(segment_of(message))
    return found


def segment_of(message: Mapping[str, Any]) -> Segment:
    """A message of the history."""
    content = message.get("content")
    if isinstance(content, str) and message.keys() == {"role", "content"}:
        return Segment(Place.HISTORY, str(message["role"]), content)
    return Segment(Place.HISTORY, str(message["role"]), canonical(message), message)


def fenced(block: Block, known: Known) -> str:
    """The rows of a block as fenced data."""
    is_trusted = all(known.lines[row.pair].is_trusted for row in block.rows if isinstance(row, Entry))
    return "\n".join((OPEN if is_trusted else OPEN_UNTRUSTED, *(row_text(row, known) for row in block.rows), CLOSE))


def canonical(value: object) -> str:
    """JSON that is the same for the same value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def breakpoints(found: Sequence[Segment], keeps_tail: bool) -> list[int]:
    """The segments after which a prefix is worth marking: the system prompt, the core, the last message of the history and, where it will
    be there at the next turn, the whole prompt."""
    last = len(found) - 1
    tail = next((place for place in range(last, -1, -1) if found[place].place is not Place.RECALLED and place < last), -1)
    marks = [place for place, segment in enumerate(found) if segment.place in (Place.SYSTEM, Place.CORE) and segment.text]
    if tail >= 0 and found[tail].place is Place.HISTORY:
        marks.append(tail)
    return sorted({*marks, *([last] if keeps_tail else [])})


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt, ready for a provider.

    ``tokens`` is Loci's own estimate, of four bytes each; ``expected_hit_tokens`` how many of them the provider should read from its cache,
    in its own count as far as it has told one. ``rewritten`` says why bytes that had been sent before the last message of the history were
    changed; empty: they were not. ``recalled`` are the memories that this turn's search found, or that were ``is_prepared`` for it before the question
    was known.
    """

    segments: tuple[Segment, ...]
    marks: tuple[Mark, ...]
    tools: tuple[Mapping[str, Any], ...]
    provider: Provider
    cache_key: str
    expected_hit_tokens: int
    rewritten: tuple[Rewrite, ...] = ()
    recalled: tuple[str, ...] = ()
    core_version: int = 0
    is_prepared: bool = False

    @property
    def tokens(self) -> int:
        return self.marks[-1].tokens if self.marks else 0

    @property
    def text(self) -> str:
        """All of the prompt as one text, each segment after a line that names its place and role. For looking at, and for comparing."""
        return "".join(f"--- {segment.place} {segment.role}\n{segment.text}\n" for segment in self.segments)

    def anthropic(self) -> dict[str, Any]:
        """``system``, ``tools`` and ``messages`` of a request to Anthropic's messages API, with cache breakpoints. Give it to
        ``client.messages.create`` with a model and ``max_tokens``."""
        marked = {place for place, mark in enumerate(self.marks) if mark.is_breakpoint}
        request: dict[str, Any] = {"messages": []}
        if self.tools:
            request["tools"] = [dict(tool) for tool in self.tools]
        for place, segment in enumerate(self.segments):
            if segment.place is Place.TOOLS or not segment.text:
                continue
            blocks = _blocks(segment, is_marked=place in marked)
            if segment.place is Place.SYSTEM:
                request["system"] = blocks
            elif request["messages"] and request["messages"][-1]["role"] == segment.role:
                request["messages"][-1]["content"].extend(blocks)
            else:
                request["messages"].append({"role": segment.role, "content": blocks})
        return request

    def openai(self) -> dict[str, Any]:
        """``messages``, ``tools`` and ``prompt_cache_key`` of a request to a chat completions API in OpenAI's manner."""
        request: dict[str, Any] = {"messages": [], "prompt_cache_key": self.cache_key}
        if self.tools:
            request["tools"] = [dict(tool) for tool in self.tools]
        is_text = False
        for segment in self.segments:
            if segment.place is Place.TOOLS or not segment.text:
                continue
            last = request["messages"][-1] if request["messages"] else {}
            if segment.message is not None:
                request["messages"].append(dict(segment.message))
            elif is_text and last.get("role") == segment.role:
                last["content"] += f"\n\n{segment.text}"
            else:
                request["messages"].append({"role": segment.role, "content": segment.text})
            is_text = segment.message is None
        return request


def _blocks(segment: Segment, *, is_marked: bool) -> list[dict[str, Any]]:
    """A segment as content blocks, the last of which may be marked."""
    content = segment.text if segment.message is None else segment.message.get("content", "")
    blocks: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else [dict(block) for block in content]
    if is_marked and blocks:
        blocks[-1]["cache_control"] = EPHEMERAL
    return blocks

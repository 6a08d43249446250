"""What APIs of models call a message: who says it, in which words, and what it has where it has none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

KIND = re.compile(r"[a-z_]{1,40}")  # of a part of a message
STEP = re.compile(r"^reasoning$|_call(?:_output)?$")  # of the working of an agent: what is in it was said by nobody
INSTEAD = ("tool_calls", "function_call", "refusal", "audio")
ROLES = {
    "user": "user", "human": "user", "assistant": "assistant", "ai": "assistant", "model": "assistant", "bot": "assistant",
    "system": "system", "developer": "system", "tool": "tool", "function": "tool",
}  # fmt: skip


def instead_of_words(entry: object) -> tuple[str, ...] | None:
    """What an entry of a chat has in the place of words (calls of tools, pictures), by kind; empty where an assistant or a tool says nothing.
    None of what has words, and where words are missing."""
    if not isinstance(entry, Mapping):
        return None
    kind, role = entry.get("type"), entry.get("role")
    if (
        role is None
        and isinstance(kind, str)
        and KIND.fullmatch(kind)
        and kind != "message"
        and (_is_step(entry, kind) or not _says(entry))
    ):
        return (kind,)
    if entry.get("text") is not None or _says(entry):
        return None
    parts = entry.get("content")
    kinds = [part.get("type") for part in parts if isinstance(part, Mapping)] if isinstance(parts, list | tuple) else []
    kinds += [name for name in INSTEAD if entry.get(name)]
    found = tuple(sorted({kind for kind in kinds if isinstance(kind, str) and KIND.fullmatch(kind)} - {"text"}))
    is_empty = "content" in entry and (parts is None or parts in ([], ()) or words_of(entry) is not None)
    return found if found or (is_empty and isinstance(role, str) and ROLES.get(role.strip().lower()) in ("assistant", "tool")) else None


def only(kinds: Sequence[str]) -> str:
    """What stands in the place of words, as the end of a sentence that says so."""
    return f", only {', '.join(kinds)}" if kinds else ""


def words_of(fields: Mapping[Any, Any]) -> str | None:
    """The text of a message, or the texts among the parts of its content, else the transcript of its sound."""
    told = fields.get("text", fields.get("content"))
    if isinstance(told, list | tuple):
        texts = [part["text"] for part in told if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
        told = "\n".join(texts) if texts else None
    words = told if isinstance(told, str) else None
    return words if words and words.strip() else transcript_of(fields) or words


def transcript_of(fields: Mapping[Any, Any]) -> str | None:
    """What was said in the sound that a message is."""
    audio = fields.get("audio")
    transcript = audio.get("transcript") if isinstance(audio, Mapping) else None
    return transcript if isinstance(transcript, str) else None


def _is_step(entry: Mapping[Any, Any], kind: str) -> bool:
    """Whether it is a step of an agent's, as APIs list them; with a text of its own it is somebody's note of that kind."""
    return STEP.search(kind) is not None and "text" not in entry


def _says(entry: Mapping[Any, Any]) -> bool:
    return any(isinstance(words, str) and words.strip() for words in (words_of(entry), entry.get("caption")))

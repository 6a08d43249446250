"""The requests of three APIs: what a conversation says in each, and where recalled text goes. Nothing else of a request is touched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loci.errors import Invalid

Json = dict[str, Any]
TEXTS = ("text", "input_text", "output_text")
SYSTEMS = ("system", "developer")
RESULTS = ("tool", "function")
USERS = ("user", "safety_identifier")  # the second is what OpenAI calls the first since 2025; prompt_cache_key is of prompts, and no user's
MOVING = ("cache_control",)  # marks that a client sets elsewhere at each turn


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of a conversation, or what stands in the place of one: its words, and its ``form``, which is the same whenever the client sends it
    again. ``is_said``: words of the user; ``is_result``: what a tool brought."""

    role: str
    text: str
    form: str
    is_said: bool = False
    is_result: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says. ``first`` is how many messages are the system's, before the conversation begins; ``user`` and ``session`` whose and which
    it is, by its own account. ``follows`` names what came before where upstream has kept that: an answer's id, and ``thread`` a conversation's."""

    system: str
    turns: tuple[Turn, ...]
    first: int = 0
    user: str | None = None
    session: str | None = None
    follows: str | None = None
    thread: str | None = None

    @property
    def last_said(self) -> int:
        """The place of the user's last words; -1 where there are none."""
        return next((place for place in range(len(self.turns) - 1, -1, -1) if self.turns[place].is_said), -1)


@dataclass(frozen=True, slots=True)
class Api:
    """One of the APIs: where its messages and its system prompt stand, and how it writes a text. ``provider`` is whose cache it has."""

    name: str
    provider: str
    messages: str
    system: str
    text: str
    is_apart: bool = False

    def read(self, body: Mapping[str, Any]) -> Asked | None:
        """What a request says; None where it is no conversation as this API has them. Raises `Invalid` for a user that is no text."""
        items = self._items(body)
        if items is None:
            return None
        first = next((place for place, item in enumerate(items) if item.get("role") not in SYSTEMS), len(items))
        system = "\n".join((_text(_blocks(body.get(self.system))), *(_text(_blocks(item.get("content"))) for item in items[:first])))
        user, session = _whose(body)
        follows, thread = body.get("previous_response_id"), body.get("conversation")
        if isinstance(thread, Mapping):
            thread = thread.get("id")
        return Asked(
            system, tuple(map(_turn, items[first:])), first, user, session,
            follows if isinstance(follows, str) else None, thread if isinstance(thread, str) else None,
        )  # fmt: skip

    def placed(self, body: Mapping[str, Any], asked: Asked, recalled: Mapping[int, str]) -> Json:
        """The request with recalled text before the turns with these numbers: inside the message where that is the user's, for not every model takes two
        of them in a row."""
        given = body[self.messages]
        if isinstance(given, str):
            return {**body, self.messages: self._with(given, recalled[0])} if 0 in recalled else dict(body)
        items: list[Any] = []
        for place, item in enumerate(given, -asked.first):
            fence = recalled.get(place)
            if fence is None:
                items.append(item)
            elif item.get("role") == "user" and isinstance(item.get("content"), str | list):
                items.append({**item, "content": self._with(item["content"], fence)})
            else:
                items += [{"role": "user", "content": fence}, item]
        return {**body, self.messages: items}

    def error(self, status: int, message: str) -> Json:
        """An error in the shape that clients of this API read."""
        if self.is_apart:
            kind = {403: "permission_error", 413: "request_too_large", 503: "overloaded_error", 504: "timeout_error"}.get(
                status, "api_error"
            )
            return {"type": "error", "error": {"type": kind, "message": message}}
        kind = "invalid_request_error" if status < 500 else "api_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def _items(self, body: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
        given = body.get(self.messages)
        if isinstance(given, str) and self.name == "responses":
            return [{"role": "user", "content": given}]
        is_list = isinstance(given, list) and bool(given) and all(isinstance(item, dict) for item in given)
        return given if is_list else None

    def _with(self, content: str | list[Any], fence: str) -> Any:
        if isinstance(content, list):  # results of tools come first in a message
            after = max((place for place, block in enumerate(content, 1) if _type(block) == "tool_result"), default=0)
            return [*content[:after], {"type": self.text, "text": fence}, *content[after:]]
        if self.is_apart:
            return [{"type": self.text, "text": fence}, {"type": self.text, "text": content}]
        return f"{fence}\n\n{content}"


CHAT = Api("chat", "openai", "messages", "", "text")
RESPONSES = Api("responses", "openai", "input", "instructions", "input_text")
MESSAGES = Api("messages", "anthropic", "messages", "system", "text", is_apart=True)


def _turn(item: Mapping[str, Any]) -> Turn:
    blocks, role, kind = _blocks(item.get("content")), item.get("role"), _type(item)
    if not isinstance(role, str):  # an item of the responses API that is no message
        role = "tool" if kind.endswith("_output") else "assistant"
        blocks = blocks or _blocks(item.get("output"))
    text = _text(blocks)
    is_result = role in RESULTS or any(_type(block) == "tool_result" for block in blocks)
    return Turn(role, text, json.dumps(_form(item), sort_keys=True), role == "user" and bool(text.strip()), is_result)


def _blocks(content: Any) -> list[Any]:
    """A content as blocks; a text is one."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _text(blocks: Sequence[Any]) -> str:
    return "\n".join(block["text"] for block in blocks if _type(block) in TEXTS and isinstance(block.get("text"), str))


def _type(block: Any) -> str:
    kind = block.get("type") if isinstance(block, Mapping) else None
    return kind if isinstance(kind, str) else ""


def _form(value: Any) -> Any:
    """Without what is empty, marks that move, and the ways in which one text can be written."""
    if isinstance(value, Mapping):
        kept = {name: _form(entry) for name, entry in value.items() if entry is not None and name not in MOVING}
        if isinstance(kept.get("content"), str):
            kept["content"] = _blocks(kept["content"])
        return kept | {"type": "text"} if kept.get("type") in TEXTS else kept
    return [_form(entry) for entry in value] if isinstance(value, list) else value


def _whose(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(user, session) that a request names. Claude Code names both in one word: as JSON, before that as user_..._session_... Raises `Invalid`."""
    metadata = body.get("metadata")
    told = {name: body.get(name) for name in USERS}
    told["metadata.user_id"] = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    for name, given in told.items():
        if given is not None and not isinstance(given, str):
            raise Invalid(f"{name} is {given!r:.100}; it must be a text, and says whose memory it is.")
    user = next(filter(None, told.values()), None)
    if user is None:
        return None, None
    if user.startswith("{"):
        try:
            both = json.loads(user)
        except ValueError:
            return user, None
        named = [both.get(word) for word in ("account_uuid", "device_id", "session_id")]
        account, device, session = (word if isinstance(word, str) and word else None for word in named)
        return account or device, session
    name, mark, session = user.rpartition("_session_")
    return (name.partition("_account_")[0], session) if mark and name and session else (user, None)

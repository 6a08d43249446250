"""What a model answered, put together from the bytes that went to the client: one JSON document, or events as they came."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loci.server.proxy.shapes import Api


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of an answer. ``is_whole``: it came to its end. ``id`` is what upstream calls it."""

    text: str = ""
    is_whole: bool = False
    id: str | None = None


def heard(api: Api, raw: bytes, kind: str, coding: str) -> Heard:
    """The answer in a body of this content type and coding, as far as it came."""
    if coding in ("gzip", "deflate"):
        raw = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw)
    elif coding not in ("", "identity"):
        return Heard()
    if kind.startswith("text/event-stream"):
        return EVENTS[api.name](list(_events(raw)))
    try:
        body = json.loads(raw)
    except ValueError:  # cut off
        return Heard()
    return WHOLE[api.name](body) if isinstance(body, dict) else Heard()


def _events(raw: bytes) -> Iterator[Mapping[str, Any]]:
    """The JSON of each event that came whole; one that is cut off, or is none, says nothing."""
    for line in raw.splitlines():  # bytes end at line ends only; a str would at U+2028 too, which JSON may hold as it is
        if line.startswith(b"data:"):
            try:
                event = json.loads(line[5:].decode("utf-8", "replace"))
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event


def _at(value: Any, *path: str | int) -> Any:
    """What stands at a path; None where there is nothing."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(blocks: Any, kind: str) -> str:
    return "".join(_words(block.get("text")) for block in _list(blocks) if _at(block, "type") == kind)


def _chat(body: Any) -> Heard:
    return Heard(
        _words(_at(body, "choices", 0, "message", "content")), _at(body, "choices", 0) is not None, _words(_at(body, "id")) or None
    )


def _chat_events(events: list[Mapping[str, Any]]) -> Heard:
    chosen = [choice for event in events for choice in _list(event.get("choices")) if _at(choice, "index") in (0, None)]
    ended = any(_at(choice, "finish_reason") for choice in chosen)
    return Heard("".join(_words(_at(choice, "delta", "content")) for choice in chosen), ended, _words(_at(events, 0, "id")) or None)


def _responses(body: Any) -> Heard:
    told = [_texts(item.get("content"), "output_text") for item in _list(_at(body, "output")) if _at(item, "type") == "message"]
    return Heard("\n".join(filter(None, told)), _at(body, "status") in ("completed", "incomplete", None), _words(_at(body, "id")) or None)


def _responses_events(events: list[Mapping[str, Any]]) -> Heard:
    parts: dict[tuple[str, str], str] = {}  # in the order in which they begin
    id: str | None = None
    is_whole = False
    for event in events:
        match event.get("type"):
            case "response.output_text.delta":
                part = str(event.get("output_index")), str(event.get("content_index"))
                parts[part] = parts.get(part, "") + _words(event.get("delta"))
            case "response.created" | "response.in_progress":
                id = _words(_at(event, "response", "id")) or None
            case "response.completed" | "response.incomplete":
                is_whole = True
    return Heard("\n".join(filter(None, parts.values())), is_whole, id)


def _messages(body: Any) -> Heard:
    return Heard(_texts(_at(body, "content"), "text"), _at(body, "type") == "message", _words(_at(body, "id")) or None)


def _messages_events(events: list[Mapping[str, Any]]) -> Heard:
    texts = (_words(_at(event, "delta", "text")) for event in events if event.get("type") == "content_block_delta")
    return Heard(
        "".join(texts), any(event.get("type") == "message_stop" for event in events), _words(_at(events, 0, "message", "id")) or None
    )


WHOLE = {"chat": _chat, "responses": _responses, "messages": _messages}
EVENTS = {"chat": _chat_events, "responses": _responses_events, "messages": _messages_events}

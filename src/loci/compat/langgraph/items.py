"""An item of a store as a memory, and a memory as an item.

The text is what is searched: the value as JSON, or the words of those of its fields that are indexed. Namespace and key are metadata; so is the value
where the text is not it. The session is the namespace, its labels with a full stop between them (LangGraph lets no label have one), the role is the
assistant's: an item is what an agent wrote down. Such words inform, and claim nothing, so that no item ends another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from langgraph.store.base import Item, PutOp, SearchItem, get_text_at_path

from loci.errors import Invalid, TooLarge
from loci.text.metadata import checked
from loci.types import Memory, Message

NAMESPACE, KEY, VALUE, SEARCHED, MINUTES = (
    "langgraph_namespace", "langgraph_key", "langgraph_value", "langgraph_searched", "langgraph_ttl_minutes",
)  # fmt: skip
"""Of the metadata: every path that the namespace is below, itself last; the key; the value, where the text is not it; false where no search with a query
looks at it; how long it lives after it was last read."""
WHOLE = "$"  # of the fields of a value: all of them
ROLE = "assistant"
MOST = 1_000  # characters of a key, and of a namespace

Namespace = tuple[str, ...]
Fields = Sequence[str] | Literal[False]


@dataclass(frozen=True, slots=True)
class Written:
    """An item as it is stored."""

    text: str
    metadata: Mapping[str, object]
    expires: datetime | None

    def message(self, namespace: Namespace) -> Message:
        return Message(ROLE, self.text, session=path_of(namespace), metadata=self.metadata)


def written(op: PutOp, fields: Fields, now: datetime) -> Written:
    """What a put stores; ``fields`` are searched if it names none itself. Raises `Invalid`, `TooLarge`."""
    place: dict[str, object] = {NAMESPACE: paths_of(op.namespace), KEY: key_of(op.key)}
    if op.ttl is not None:
        place[MINUTES] = op.ttl
    text = _json(op.value or {})
    searched = fields if op.index is None else op.index
    words = text if searched is False or WHOLE in searched else _words(op.value or {}, searched)
    if searched is False or not words.strip():
        return Written(text, {**place, SEARCHED: False}, _end(op.ttl, now))
    if words != text:
        try:
            return Written(words, checked({**place, VALUE: json.loads(text)}), _end(op.ttl, now))
        except Invalid:  # too large, too deep, or with keys that metadata cannot have: then all of it is the text
            return Written(text, place, _end(op.ttl, now))
    return Written(text, place, _end(op.ttl, now))


def item_of(memory: Memory, score: float | None = None) -> SearchItem | None:
    """The item that a memory is; None if it is none."""
    paths, key = memory.metadata.get(NAMESPACE), memory.metadata.get(KEY)
    if not isinstance(paths, list) or not paths or not isinstance(paths[-1], str) or not isinstance(key, str):
        return None
    changed = memory.recorded.start or datetime.now(UTC)
    return SearchItem(tuple(paths[-1].split(".")), key, _value(memory), memory.at or changed, changed, score)


def plain(item: SearchItem) -> Item:
    """The item without a score, as `get` answers."""
    return Item(value=item.value, key=item.key, namespace=item.namespace, created_at=item.created_at, updated_at=item.updated_at)


def minutes_of(memory: Memory) -> float | None:
    """How long it lives after it was last read."""
    found = memory.metadata.get(MINUTES)
    return float(found) if isinstance(found, int | float) else None


def path_of(namespace: Namespace) -> str:
    """The labels as one text. Raises `TooLarge`."""
    path = ".".join(namespace)
    if len(path) > MOST:
        raise TooLarge(f"The namespace has {len(path):,} characters; {MOST:,} are the most. Shorten its labels. Nothing was stored.")
    return path


def paths_of(namespace: Namespace) -> list[str]:
    """The namespace's own path, and those that it is below, the shortest first."""
    path_of(namespace)
    return [".".join(namespace[: depth + 1]) for depth in range(len(namespace))]


def key_of(key: str) -> str:
    """A key that can be asked for. Raises `TooLarge`."""
    if len(key) > MOST:
        raise TooLarge(f"The key has {len(key):,} characters; {MOST:,} are the most. Nothing was stored.")
    return key


def _end(minutes: float | None, now: datetime) -> datetime | None:
    try:
        return None if minutes is None else now + timedelta(minutes=minutes)
    except (OverflowError, ValueError, TypeError) as error:
        raise Invalid(f"ttl is {minutes!r:.100}; it must be a number of minutes, or None for no end. Nothing was stored.") from error


def _json(value: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
        text.encode()  # no unpaired surrogates
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"The value cannot be written as JSON ({error}). Nothing was stored.") from error
    return text


def _words(value: Mapping[str, Any], fields: Sequence[str]) -> str:
    return "\n".join(text for field in fields for text in get_text_at_path(dict(value), field))


def _value(memory: Memory) -> dict[str, Any]:
    """The value; of words that were changed at another door, and are no JSON any more, those."""
    if isinstance(kept := memory.metadata.get(VALUE), Mapping):
        return dict(kept)
    try:
        found = json.loads(memory.text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"text": memory.text}

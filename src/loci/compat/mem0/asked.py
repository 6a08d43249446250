"""What callers of mem0 ask, as the verbs take it: scopes, filters, messages, times. Raises `Invalid` for what cannot be meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from loci.errors import Invalid, TooLarge
from loci.infrastructure.chats import instead_of_words, words_of
from loci.interface.filters import MAX_DEPTH, where_of
from loci.types import Change, Message, Outcome

IDS = {"user_id": "user", "agent_id": "agent", "run_id": "session", "app_id": "cube"}
CAMEL = {"userId": "user_id", "agentId": "agent_id", "runId": "run_id", "appId": "app_id"}  # JSON of TypeScript clients
HEADER = {
    "user_id": "$user", "agent_id": "$agent", "run_id": "$session", "actor_id": "$speaker", "created_at": "$at", "updated_at": "$recorded",
}  # fmt: skip
IDENTITY = frozenset({*IDS, "actor_id", "org_id", "project_id"})
"""Keys that say whose a memory is: metadata cannot set them (mem0 #4490, #6277, #6655)."""
ELSEWHERE = {
    "categories": "categories: nothing sorts memories into categories here; keep them in metadata when you add.",
    "keywords": "keywords: memories are not filtered by their words; put these into the query of search.",
    "memory": "memory: memories are not filtered by their words; put these into the query of search.",
}
"""Fields of the hosted service's filters that nothing here answers to; looked for in metadata they would give nothing without a word."""
WHOLE = {"$part": "turn"}
"""One memory a message: the sentences that Loci cuts from it serve its own search."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Whose:
    """A scope in our nouns; ``cube`` is mem0's app."""

    user: str | None = None
    agent: str | None = None
    session: str | None = None
    cube: str | None = None

    @property
    def is_nobody(self) -> bool:
        return self == Whose()

    def scope(self) -> dict[str, str]:
        """The scope as the verbs of a cube take it."""
        return {name: value for name in ("user", "agent", "session") if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which memories a call is about: the scope, and what else they must be."""

    whose: Whose
    where: Mapping[str, Any]


def whose_of(given: Mapping[str, object]) -> Whose:
    """The scope of ``user_id``, ``agent_id``, ``run_id`` and ``app_id``; numbers count as texts."""
    return Whose(**{IDS[name]: _id(value, name) for name, value in given.items() if value is not None})


def _id(value: object, name: str) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise Invalid(f"Invalid {name}: {value!r:.100} is no text.")
    text = str(value).strip()
    if not text or any(sign.isspace() for sign in text):
        raise Invalid(f"Invalid {name}: {value!r:.100} is empty or holds white space. Provide an identifier without it.")
    if text == "*":
        raise Invalid(f"Invalid {name}: '*' is nobody's. It stands for anybody in the filters of search and get_all. Nothing was done.")
    return text


def check_somebody(whose: Whose, method: str) -> Whose:
    """The scope, if there is one: a call about everybody's memories fails closed."""
    if whose.is_nobody:
        raise Invalid(f"{method} needs at least one of user_id, agent_id, run_id, app_id. Nothing was done.")
    return whose


def asked_of(filters: object, given: Mapping[str, object], method: str) -> Asked:
    """Which memories ``search`` and ``get_all`` are about: of v3's ``filters``, v2's keywords, or both where they agree."""
    if filters is not None and not isinstance(filters, Mapping):
        raise Invalid(f"filters is {filters!r:.100}; it must be an object such as {{'user_id': 'alice'}}.")
    found, rest = _simple(filters or {})
    whose = whose_of(found)
    for field in fields(Whose):
        ours, theirs = getattr(whose, field.name), getattr(whose_of(given), field.name)
        if theirs is not None and ours not in (None, theirs):
            raise Invalid(f"The {field.name} is {theirs!r:.100} as a keyword and {ours!r:.100} in filters: give it once.")
        whose = replace(whose, **{field.name: ours if theirs is None else theirs})
    where = translated(rest)
    _check(where)  # what is wrong with it is told where there is nothing to look through, too
    if whose.is_nobody and not _names_somebody(rest):
        raise Invalid(
            f"{method}: filters must contain at least one of user_id, agent_id, run_id, app_id. Example: filters={{'user_id': 'alice'}}"
        )
    return Asked(whose, {"AND": [WHOLE, where]} if rest else WHOLE)


def _check(where: Mapping[Any, Any]) -> None:
    """Raises what is wrong with a filter, in mem0's words."""
    try:
        where_of(where)
    except Invalid as error:
        told = str(error)
        for theirs, ours in HEADER.items():
            told = told.replace(repr(ours), repr(theirs))
        raise type(error)(told) from error


def _simple(filters: Mapping[Any, Any]) -> tuple[dict[str, object], dict[Any, Any]]:
    """The scope that a filter narrows everything to, and the rest of it. Only what stands alone, or among what must all hold, is one."""
    found: dict[str, object] = {}
    rest: dict[Any, Any] = {}
    for key, value in filters.items():
        name = CAMEL.get(key, key)
        if name in IDS and value != "*" and not isinstance(value, Mapping | list | tuple):
            if found.get(name, value) != value:
                raise Invalid(f"The filter wants {name} to be {found[name]!r:.100} and {value!r:.100}. Did you mean OR?")
            found[name] = value
        elif key == "AND" and isinstance(value, list | tuple) and all(isinstance(part, Mapping) for part in value):
            parts = []
            for part in value:
                inner = {key: entry for key, entry in part.items() if CAMEL.get(key, key) in IDS}
                own, left = _simple(inner)
                if any(found.get(name, entry) != entry for name, entry in own.items()):
                    raise Invalid(f"The filter wants two of {', '.join(own)} at once. Did you mean OR?")
                found |= own
                kept = {key: entry for key, entry in part.items() if key not in inner} | left
                parts += [kept] if kept else []
            if parts or not value:
                rest["AND"] = parts
        else:
            rest[key] = value
    return found, rest


def _names_somebody(filters: Mapping[Any, Any]) -> bool:
    """Whether no memory passes that is not somebody's whom the filter names."""
    if any(
        CAMEL.get(key, key) in IDS and (not isinstance(value, Mapping) or value.keys() & {"eq", "in"}) for key, value in filters.items()
    ):
        return True
    every, some = filters.get("AND"), filters.get("OR")
    if isinstance(some, list | tuple) and some and all(isinstance(part, Mapping) and _names_somebody(part) for part in some):
        return True
    return isinstance(every, list | tuple) and any(isinstance(part, Mapping) and _names_somebody(part) for part in every)


def translated(filters: Mapping[Any, Any], depth: int = MAX_DEPTH) -> dict[Any, Any]:
    """A filter of mem0's as one of ours: the same language, with the header's fields under our names."""
    if not depth:
        raise TooLarge(f"The filter is nested more than {MAX_DEPTH} deep. Make it flatter.")
    found: dict[Any, Any] = {}
    for key, value in filters.items():
        name = CAMEL.get(key, key)
        if key in ("AND", "OR", "NOT") and isinstance(value, list | tuple):
            found[key] = [translated(part, depth - 1) if isinstance(part, Mapping) else part for part in value]
        elif key == "NOT" and isinstance(value, Mapping):
            found[key] = [translated(value, depth - 1)]
        elif name == "metadata" and isinstance(value, Mapping):
            found |= value
        elif name in ("app_id", "role"):
            what = "names a cube, and stands alone or in AND" if name == "app_id" else "cannot be filtered by"
            raise Invalid(f"{name} {what}: take it out of the filter.")
        elif name in ELSEWHERE:
            raise Invalid(f"{ELSEWHERE[name]} Metadata of that name is asked for as {{'metadata': {{{name!r}: ...}}}}.")
        elif isinstance(key, str) and key.startswith("$"):
            raise Invalid(f"The filter has {key!r:.100}, which is no field of mem0's.")
        else:
            found[HEADER.get(name, name)] = value
    return found


def messages_of(messages: object, at: datetime | None) -> tuple[list[Message], list[Change]]:
    """Messages from a text, a chat message, or several, and a refusal of each that calls tools or shows pictures instead of saying something. What a system
    prompt says is nobody's memory. Both are left out, as in mem0. Raises `Invalid` where nothing else is there."""
    if isinstance(messages, str | Mapping):
        messages = [{"role": "user", "content": messages} if isinstance(messages, str) else messages]
    if not isinstance(messages, list | tuple):
        raise Invalid(f"messages is {messages!r:.100}; it must be str, dict, or list[dict]. Nothing was stored.")
    told = {place: entry for place, entry in enumerate(messages, 1) if not _is_system(entry)}
    silent = [place for place, entry in told.items() if isinstance(entry, Mapping) and _is_silent(entry)]
    if silent and len(silent) == len(told):
        raise Invalid(f"Message {silent[0]} has no text in its content, and no other has. Nothing was stored.")
    left_out = [Change(Outcome.REFUSED, None, f"Message {place} has no text in its content.") for place in silent]
    return [_message(entry, place, at) for place, entry in told.items() if place not in silent], left_out


def _is_silent(entry: Mapping[Any, Any]) -> bool:
    """Whether a message has nothing, or something else, in the place of a text: calls of tools, or parts such as pictures."""
    is_else = "content" in entry and not isinstance(entry["content"], str)
    return instead_of_words(entry) is not None or (is_else and not (words_of(entry) or "").strip())


def _is_system(entry: object) -> bool:
    return isinstance(entry, Mapping) and entry.get("role") == "system"


def _message(entry: object, place: int, at: datetime | None) -> Message:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("role"), str):
        raise Invalid(f"Message {place} is {entry!r:.100}; it must be a dictionary with role and content. Nothing was stored.")
    text, name = words_of(entry), entry.get("name")
    if text is None:
        raise Invalid(f"Message {place} has no text in its content. Nothing was stored.")
    if name is not None and not isinstance(name, str):
        raise Invalid(f"Message {place} has the name {name!r:.100}; it must be a text. Nothing was stored.")
    return Message(entry["role"], text, at, speaker=name)


def time_of(value: object, name: str) -> datetime | None:
    """A time in ISO 8601, or in seconds since 1970. Without a zone it is UTC."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except (ValueError, OverflowError, OSError) as error:
        raise Invalid(f"{name} is {value!r:.100}; it must be an ISO 8601 time, or seconds since 1970.") from error
    if at is None or isinstance(at, datetime):
        return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)
    if isinstance(at, date):
        return datetime(at.year, at.month, at.day, tzinfo=UTC)
    raise Invalid(f"{name} is {value!r:.100}; it must be an ISO 8601 time, or seconds since 1970.")


def expiry_of(value: object) -> datetime | None:
    """When a memory ends: after its ``expiration_date``, which is a day as in mem0, or at an instant if a time is given."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return time_of(value, "expiration_date")
    if isinstance(value, date) and not isinstance(value, datetime):
        if value >= date(9999, 12, 31):
            raise Invalid(f"expiration_date is {value!r}; leave it out for no end.")
        return datetime(value.year, value.month, value.day, tzinfo=UTC) + DAY
    if value is not None and not isinstance(value, datetime):
        raise Invalid(f"expiration_date is {value!r:.100}; it must be a date in YYYY-MM-DD format.")
    return time_of(value, "expiration_date")


def kept_of(metadata: object) -> tuple[dict[str, Any], list[str]]:
    """Metadata without the keys that say whose a memory is, and those keys."""
    if metadata is None:
        return {}, []
    if not isinstance(metadata, Mapping):
        raise Invalid(f"metadata is {metadata!r:.100}; it must be a dictionary. Nothing was stored.")
    return {key: value for key, value in metadata.items() if key not in IDENTITY}, sorted(IDENTITY & metadata.keys())


def number_of(top_k: object, name: str = "top_k") -> int:
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 0:
        raise Invalid(f"Invalid {name}: {top_k!r:.100}. Must be a non-negative integer.")
    return top_k


def switch_of(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"Invalid {name}: {value!r:.100}. Must be true or false.")
    return value


def share_of(threshold: object) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise Invalid(f"Invalid threshold: {threshold!r:.100}. Must be between 0 and 1 (inclusive).")
    return float(threshold)


def ids_among(names: Iterable[str]) -> list[str]:
    """Those keywords that say whose."""
    return [name for name in names if CAMEL.get(name, name) in IDS]

"""What callers hand to the verbs, checked and in the types of the kernel. Raises `Invalid` with the field, the value and
what would be right, before anything is written."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loci.errors import Invalid, TooLarge, meant
from loci.infrastructure import chats
from loci.operation.intake import MAX_NAME, check_message, check_name, check_text, check_time
from loci.policy.caching import PROVIDERS, Provider
from loci.ports.adapting import Recipe
from loci.text import metadata
from loci.text.address import is_address
from loci.types import ROLES, Change, Channel, Message, Outcome, Role, Scope, Type

Words = str | Message | Mapping[str, object] | Sequence[Message | Mapping[str, object]]
MAX_PRIORITY = 1_000_000
MAX_PAGE = (1 << 63) - 1
CUBES = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9._-]{0,97}(?:\.\*)?")
MAX_USES = 1_000_000_000
MAX_KEY, MAX_KEYS = 40, 10  # of the fields that are noted as ignored
MAX_QUESTION = 100_000  # characters
MAX_RANK, MAX_TOKENS, MAX_EXPOSURES, MAX_MINUTES = 1024, 4096, 100_000, 7 * 24 * 60  # of learning
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.01, 100.0
MAX_UPDATES = 100_000  # of an adapter that is trained on


def kept(value: Any) -> Any:
    """A value that can be read more than once: several things, an iterator's or a view's, as a list."""
    is_one = not isinstance(value, Iterable) or isinstance(value, str | bytes | bytearray | Mapping | Sequence)
    return value if is_one else list(value)


def messages_of(words: Words) -> list[Message]:
    """Messages from what people pass: a text, a message, a chat dictionary, or several."""
    said, refused = told_of(words)
    if refused:
        raise Invalid(f"{refused[0].reason} Nothing was stored.")
    return said


def told_of(words: Words) -> tuple[list[Message], list[Change]]:
    """The same for remembering, and a refusal of each that has no words, since it calls a tool, shows a picture or is an empty answer: transcripts of agents have such. Raises `Invalid`
    where no message has any."""
    found = heard(words)
    silent = {place: kinds for place, kinds in enumerate(found, 1) if not isinstance(kinds, Message)}
    if silent and len(silent) == len(found):
        raise Invalid(f"No message has words{chats.only(silent[1])}. Nothing was stored.")
    for place, one in enumerate(found if silent else (), 1):  # of the rest alone the numbers would be others
        if isinstance(one, Message):
            check_message(one, place)
    refused = [f"Message {place} has no words{chats.only(kinds)}." for place, kinds in silent.items()]
    return [one for one in found if isinstance(one, Message)], [Change(Outcome.REFUSED, None, why) for why in refused]


def heard(words: Words) -> list[Message | tuple[str, ...]]:
    """Each message, or the kinds of what is in the place of its words where it has none though nothing is wrong with it."""
    if isinstance(words, str):
        return [Message("user", words)]
    if isinstance(words, Message | Mapping):
        words = [words]
    if not isinstance(words, Iterable) or isinstance(words, bytes | bytearray):
        raise Invalid(f"messages is {words!r:.100}; it must be a text, a message, or several. Nothing was stored.")
    return [_heard(one, place) for place, one in enumerate(words, 1)]


def _heard(one: Message | Mapping[str, object], place: int) -> Message | tuple[str, ...]:
    kinds = chats.instead_of_words(one)
    return _with_role(one if isinstance(one, Message) else _message(one, place), place) if kinds is None else kinds


def turns_of(question: Words) -> list[Message]:
    """The messages of a conversation that is to be answered: it ends with one of the user's."""
    try:
        turns = messages_of(question)
    except Invalid as error:
        raise Invalid(str(error).removesuffix(" Nothing was stored.")) from error
    if not turns or turns[-1].role != "user":
        raise Invalid("A conversation that is to be answered ends with a message of the user's.")
    return turns


def _with_role(message: Message, place: int) -> Message:
    """The same with its role as it is spelled here: what an assistant says under another name must not count as its user's words."""
    if message.role in ROLES:
        return message
    check_text(message.role, "a role", place)
    role = chats.ROLES.get(message.role.strip().lower())
    if role is None:
        raise Invalid(
            f"Message {place} has the role {message.role!r:.100}; it must be user, assistant, tool or system. A name goes under 'speaker'. Nothing was stored."
        )
    return replace(message, role=role)


def _message(fields: object, place: int) -> Message:
    if not isinstance(fields, Mapping):
        raise Invalid(f"Message {place} is {fields!r:.100}; it must be a Message, or a dictionary with 'role' and 'text'.")
    text = chats.words_of(fields)
    if text is None:
        what = next(
            (f"{name!r} is {type(fields[name]).__name__}" for name in ("text", "content") if name in fields),
            f"it has {sorted(map(str, fields))}",
        )
        raise Invalid(f"Message {place} needs 'text' (or 'content'), a string or parts with a text; {what}. Nothing was stored.")
    at = fields.get("at")
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError as error:
            raise Invalid(f"'at' is {at!r}; it must be an ISO 8601 time such as 2026-05-02T14:30:00+01:00.") from error
    if at is not None and not isinstance(at, datetime):
        raise Invalid(f"'at' is {at!r}; it must be a time.")
    named = {k: str(fields[k]) for k in ("speaker", "caption", "id", "session") if fields.get(k) is not None}
    kept = metadata.checked(fields.get("metadata") or {}, f"Message {place}'s metadata")
    return Message(str(fields.get("role", "user")), text, at, metadata=kept, **named)


FIELDS = frozenset({"role", "text", "content", "at", "speaker", "caption", "id", "session", "metadata", "audio"})


def ignored_in(words: Words) -> list[str]:
    """What the messages name beside their fields. It sets nothing: identity, origin and trust are the gate's."""
    listed = words if isinstance(words, Sequence) and not isinstance(words, str) else [words]
    named = {str(key) for entry in listed if isinstance(entry, Mapping) for key in entry}
    return sorted(key[:MAX_KEY] for key in named - FIELDS)[:MAX_KEYS]


def origin_of(name: str | None) -> str | None:
    """The name of a page, tool or file."""
    check_name(name, "origin")
    return name


def channel_of(
    messages: Sequence[Message], given: Channel | None = None, origin: str | None = None, *, is_derived: bool = False
) -> Channel:
    """The way in: the one that is given, else what a page, a derivation, or messages that are all of one role say for themselves."""
    origin_of(origin)
    if given is not None:
        return given
    if is_derived:
        return Channel.DERIVED
    if origin is not None:
        if not origin.lower().startswith(("http://", "https://")):
            raise Invalid(f"origin is {origin!r:.100}: say by which channel it came (tool, web, file, import). Nothing was stored.")
        return Channel.WEB
    for role, channel in (("assistant", Channel.ASSISTANT), ("tool", Channel.TOOL)):
        if messages and all(m.role == role for m in messages):
            return channel
    return Channel.USER


def channel_named(name: Channel | str) -> Channel:
    """A way in by its name."""
    try:
        return Channel(name)
    except ValueError as error:
        raise Invalid(f"channel is {name!r:.100}; it must be one of {', '.join(c.value for c in Channel)}. Nothing was stored.") from error


def kept_with(messages: Sequence[Message], given: Mapping[str, object] | None) -> list[Message]:
    """The messages with what is to be kept with all of them, beside what each has of its own."""
    if given is None:
        return list(messages)
    known = metadata.checked(given)
    return [replace(message, metadata={**known, **message.metadata}) for message in messages]


def path_of(path: str | Path) -> Path:
    """Where a file is, or is to be."""
    try:
        named = Path(path)
        is_name = b"\0" not in os.fsencode(named)
    except (TypeError, UnicodeEncodeError):
        is_name = False
    if not is_name:
        raise Invalid(f"{path!r:.100} is no path: it must be a string or a Path that a file can have.")
    if is_address(str(path)):
        raise Invalid(
            f"{str(path)!r:.100} is an address, and a file or a folder is wanted. `loci.connect(url)` speaks to a vault that a server has."
        )
    return named


def scope_of(cube: str, user: str | None = None, agent: str | None = None, session: str | None = None) -> Scope:
    """Whose memories."""
    check_name(user, "user")
    check_name(agent, "agent")
    check_name(session, "session")
    return Scope(cube, user, agent, session)


def key_of(key: str) -> str:
    """The key of a write that may be asked for again."""
    if not isinstance(key, str) or not 0 < len(key) <= MAX_NAME:
        raise Invalid(f"The key is {key!r:.100}; it must be a text of 1 to {MAX_NAME} characters, such as a UUID, new for each write.")
    return key


def session_of(name: str) -> str:
    """The name of a conversation."""
    if not name:
        raise Invalid("A conversation needs a session: any name that no other one of this user's has.")
    check_name(name, "session")
    return name


def provider_of(provider: Provider | str) -> Provider:
    """A provider's cache, by its name or as it is."""
    if isinstance(provider, Provider):
        return provider
    if provider not in PROVIDERS:
        raise Invalid(f"provider is {provider!r:.100}; it must be one of {', '.join(PROVIDERS)}, or a `loci.policy.caching.Provider`.")
    return PROVIDERS[provider]


SENT = ("user", "assistant", "tool", "system", "developer", "function")
"""Roles of messages, as providers know them."""


def provider_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of a conversation as a provider takes it: a role, and whatever else it holds, of plain JSON."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise Invalid(f"The message is {message!r:.100}; it must be a dictionary with a role, as the provider takes it.")
    if message["role"] not in SENT:
        told = f"The role of the message is {message['role']!r:.100}; providers take {', '.join(SENT)}."
        raise Invalid(told + meant(message["role"], SENT))
    return _plain(message, "message")


def system_of(text: str) -> str:
    """A system prompt."""
    if not isinstance(text, str):
        raise Invalid(f"The system prompt is {text!r:.100}; it must be a text. Memories never stand in it.")
    check_text(text, "the system prompt")
    return text


def tools_of(tools: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Tools as a provider takes them."""
    if isinstance(tools, Mapping | str) or not isinstance(tools, Iterable):
        raise Invalid(f"tools is {tools!r:.100}; it must be a list of dictionaries, as the provider takes them.")
    return tuple(_plain(tool, "tool") for tool in tools)


def _plain(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """A dictionary that can be sent as JSON, as it is."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
        return dict(value)
    except (TypeError, ValueError) as error:
        raise Invalid(f"The {what} cannot be sent as JSON ({error}); hand in dictionaries, lists, texts and numbers.") from error


def principal_of(name: str) -> str:
    """Who: a name, or "*" for everybody."""
    if not name:
        raise Invalid("A principal needs a name, or '*' for everybody.")
    check_name(name, "principal")
    return name


def cube_of(name: str) -> str:
    """A cube's name; whether a cube can be called so is for the vault to say."""
    check_text(name, "cube")
    return name


def cubes_of(cube: str) -> str:
    """A cube's name, or a path: "team.*" for what is below it, "*" for every cube."""
    if not isinstance(cube, str) or not CUBES.fullmatch(cube):
        raise Invalid(f"cube is {cube!r:.100}; it must be the name of a cube, a path such as 'team.*', or '*' for all.")
    return cube


def role_of(role: Role | str) -> Role:
    """A role by its name."""
    try:
        return Role(role)
    except ValueError as error:
        raise Invalid(f"{role!r} is no role; there are {', '.join(Role)}.") from error


def question(text: str) -> str:
    """Words to search for; what is no text in them matches nothing."""
    if not isinstance(text, str):
        raise Invalid(f"The question is {text!r:.100}; it must be a string.")
    if not text.strip():
        raise Invalid("The question is empty. Ask something, or use `list` to see everything.")
    if len(text) > MAX_QUESTION:
        raise TooLarge(f"The question has {len(text):,} characters; the limit is {MAX_QUESTION:,}. Ask in fewer words.")
    return text


def word_of(word: str | None, what: str) -> str | None:
    """What a filter asks for; None for anything."""
    if word is not None:
        check_text(word, what)
    return word


def id_of(id: str) -> str:
    """An id; whether there is such a thing is for the store to say."""
    check_text(id, "id")
    return id


def ids_of(ids: Sequence[str]) -> tuple[str, ...]:
    """The ids of one memory or more, each once."""
    if isinstance(ids, str) or not isinstance(ids, Sequence) or not ids:
        raise Invalid(f"memories is {ids!r:.100}; it must be a list of ids, such as [id].")
    return tuple(dict.fromkeys(id_of(id) for id in ids))


def reason_of(reason: str) -> str:
    """Why, in a few words."""
    check_text(reason, "reason")
    check_name(reason, "reason")
    return reason


def aware(at: datetime | None, what: str) -> datetime | None:
    """A time with its zone: UTC where it has none."""
    return None if at is None else sure(at, what)


def between(since: datetime | None, until: datetime | None) -> tuple[datetime | None, datetime | None]:
    """The ends of a time, with their zones. Raises `Invalid` where it ends before it begins."""
    since, until = aware(since, "since"), aware(until, "until")
    if since is not None and until is not None and since > until:
        raise Invalid(
            f"since is {since.isoformat()}, which is after until, {until.isoformat()}: nothing can be between them. Is it the other way round?"
        )
    return since, until


def ahead(at: datetime | None, what: str, now: datetime) -> datetime | None:
    """The same of a time that lies ahead."""
    found = aware(at, what)
    if found is not None and found <= now:
        raise Invalid(f"{what} is {found.isoformat()}, which is over. Name a time ahead, or none. Nothing was stored.")
    return found


def sure(at: datetime, what: str) -> datetime:
    """The same of a time that is there."""
    if at is None:
        raise Invalid(f"{what} is None; it must be a datetime.")
    check_time(at, what)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def number(value: int, what: str, least: int, most: int) -> int:
    """A whole number within its limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"{what} is {value!r:.100}; it must be a whole number from {least:,} to {most:,}.")
    return value


def whole(value: int | None, what: str) -> int | None:
    """A whole number, or none; its limits are whose it is."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise Invalid(f"{what} is {value!r:.100}; it must be a whole number.")
    return value


def one_of(value: str, choices: Sequence[str], what: str) -> str:
    """One of a few words."""
    if value not in choices:
        raise Invalid(f"{what} is {value!r:.100}; it must be one of {', '.join(choices)}.")
    return value


def share(value: float, what: str) -> float:
    """A share of something, 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Invalid(f"{what} is {value!r:.100}; it must be a share, from 0 to 1.")
    return float(value)


def above(value: float, what: str, most: float) -> float:
    """More than 0, and at most so much."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise Invalid(f"{what} is {value!r:.100}; it must be more than 0 and at most {most:,}.")
    return float(value)


def temperature(value: float) -> float:
    """How freely an answer is chosen: 0 takes the best token each time, and below the least of the others the odds of tokens are no numbers."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (value == 0 or LEAST_TEMPERATURE <= value <= MOST_TEMPERATURE):
        raise Invalid(f"temperature is {value!r:.100}; it must be 0, or from {LEAST_TEMPERATURE:g} to {MOST_TEMPERATURE:g}.")
    return float(value)


def recipe_of(before: Recipe, said: Mapping[str, Any], minutes: float) -> Recipe:
    """A recipe with what is said of it in the place of what it was, and so many minutes."""
    told = {name: value for name, value in said.items() if value is not None}
    made = replace(before, **told, most_seconds=60.0 * above(minutes, "minutes", MAX_MINUTES))
    one_of(made.form, ("lora", "cartridge"), "form")
    one_of(made.pairs, ("rules", "model"), "pairs")
    number(made.rank, "rank", 1, MAX_RANK)
    number(made.tokens, "tokens", 0, MAX_TOKENS)
    number(made.exposures, "exposures", 1, MAX_EXPOSURES)
    number(made.seed, "seed", 0, 2**31)
    number(made.most_bytes, "most_bytes", 1, 2**40)
    above(made.rate, "rate", 1.0)
    share(made.replay, "replay")
    if made.form == "cartridge" and not made.tokens:
        raise Invalid("A cartridge needs to know of how many tokens it is to be: tokens=, --tokens.")
    return replace(made, alpha=2.0 * made.rank)


def updates_of(values: Sequence[int]) -> tuple[int, ...]:
    """Further updates after which an adapter is asked what is left, each once, fewest first."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise Invalid(f"updates is {values!r:.100}; it must be a list of whole numbers, such as [10, 100].")
    return tuple(sorted({number(value, "updates", 1, MAX_UPDATES) for value in values}))


def divergence(value: float, what: str) -> float:
    """Nats a token that answers may be changed by: 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise Invalid(f"{what} is {value!r:.100}; it must be a finite number of nats a token, 0 or more.")
    return float(value)


def types_of(values: Iterable[Type | str]) -> tuple[Type, ...]:
    """Types of memory by their names, each once."""
    return tuple(dict.fromkeys(map(type_of, several(values, "types"))))


def several(values: Iterable[Any], what: str) -> tuple[Any, ...]:
    """Several things. A text is none: it would be taken for its letters."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise Invalid(f"{what} is {values!r:.100}; it must be a list.")
    return tuple(values)


def type_of(value: Type | str) -> Type:
    """A type of memory by its name."""
    try:
        return Type(value)
    except ValueError as error:
        raise Invalid(f"{value!r} is no type of memory; there are {', '.join(t.value for t in Type)}.") from error

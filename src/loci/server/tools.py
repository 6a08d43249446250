"""The tools: eight verbs of a cube under the names that hosts of models are used to, with the fields that the verbs have.

Nothing here knows the protocol. A call is checked against its schema, bound to what the door was opened on, handed to the verb,
and answered as JSON; what goes wrong is an error of `loci.errors`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from loci.errors import Denied, Invalid, TooLarge, meant
from loci.infrastructure import uses
from loci.operation.intake import MAX_NAME
from loci.server import answers
from loci.server.answers import Answer
from loci.server.cursors import CURSOR, Begun, begun, listed
from loci.server.schemas import Schema, arguments_of
from loci.system import Cube, System

MAX_ANSWER_BYTES = 2_000_000  # of JSON that a question is answered with
MAX_TOLD = 300  # characters of what is said of a wrong value, which repeats it
MAX_HITS = 1_000  # memories in one answer
CUBE = "cube"
SCOPE = ("cube", "user", "agent", "session")
RENAMED = {"memory": "id"}  # as at the command line: one word for what is changed and for what is looked up
PAGED = "list"
ADDED: dict[str, dict[str, Schema]] = {"update": {"if_version": {"type": "integer"}}, PAGED: {CURSOR: {"type": "string"}}}
"""Fields that a verb has at the command line, or over HTTP."""
MEANINGS = {
    "messages": "What was said: a text, or messages in order. Their own words, not a summary.",
    "question": "What to look for, in words.",
    "id": "A memory's id.",
    "text": "The words of the new version.",
    "cube": "Where: a cube of the vault.",
    "user": "Whose: the user's name.",
    "agent": "Whose: the agent's name.",
    "session": "Of which conversation.",
    "channel": "How the words came in. Say tool, web or file of what was read somewhere, derived of a conclusion.",
    "origin": "The page, tool or file that they are from.",
    "derived_from": "Ids of the memories that they were made of.",
    "priority": "Higher is archived later.",
    "expired": "What its time to live has ended as well.",
    "asked_at": "What 'last week' counts from; default now.",
    "forever": "Never to be forgotten by itself.",
    "metadata": "An object to keep with it, and to filter by; without a text, update changes this alone.",
    "expires": "When it may be forgotten by itself.",
    "budget_tokens": "As many memories as fit into so many tokens.",
    "limit": "Memories at most.",
    "cursor": "next of the page before.",
    "where": "Only with such metadata: {'topic': 'food'}, {'stars': {'gte': 3}}, AND, OR, NOT.",
    "offset": "Memories to leave out first.",
    "types": "Only of these types.",
    "as_of": "What was true then.",
    "known_at": "What was known then.",
    "since": "Said since.",
    "until": "Said before.",
    "archived": "The archive as well.",
    "strict": "Nothing rather than the nearest, where memory is not sure.",
    "pertinent": "Nothing that is plainly about something else.",
    "mode": "overwrite, append or merge.",
    "reason": "Why; kept with the change.",
    "at": "Since when it is so; default now.",
    "if_version": "Only if this is still the latest version.",
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, the verb of a cube that it is, and how the verb's answer is shown."""

    name: str
    verb: str
    title: str
    description: str
    show: Callable[[Any, Mapping[str, Any]], Answer]
    answer: Schema
    is_reading: bool = True
    is_destructive: bool = False
    is_idempotent: bool = True


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("add_memory", "add", "Remember",
             "Remember what was said, word for word. It is stored when this answers; the receipt names what became of it.",
             answers.receipt, answers.RECEIPT, is_reading=False, is_idempotent=False),
        Tool("search_memories", "search", "Recall",
             "Find the memories that answer a question, best first, fenced and cited. confidence (0 to 1) says how sure it is that memory holds an answer;"
             " missing and withheld say what could not be searched or was left out.",
             answers.recall, answers.RECALL),
        Tool("get_memory", "get", "Read one memory", "One memory whole: its words and its header, now or as it was.", answers.memory, answers.MEMORY),
        Tool("list_memories", "list", "List memories", "Memories in the order they were remembered, a page at a time: next is the cursor of the page that follows.", answers.memories, answers.MEMORIES),
        Tool("update_memory", "update", "Correct a memory",
             "Give a memory new words. What it said before is in no present answer any more; it stays in memory_history.",
             answers.receipt, answers.RECEIPT, is_reading=False, is_destructive=True, is_idempotent=False),
        Tool("delete_memory", "forget", "Forget a memory",
             "Forget: take a memory out of every present answer. This erases nothing: it stays in memory_history, and its owner can restore it (`loci restore`)."
             " Erasing for good is not a tool; a person does that (`loci erase`).",
             answers.receipt, answers.RECEIPT, is_reading=False, is_destructive=True),
        Tool("memory_history", "history", "History of a memory", "Every version of a memory, oldest first, each with author, reason and times.",
             answers.versions, answers.VERSIONS),
        Tool("explain_memory", "why", "Explain a memory",
             "What a memory rests on: its sources word for word, its versions, its steps, what it is linked to, who did what to it.",
             answers.why, answers.WHY),
    )
}  # fmt: skip


def _fields(tool: Tool) -> tuple[dict[str, Schema], list[str]]:
    """The fields of a tool, as its verb has them, and those that must be given."""
    taken, required = arguments_of(getattr(Cube, tool.verb))
    spelled = RENAMED if tool.verb == "update" else {}
    named = {spelled.get(name, name): schema for name, schema in taken.items()} | ADDED.get(tool.verb, {}) | {CUBE: {"type": "string"}}
    limits: dict[str, Schema] = {"limit": {"minimum": 1, "maximum": MAX_HITS}, "id": {"maxLength": MAX_NAME}, CUBE: {"maxLength": MAX_NAME}}
    named |= {name: named[name] | limit for name, limit in limits.items() if name in named}
    return named, [spelled.get(name, name) for name in required]


FIELDS = {tool.name: _fields(tool) for tool in TOOLS.values()}


@dataclass(frozen=True, slots=True)
class Door:
    """What a server was opened on: ``cube`` where a call names none, and the words of a scope that are ``fixed``, which no call may change."""

    cube: str
    fixed: Mapping[str, str] = field(default_factory=dict)

    def schema(self, tool: Tool) -> Schema:
        """What a tool takes: the fields of its verb, and the cube. What is fixed is not asked for."""
        taken, required = FIELDS[tool.name]
        shown = {name: schema | {"description": MEANINGS[name]} for name, schema in taken.items() if name not in self.fixed}
        if CUBE in shown:
            shown[CUBE] |= {"default": self.cube}
        return {"type": "object", "properties": shown, "required": required, "additionalProperties": False}

    def call(self, system: System, name: str, given: Mapping[str, Any]) -> Answer:
        """Calls a tool for whom the vault is open for, and answers with JSON. Raises errors of `loci.errors`."""
        with uses.call():  # however many verbs it takes
            return self._called(system, name, given)

    def _called(self, system: System, name: str, given: Mapping[str, Any]) -> Answer:
        if name not in TOOLS:
            raise Invalid(f"There is no tool {name!r:.100}; there are {', '.join(TOOLS)}.")
        tool = TOOLS[name]
        if tool.verb == PAGED:
            return self._page(system, tool, given)
        asked = self._bound(tool, given)
        cube = self.opened(system, asked.pop(CUBE), create=tool.verb == "add")
        if (version := asked.pop("if_version", None)) is not None:
            asked["id"] = cube.as_read(asked["id"], version)
        spelled = {ours: theirs for theirs, ours in RENAMED.items() if tool.verb == "update"}
        answer = tool.show(getattr(cube, tool.verb)(**{spelled.get(name, name): value for name, value in asked.items()}), asked)
        if tool.is_reading:
            _check_size(answer)
        return answer

    def _page(self, system: System, tool: Tool, given: Mapping[str, Any]) -> Answer:
        """A page of a list. What goes beside its cursor, but for a limit, must be what the cursor says."""
        bound = self._bound(tool, given)
        cursor, at = bound.pop(CURSOR, None), Begun({name: value for name, value in given.items() if name != CURSOR})
        if cursor is not None:
            at = begun(cursor)
            at = replace(at, asked={**at.asked, **({"limit": given["limit"]} if given.get("limit") is not None else {})})
            resumed = self._bound(tool, at.asked)
            if others := [
                name for name in given if name not in (CURSOR, "limit") and given[name] is not None and bound.get(name) != resumed.get(name)
            ]:
                raise Invalid(f"{', '.join(others)}: what is asked for is in the cursor; beside it goes limit alone. Nothing was done.")
            bound = resumed
        found, more = listed(self.opened(system, bound.pop(CUBE)), at, bound)
        answer = tool.show(found, bound) | more
        _check_size(answer)
        return answer

    def opened(self, system: System, cube: str, *, create: bool = False) -> Cube:
        """A cube of the vault."""
        if cube != self.fixed.get(CUBE, cube):
            raise Denied(f"cube is {cube!r:.100}, and this server was opened on {self.fixed[CUBE]!r} alone. Leave it out.")
        return system.cube(cube, create=create)

    def _bound(self, tool: Tool, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the verb takes them, and the cube: checked, with their defaults, and what is fixed in its place."""
        taken, required = FIELDS[tool.name]
        for name in given:
            if name not in taken:
                raise Invalid(
                    f"{tool.name} has no field {name!r:.100}." + meant(name, taken, f" It has {', '.join(taken)}.", likeness=0.75)
                )
        said = {name: value for name, value in given.items() if value is not None}
        fault = best_match(Draft202012Validator({"properties": taken, "required": required}).iter_errors(said))
        if fault is not None:
            at = "".join(f"{part}: " for part in fault.absolute_path)
            told = fault.message if len(fault.message) <= MAX_TOLD else f"it must keep to {fault.validator} {fault.validator_value!r:.100}"
            raise Invalid(f"{tool.name}: {at}{told}. Nothing was done.")
        for name in SCOPE:
            if name in said and said[name] != self.fixed.get(name, said[name]):
                raise Denied(f"{name} is {said[name]!r:.100}, and this server was opened on {self.fixed[name]!r} alone. Leave it out.")
        defaults = {name: schema["default"] for name, schema in taken.items() if "default" in schema}
        fixed = {name: value for name, value in self.fixed.items() if name in taken}
        times = {name: _time(name, said[name]) for name in said if taken[name].get("format") == "date-time"}
        return {CUBE: self.cube, **defaults, **said, **fixed, **times}


def _time(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{name} is {text!r:.100}; it must be an ISO 8601 time such as 2026-05-02T14:30:00+01:00.") from error


def _check_size(answer: Answer) -> None:
    size = len(json.dumps(answer, ensure_ascii=False).encode(errors="backslashreplace"))
    if size > MAX_ANSWER_BYTES:
        raise TooLarge(
            f"The answer has {size:,} bytes; the limit is {MAX_ANSWER_BYTES:,}. Ask for less: a limit, a budget_tokens, or a later offset."
        )

"""The verbs as calls over a network: what each takes and answers, read from its signature, and the way from JSON to it and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_origin, get_type_hints

from loci.errors import Invalid, TooLarge, meant
from loci.infrastructure import uses
from loci.interface.inputs import Words
from loci.interface.pipeline import Pipeline
from loci.interface.typed import typed
from loci.server.cursors import CURSOR, Begun, begun, listed, logged
from loci.system import Cube, System
from loci.system.activating import Generation
from loci.system.once import REPEATABLE
from loci.system.table import READING, VAULT_READING, VAULT_WRITING, WRITING
from loci.text.plain import plain
from loci.types import Memory

RENAMED = {"update": {"memory": "id"}}  # as at the command line: one word for what is changed and for what is looked up
LEFT_OUT = frozenset({"progress", "sign", "signed_by"})  # it is told by events; and these name files of the machine
LOG = "log"
PAGED = frozenset({"list", LOG})
MAX_PAGE = 1_000  # entries in one answer, at most
Answer = dict[str, Any]
Tell = Callable[[str, Answer], None]
Lane = Literal["search", "short", "long"]


@dataclass(frozen=True, slots=True)
class Call:
    """A verb of a cube or of the vault, as a network calls it."""

    verb: str
    what: Callable[..., Any]
    hints: Mapping[str, Any]
    required: tuple[str, ...]
    answer: Any
    is_reading: bool
    is_told: bool  # of what it makes meanwhile, whoever asks for events

    @property
    def is_repeatable(self) -> bool:
        return self.verb in REPEATABLE

    @property
    def lane(self) -> Lane:
        """With what it shares threads. What is long may take minutes: a model reads, writes or learns, or every page is looked at."""
        if self.is_told or self.verb in ("run", "verify"):
            return "long"
        return "search" if self.verb == "search" else "short"

    @property
    def is_paged(self) -> bool:
        return self.verb in PAGED

    def taken(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the verb takes them. Raises `Invalid` with the field, its value and what would be right."""
        for name in given:
            if name not in self.hints:
                has = f" It has {', '.join(self.hints) or 'none'}."
                raise Invalid(f"{self.verb} has no field {name!r:.100}." + meant(name, self.hints, has, likeness=0.75))
        if lacking := [name for name in self.required if given.get(name) is None]:
            raise Invalid(f"{self.verb} needs {', '.join(lacking)}. Nothing was done.")
        asked = {name: self._field(name, value) for name, value in given.items() if value is not None}
        if self.is_reading and asked.get("limit", 0) > MAX_PAGE:
            raise TooLarge(
                f"{self.verb}: limit is {asked['limit']}; an answer has at most {MAX_PAGE:,} entries. Ask for the next ones with a later call."
            )
        return asked

    def queried(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Fields that came as words of a query; ``name`` may be among them, of a file."""
        return {name: _word(self.hints.get(name), value) for name, value in given.items()}

    def _field(self, name: str, value: Any) -> Any:
        try:
            return typed(self.hints[name], value)
        except Invalid as error:
            raise Invalid(f"{self.verb}: {name}: {error} Nothing was done.") from error


def call_of(kind: type, verb: str, *, is_reading: bool) -> Call:
    """A verb of `Cube` or `System`, read from its signature."""
    what = getattr(kind, verb)
    hints, spelled = get_type_hints(what), RENAMED.get(verb, {})
    parameters = {name: one for name, one in inspect.signature(what).parameters.items() if name != "self"}
    named = {spelled.get(name, name): _plain_hint(hints[name]) for name in parameters if name not in LEFT_OUT}
    if verb == "update":
        named["if_version"] = int | None
    required = tuple(spelled.get(name, name) for name, one in parameters.items() if one.default is inspect.Parameter.empty)
    return Call(verb, what, named, required, hints["return"], is_reading, "progress" in parameters or hints["return"] is Generation)


def _plain_hint(hint: Any) -> Any:
    """What may come as JSON: words as dictionaries too, which the verb reads itself; of a memory its id; a pipeline as a document."""
    spelled = {Words: Any, str | Memory: str, Pipeline | Mapping[str, Any] | str: Mapping[str, Any]}
    return next((plain for known, plain in spelled.items() if known == hint), hint)


def _word(hint: Any, word: str) -> Any:
    """A word of a query as JSON would have it."""
    if hint is bool and word.lower() in ("true", "false"):
        return word.lower() == "true"
    return int(word) if hint in (int, int | None) and word.isdecimal() else word


CUBE_CALLS = {verb: call_of(Cube, verb, is_reading=verb in READING) for verb in sorted(READING | WRITING)}
IMPORT = call_of(Cube, "import_file", is_reading=False)
VAULT_CALLS = {verb: call_of(System, verb, is_reading=verb in VAULT_READING) for verb in sorted(VAULT_READING | VAULT_WRITING)}


def call_cube(cube: Cube, call: Call, given: Mapping[str, Any], tell: Tell | None = None) -> Answer:
    """Calls a verb of a cube, and answers with JSON. ``tell`` is told of what is made meanwhile: (progress, done and total), (piece, words of an answer)."""
    if call.is_paged:
        return _page(cube, call, given)
    asked = call.taken(given)
    named = {theirs: asked.pop(ours) for theirs, ours in RENAMED.get(call.verb, {}).items() if ours in asked}
    if tell is not None and "progress" in inspect.signature(call.what).parameters:
        asked["progress"] = lambda done, total: tell("progress", {"done": done, "total": total})
    with uses.call():  # however many verbs it takes
        if "if_version" in asked:
            named["memory"] = cube.as_read(named["memory"], asked.pop("if_version"))
        found = call.what(cube, **named, **asked)
    return _generated(found, tell) if isinstance(found, Generation) else answered(found)


def call_vault(system: System, call: Call, given: Mapping[str, Any]) -> Answer:
    """Calls a verb of the vault, and answers with JSON."""
    return _page(system, call, given) if call.is_paged else answered(call.what(system, **call.taken(given)))


def answered(found: Any) -> Answer:
    """An answer as an object: the fields of what was found; several things as ``items``; a single word or number as ``value``."""
    if isinstance(found, Cube):
        return {"cube": found.name}
    shown = plain(found)
    if shown is None:
        return {}
    if isinstance(shown, dict):
        return shown
    return {"items": shown} if isinstance(shown, list) else {"value": shown}


def is_listed(answer: Any) -> bool:
    """Whether answers of this type are shown as ``items``."""
    origin = get_origin(answer) or answer
    return isinstance(origin, type) and issubclass(origin, Sequence) and not issubclass(origin, str)


def _generated(made: Generation, tell: Tell | None) -> Answer:
    """What a model answered, whole. Whoever is told meanwhile learns first what it is made from (begun), then its pieces."""
    begun = {"recall": plain(made.recall), "attached": plain(made.attached), "memories": plain(made.memories)}
    if tell is not None:
        tell("begun", begun)
    pieces = list[str]()
    for piece in made:
        pieces.append(piece)
        if tell is not None:
            tell("piece", {"text": piece})
    return {"text": "".join(pieces), **begun}


def _page(of: Cube | System, call: Call, given: Mapping[str, Any]) -> Answer:
    """A page, and as ``next`` where the following one begins."""
    at = _resumed(call, given)
    asked = call.taken(at.asked)
    if isinstance(of, Cube) and call.verb != LOG:
        memories, rest = listed(of, at, asked)
        return answered(memories) | rest
    records, rest = logged(of, at, asked)
    return answered(records) | rest


def _resumed(call: Call, given: Mapping[str, Any]) -> Begun:
    """What a page is asked for, from its cursor if it has one."""
    if given.get(CURSOR) is None:
        return Begun({name: value for name, value in given.items() if name != CURSOR})
    if others := [name for name in given if name not in (CURSOR, "limit")]:
        raise Invalid(f"{', '.join(others)}: what is asked for is in the cursor; beside it goes limit alone.")
    at = begun(given[CURSOR], is_log=call.verb == LOG)
    return at if given.get("limit") is None else replace(at, asked={**at.asked, "limit": given["limit"]})

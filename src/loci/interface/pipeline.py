"""A pipeline: verbs of one cube in a row, declared, checked as a whole before any runs, and run as one (MemOS v3 §5.3).

As JSON it is ``{"name", "parameters", "steps"}``; a step is ``{"verb", "name", "with", "each"}``. A value ``"$question"`` is a parameter, ``"$found.ids"``
what an earlier step gave, ``"$each"`` the item that a step with ``each`` is at; ``"$$"`` begins a text with a dollar. A list of values for a text is
put together. What was recalled or generated are somebody's words: `add` takes them, as derived from the memories that they were made of, and no
other verb does. A model call cuts a pipeline: what comes before it is durable then, and only ids and numbers go across.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from loci.errors import Invalid, TooLarge, shown
from loci.interface import inputs

MOST_STEPS, MOST_PARAMETERS, MOST_EACH = 32, 32, 100
MOST_CHARACTERS = 1_000_000  # of a pipeline as JSON, and of all that one holds with what it is given
MOST_NUMBER = 1 << 62
NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")
KINDS = ("text", "id", "ids", "texts", "number", "flag", "time")
EACH = "each"


@dataclass(frozen=True, slots=True)
class Verb:
    """What a verb takes, by name and kind (``!``: it must be given), and what it gives. ``words`` may be those of an earlier step."""

    takes: Mapping[str, str]
    gives: Mapping[str, str]
    words: str = ""
    is_model: bool = False


_SCOPE = {"user": "text", "agent": "text", "session": "text"}
_CHANGED = {"ids": "ids", "count": "number"}
_FOUND = {"ids": "ids", "first": "id", "count": "number"}
_BY_ID = Verb({"id": "id!", "reason": "text"}, _CHANGED)
VERBS: Mapping[str, Verb] = {
    "search": Verb(
        {"question": "text!", **_SCOPE, "budget_tokens": "number", "limit": "number", "as_of": "time", "known_at": "time", "types": "texts",
         "since": "time", "until": "time", "archived": "flag", "strict": "flag", "pertinent": "flag"},
        {**_FOUND, "text": "words", "tokens": "number", "confidence": "number"},
    ),
    "list": Verb(
        {**_SCOPE, "as_of": "time", "known_at": "time", "types": "texts", "archived": "flag", "limit": "number", "offset": "number"}, _FOUND
    ),
    "get": Verb({"id": "id!", "as_of": "time", "known_at": "time"}, {"ids": "ids", "first": "id", "text": "words", "version": "number"}),
    "add": Verb(
        {"messages": "text!", **_SCOPE, "channel": "text", "origin": "text", "derived_from": "ids", "priority": "number", "expires": "time"},
        {**_FOUND, "sources": "ids"}, words="messages",
    ),
    "update": Verb({"memory": "id!", "text": "text!", "mode": "text", "reason": "text", "at": "time"}, {**_CHANGED, "sources": "ids"}),
    "forget": _BY_ID, "accept": _BY_ID, "reject": _BY_ID,
    "restore": Verb({"id": "id!", "to": "number", "reason": "text"}, _CHANGED),
    "move": Verb({"id": "id!", "move": "text!", "reason": "text"}, _CHANGED),
    "revert": Verb({"origin": "text", "session": "text", "user": "text", "principal": "text", "reason": "text"}, _CHANGED),
    "sweep": Verb({}, _CHANGED),
    "generate": Verb(
        {"question": "text!", **_SCOPE, "limit": "number", "budget_tokens": "number", "max_tokens": "number", "temperature": "number",
         "seed": "number"},
        {"text": "words", "ids": "ids", "count": "number"}, is_model=True,
    ),
}  # fmt: skip
CHOICES = {"mode": ("overwrite", "append", "merge"), "move": ("archive", "freeze", "thaw", "restore")}
WORDS = ("messages", "text", "question", "reason")  # arguments that are somebody's words
NAMED = (*CHOICES, "types", "channel")  # texts that are names of ours


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a pipeline is given each time it runs; it must be, unless there is a ``default``."""

    kind: str = "text"
    default: object = None


@dataclass(frozen=True, slots=True)
class Step:
    """A verb with what it is given: literals, or references to parameters and to what earlier steps gave. With ``each`` it runs once for every item
    of that."""

    verb: str
    given: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    each: str = ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps that are run as one."""

    name: str
    steps: tuple[Step, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """``$name`` or ``$name.part``."""

    name: str
    part: str = ""


def pipeline_of(document: object) -> Pipeline:
    """A pipeline from JSON, or from what that says. Raises `Invalid` with what is wrong, and where; what its steps mean is `check`'s business."""
    if isinstance(document, Pipeline):
        document = _fields_of(document)
    if isinstance(document, str):
        if len(document) > MOST_CHARACTERS:
            raise Invalid(f"A pipeline of {len(document):,} characters is too long; {MOST_CHARACTERS:,} are the most.")
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise Invalid(f"The pipeline is no JSON: {error}.") from error
    fields = _object(document, "The pipeline", {"name", "parameters", "steps"})
    name, steps = fields.get("name"), fields.get("steps")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Invalid(f"The pipeline's name is {shown(name)}; it must be a small letter, and then letters, digits, - or _.")
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise Invalid(f"The pipeline {name} has no list of steps.")
    made = [_parameter(key, value) for key, value in _object(fields.get("parameters", {}), "parameters").items()]
    return Pipeline(name, tuple(_step(place, step) for place, step in enumerate(steps, 1)), dict(made))


def document_of(pipeline: Pipeline) -> dict[str, Any]:
    """The same as JSON."""
    parameters = {
        name: {"kind": p.kind, **({} if p.default is None else {"default": p.default})} for name, p in pipeline.parameters.items()
    }
    steps = [
        {"verb": s.verb, **({"name": s.name} if s.name else {}), **({"each": s.each} if s.each else {}),
         "with": {name: value.isoformat() if isinstance(value, datetime) else value for name, value in s.given.items()}}
        for s in pipeline.steps
    ]  # fmt: skip
    return {"name": pipeline.name, "parameters": parameters, "steps": steps}


def _fields_of(pipeline: Pipeline) -> dict[str, Any]:
    """What was put together in Python, to be looked at like any other."""
    if not all(isinstance(step, Step) for step in pipeline.steps):
        raise Invalid(f"The steps of the pipeline are {shown(pipeline.steps)}; each must be a Step.")
    parameters = {name: {"kind": known.kind, "default": known.default} for name, known in pipeline.parameters.items()}
    steps = [{"verb": step.verb, "name": step.name, "with": step.given, "each": step.each} for step in pipeline.steps]
    return {"name": pipeline.name, "parameters": parameters, "steps": steps}


def _object(value: object, what: str, known: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise Invalid(f"{what} is {shown(value)}; it must be an object.")
    for key in value:
        inputs.word_of(key, f"{what}: a name")
    if known is not None and (unknown := value.keys() - known):
        raise Invalid(f"{what} has {', '.join(sorted(unknown))}; it may have {', '.join(sorted(known))}.")
    return value


def _parameter(name: str, value: object) -> tuple[str, Parameter]:
    fields = {"kind": value} if isinstance(value, str) else _object(value, f"The parameter {name}", {"kind", "default"})
    return name, Parameter(fields.get("kind", "text"), fields.get("default"))


def _step(place: int, value: object) -> Step:
    fields = _object(value, f"Step {place}", {"verb", "name", "with", "each"})
    given = _object(fields.get("with", {}), f"Step {place}: with")
    verb, name, each = fields.get("verb"), fields.get("name", ""), fields.get("each", "")
    for word, said in (("verb", verb), ("name", name), ("each", each)):
        if not isinstance(said, str):
            raise Invalid(f"Step {place}: {word} is {shown(said)}; it must be a text.")
    return Step(str(verb), dict(given), str(name), str(each))


# -- the check -----------------------------------------------------------------------------------------------------------


def check(pipeline: Pipeline, given: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Raises `Invalid`, with the step, unless every step can be run, as far as can be told before any has. Returns the parameters with their
    defaults. Without ``given`` they are not looked at."""
    if not 1 <= len(pipeline.steps) <= MOST_STEPS:
        raise Invalid(f"The pipeline {pipeline.name} has {len(pipeline.steps)} steps; it must have 1 to {MOST_STEPS}.")
    if len(pipeline.parameters) > MOST_PARAMETERS:
        raise Invalid(f"The pipeline {pipeline.name} has {len(pipeline.parameters)} parameters; {MOST_PARAMETERS} are the most.")
    for name, parameter in pipeline.parameters.items():
        if not NAME.fullmatch(name) or name == EACH or parameter.kind not in KINDS:
            raise Invalid(f"The parameter {shown(name)} of kind {shown(parameter.kind)} is none; kinds are {', '.join(KINDS)}.")
        if parameter.default is not None:
            _check_value(parameter.default, parameter.kind, f"The parameter {name}")
    kinds = {(name, ""): parameter.kind for name, parameter in pipeline.parameters.items()}
    later = {step.name for step in pipeline.steps if step.name}
    for place, step in enumerate(pipeline.steps, 1):
        try:
            _check_step(step, kinds, later)
        except Invalid as error:
            raise Invalid(f"Step {place} ({step.name or step.verb}): {error}") from error
        if VERBS[step.verb].is_model:  # words do not go across
            kinds = {known: "lost" if kind == "words" else kind for known, kind in kinds.items()}
        later.discard(step.name)
        if step.name:
            gives = {**VERBS[step.verb].gives, **({"ids": "ids"} if step.each else {})}
            kinds |= {(step.name, part): kind for part, kind in gives.items() if not step.each or part in ("ids", "count")}
    found = {} if given is None else parameters_of(pipeline, given)
    if (size := sum(map(len, texts_of(pipeline, found)))) > MOST_CHARACTERS:
        raise TooLarge(f"The pipeline {pipeline.name} holds {size:,} characters with what it is given; {MOST_CHARACTERS:,} are the most.")
    return found


def parameters_of(pipeline: Pipeline, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a run is given, with defaults. Raises `Invalid`."""
    given = _object(given, f"What the pipeline {pipeline.name} is given")
    if unknown := given.keys() - pipeline.parameters.keys():
        raise Invalid(f"The pipeline {pipeline.name} has no parameter {', '.join(sorted(unknown))}; it has {_listed(pipeline.parameters)}.")
    found = {name: given.get(name, parameter.default) for name, parameter in pipeline.parameters.items()}
    if missing := [name for name, value in found.items() if value is None]:
        raise Invalid(f"The pipeline {pipeline.name} needs {', '.join(missing)}.")
    for name, value in found.items():
        _check_value(value, pipeline.parameters[name].kind, f"The parameter {name}")
    for place, step in enumerate(pipeline.steps, 1):  # what a value must be is known where it is used
        for argument, value in step.given.items():
            wanted = reference_of(value)
            if wanted is not None and not wanted.part and wanted.name in found:
                try:
                    _check_literal(step.verb, argument, found[wanted.name])
                except Invalid as error:
                    raise Invalid(f"Step {place} ({step.name or step.verb}): {error}") from error
    return found


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"


def _check_step(step: Step, kinds: Mapping[tuple[str, str], str], later: set[str]) -> None:
    verb = VERBS.get(step.verb)
    if verb is None:
        raise Invalid(f"{shown(step.verb)} is no verb of a pipeline; there are {', '.join(VERBS)}.")
    if step.name and (not NAME.fullmatch(step.name) or step.name == EACH or any(name == step.name for name, _ in kinds)):
        raise Invalid(f"its name {shown(step.name)} is taken, or is none: a small letter, and then letters, digits, - or _.")
    if unknown := step.given.keys() - verb.takes.keys():
        raise Invalid(f"{step.verb} takes no {', '.join(sorted(unknown))}; it takes {_listed(verb.takes)}.")
    if missing := [name for name, kind in verb.takes.items() if kind.endswith("!") and name not in step.given]:
        raise Invalid(f"{step.verb} needs {', '.join(missing)}.")
    if step.each:
        if verb.is_model:
            raise Invalid("a model call is made once, and not for each of several.")
        if _kind_of(step.each, kinds, later, is_each=False) not in ("ids", "texts"):
            raise Invalid(f"each is {shown(step.each)}; it must refer to ids or texts, such as $found.ids.")
    for name, value in step.given.items():
        _check_argument(step, name, value, kinds, later)


def _check_argument(step: Step, name: str, value: Any, kinds: Mapping[tuple[str, str], str], later: set[str]) -> None:
    verb, kind = VERBS[step.verb], VERBS[step.verb].takes[name].rstrip("!")
    parts = value if kind == "text" and isinstance(value, list) else [value]
    for part in parts:
        if reference_of(part) is None:
            _check_literal(step.verb, name, part) if part is value else _check_value(part, "text", name)
            continue
        found = _kind_of(part, kinds, later, is_each=bool(step.each))
        if found == "words" and name != verb.words:
            raise Invalid(
                f"{name} is {part}, which was recalled or generated. Only add takes such words, as derived from where they are from."
            )
        fits = {"text": ("text", "words", "id"), "id": ("id",), "ids": ("ids",), "texts": ("texts", "ids")}.get(kind, (kind,))
        if found not in fits and not (part is not value and found == "number"):
            raise Invalid(f"{name} is {part}, of kind {found}; it must be of kind {kind}.")


def _kind_of(value: Any, kinds: Mapping[tuple[str, str], str], later: set[str], *, is_each: bool) -> str:
    """The kind of what is referred to. Raises `Invalid` for what is not there."""
    wanted = reference_of(value)
    if wanted is None:
        raise Invalid(f"{shown(value)} refers to nothing; a reference begins with $.")
    if wanted.name == EACH and not wanted.part:
        if not is_each:
            raise Invalid("$each stands for an item of each, and there is no each.")
        return "id"
    found = kinds.get((wanted.name, wanted.part))
    if found == "lost":
        raise Invalid(
            f"{shown(value)} are words from before a model call, and only ids and numbers go across one: `add` them, and recall them."
        )
    if found is None and wanted.name in later:
        raise Invalid(f"{shown(value)} is of a step that comes later, or is this one.")
    if found is None:
        there = ", ".join(sorted(f"${name}.{part}".rstrip(".") for name, part in kinds)) or "nothing yet"
        raise Invalid(f"{shown(value)} is not there; there is {there}.")
    return found


def _check_literal(verb: str, name: str, value: Any) -> None:
    kind = VERBS[verb].takes[name].rstrip("!")
    _check_value(value, kind, name)
    if name in CHOICES:
        inputs.one_of(value, CHOICES[name], name)
    elif name == "question":
        inputs.question(value)
    elif name == "types":
        inputs.types_of(value)
    elif name == "reason":
        inputs.reason_of(value)
    elif name == "limit":
        inputs.number(value, name, 0, 1000)
    elif name == "channel":
        inputs.channel_named(value)


def _check_value(value: Any, kind: str, what: str) -> None:
    """Raises `Invalid` unless a value is of a kind."""
    match kind:
        case "text":
            is_right = isinstance(value, str) and len(value) <= MOST_CHARACTERS
        case "id":
            is_right = isinstance(value, str) and bool(value)
        case "ids" | "texts":
            is_right = isinstance(value, list | tuple) and len(value) <= MOST_EACH and all(isinstance(item, str) for item in value)
        case "number":
            is_right = isinstance(value, int | float) and not isinstance(value, bool) and -MOST_NUMBER <= value <= MOST_NUMBER
        case "flag":
            is_right = isinstance(value, bool)
        case _:
            is_right = isinstance(value, datetime) or (isinstance(value, str) and time_of(value) is not None)
    if not is_right:
        raise Invalid(f"{what} is {shown(value)}; it must be of kind {kind}.")
    for text in value if isinstance(value, list | tuple) else [value]:
        if isinstance(text, str):
            inputs.word_of(text, what)
    if kind in ("ids", "texts") and any(reference_of(item) is not None for item in value):
        raise Invalid(f"{what} is {shown(value)}; what is referred to stands for a whole list, and not in one.")


def time_of(value: str) -> datetime | None:
    """A date or time of ISO 8601, of UTC where it names no zone; None where it is none."""
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


# -- what is said in it --------------------------------------------------------------------------------------------------


def reference_of(value: object) -> Reference | None:
    """What a value refers to; None for a literal."""
    if not isinstance(value, str) or not value.startswith("$") or value.startswith("$$"):
        return None
    name, _, part = value[1:].partition(".")
    return Reference(name, part)


def references(step: Step) -> Iterator[tuple[str, Reference]]:
    """What a step refers to, by the name of the argument."""
    for name, value in (*step.given.items(), (EACH, step.each)):
        for part in value if isinstance(value, list) else [value]:
            if (wanted := reference_of(part)) is not None:
                yield name, wanted


def texts_of(pipeline: Pipeline, given: Mapping[str, Any]) -> list[str]:
    """Every text that is said in it: what its steps and parameters hold, and what it was given; no choice among words of ours."""
    literals: list[Any] = []
    for step in pipeline.steps:
        takes = VERBS[step.verb].takes
        literals += [value for name, value in step.given.items() if name not in NAMED and takes[name].rstrip("!") in ("text", "texts")]
    found = [text.removeprefix("$") if text.startswith("$$") else text for text in _texts(literals) if reference_of(text) is None]
    handed = [value for name, p in pipeline.parameters.items() if p.kind in ("text", "texts") for value in (p.default, given.get(name))]
    return found + _texts(handed)


def _texts(values: Sequence[Any]) -> list[str]:
    parts = [part for value in values for part in (value if isinstance(value, list | tuple) else [value])]
    return [part for part in parts if isinstance(part, str)]


def with_words(pipeline: Pipeline, given: Mapping[str, Any], change: Callable[[str], str]) -> tuple[Pipeline, Mapping[str, Any]]:
    """A pipeline and what it is given with every text that is somebody's words changed: names and ids stay."""

    def changed(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [changed(part) for part in value]
        return change(value) if isinstance(value, str) else value

    def literal(value: Any) -> Any:
        parts = value if isinstance(value, list) else [value]
        made = [part if reference_of(part) is not None else changed(part) for part in parts]
        return made if isinstance(value, list) else made[0]

    steps, said = [], set[str]()
    for step in pipeline.steps:
        steps.append(replace(step, given={name: literal(value) if name in WORDS else value for name, value in step.given.items()}))
        named = {wanted.name for name, wanted in references(step) if name in WORDS}
        said |= named | ({wanted.name for name, wanted in references(step) if name == EACH} if EACH in named else set())
    parameters = {name: replace(p, default=changed(p.default)) if name in said else p for name, p in pipeline.parameters.items()}
    handed = {name: changed(value) if name in said else value for name, value in given.items()}
    return replace(pipeline, steps=tuple(steps), parameters=parameters), handed


def model_calls(pipeline: Pipeline) -> list[int]:
    """The places of the steps before which it is cut."""
    return [place for place, step in enumerate(pipeline.steps) if VERBS[step.verb].is_model]

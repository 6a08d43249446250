"""JSON Schema from the code: what a verb takes, by its signature, and what it answers, by the fields of its types."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from loci.interface.inputs import Words
from loci.types import Memory, Type

Schema = dict[str, Any]
PLAIN: dict[Any, Schema] = {
    str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
}  # fmt: skip
MESSAGE: Schema = {
    "type": "object",
    "properties": {
        "role": {"enum": ["user", "assistant", "tool", "system"]}, "text": {"type": "string"}, "at": {"type": "string", "format": "date-time"},
        "speaker": {"type": "string"}, "caption": {"type": "string"}, "id": {"type": "string"}, "session": {"type": "string"},
    },
}  # fmt: skip
SPECIAL: dict[Any, Schema] = {
    Words: {"anyOf": [{"type": "string"}, MESSAGE, {"type": "array", "items": {"type": "object"}}]},
    str | Memory: {"type": "string"},
    Type | str: {"enum": [type.value for type in Type]},
}


def arguments_of(verb: Callable[..., Any]) -> tuple[dict[str, Schema], list[str]]:
    """What a verb takes: the schema of each field, with its default, and the names of those that must be given."""
    hints, parameters = get_type_hints(verb), inspect.signature(verb).parameters
    named = {name: parameter for name, parameter in parameters.items() if name != "self"}
    taken = {name: schema_of(hints[name]) | _default(parameter.default) for name, parameter in named.items()}
    return taken, [name for name, parameter in named.items() if parameter.default is inspect.Parameter.empty]


def answer_of(kind: Any, without: Sequence[str] = ()) -> Schema:
    """An object with the fields of a dataclass. None is required: what is empty is left out."""
    hints = get_type_hints(kind)
    return {"type": "object", "properties": {f.name: schema_of(hints[f.name]) for f in fields(kind) if f.name not in without}}


def schema_of(kind: Any) -> Schema:
    """The schema of a type as the facade's signatures spell it."""
    if kind in SPECIAL:
        return SPECIAL[kind]
    if kind in PLAIN:
        return PLAIN[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (left,) = (one for one in inner if one is not NoneType)  # X | None
        return schema_of(left)
    if origin is not None and issubclass(origin, Sequence):
        return {"type": "array", "items": schema_of(inner[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object"}
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if is_dataclass(kind):
        return answer_of(kind)
    raise TypeError(f"{kind} has no schema")


def _default(value: Any) -> Schema:
    """The default, where saying it says something."""
    return {} if value in (inspect.Parameter.empty, None, (), "", False) else {"default": value}

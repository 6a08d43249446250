"""JSON Schema from the code: what a verb takes, by its signature, and what it answers, by the fields of its types."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from loci.interface.inputs import Words
from loci.types import Memory, Type

Schema = dict[str, Any]
Names = dict[str, Schema]
PLAIN: dict[Any, Schema] = {
    str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"}, bytes: {"type": "string"}, Path: {"type": "string"},
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


def answer_of(kind: Any, without: Sequence[str] = (), names: Names | None = None) -> Schema:
    """An object with the fields of a dataclass, and what is told of it besides (`plain`). Where there are ``names`` it is whole, what is empty null; else none
    is required, for what is empty is left out."""
    hints = get_type_hints(kind)
    shown = {f.name: schema_of(hints[f.name], names) for f in fields(kind) if f.name not in without}
    told: Names = {"ids": {"type": "array", "items": {"type": "string"}}, "is_clean": {"type": "boolean"}, "advice": {"type": "string"}}
    shown |= {name: schema for name, schema in told.items() if hasattr(kind, name)}
    return {"type": "object", "properties": shown} | ({} if names is None else {"required": list(shown)})


def schema_of(kind: Any, names: Names | None = None) -> Schema:
    """The schema of a type as the facade's signatures spell it. Where there are ``names``, each dataclass is described there once, and referred to."""
    if kind in SPECIAL:
        return SPECIAL[kind]
    if kind in PLAIN:
        return PLAIN[kind]
    if kind in (Any, object):
        return {}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is not None:
        return _composed(origin, inner, names)
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if is_dataclass(kind):
        return answer_of(kind, (), None) if names is None else _named(kind, names)
    raise TypeError(f"{kind} has no schema")


def _composed(origin: Any, inner: Sequence[Any], names: Names | None) -> Schema:
    if origin in (Union, UnionType):
        kinds = [schema_of(one, names) for one in inner if one is not NoneType]
        return _any_of(kinds, is_null=names is not None and NoneType in inner)
    if origin is tuple and Ellipsis not in inner:
        return {"type": "array", "prefixItems": [schema_of(one, names) for one in inner]}
    if issubclass(origin, Sequence | Set | Iterator):
        return {"type": "array", "items": schema_of(inner[0], names)}
    if issubclass(origin, Mapping):
        return {"type": "object"} | ({} if names is None else {"additionalProperties": schema_of(inner[1], names)})
    raise TypeError(f"{origin} has no schema")


def _named(kind: Any, names: Names) -> Schema:
    if kind.__name__ not in names:
        names[kind.__name__] = {}  # while it is being described
        names[kind.__name__] = answer_of(kind, (), names)
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _any_of(kinds: Sequence[Schema], *, is_null: bool = False) -> Schema:
    """What may be one of several: a name where it may be a name or one of some names, else any of them."""
    named = [kind for kind in kinds if "enum" in kind]
    kinds = named if named and all(kind in (*named, PLAIN[str]) for kind in kinds) else kinds
    kinds = [*kinds, {"type": "null"}] if is_null else kinds
    return kinds[0] if len(kinds) == 1 else {"anyOf": list(kinds)}


def _default(value: Any) -> Schema:
    """The default, where saying it says something."""
    return {} if value in (inspect.Parameter.empty, None, (), "", False) else {"default": value}

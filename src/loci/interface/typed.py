"""From JSON to the types of the code, by their annotations: the way back from `loci.text.plain.plain`."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from loci.errors import Invalid

MOST = (1 << 63) - 1  # of whole numbers, as files keep them
CALLED = {
    str: "a string", int: "a whole number", float: "a number", bool: "true or false", bytes: "bytes in hex", Path: "a path",
    datetime: "a time in ISO 8601", types.NoneType: "null",
}  # fmt: skip


def typed(kind: Any, value: Any) -> Any:
    """A value of plain JSON as one of this type. Fields that the type has not are left out: a newer Loci may say more. Raises `Invalid` where it is
    none."""
    if kind is Any or kind is object:
        return value
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(inner, value)
    if origin is not None and isinstance(origin, type):
        return _several(origin, inner, value)
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        return _record(kind, value)
    return _single(kind, value)


def _record(kind: Any, value: Mapping[str, Any]) -> Any:
    hints, known = _hints(kind), [f for f in fields(kind) if f.init]
    lacking = [f.name for f in known if f.name not in value and f.default is MISSING and f.default_factory is MISSING]
    if lacking:
        raise Invalid(f"A {kind.__name__} needs {', '.join(lacking)}.")
    return kind(**{f.name: typed(hints[f.name], value[f.name]) for f in known if f.name in value})


def _single(kind: Any, value: Any) -> Any:
    if kind in (int, float) and isinstance(value, int) and abs(value) > MOST:
        raise Invalid(f"A number of {value.bit_length()} bits is too large; {MOST:,} is the most.")
    if kind is None or kind is types.NoneType:
        if value is None:
            return None
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif kind is datetime and isinstance(value, str):
        return _time(value)
    elif kind is bytes and isinstance(value, str):
        return bytes.fromhex(value)
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, value)
    elif isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise Invalid(f"{value!r:.100} must be {CALLED.get(kind, getattr(kind, '__name__', kind))}.")


def _one_of(kinds: Sequence[Any], value: Any) -> Any:
    """As the first of several types that it is."""
    told = ""
    for kind in sorted(kinds, key=lambda one: (one is types.NoneType, one is str)):  # a time is spelt as a string too
        try:
            return typed(kind, value)
        except Invalid as error:
            told = told or str(error)
    raise Invalid(told)


def _several(origin: type, inner: Sequence[Any], value: Any) -> Any:
    if issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {typed(inner[0], name): typed(inner[1], entry) for name, entry in value.items()}
    if issubclass(origin, Mapping) or not isinstance(value, Sequence) or isinstance(value, str):
        raise Invalid(f"{value!r:.100} must be {'an object' if issubclass(origin, Mapping) else 'a list'}.")
    if issubclass(origin, tuple):
        kinds = [inner[0]] * len(value) if inner[1:] == (Ellipsis,) else inner
        if len(kinds) != len(value):
            raise Invalid(f"{value!r:.100} has {len(value)} entries; it must have {len(kinds)}.")
        return tuple(typed(one, entry) for one, entry in zip(kinds, value, strict=True))
    listed = [typed(inner[0], entry) for entry in value]
    return frozenset(listed) if issubclass(origin, frozenset) else listed


def _member(kind: type[Enum], value: Any) -> Enum:
    try:
        return kind(value)
    except ValueError as error:
        raise Invalid(f"{value!r:.100} must be one of {', '.join(str(member.value) for member in kind)}.") from error


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{text!r:.100} is no time; write ISO 8601, such as 2026-05-02T14:30:00+01:00.") from error


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)

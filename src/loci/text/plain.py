"""What verbs answer, what they are asked, and what a dump holds, as JSON knows it: the same fields everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any

from loci.errors import Invalid, shown

ATOMS = frozenset({str, int, float, bool, type(None)})
SHOWN = ("ids", "is_clean", "advice")


def plain(value: Any) -> Any:
    """A value of Loci's as JSON knows it: fields by name, times in ISO 8601, bytes in hex. A receipt and a recall show their
    ``ids`` as well, a report whether it ``is_clean``, and its ``advice``."""
    kind: Any = type(value)
    return value if kind in ATOMS else _way(kind)(value)


def sent(value: Any, what: str) -> Any:
    """An argument as JSON knows it: several things, of a set or an iterator too, as a list. Raises `Invalid` for what JSON has no form for: it would
    arrive as something else than was meant."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping):
        return [_sent(entry, what) for entry in value]
    return _sent(value, what)


def _sent(value: Any, what: str) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _sent(getattr(value, f.name), f.name) for f in fields(value)}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _sent(entry, what) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_sent(entry, what) for entry in value]
    raise Invalid(
        f"{what} is {shown(value)}, which JSON has no form for. Hand in texts, numbers, times, lists and dictionaries. Nothing was done."
    )


@cache
def _way(kind: type) -> Callable[[Any], Any]:
    """How values of a type are written. A recall has some eight hundred values of a dozen types."""
    if is_dataclass(kind):
        names = (*(f.name for f in fields(kind)), *(name for name in SHOWN if hasattr(kind, name)))
        return lambda value: {name: plain(getattr(value, name)) for name in names}
    if issubclass(kind, datetime):
        return kind.isoformat
    if issubclass(kind, bytes):
        return kind.hex
    if issubclass(kind, Enum):
        return lambda value: value.value
    if issubclass(kind, Mapping):
        return lambda value: {str(key): plain(entry) for key, entry in value.items()}
    if issubclass(kind, Set):
        return lambda value: sorted(map(plain, value), key=str)
    if issubclass(kind, Sequence) and not issubclass(kind, str):
        return lambda value: [plain(entry) for entry in value]
    return _itself if issubclass(kind, str | int | float) else str


def _itself(value: Any) -> Any:
    return value

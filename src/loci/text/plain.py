"""What verbs answer, and what a dump holds, as JSON knows it: the same fields everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any

ATOMS = frozenset({str, int, float, bool, type(None)})
SHOWN = ("ids", "is_clean")


def plain(value: Any) -> Any:
    """A value of Loci's as JSON knows it: fields by name, times in ISO 8601, bytes in hex. A receipt and a recall show their
    ``ids`` as well, a report whether it ``is_clean``."""
    kind: Any = type(value)
    return value if kind in ATOMS else _way(kind)(value)


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

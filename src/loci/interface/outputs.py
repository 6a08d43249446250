"""What verbs answer, as JSON knows it: the same fields at every door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any


def plain(value: object) -> Any:
    """A value of Loci's as JSON knows it: fields by name, times in ISO 8601, bytes in hex. A receipt and a recall show their
    ``ids`` as well, a report whether it ``is_clean``."""
    if is_dataclass(value) and not isinstance(value, type):
        shown = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        return shown | {name: plain(getattr(value, name)) for name in ("ids", "is_clean") if hasattr(value, name)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)

"""What a program keeps with a memory: a JSON object. Nothing in Loci decides by it; whose a memory is, where it came from and how far it
is believed stand in its header, and no key here is one of those."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from loci.errors import Invalid, TooLarge, shown

MAX_BYTES = 16_384  # of an object as JSON
MAX_DEPTH = 8  # of lists and objects in each other
HEADER = "$"  # begins the names of header fields in a filter (`ports.where`), so that no key of metadata is taken for one

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def checked(metadata: object, what: str = "metadata") -> dict[str, Any]:
    """The object as JSON gives it back. Raises `Invalid` for what is no JSON object, `TooLarge` beyond a limit."""
    if not isinstance(metadata, Mapping):
        raise Invalid(f"{what} is {shown(metadata)}; it must be a JSON object, a dictionary. Nothing was stored.")
    plain: dict[str, Any] = _checked(metadata, what, MAX_DEPTH)
    try:
        size = len((written(plain) or "").encode())
    except ValueError as error:  # not a number, a number of too many digits, an unpaired surrogate
        raise Invalid(f"{what} cannot be written as JSON ({error}). Nothing was stored.") from error
    if size > MAX_BYTES:
        raise TooLarge(
            f"{what} has {size:,} bytes as JSON; the limit is {MAX_BYTES:,}. Keep what is long in a message. Nothing was stored."
        )
    return plain


def _checked(value: object, what: str, depth: int) -> Any:
    if isinstance(value, Mapping | list | tuple) and not depth:
        raise TooLarge(f"{what} is nested more than {MAX_DEPTH} deep. Make it flatter; nothing was stored.")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith(HEADER):
                raise Invalid(f"{what} has the key {shown(key)}; keys are texts that do not begin with {HEADER}. Nothing was stored.")
        return {key: _checked(entry, what, depth - 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(entry, what, depth - 1) for entry in value]
    if value is None or type(value) in (str, int, float, bool):
        return value
    raise Invalid(f"{what} holds {shown(value)}; it must be texts, numbers, true, false, null, lists and objects. Nothing was stored.")


def each(value: Any, change: Callable[[str], str]) -> Any:
    """The same with every text in it, keys too, changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): each(entry, change) for key, entry in value.items()}
    return [each(entry, change) for entry in value] if isinstance(value, list) else value


def written(metadata: Mapping[str, object]) -> str | None:
    """The one spelling of an object; None for an empty one."""
    return _write(metadata) if metadata else None


def read(text: str | None) -> dict[str, Any]:
    """What ``written`` wrote."""
    return json.loads(text) if text else {}

"""Filters in words to tests: mem0's language, which is ours.

``{"topic": "food"}`` equals, ``{"stars": {"gte": 3}}`` compares (eq, ne, gt, gte, lt, lte), ``{"topic": {"in": [..]}}`` (nin) is one of several,
``{"note": {"contains": "x"}}`` (icontains: of any case) holds a text or an entry, ``{"topic": "*"}`` is there at all. Several keys hold all;
``{"AND" | "OR" | "NOT": [..]}`` nest. Fields of the header are ``$user``, ``$agent``, ``$session``, ``$speaker``, ``$part``, ``$at`` and ``$recorded``. What is no
such filter raises `Invalid` with the nearest word that is one: nothing that was asked is left out silently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from loci.errors import Invalid, TooLarge, meant, shown
from loci.ports.where import HEADER, TIMES, Several, Test, Value, Where, value_of
from loci.text.metadata import HEADER as MARK

MAX_DEPTH, MAX_TESTS, MAX_VALUES, MAX_TEXT = 8, 100, 1000, 1000
ONE, ORDER, MANY, PART = ("eq", "ne"), ("gt", "gte", "lt", "lte"), ("in", "nin"), ("contains", "icontains")
WORDS = ("AND", "OR", "NOT")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def where_of(filters: object) -> Where | None:
    """The test that a filter is; None for an empty one. Raises `Invalid`, `TooLarge`."""
    if filters is None:
        return None
    found = _object(filters, MAX_DEPTH)
    tests = sum(1 for _ in found.fields())
    if tests > MAX_TESTS:
        raise TooLarge(f"The filter has {tests} tests; {MAX_TESTS} are the most.")
    return found if tests else None


def _object(filters: object, depth: int) -> Where:
    if not isinstance(filters, Mapping):
        raise Invalid(f"The filter is {shown(filters)}; it must be an object such as {{'topic': 'food'}}.")
    if not depth:
        raise TooLarge(f"The filter is nested more than {MAX_DEPTH} deep. Make it flatter.")
    parts: list[Where] = []
    for key, value in filters.items():
        if not isinstance(key, str) or len(key) > MAX_TEXT:
            raise Invalid(f"The filter has the key {shown(key)}; it must be a text of at most {MAX_TEXT:,} characters.")
        parts.extend([_several(key, value, depth - 1)] if key in WORDS else _tests(key, value))
    return parts[0] if len(parts) == 1 else Several("AND", tuple(parts))


def _several(word: str, value: object, depth: int) -> Where:
    listed = [value] if isinstance(value, Mapping) and word == "NOT" else value
    if not isinstance(listed, list | tuple) or not listed or len(listed) > MAX_TESTS:
        raise Invalid(f"{word} is {shown(value)}; it must be a list of 1 to {MAX_TESTS} filters.")
    for part in listed:
        if not part:
            raise Invalid(f"{word} holds {shown(part)}, which asks for nothing. Leave it out.")
    return Several(word, tuple(_object(part, depth) for part in listed))


def _tests(field: str, value: object) -> list[Where]:
    if field.upper() in WORDS and isinstance(value, list | tuple):
        raise Invalid(f"The filter has {field!r}; did you mean {field.upper()!r}?")
    if field.startswith(MARK) and field not in HEADER:
        raise Invalid(f"There is no field {field!r:.100} of the header." + meant(field.lower(), HEADER, f" There are {', '.join(HEADER)}."))
    if not isinstance(value, Mapping):
        return [Test(field, "any")] if value == "*" else [Test(field, "eq", (_value(field, value),))]
    if not value:
        raise Invalid(f"The filter says {{}} of {field!r:.100}; it must be a value, or an operator with one.")
    return [_test(field, operator, wanted) for operator, wanted in value.items()]


def _test(field: str, operator: object, wanted: Any) -> Where:
    known = (*ONE, *ORDER, *MANY, *PART)
    if not isinstance(operator, str) or operator not in known:
        near = meant(str(operator).lower(), known, f" There are {', '.join(known)}.", likeness=0.4)
        raise Invalid(f"The filter says {shown(operator)} of {field!r:.100}, which is no operator.{near}")
    if operator in MANY:
        if not isinstance(wanted, list | tuple) or len(wanted) > MAX_VALUES:
            raise Invalid(f"{operator} of {field!r:.100} is {shown(wanted)}; it must be a list of at most {MAX_VALUES:,} values.")
        return Test(field, operator, tuple(_value(field, one) for one in wanted))
    value = _value(field, wanted)
    if operator in ORDER and value[0] not in ("number", "text"):
        raise Invalid(f"{operator} of {field!r:.100} is {shown(wanted)}; only numbers and texts have an order.")
    if operator in PART and (value[0] != "text" or field in TIMES):
        raise Invalid(f"{operator} of {field!r:.100} is {shown(wanted)}; it must be a text, and its field one.")
    return Test(field, operator, (value,))


def _value(field: str, wanted: object) -> Value:
    if field in TIMES:
        return value_of(_micros(field, wanted))
    value = value_of(wanted)
    if value[0] == "other" or (isinstance(wanted, float) and not math.isfinite(wanted)):
        raise Invalid(
            f"The filter compares {field!r:.100} with {shown(wanted)}; it must be a text, a number, true, false or null. {{'in': [..]}} lists several."
        )
    if isinstance(wanted, str) and len(wanted) > MAX_TEXT:
        raise TooLarge(f"The filter compares {field!r:.100} with {len(wanted):,} characters; {MAX_TEXT:,} are the most.")
    return value


def _micros(field: str, wanted: object) -> int:
    """Microseconds since 1970 of a time in ISO 8601 (without a zone: UTC), or of seconds since then."""
    try:
        if isinstance(wanted, int | float) and not isinstance(wanted, bool):
            at = EPOCH + timedelta(seconds=wanted)
        else:
            at = wanted if isinstance(wanted, datetime) else datetime.fromisoformat(str(wanted))
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return (at - EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"The filter compares {field} with {shown(wanted)}; it must be an ISO 8601 time such as 2026-05-02T14:30:00Z."
        ) from error

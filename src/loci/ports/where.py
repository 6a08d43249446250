"""Which memories by what is kept with them: a filter as it was parsed, and whether it holds of one memory's fields.

A field is a key of metadata, or one of ``HEADER``, whose names no key can have. Values are compared with their own kind alone: 1 is not true, and
"2" is no number. A field that is a list passes a test that any of its entries passes; of a field that is not there only ``ne`` and ``nin`` hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

NAMES = ("$user", "$agent", "$session", "$speaker")
TIMES = ("$at", "$recorded")
HEADER = (*NAMES, *TIMES, "$part")
"""Of a memory's header: names, times in microseconds since 1970 (when it was said, since when this version is known), and which cut of its source it
is."""

Value = tuple[str, object]  # its kind, and itself: so that 1 and true are two values wherever they are keys


def value_of(value: object) -> Value:
    """A value with its kind."""
    if value is None or isinstance(value, bool):
        return ("null" if value is None else "flag", value)
    return ("number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "other", value)


@dataclass(frozen=True, slots=True)
class Test:
    """One field against a value, or against any of several."""

    field: str
    operator: str
    values: tuple[Value, ...] = ()

    def holds(self, fields: Mapping[str, object]) -> bool:
        negated = self.operator in NEGATIONS
        if self.field not in fields:
            return negated
        said = fields[self.field]
        found = [value_of(one) for one in said] if isinstance(said, Sequence) and not isinstance(said, str) else [value_of(said)]
        if self.operator == "any":
            return True
        holds = OPERATORS[NEGATIONS.get(self.operator, self.operator)]
        passes = any(one[0] == value[0] and holds(one[1], value[1]) for one in found for value in self.values)
        return passes is not negated

    def fields(self) -> Iterator[str]:
        yield self.field


@dataclass(frozen=True, slots=True)
class Several:
    """Tests put together: ``AND``, ``OR``, or ``NOT``, which says that none of them holds."""

    word: str
    parts: tuple[Where, ...]

    def holds(self, fields: Mapping[str, object]) -> bool:
        found = (part.holds(fields) for part in self.parts)
        return all(found) if self.word == "AND" else any(found) is (self.word == "OR")

    def fields(self) -> Iterator[str]:
        for part in self.parts:
            yield from part.fields()


Where = Test | Several
NEGATIONS = {"ne": "eq", "nin": "in"}
OPERATORS: dict[str, Callable[..., bool]] = {
    "eq": lambda a, b: a == b,
    "in": lambda a, b: a == b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "contains": lambda a, b: b in a,
    "icontains": lambda a, b: b.casefold() in a.casefold(),
}
"""Of two values of one kind."""

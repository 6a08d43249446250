"""What a filter lets through, and which namespaces conditions name: LangGraph's rules (`langgraph.store.memory`, ``_compare_values`` and ``_does_match``)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph.store.base import MatchCondition

from loci.compat.langgraph.items import Namespace
from loci.errors import Invalid

ORDERS: dict[str, Callable[[Any, Any], bool]] = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
EQUALS: dict[str, Callable[[Any, Any], bool]] = {"$eq": operator.eq, "$ne": operator.ne}
ANY = "*"


def passes(value: Mapping[str, Any], asked: Mapping[str, Any] | None) -> bool:
    """Whether a value is what a filter asks for. Raises `Invalid` for an operator that there is not."""
    return all(_fits(value.get(key), wanted) for key, wanted in (asked or {}).items())


def _fits(held: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if any(key.startswith("$") for key in wanted):
            return all(_holds(held, word, other) for word, other in wanted.items())
        return isinstance(held, Mapping) and all(_fits(held.get(key), other) for key, other in wanted.items())
    if isinstance(wanted, list | tuple):
        return isinstance(held, list) and len(held) == len(wanted) and all(map(_fits, held, wanted))
    return bool(held == wanted)


def _holds(held: Any, word: str, other: Any) -> bool:
    if word in EQUALS:
        return EQUALS[word](held, other)
    if word not in ORDERS:
        raise Invalid(f"The filter says {word!r:.100}, which is no operator. There are {', '.join([*EQUALS, *ORDERS])}.")
    try:
        return ORDERS[word](float(held), float(other))
    except (TypeError, ValueError):  # texts that are no numbers have an order of their own; what is not there has none
        return isinstance(held, str) and isinstance(other, str) and ORDERS[word](held, other)


def matches(namespace: Namespace, conditions: Sequence[MatchCondition]) -> bool:
    """Whether a namespace is named by all conditions."""
    return all(_matches(namespace, condition) for condition in conditions)


def _matches(namespace: Namespace, condition: MatchCondition) -> bool:
    path = condition.path
    if condition.match_type not in ("prefix", "suffix"):
        raise Invalid(f"match_type is {condition.match_type!r:.100}; it must be 'prefix' or 'suffix'.")
    held = namespace[: len(path)] if condition.match_type == "prefix" else namespace[max(0, len(namespace) - len(path)) :]
    return len(held) == len(path) and all(label in (ANY, own) for own, label in zip(held, path, strict=True))


class Users:
    """Whose an item is by its namespace: the label at the place of ``{...}``, the last of the form, where the labels before it fit (``*``: any)."""

    def __init__(self, form: Sequence[str]) -> None:
        if form and (isinstance(form, str) or not all(isinstance(label, str) for label in form) or not _is_placeholder(form[-1])):
            raise Invalid(f"users is {form!r:.100}; it must be the labels up to the user's, such as ('memories', '{{langgraph_user_id}}').")
        self._before, self._has = tuple(form[:-1]), bool(form)

    def of(self, namespace: Namespace) -> str | None:
        """The user; None: nobody in particular."""
        place = len(self._before)
        is_theirs = self._has and len(namespace) > place and all(map(_is_label, self._before, namespace))
        return namespace[place] if is_theirs else None

    def among(self, conditions: Sequence[MatchCondition]) -> str | None:
        """The one user whose the namespaces are that conditions name; None if it is not said."""
        prefixes = [condition.path for condition in conditions if condition.match_type == "prefix"]
        return next((user for path in prefixes if (user := self.of(tuple(path))) not in (None, ANY)), None)


def _is_placeholder(label: str) -> bool:
    return len(label) > 2 and label.startswith("{") and label.endswith("}")


def _is_label(form: str, label: str) -> bool:
    return form in (ANY, label)

"""What is shown page by page: cursors, which say what was asked and where the next page begins. No door keeps anything between two pages.

A cursor is its caller's to hand back, and grants nothing: what it says is checked, and passes the gate, as what is asked without one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loci.errors import Invalid
from loci.interface.typed import typed
from loci.system import Cube, System
from loci.text.plain import plain
from loci.types import Memory, Record

CURSOR = "cursor"
NO_CURSOR = "This is no cursor: hand back `next` as it was given, or leave it out to begin."
PAGE = 100  # entries where no limit is given
Next = dict[str, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """What was asked; of a list, when its first page was read (None: this is it), and the place of the last that was shown; of a log, the record
    before which it goes on."""

    asked: Mapping[str, Any]
    moment: datetime | None = None
    after: int = 0
    before: int | None = None


def begun(given: object, *, is_log: bool = False) -> Begun:
    """What a cursor says. Raises `Invalid` for what is none of this verb's."""
    try:
        found: Begun = typed(Begun, json.loads(base64.urlsafe_b64decode(str(given).encode())))
    except (ValueError, RecursionError, Invalid) as error:
        raise Invalid(NO_CURSOR) from error
    if (found.before if is_log else found.moment) is None or CURSOR in found.asked:
        raise Invalid(NO_CURSOR)
    return found


def listed(cube: Cube, at: Begun, asked: Mapping[str, Any]) -> tuple[Sequence[Memory], Next]:
    """A page of `list`, as the verb takes what is ``asked``, and the cursor of the next. Every page shows what was known when the first was read, behind
    the last of the page before: what is added, changed, forgotten or erased meanwhile moves nothing from one page to another."""
    moment = at.moment or datetime.now(UTC)
    limit = asked.get("limit", PAGE)
    found, after = cube.page(moment, at.after, **{**asked, "limit": limit})
    return found, _next(at, moment=moment, after=after) if found and len(found) == limit else {}


def logged(of: Cube | System, at: Begun, asked: Mapping[str, Any]) -> tuple[Sequence[Record], Next]:
    """A page of `log`, and the cursor of the next, which goes further back: before the first record of this one."""
    limit = asked.get("limit", PAGE)
    found = of.log(**{**asked, "limit": limit, **({} if at.before is None else {"before": at.before})})
    return found, _next(at, before=found[0].seq) if found and len(found) == limit and found[0].seq > 1 else {}


def cursor_of(asked: Mapping[str, Any], **place: object) -> str:
    """The cursor of the page that begins at a place."""
    told = {"asked": {name: value for name, value in asked.items() if name != "offset"}, **place}
    return base64.urlsafe_b64encode(json.dumps(plain(told)).encode()).decode()


def _next(at: Begun, **place: object) -> Next:
    return {"next": cursor_of(at.asked, **place)}

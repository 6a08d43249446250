"""What the conflict policy decides on and answers with: claims, verdicts, and when two values are one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from loci.text.wording.values import MONTHS, WEEKDAYS


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact as a memory holds it. `seq` is the order of arrival; `said_at` decides before it wherever both are known."""

    memory: str
    subject: str | None
    attribute: str | None
    value: str
    polarity: bool = True
    tense: Literal["now", "past", "future"] = "now"
    cue: Literal["statement", "correction", "change", "end"] = "statement"
    arity: Literal["one", "many"] = "one"
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    said_at: datetime | None = None
    seq: int = 0
    speaker: str | None = None  # the key of who said it
    turn: int | None = None  # the number of its message among those of its speaker in its session
    session: str | None = None
    replaces: str | None = None
    sort: str = "text"
    serial: int | None = None
    closed: bool = False  # superseded before, also where no time is known
    relation: str | None = None  # what the subject is called besides the name: "ana/brother"


@dataclass(frozen=True, slots=True)
class Supersede:
    """Close the validity of `old_id` at `valid_to` (None: no time is known). With a `value` the claim of that one alone: it says
    others too ("allergic to eggs and nuts"; an address, and where somebody lives), which hold."""

    old_id: str
    valid_to: datetime | None
    reason: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The new claim says what `old_id` said: nothing changes, it counts as one more witness."""

    old_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Possible:
    """Leave both side by side, linked as a possible conflict."""

    old_id: str
    reason: str


Action = Supersede | Evidence | Possible


@dataclass(frozen=True, slots=True)
class Verdict:
    """The new claim with its own validity (and the key it was found to correct), and what happens to others, in their order."""

    claim: Claim
    actions: tuple[Action, ...] = ()
    superseded_by: str | None = None  # the memory that already closes the new claim, when it was said earlier than that
    reason: str = ""
    told_until: datetime | None = None  # the end that the words of a claim so closed gave it themselves


def same_value(a: Claim, b: Claim) -> bool:
    """Tell whether two values are one; an empty value stands for whatever it was."""
    if not a.value or not b.value:
        return True
    if a.sort == "date" and b.sort == "date":
        return _same_date(a, b)
    if a.sort == "phone" or b.sort == "phone":
        mine, other = re.sub(r"\D", "", a.value), re.sub(r"\D", "", b.value)
        return mine == other or (min(len(mine), len(other)) >= 7 and mine.lstrip("0")[-7:] == other.lstrip("0")[-7:])
    if a.attribute == b.attribute == "allergy":
        return a.value.removesuffix("s") == b.value.removesuffix("s")
    return a.value == b.value


def _same_date(a: Claim, b: Claim) -> bool:
    """Tell whether two dates agree as far as both go: "june" with 06-03, 06-03 with 2024-06-03, friday with that Friday."""
    if a.value == b.value:
        return True
    year = next((c.said_at.year for c in (a, b) if c.said_at is not None), None)
    x, y = sorted((_parts(a.value, year), _parts(b.value, year)), key=len)
    return bool(x.keys() & y.keys()) and all(y[name] == x[name] for name in x.keys() & y.keys())


def _parts(value: str, year: int | None) -> dict[str, int]:
    """Return what a canonical date fixes: year, month, day, weekday."""
    if value in WEEKDAYS:
        return {"weekday": WEEKDAYS.index(value)}
    if value in MONTHS:
        return {"month": MONTHS.index(value) + 1}
    if value.startswith("day "):
        return {"day": int(value[4:])}
    fixed = re.fullmatch(r"(?:(\d{4})-)?(\d\d)(?:-(\d\d))?", value)
    if fixed is None:
        return {"year": int(value)} if value.isdecimal() else {}
    got = {name: int(part) for name, part in zip(("year", "month", "day"), fixed.groups(), strict=True) if part}
    whole = got.get("year") or year
    if whole and "day" in got:
        try:
            got["weekday"] = date(whole, got["month"], got["day"]).weekday()
        except ValueError:
            return got
    return got


def is_beside_others(claim: Claim) -> bool:
    """Tell whether a memory may claim other values of the same key, or an address beside where somebody lives: such a value is closed alone."""
    return claim.arity == "many" or (claim.attribute or "").partition("/")[0] == "residence"


def refines(earlier: Claim, later: Claim) -> bool:
    """Tell whether one value only says the other more exactly: "engineer" and "sound engineer", "Porto" and "Porto, Portugal".

    Not of numbered facts, which are told to be replaced: there "Guinea" and "Equatorial Guinea" are two.
    """
    if earlier.serial is not None or later.serial is not None or "date" in (earlier.sort, later.sort):
        return False
    a, b = (set(re.findall(r"\w+", claim.value)) for claim in (earlier, later))
    return bool(a and b) and (a < b or b < a)


def alike(said: str, value: str) -> bool:
    a, b = set(said.split()), set(value.split())
    return bool(a and b) and (a <= b or b <= a)


def utc(at: datetime | None) -> datetime | None:
    """Return a time that compares with any other: without a zone it is taken as UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at

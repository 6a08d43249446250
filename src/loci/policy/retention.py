"""What a memory is worth keeping at hand: the order in which a full cube archives. Nothing here destroys anything, and nothing throws dice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from loci.ports.retaining import Strength

IDLE_DAYS = 30.0  # after this long unused, half of the worth of its uses is gone
HEAT_DAYS = 7.0  # after which a use counts half: a week has one of each of its days
DAY = timedelta(days=1)


class Retention(Protocol):
    """How use makes a memory last, and how idleness wears that off. Pure: times are handed in."""

    @property
    def name(self) -> str: ...

    def on_use(self, strength: Strength, at: datetime) -> Strength:
        """What an answer that cited it at this time leaves of the strength. Only ``stability_days`` is its business."""

    def retrievability(self, strength: Strength, now: datetime) -> float:
        """How likely it is wanted now, 0 to 1. It falls with the time since the last use."""


@dataclass(frozen=True, slots=True)
class Recency:
    """The plain fallback: what was used last is kept longest (LRU)."""

    name: str = "recent"

    def on_use(self, strength: Strength, at: datetime) -> Strength:
        return strength

    def retrievability(self, strength: Strength, now: datetime) -> float:
        return 1 / (1 + idle_days(strength, now))


def idle_days(strength: Strength, now: datetime) -> float:
    """Days since the last use. A clock that was put back makes nothing younger than new."""
    return max(0.0, (now - strength.last_used) / DAY)


def used(strength: Strength, at: datetime, retention: Retention) -> Strength:
    """The strength after an answer that cited it at this time."""
    grown = retention.on_use(strength, at)
    warm = strength.heat * 0.5 ** (idle_days(strength, at) / HEAT_DAYS)
    return replace(grown, last_used=max(at, strength.last_used), uses=strength.uses + 1, heat=warm + 1)


def heat(strength: Strength, now: datetime) -> float:
    """Its uses of late: each counts half as much a week later. As many are expected within the next ten days (a week over ln 2)."""
    return strength.heat * float(0.5 ** (idle_days(strength, now) / HEAT_DAYS))


def overdue(strengths: Mapping[str, Strength], retention: Retention, capacity: int, now: datetime) -> list[str]:
    """What goes to the archive so that ``capacity`` are left, least worth first. What is pinned counts, and stays.

    Ranks are those at the beginning of the day (UTC), and within a day a use can only raise one. So the best of a day are the same
    whether this is asked once or every hour."""
    movable = sorted(id for id, strength in strengths.items() if not strength.is_pinned)
    movable.sort(key=lambda id: rank(strengths[id], retention, now))
    return movable[: max(0, len(strengths) - capacity)]


def rank(strength: Strength, retention: Retention, now: datetime) -> tuple[float, datetime]:
    """The sort key by which memories leave, least first: retrievability as the day began, of equals the longest unused."""
    return retention.retrievability(strength, now.replace(hour=0, minute=0, second=0, microsecond=0)), strength.last_used


@dataclass(frozen=True, slots=True)
class Worth:
    """The facts that the value of a memory depends on where no answer ever cited anything: how often searches found it, and what it is."""

    priority: int
    uses: int
    days_since_use: float
    days_since_said: float
    is_claim: bool
    is_smalltalk: bool


def value(worth: Worth) -> float:
    """Higher is kept longer. Priority decides first; then how often it was found, fading with the time since the last; then what it is."""
    used: float = math.log1p(worth.uses) * 0.5 ** (worth.days_since_use / IDLE_DAYS)
    fresh: float = 0.5 ** (worth.days_since_said / (6 * IDLE_DAYS))
    return 100.0 * worth.priority + 2.0 * used + fresh + (1.0 if worth.is_claim else 0.0) - (1.0 if worth.is_smalltalk else 0.0)

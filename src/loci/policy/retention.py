"""What a memory is worth keeping at hand: the order in which a full cube archives. Nothing here destroys anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

IDLE_DAYS = 30.0  # after this long unused, half of the worth of its uses is gone


@dataclass(frozen=True, slots=True)
class Worth:
    """The facts that the value of a memory depends on."""

    priority: int
    uses: int
    days_since_use: float
    days_since_said: float
    is_claim: bool
    is_smalltalk: bool


def value(worth: Worth) -> float:
    """Higher is kept longer. Priority decides first; then uses, fading with the time since the last; then what it is.

    The rank by uses over idle time follows MemoryBank (arXiv 2305.10250), used as an order and never as a dice.
    """
    used: float = math.log1p(worth.uses) * 0.5 ** (worth.days_since_use / IDLE_DAYS)
    fresh: float = 0.5 ** (worth.days_since_said / (6 * IDLE_DAYS))
    return 100.0 * worth.priority + 2.0 * used + fresh + (1.0 if worth.is_claim else 0.0) - (1.0 if worth.is_smalltalk else 0.0)

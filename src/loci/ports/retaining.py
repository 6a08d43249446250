"""What is known of how a memory was used: what a store keeps for the policies that decide how near at hand it stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Strength:
    """Of one memory. A use is an answer that was shown it and cited it; that a search found it is none.

    ``last_used`` is when that was last, or when it was remembered; ``stability_days`` how long it is expected to be wanted again after a use (0:
    it was never used); ``heat`` its uses, each counted half as much a week later, as they stood at ``last_used``. What ``is_pinned``
    never moves."""

    last_used: datetime
    stability_days: float = 0.0
    uses: int = 0
    heat: float = 0.0
    is_pinned: bool = False

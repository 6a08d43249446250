"""MemoryBank's forgetting curve (Zhong et al., arXiv 2305.10250) as a rank: what was used at long intervals is kept longest.

Of the paper: a memory has a strength S in days, and its retention falls with t/S, t being the days since it was last recalled; recall sets t
to 0 and makes S larger. Ours: S grows by the gap that was survived, and not by one at each recall, so that saying a thing a
thousand times in a row proves nothing; the curve is a power law, in the form of FSRS; it ranks memories where there is room for so many, and
neither deletes nor draws lots. (The code published with the paper has exp(-t S / 5) for exp(-t / S): there what is
recalled most is forgotten first. `loci bench retention` shows what that costs.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from loci.errors import Invalid
from loci.policy.retention import DAY, idle_days
from loci.ports.retaining import Strength

DECAY = 0.5
FACTOR = 0.9 ** (-1 / DECAY) - 1  # 19/81: R is 0.9 where t is S


@dataclass(frozen=True, slots=True)
class MemoryBank:
    """``initial_days`` is the stability of what was never used. ``most_growth``: by what share of itself one use can make it larger. A
    third makes the first step of a memory that starts with three days one day, which is the paper's; so steady use shows beside long gaps."""

    initial_days: float = 3.0
    most_growth: float = 1 / 3
    name: str = "memorybank"

    def __post_init__(self) -> None:
        if not self.initial_days > 0 or not self.most_growth > 0:
            raise Invalid(f"initial_days and most_growth are above 0, not {self.initial_days:g} and {self.most_growth:g}.")

    def on_use(self, strength: Strength, at: datetime) -> Strength:
        """``S (1 + min(most_growth, gap / S))``: a use right after another adds nothing."""
        before = self._stability(strength)
        gap = max(0.0, (at - strength.last_used) / DAY)
        return replace(strength, stability_days=before * (1 + min(self.most_growth, gap / before)))

    def retrievability(self, strength: Strength, now: datetime) -> float:
        """``(1 + 19/81 t / S) ** -0.5``: 1 right after a use, 0.9 after S days."""
        return float((1 + FACTOR * idle_days(strength, now) / self._stability(strength)) ** -DECAY)

    def _stability(self, strength: Strength) -> float:
        return strength.stability_days or self.initial_days

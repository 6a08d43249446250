"""StreamingLLM (Xiao et al., ICLR 2024, arXiv 2309.17453): the first tokens and the newest ones, and nothing between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loci.ports import Need, ScoreContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Streaming:
    """Newer is worth more. The first tokens, on which attention rests, are protected by the plan's sinks.

    Otherwise here: the paper numbers positions within the cache; ours keep their rotation, so that what is stored stays exact up to the model's
    longest context.
    """

    @property
    def name(self) -> str:
        return "streaming"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset()

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        """Float32 [H, n] a layer: the position itself, as a share of what was seen."""
        return [positions.float() / max(1, context.seen) for positions in context.positions]

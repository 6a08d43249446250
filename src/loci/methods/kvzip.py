"""KVzip (Kim et al., NeurIPS 2025, arXiv 2505.23416): what the model attends to when it has to repeat the text is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loci.ports import Need, ScoreContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class KVzip:
    """After each block the block is read once more behind ``instruction`` (token ids of "repeat the previous text"), and an entry is worth the most that
    any query of that gave it, then or at an earlier block.

    Otherwise here: the paper scores the whole cache before anything is evicted, chunk by chunk of the context; under a budget that is not there any
    more, so each block is repeated when it is read, and old entries keep the best that they were ever given.
    """

    instruction: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return f"kvzip {len(self.instruction)}"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"probe"})

    def probe(self, block: Sequence[int]) -> Sequence[int]:
        """The instruction and the block."""
        return (*self.instruction, *block)

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        """Float32 [H, n] a layer, in 0..1: the larger of the attention now, [H, n], and the earlier score, nan where there is none."""
        return [now.fmax(before) for now, before in zip(context.attention, context.previous, strict=True)]

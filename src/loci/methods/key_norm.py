"""Key norm (Devoto et al., EMNLP 2024, arXiv 2406.11430): keys of small norm tend to be attended to much, and are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loci.ports import Need, ScoreContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class KeyNorm:
    """Minus the key's length. A correlation seen in trained models, not a law; where keys are normalised (Qwen3) it has little to go by."""

    @property
    def name(self) -> str:
        return "key norm"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"keys"})

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        """Float32 [H, n] a layer, of keys [H, n, d]. Rotation does not change a norm."""
        return [-keys.float().norm(dim=-1) for keys in context.keys]

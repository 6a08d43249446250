"""KeyDiff (Park et al., 2025, arXiv 2504.15364): keys unlike the others are kept; no attention is looked at, so no question is presumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.nn.functional import cosine_similarity, normalize

from loci.ports import Need, ScoreContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """Minus the cosine to the mean of the layer's and head's keys, each of length 1.

    As in the paper the mean is over the keys stored now, not over all that ever came: one pass and no state.
    """

    @property
    def name(self) -> str:
        return "key difference"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"keys"})

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        """Float32 [H, n] a layer, in -1..1, of keys [H, n, d]."""
        return [_difference(keys.float()) for keys in context.keys]


def _difference(keys: Tensor) -> Tensor:
    anchor = normalize(keys, dim=-1).mean(dim=1, keepdim=True)
    return -cosine_similarity(keys, anchor, dim=-1)

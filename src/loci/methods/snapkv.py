"""SnapKV (Li et al., NeurIPS 2024, arXiv 2404.14469): what a prompt's last queries attend to, smoothed over neighbours, is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.nn.functional import avg_pool1d

from loci.errors import Invalid
from loci.ports import Need, ScoreContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SnapKV:
    """The mean attention of the last ``window`` queries of each block, pooled over ``kernel`` neighbours.

    Otherwise here: the paper compresses once, when the whole prompt, its question at the end, has been read; under a budget it is asked after every block,
    whose last queries are no question. One index set a KV head (its group's mean), not one a query head. Whether the window itself is kept
    is the plan's matter (``recent``).
    """

    window: int = 32
    kernel: int = 5

    def __post_init__(self) -> None:
        if self.window < 1 or self.kernel < 1 or self.kernel % 2 == 0:
            raise Invalid(f"SnapKV needs a window of at least 1 and an odd kernel: {self.window}, {self.kernel}.")

    @property
    def name(self) -> str:
        return f"snapkv {self.window}/{self.kernel}"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"attention"})

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        """Float32 [H, n] a layer, in 0..1, of mean attention [H, n]."""
        return [avg_pool1d(a[:, None], self.kernel, 1, self.kernel // 2, count_include_pad=False)[:, 0] for a in context.mean_attention]

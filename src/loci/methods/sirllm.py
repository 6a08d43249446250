"""SirLLM (Yao et al., ACL 2024, arXiv 2405.12528): what surprised the model is kept, and what it kept long fades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cosine_similarity, normalize

from loci.errors import Invalid
from loci.ports import Need, ScoreContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SirLLM:
    """``surprisal * gamma ** blocks since it was read``, in deviations, plus ``blend`` times how unlike the other keys the key is, in deviations.

    The paper calls surprisal, -log p(x_i | x_<i), token entropy. Its gamma is 1 for groceries, 0.9 for games, 0.7 for dialogue. ``clip`` is the
    share of the most surprising entries that count as equally surprising.

    Otherwise here: the blend, and doubt. Surprisal alone keeps junk that is stranger than the facts, and is then worse than keeping nothing but the
    newest. What keys say does not depend on the text being predictable; and the more the *median* token surprises, the less surprisal is
    trusted, down to nothing at ``lost`` nats, where the model does not know the language. Where nothing is trusted all entries are equal and the
    newest stay. ``blend`` 0, ``clip`` 0 and ``lost`` infinite is the paper's choice. Entries stay at their own positions; the budget is the plan's,
    so nothing reserves for answers and it cannot be passed; decay is a power of age and needs no state.
    """

    gamma: float = 1.0
    blend: float = 1.0
    clip: float = 0.02
    lost: float = 6.0

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1 or self.blend < 0 or not 0 <= self.clip < 1 or not self.lost > 0:
            raise Invalid(f"SirLLM needs gamma in (0, 1], a blend of at least 0, a clip in [0, 1) and lost above 0: {self}.")

    @property
    def name(self) -> str:
        return f"sirllm {self.gamma}/{self.blend}/{self.clip}/{self.lost}"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"surprisal", "keys"}) if self.blend else frozenset({"surprisal"})

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        """Float32 [H, n] a layer, in deviations, of surprisal [seen] and keys [H, n, d]; the same for every head where nothing is blended in."""
        assert context.surprisal is not None and context.read_in is not None, "the driver gives what `needs` names"
        newest = int(context.read_in.max())
        trust = 1 - (float(context.surprisal.nanmedian()) / self.lost)
        faded = context.surprisal.nan_to_num(0.0) * self.gamma ** (newest - context.read_in).float()
        scores = []
        for layer, positions in enumerate(context.positions):
            told = faded[positions]
            if self.clip:
                told = told.minimum(told.quantile(1 - self.clip, dim=1, keepdim=True))
            worth = max(0.0, trust) * _deviations(told)
            scores.append(worth + self.blend * _deviations(_difference(context.keys[layer])) if self.blend else worth)
        return scores


def _deviations(values: Tensor) -> Tensor:
    """How many standard deviations from the mean, by head; 0 where all are equal."""
    spread = values.std(dim=1, keepdim=True, unbiased=False)
    return torch.where(spread > 0, (values - values.mean(dim=1, keepdim=True)) / spread.clamp(min=1e-12), 0.0)


def _difference(keys: Tensor) -> Tensor:
    """Minus the cosine of each key [H, n, d] to the mean direction of its head's."""
    told = keys.float()
    return -cosine_similarity(told, normalize(told, dim=-1).mean(dim=1, keepdim=True), dim=-1)

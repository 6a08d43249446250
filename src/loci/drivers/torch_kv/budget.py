"""A KV cache of which each layer keeps a budget: it sees all that came, and stores what its method found worth keeping.

In a forward pass a layer hands everything to attention, the kept and the new, and trims only then. Its length is the tokens it has *seen*, so
positions go on as if nothing had been evicted; entries keep their rotation and their order. One text at a time, without padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from loci.errors import Invalid, Unsupported
from loci.ports import BudgetPlan, Need, ScoreContext, Scorer

LOCAL: frozenset[Need] = frozenset({"keys", "values"})  # needs that a layer can serve alone, at every generated token


class BudgetedLayer(DynamicLayer):  # type: ignore[misc]
    """One layer: keys and values [1, H, n, d], and of each entry its position, int64 [H, n], and last score, float32 [H, n] or nan.

    ``budget`` None keeps everything. ``is_held`` keeps everything until `trim` is called; ``is_peeking`` stores nothing of what comes.
    """

    is_croppable = False
    keys: Any
    values: Any
    is_initialized: bool

    def __init__(self, budget: int | None, plan: BudgetPlan, scorer: Scorer) -> None:
        super().__init__()
        self.budget, self.plan, self.scorer = budget, plan, scorer
        self.is_held = self.is_peeking = False
        self.seen = self.peak = 0  # tokens that came; the most entries that attention was ever handed
        self.positions: Tensor = torch.empty(0, 0, dtype=torch.int64)
        self.scores: Tensor = torch.empty(0, 0)

    @property
    def stored(self) -> int:
        """Entries of each KV head."""
        return int(self.positions.shape[1])

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Everything for this forward's attention, keys and values [1, H, n + q, d]; afterwards only the budget is stored."""
        if key_states.shape[0] != 1:
            raise Unsupported(f"A budgeted cache holds one text, not a batch of {key_states.shape[0]}; use one cache for each.")
        if not self.is_initialized:
            self._begin(key_states, value_states)
        keys, values = torch.cat([self.keys, key_states], dim=-2), torch.cat([self.values, value_states], dim=-2)
        self.peak = max(self.peak, int(keys.shape[-2]))
        if self.is_peeking:
            return keys, values
        fresh = torch.arange(self.seen, self.seen + key_states.shape[-2], device=keys.device).expand(keys.shape[1], -1)
        self.keys, self.values = keys, values
        self.positions = torch.cat([self.positions, fresh], dim=1)
        self.scores = torch.cat([self.scores, torch.full(fresh.shape, torch.nan, device=keys.device)], dim=1)
        self.seen += int(key_states.shape[-2])
        if not self.is_held and self.budget is not None and self.stored > self.budget:
            self.trim(self._own_scores())
        return keys, values

    def _begin(self, key_states: Tensor, value_states: Tensor) -> None:
        heads = key_states.shape[1]
        self.lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.positions = torch.empty(heads, 0, dtype=torch.int64, device=key_states.device)
        self.scores = torch.empty(heads, 0, device=key_states.device)

    def _own_scores(self) -> Tensor:
        """What entries are worth while nobody reads block by block: by the method, if it looks at keys and values alone.

        Otherwise as scored when they were read, and what was generated since goes first, its oldest first: talk does not push out memory.
        """
        if self.scorer.needs <= LOCAL:
            return self.scorer.score(self.context())[0]
        is_new = self.scores.isnan()
        low = self.scores.masked_fill(is_new, torch.inf).min() if not bool(is_new.all()) else torch.zeros(())
        return torch.where(is_new, low.to(self.scores.device) - 2 + self.positions / self.seen, self.scores)

    def context(self) -> ScoreContext:
        """What this layer alone knows of its entries."""
        return ScoreContext([self.positions], self.seen, keys=[self.keys[0]], values=[self.values[0]], previous=[self.scores])

    def trim(self, scores: Tensor) -> Tensor:
        """Keeps the budget's worth of the best by scores, float [H, n]; sinks and recent ones whatever they score.

        Returns bool [H, n]: which were kept. Raises `Invalid` where a score is not finite.
        """
        if not bool(torch.isfinite(scores).all()):
            raise Invalid(f"{self.scorer.name} gave a score that is not finite; a method scores every entry with a number.")
        if self.budget is None or self.stored <= self.budget:
            self._remember(scores)
            return torch.ones_like(scores, dtype=torch.bool)
        kept = best(scores, self.positions, self.seen, self.budget, self.plan)
        self._remember(scores)
        self.positions, self.scores = self.positions.gather(1, kept), self.scores.gather(1, kept)
        wide = kept[None, :, :, None]
        self.keys = self.keys.gather(2, wide.expand(-1, -1, -1, self.keys.shape[-1]))
        self.values = self.values.gather(2, wide.expand(-1, -1, -1, self.values.shape[-1]))
        return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, kept, True)

    def _remember(self, scores: Tensor) -> None:
        if self.is_held or self.scorer.needs <= LOCAL:  # scores made up for what was generated are nobody's judgement
            self.scores = scores.float()

    def fork(self, budget: int | None) -> BudgetedLayer:
        """A layer that shares these tensors until either of the two changes, which makes new ones."""
        made = BudgetedLayer(budget, self.plan, self.scorer)
        if self.is_initialized:
            made.hold(self.keys, self.values, self.positions, self.seen, self.scores)
        made.seen = self.seen
        return made

    def hold(self, keys: Tensor, values: Tensor, positions: Tensor, seen: int, scores: Tensor | None = None) -> None:
        """Has these entries and no others: keys and values [1, H, n, d], positions [H, n], of so many tokens seen. It shares the tensors."""
        self._begin(keys, values)
        self.keys, self.values, self.positions, self.seen = keys, values, positions, seen
        self.scores = torch.full(positions.shape, torch.nan, device=positions.device) if scores is None else scores

    # -- what transformers asks ---------------------------------------------------------------------------------------

    def get_seq_length(self) -> int:
        """Tokens seen: the position of the next one."""
        return self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Entries that the next forward attends to, and no offset."""
        return self.stored + query_length, 0

    def reset(self) -> None:
        super().reset()
        self.seen, self.positions, self.scores = 0, torch.empty(0, 0, dtype=torch.int64), torch.empty(0, 0)
        self.keys = self.values = None
        self.is_initialized = False

    def crop(self, *_: Any) -> NoReturn:
        raise Unsupported("What was evicted cannot be brought back, so a budgeted cache cannot be cropped; fork it before you read on.")

    def batch_repeat_interleave(self, *_: Any) -> NoReturn:
        raise Unsupported("A budgeted cache holds one text; fork it once for each row of a batch.")

    def batch_select_indices(self, *_: Any) -> NoReturn:
        raise Unsupported("A budgeted cache holds one text; there are no rows to choose from.")


def best(scores: Tensor, positions: Tensor, seen: int, budget: int, plan: BudgetPlan) -> Tensor:
    """Which entries stay: int64 [H, budget] indices into [H, n], ascending. Of equals the later; sinks and recent before all."""
    is_safe = (positions < plan.sinks) | (positions >= seen - plan.recent)
    order = torch.where(is_safe, torch.inf, scores).flip(1).argsort(dim=1, descending=True, stable=True)
    kept: Tensor = (scores.shape[1] - 1 - order[:, :budget]).sort(dim=1).values
    return kept


class BudgetedCache(Cache):  # type: ignore[misc]
    """A `transformers` cache whose layer l stores at most ``plan.per_layer[l]`` entries between forward passes.

    Use it where a cache is asked for, `generate` included, within `attention.attending(model)`. To read long texts under the budget,
    `prefill.read`. To answer and leave memory as it is, `fork(is_open=True)`.
    """

    def __init__(self, plan: BudgetPlan, scorer: Scorer) -> None:
        super().__init__(layers=[BudgetedLayer(budget, plan, scorer) for budget in plan.per_layer])
        self.plan, self.scorer = plan, scorer
        self.surprisal = torch.empty(0)  # float32 [seen], nan where nothing was predicted
        self.read_in = torch.empty(0, dtype=torch.int64)  # [seen]: the number of the block; -1 where nothing was read by `prefill.read`
        self.blocks = 0
        self.expected: Tensor | None = None  # log p of the next token, float32 [vocabulary], where surprisal is wanted

    @property
    def seen(self) -> int:
        """Tokens read so far, kept or not."""
        return int(self.layers[0].seen)

    @property
    def stored(self) -> tuple[int, ...]:
        """Entries that each layer keeps, of each of its KV heads."""
        return tuple(layer.stored for layer in self.layers)

    @property
    def peaks(self) -> tuple[int, ...]:
        """The most entries each layer ever handed to attention, the probe's included."""
        return tuple(layer.peak for layer in self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values; positions and scores come to 12 bytes an entry and head more."""
        return sum(t.numel() * t.element_size() for layer in self.layers if layer.is_initialized for t in (layer.keys, layer.values))

    def advise(self, scorer: Scorer) -> None:
        """Scores by this method from now on; what the one before said is kept as the entries' previous scores."""
        self.scorer = scorer
        for layer in self.layers:
            layer.scorer = scorer

    def skip_to(self, position: int) -> None:
        """The next token's position: tokens between were read elsewhere. Raises `Invalid` for one that is already past."""
        if position < self.seen:
            raise Invalid(f"This cache has seen {self.seen} tokens; it cannot go back to position {position}.")
        for layer in self.layers:
            layer.seen = position

    def fork(self, *, is_open: bool = False) -> BudgetedCache:
        """A cache that shares all tensors with this one and changes none of them; ``is_open`` has no budget, for questions and answers."""
        made = BudgetedCache(self.plan, self.scorer)
        made.layers = [layer.fork(None if is_open else layer.budget) for layer in self.layers]
        made.surprisal, made.read_in, made.blocks, made.expected = self.surprisal, self.read_in, self.blocks, self.expected
        return made

    @contextmanager
    def peeking(self) -> Iterator[BudgetedCache]:
        """A fork that stores nothing of what it is shown; its peaks count as this cache's."""
        made = self.fork()
        for layer in made.layers:
            layer.is_peeking = True
        yield made
        for own, other in zip(self.layers, made.layers, strict=True):
            own.peak = max(own.peak, other.peak)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Within it, layers keep all that comes, until they are trimmed by hand."""
        for layer in self.layers:
            layer.is_held = True
        try:
            yield
        finally:
            for layer in self.layers:
                layer.is_held = False

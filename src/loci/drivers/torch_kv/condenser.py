"""A model and its tokenizer under a budget: what is left of a text that was read block by block, kept, and answered from."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from loci.drivers.torch_kv import leaf, prefill
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.divergence import divergence
from loci.drivers.torch_kv.leaf import KVLeaf
from loci.drivers.torch_kv.profile import sensitivity
from loci.drivers.torch_kv.twin import mark_of, twin_of
from loci.ports import BudgetPlan, Scorer
from loci.ports.engine import BLOCK, Codec, Tensors

if TYPE_CHECKING:
    from loci.drivers.torch_kv.engine import TorchEngine


class TorchCondenser:
    """The budgets of an engine. It reads with a twin of the engine's model, which is made anew where that model has changed."""

    def __init__(self, engine: TorchEngine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._twin: tuple[tuple[object, ...], Any] | None = None

    @property
    def model(self) -> Any:
        with self._lock:
            mark = mark_of(self._engine.model)
            if self._twin is None or self._twin[0] != mark:
                self._twin = (mark, twin_of(self._engine.model))
            return self._twin[1]

    def read(self, ids: Sequence[int], plan: BudgetPlan, scorer: Scorer, block: int) -> tuple[KVLeaf, float]:
        """What is left, and the meter of the block that lost most; 0 where nothing was evicted."""
        self._engine.check_room(len(ids))
        cache = BudgetedCache(plan, scorer)
        done = prefill.read(self.model, cache, ids, block=block)
        return leaf.leaf_of(ids, cache), max(done.evicted_mass, default=0.0)

    def encode(self, state: KVLeaf, layer: int, codec: Codec) -> Tensors:
        return leaf.encode(state, layer, codec)

    def decode(self, ids: Sequence[int], plan: BudgetPlan, codec: Codec, layers: Sequence[Tensors]) -> KVLeaf:
        shapes = self._engine.fingerprint().layers
        made = leaf.decode(ids, plan, codec, layers, shapes, self._engine.model.dtype)
        device = self._engine.device
        return made.each(lambda t: t.to(device)) if device.type != "cpu" else made

    def compare(self, state: KVLeaf, other: KVLeaf) -> Mapping[str, float]:
        """What a codec did to the next ``BLOCK`` tokens, for which the first of the text stand, and the largest errors beside their bounds."""
        probe = state.ids[:BLOCK]
        return {
            **divergence(self.logits(state, probe), self.logits(other, probe)),
            "key_error": _distance(state.keys, other.keys), "key_bound": other.bounds[0],
            "value_error": _distance(state.values, other.values), "value_bound": other.bounds[1],
        }  # fmt: skip

    def sensitivity(
        self, ids: Sequence[int], plan: BudgetPlan, scorer: Scorer, block: int, probes: Sequence[Sequence[int]]
    ) -> Sequence[float]:
        self._engine.check_room(len(ids) + max(map(len, probes), default=0))
        return sensitivity(self.model, ids, plan, scorer, block, probes)

    def logits(self, state: KVLeaf, ids: Sequence[int]) -> torch.Tensor:
        """The logits of these tokens, which follow those of the state: [tokens, vocabulary], float32."""
        with torch.inference_mode():
            return self._engine.forward(self.model, ids, leaf.cache_of(state), 0).float()

    def generate(self, state: KVLeaf, ids: Sequence[int], *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> Iterator[str]:
        """The answer in pieces of text, until the model ends it or ``max_tokens``."""
        cache = leaf.cache_of(state)
        return self._engine.answered(self.model, cache, len(state.ids), ids, max_tokens, temperature, seed)


def _distance(one: Sequence[torch.Tensor], two: Sequence[torch.Tensor]) -> float:
    return max(float((a.float() - b.float()).abs().max()) for a, b in zip(one, two, strict=True))

"""What the kernel asks of a model that can read under a budget: to keep of each layer what a method finds worth keeping, and to answer from it.

What is left of a text is one thing, a *leaf*: it is never cut, joined to another, or read on. It never changes, and whoever answers from it
begins at the position after the last token that was read, kept or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from loci.ports.engine import Codec, Held, Tensors
from loci.ports.scoring import BudgetPlan, Scorer

L = TypeVar("L", bound=Held)
Method = Callable[[Callable[[str], Sequence[int]]], Scorer]
"""Makes an eviction method, given what makes tokens of words: some put an instruction before what they probe with."""


class Condenser(Protocol[L]):
    """A model under a budget. Every method may be called from several threads."""

    def read(self, ids: Sequence[int], plan: BudgetPlan, scorer: Scorer, block: int) -> tuple[L, float]:
        """What is left of a text that is read so many tokens at a time, and the share of attention that was evicted: the 99th percentile
        over layers, heads and watched queries, of the block where it was highest. No layer ever holds more than budget + block + probe."""

    def encode(self, state: L, layer: int, codec: Codec) -> Tensors:
        """A layer as it is kept: ``L{layer}.p`` has the position of each entry, int32 [heads, entries]. Raises ``Unsupported``."""

    def decode(self, ids: Sequence[int], plan: BudgetPlan, codec: Codec, layers: Sequence[Tensors]) -> L:
        """What is left of this text, where the model runs. Raises `Corrupt` where the tensors are not what `encode` would have made of it:
        of other shapes, or at positions that are out of order, beyond the text, or without those that the plan protects."""

    def compare(self, state: L, other: L) -> Mapping[str, float]:
        """How much the model's answers after ``other`` differ from those after ``state``, as `Engine.compare` tells it."""

    def sensitivity(
        self, ids: Sequence[int], plan: BudgetPlan, scorer: Scorer, block: int, probes: Sequence[Sequence[int]]
    ) -> Sequence[float]:
        """For each layer, how much what the model says of the probes, each read after the text, differs where that layer alone is under
        its budget: the divergence, in nats a token."""

    def generate(self, state: L, ids: Sequence[int], *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> Iterator[str]:
        """The answer to these tokens, which follow those of the state, as it comes. Nothing is evicted for it."""


@runtime_checkable
class Condensing(Protocol):
    """An engine that has a model for budgets too."""

    def condenser(self) -> Condenser[Any]:
        """Raises ``Unsupported`` for a model that cannot have a budget."""

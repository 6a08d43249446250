"""What a model holds after it has read some tokens, and the library's cache made of it. Nothing else here touches that cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

from loci.errors import Unsupported


@dataclass(frozen=True, slots=True, eq=False)
class KVState:
    """Keys and values of every layer, each of shape [1, heads, tokens, width], and the tokens they are of. The tensors are never
    written to: a cache that is made of them concatenates into new ones. ``hidden`` are the inputs of attention, [1, tokens, d] a layer,
    where they were asked for; ``bounds`` what a codec may have changed an element of keys and of values by."""

    ids: tuple[int, ...]
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    hidden: tuple[torch.Tensor, ...] = ()
    bounds: tuple[float, float] = field(default=(0.0, 0.0))

    @property
    def tokens(self) -> int:
        return len(self.ids)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (*self.keys, *self.values, *self.hidden))

    def to(self, device: torch.device) -> KVState:
        """The same on another device."""

        def moved(tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            return tuple(t.to(device, non_blocking=True) for t in tensors)

        return KVState(self.ids, moved(self.keys), moved(self.values), moved(self.hidden), self.bounds)

    def pinned(self) -> KVState:
        """The same in memory that a GPU reads without a copy in between."""
        return KVState(
            self.ids, tuple(t.pin_memory() for t in self.keys), tuple(t.pin_memory() for t in self.values), self.hidden, self.bounds
        )


def cache_of(state: KVState | None) -> DynamicCache:
    """A cache that goes on from the state and leaves it as it is. Every layer keeps all of its tokens, those with a window too: their
    mask leaves out what is too far, and a state can be cut anywhere."""
    return DynamicCache() if state is None else DynamicCache(list(zip(state.keys, state.values, strict=True)))


def state_of(ids: Sequence[int], cache: DynamicCache, hidden: Sequence[torch.Tensor] = ()) -> KVState:
    """The state that a cache holds. Raises `Unsupported` for layers that keep something else than keys and values of every token."""
    keys, values = [], []
    for number, layer in enumerate(cache.layers):
        key, value = getattr(layer, "keys", None), getattr(layer, "values", None)
        if key is None or value is None or key.shape[-2] != len(ids):
            raise Unsupported(
                f"Layer {number} of this model ({type(layer).__name__}) does not keep keys and values of every token, so what it has read "
                "cannot be kept exactly. Use the text of memories with it."
            )
        keys.append(key)
        values.append(value)
    return KVState(tuple(ids), tuple(keys), tuple(values), tuple(hidden))


def cut(state: KVState, tokens: int) -> KVState:
    """The first tokens of a state; it shares storage with it."""
    if tokens == state.tokens:
        return state
    return KVState(
        state.ids[:tokens],
        tuple(t[:, :, :tokens] for t in state.keys),
        tuple(t[:, :, :tokens] for t in state.values),
        tuple(t[:, :tokens] for t in state.hidden),
        state.bounds,
    )

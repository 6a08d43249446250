"""What a model holds after it has read some tokens, and the library's cache made of it. Nothing else here touches that cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from loci.drivers.torch_kv.ends import ends_of, fresh, has_end, restore
from loci.errors import Invalid, Unsupported
from loci.ports.engine import BLOCK


@dataclass(frozen=True, slots=True, eq=False)
class KVPage:
    """Keys and values of at most ``BLOCK`` tokens in every layer, each of shape [heads, tokens, width]; of layers that keep none, empty. The tensors are never written to.
    ``bounds`` is what a codec may have changed an element of keys and of values by; ``hidden`` the inputs of attention, [tokens, d] a
    layer, where they were asked for. One without tokens is the end of a state: what layers without keys hold there, by name (``ends``)."""

    ids: tuple[int, ...]
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    bounds: tuple[float, float] = (0.0, 0.0)
    hidden: tuple[torch.Tensor, ...] = ()
    ends: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return len(self.ids)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (*self.keys, *self.values, *self.ends.values()))

    def each(self, change: Callable[[torch.Tensor], torch.Tensor], ids: tuple[int, ...] | None = None) -> KVPage:
        """The page with every tensor changed."""
        keys, values = tuple(map(change, self.keys)), tuple(map(change, self.values))
        ends = {name: change(tensor) for name, tensor in self.ends.items()}
        return KVPage(self.ids if ids is None else ids, keys, values, self.bounds, ends=ends)


State = Sequence[KVPage]
"""Pages in a row, all but the last of ``BLOCK`` tokens, and the end of those that have one. States with the same beginning share its pages."""


class PagedLayer(DynamicLayer):  # type: ignore[misc]
    """A layer that begins with pages and joins them to what is read next, in one copy; several rows may go on from the same. The pages stay as they are."""

    def __init__(self, keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._begun: tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]] | None = (keys, values)
        self._held = sum(key.shape[1] for key in keys)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self._begun is None:
            found: tuple[torch.Tensor, torch.Tensor] = super().update(key_states, value_states, *args, **kwargs)
            return found
        keys, values = self._begun
        self.lazy_initialization(key_states, value_states)
        self.keys = torch.cat([*(key.expand(len(key_states), -1, -1, -1) for key in keys), key_states], dim=2)
        self.values = torch.cat([*(value.expand(len(key_states), -1, -1, -1) for value in values), value_states], dim=2)
        self._begun = None
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self._held if self._begun is not None else int(super().get_seq_length())


def ids_of(state: State) -> tuple[int, ...]:
    return tuple(i for page in state for i in page.ids)


def tokens_of(state: State) -> int:
    return sum(page.tokens for page in state)


def cache_of(state: State, config: Any = None) -> DynamicCache:
    """A cache that goes on from the state and leaves it as it is. ``config`` is of the model, which not all layers need."""
    cache = fresh(config)
    if not state:
        return cache
    pages, ends = [page for page in state if page.ids], {name: tensor for page in state for name, tensor in page.ends.items()}
    for number in range(len(pages[0].keys)):
        if number == len(cache.layers):
            cache.layers.append(DynamicLayer())
        keys, values = [page.keys[number] for page in pages], [page.values[number] for page in pages]
        layer = cache.layers[number]
        if has_end(layer):
            restore(layer, number, ends)
            if keys[0].numel():
                layer.update(torch.cat(keys, 1)[None], torch.cat(values, 1)[None])
        elif keys[0].numel():
            cache.layers[number] = PagedLayer(keys, values)
    return cache


def state_of(
    ids: Sequence[int], cache: DynamicCache, begun: State = (), hidden: Sequence[torch.Tensor] = (), skip: int = 0
) -> tuple[KVPage, ...]:
    """The state that a cache holds of these tokens, before which it holds ``skip`` that are no part of it; whole pages that it was begun with are shared. ``hidden`` is of
    all of them. Raises `Unsupported` for layers that keep keys and values of some tokens only."""
    keys, values = [], []
    for number, layer in enumerate(cache.layers):
        key, value = getattr(layer, "keys", None), getattr(layer, "values", None)
        if key is None or value is None:  # a state, another layer's keys, or nothing at all
            key = value = torch.empty(1, 0, skip + len(ids), 0)
        if key.shape[-2] != skip + len(ids):
            raise Unsupported(
                f"Layer {number} of this model ({type(layer).__name__}) does not keep keys and values of every token, so what it has read "
                "cannot be kept exactly. Use the text of memories with it."
            )
        keys.append(key[0][:, skip:])
        values.append(value[0][:, skip:])
    pages = paged(ids, keys, values, [page for page in begun if page.tokens == BLOCK], hidden)
    ends = ends_of(cache)
    return (*pages, KVPage((), (), (), ends=ends)) if ends else pages


def paged(
    ids: Sequence[int],
    keys: Sequence[torch.Tensor],
    values: Sequence[torch.Tensor],
    begun: Sequence[KVPage] = (),
    hidden: Sequence[torch.Tensor] = (),
) -> tuple[KVPage, ...]:
    """The pages of a text whose layers have these keys and values, [heads, tokens, width]; the first may be there already."""
    pages = list(begun)
    for start in range(len(pages) * BLOCK, len(ids), BLOCK):
        part = slice(start, start + BLOCK)
        inputs = tuple(_own(x[part]) for x in hidden)
        pages.append(
            KVPage(tuple(ids[part]), tuple(_own(k[:, part]) for k in keys), tuple(_own(v[:, part]) for v in values), hidden=inputs)
        )
    return tuple(pages)


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """With storage of its own, so that the page keeps no more than it counts."""
    return tensor.clone(memory_format=torch.contiguous_format)


def cut(state: State, tokens: int) -> tuple[KVPage, ...]:
    """The first tokens of a state; it shares storage with it. Raises `Invalid` for a beginning of one that has an end: nothing is kept of what stood there."""
    if tokens >= tokens_of(state):
        return tuple(state)
    if tokens and state[-1].ends:
        raise Invalid(f"Layers of this model hold what all {tokens_of(state)} tokens made of them: there is no state after {tokens}.")
    pages: list[KVPage] = []
    left = tokens
    for page in state:
        if left <= 0:
            break
        pages.append(page if page.tokens <= left else page.each(partial(_first, left), page.ids[:left]))
        left -= page.tokens
    return tuple(pages)


def _first(tokens: int, tensor: torch.Tensor) -> torch.Tensor:
    return tensor[:, :tokens]

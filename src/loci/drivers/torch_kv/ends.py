"""Layers that keep no keys of their tokens, but one state that every token changes (linear attention, state spaces, convolutions): what they hold after the
last token of a text. It is of the whole text: of none of its beginnings, and of nothing that was put together.

The library's caches of such layers are written to in place, so each is made anew from copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from loci.errors import Unsupported

KINDS = {"linear_attention", "conv", "hybrid", "hybrid_sliding"}
PARTS = {"conv": "conv_states", "S": "recurrent_states"}  # by their names in a file


def fresh(config: Any = None) -> DynamicCache:
    """An empty cache for a model of this configuration. Layers of attention keep all of their tokens, those with a window too: their mask leaves out what is
    too far, and a state can be cut anywhere."""
    if config is None or KINDS.isdisjoint(getattr(config.get_text_config(decoder=True), "layer_types", None) or ()):
        return DynamicCache()
    try:
        cache = DynamicCache(config=config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unsupported(f"The installed transformers has no cache for this model's layers ({error}). Install a newer version.") from error
    cache.layers = [_open(layer) for layer in cache.layers]
    return cache


def _open(layer: Any) -> Any:
    """The same without a window."""
    if not hasattr(layer, "sliding_window"):
        return layer
    if not has_end(layer):
        return DynamicLayer()
    from transformers.cache_utils import LinearAttentionAndFullAttentionLayer

    return LinearAttentionAndFullAttentionLayer(number_of_states=layer.number_of_states)


def has_end(layer: Any) -> bool:
    """Whether a layer of the library's cache holds a state that every token changes."""
    return hasattr(layer, "recurrent_states")


def ends_of(cache: DynamicCache) -> dict[str, torch.Tensor]:
    """Copies of what such layers hold, by name: ``L{layer}.conv``, the last inputs of a convolution, and ``L{layer}.S``, the state; of layers that have several,
    ``.1`` and so on behind it."""
    return {
        name: tensor[0].clone()
        for number, layer in enumerate(cache.layers)
        if has_end(layer)
        for name, tensor in _parts(layer, number)
        if tensor is not None
    }


def _parts(layer: Any, number: int) -> list[tuple[str, torch.Tensor | None]]:
    if not isinstance(layer.recurrent_states, dict):
        raise Unsupported("The installed transformers cannot go on from what such layers hold. Install a newer version.")
    return [
        (f"L{number}.{part}" + (f".{n}" if n else ""), getattr(layer, kind)[n])
        for part, kind in PARTS.items()
        for n in layer.recurrent_states
    ]


def restore(layer: Any, number: int, ends: Mapping[str, torch.Tensor]) -> None:
    """Has a fresh layer hold what one held."""
    for n in layer.recurrent_states:
        conv, state = (ends.get(f"L{number}.{part}" + (f".{n}" if n else "")) for part in PARTS)
        layer.lazy_initialization(
            conv_states=None if conv is None else conv[None], recurrent_states=None if state is None else state[None], state_idx=n
        )
        for kind, tensor in zip(PARTS.values(), (conv, state), strict=True):
            if tensor is not None:
                getattr(layer, kind)[n].copy_(tensor[None])
        layer.has_previous_state[n] = True

"""The inputs of attention instead of its keys and values: from them, each layer's own projections make the same keys and values again.

Half the size where every head has keys of its own, twice where four share them. Models whose layers are all alike, since the
rotation that one layer is given must be every layer's. (HCache, arXiv 2410.05004, keeps hidden states for the same reason.)
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from loci.drivers.torch_kv.compose import Enough, Watching
from loci.errors import Unsupported
from loci.ports.engine import LayerShape


def is_smaller(model: Any, shapes: Sequence[LayerShape]) -> bool:
    """Whether the inputs of attention take less room than its keys and values."""
    config = model.config.get_text_config(decoder=True)
    return all(
        shape.kind == "full" and config.hidden_size < shape.heads * (shape.width + (shape.values or shape.width)) for shape in shapes
    )


class Watcher:
    """Sees what each layer's attention is given. Its hooks are there from the start: a model that others use at the same time must not
    be given any meanwhile. Each thread sees what it reads itself, and only while it asks."""

    def __init__(self, model: Any) -> None:
        self._local = threading.local()
        self._model = model
        with contextlib.suppress(Unsupported):  # told when it is asked for
            for attention in attentions(model):
                attention.register_forward_pre_hook(self._note, with_kwargs=True)

    @contextlib.contextmanager
    def watching(self) -> Iterator[list[torch.Tensor]]:
        """Gathers the inputs of attention, [tokens, d] a layer, of what this thread has the model read. Raises `Unsupported`."""
        attentions(self._model)
        found: list[torch.Tensor] = []
        self._local.found = found
        try:
            yield found
        finally:
            self._local.found = None

    def _note(self, _: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        found = getattr(self._local, "found", None)
        if found is not None:
            given = named["hidden_states"] if "hidden_states" in named else arguments[0]
            found.append(given[0].detach().clone())


def rebuilt(model: Any, hidden: Sequence[torch.Tensor], start: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Keys and values, [heads, tokens, width] a layer, of tokens from place ``start`` on, from the inputs of attention."""
    places = torch.arange(start, start + hidden[0].shape[0], device=hidden[0].device)[None]
    turning = model.base_model.rotary_emb(hidden[0][None], places)
    keys, values = [], []
    for number, (attention, given) in enumerate(zip(attentions(model), hidden, strict=True)):
        watch, cache = Watching(), DynamicCache()
        cache.layers = [*(DynamicLayer() for _ in range(number)), watch]
        with contextlib.suppress(Enough):
            attention(hidden_states=given[None], position_embeddings=turning, attention_mask=None, past_key_values=cache)
        keys.append(watch.found[0][0])
        values.append(watch.found[1][0])
    return keys, values


def attentions(model: Any) -> list[Any]:
    """The attention of each layer, in order. Raises `Unsupported` for a model that is built otherwise, or whose layers are not all alike."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    found = [getattr(layer, "self_attn", None) for layer in getattr(model.base_model, "layers", ())]
    by_layer = any(isinstance(rope, dict) for rope in (getattr(config, "rope_parameters", None) or {}).values())
    is_alike = kinds == {"full_attention"} and not by_layer and not getattr(config, "num_kv_shared_layers", None)
    if not is_alike or not found or None in found or not hasattr(model.base_model, "rotary_emb"):
        raise Unsupported(
            f"The inputs of attention of this model ({type(model).__name__}) cannot be kept instead of keys and values: its layers are not all "
            "alike. Use the codec raw."
        )
    return found

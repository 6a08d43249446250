"""Our own attention function: causal over however many entries a layer has kept, and open to whoever wants to see the queries.

Layers that kept different numbers of entries cannot share the one mask that a forward pass makes, so the mask function registered beside it
makes none, and each layer's mask follows from its own lengths. It gets queries and keys after rotation, whatever the model, so a probe
needs no code of the model's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from loci.errors import Unsupported

NAME = "loci_budget"
FOREIGN = ("softcap", "s_aux", "position_bias", "sliding_window")  # what some models ask of attention and this function does not do


class Queries:
    """The last ``last`` rotated queries of each layer, float [H_q, w, d], and what the model scales their products by."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.of: dict[int, Tensor] = {}
        self.scaling: dict[int, float] = {}

    def see(self, layer: int, queries: Tensor, scaling: float) -> None:
        """Adds queries [H_q, q, d]; the oldest beyond ``last`` are let go, and with them their memory."""
        known = self.of.get(layer)
        joined = queries if known is None else torch.cat([known, queries], dim=1)
        self.of[layer], self.scaling[layer] = joined[:, -self.last :].clone(), scaling


_watched: ContextVar[Queries | None] = ContextVar("loci_watched_queries", default=None)


@contextmanager
def watching(last: int) -> Iterator[Queries]:
    """Within it, the last so many queries of each layer are kept; in this thread only."""
    seen = Queries(last)
    token = _watched.set(seen)
    try:
        yield seen
    finally:
        _watched.reset(token)


def budget_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, dropout: float = 0.0, scaling: float | None = None,
    **asked: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Causal attention of the newest q positions over n entries. query [1, H_q, q, d], key and value [1, H, n, d]; gives [1, q, H_q, d].

    The last q entries are the queries' own; everything before them is past, whatever was evicted from between. Raises `Unsupported` for
    what it does not do: masks, soft caps, attention sinks, windows.
    """
    if attention_mask is not None or (found := [name for name in FOREIGN if asked.get(name) is not None]):
        what = "an attention mask" if attention_mask is not None else ", ".join(found)
        raise Unsupported(
            f"Budgeted attention has no {what}; read one text at a time, without padding, with a model of plain causal attention."
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    watched = _watched.get()
    if watched is not None:
        watched.see(int(module.layer_idx), query[0], scale)
    q, n, groups = query.shape[2], key.shape[2], query.shape[1] // key.shape[1]
    mask = None
    if 1 < q < n:
        mask = torch.ones(q, n, dtype=torch.bool, device=query.device).tril(n - q)
        key, value, groups = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1), 1  # with a mask, kernels take no groups
    output = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale, is_causal=1 < q == n, enable_gqa=groups > 1
    )
    return output.transpose(1, 2).contiguous(), None


def no_mask(*_: Any, attention_mask: Tensor | None = None, **__: Any) -> None:
    """No mask at all; raises `Unsupported` where padding would need one."""
    if attention_mask is not None and not bool(attention_mask.all()):
        raise Unsupported("Budgeted caches take one text at a time, without padding; leave the padding out.")


AttentionInterface.register(NAME, budget_attention)
AttentionMaskInterface.register(NAME, no_mask)


@contextmanager
def attending(model: Any) -> Iterator[None]:
    """Within it, the model attends by `budget_attention`; afterwards as before. Raises `Unsupported` for models that cannot.

    It changes the model's configuration, so one model serves one thread at a time.
    """
    check_can(model)
    before = model.config._attn_implementation
    if before == NAME:
        yield
        return
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def check_can(model: Any) -> None:
    """Raises `Unsupported` for models that cannot have a budget."""
    config = model.config.get_text_config(decoder=True)
    kinds: Sequence[str] = getattr(config, "layer_types", None) or ()
    odd = sorted({kind for kind in kinds if kind != "full_attention"})
    if odd or (not kinds and getattr(config, "sliding_window", None)):
        raise Unsupported(
            f"{type(model).__name__} has layers of {', '.join(odd) or 'a sliding window'}; budgets need full attention in all."
        )
    if getattr(config, "num_kv_shared_layers", 0):
        raise Unsupported(f"Layers of {type(model).__name__} look at the keys of others; budgets need keys of its own in each.")
    if getattr(config, "kv_lora_rank", None):
        raise Unsupported(f"{type(model).__name__} keeps its keys and values compressed; budgets need them as attention sees them.")
    if not getattr(model, "_supports_attention_backend", False):
        raise Unsupported(
            f"{type(model).__name__} does not take its attention from transformers' AttentionInterface, so it cannot have a budget."
        )


def attention_of(queries: Tensor, keys: Tensor, scaling: float, hidden: Tensor | None = None) -> Tensor:
    """What each query gives to each entry: float32 [H, g, w, n] of queries [H * g, w, d] and keys [H, n, d]; each row sums to 1.

    ``hidden``, bool [H, 1, w, n], is True where a query may not look.
    """
    heads, n = keys.shape[0], keys.shape[1]
    grouped = queries.view(heads, -1, queries.shape[1], queries.shape[2]).float()
    logits = grouped @ keys.float().transpose(1, 2).unsqueeze(1) * scaling
    assert logits.shape[-1] == n
    if hidden is not None:
        logits = logits.masked_fill(hidden, float("-inf"))
    return torch.softmax(logits, dim=-1)

"""Layers of a model of transformers, trained in two pieces of their tokens (`methods/memo.py`'s split), so that long texts fit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from loci.errors import Unsupported

PARTS = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
PERCEPTRON = {"gate_proj", "up_proj", "down_proj", "act_fn"}
TRIED, NEAR = 8, 1e-5  # tokens; of the largest number


class Split(Protocol):
    """How tokens are split: `TokenSplit`."""

    def pieces(self, each: Callable[..., tuple[Tensor, ...]], *tokens: Tensor) -> tuple[Tensor, ...]: ...
    def keeping(self, held: list[Tensor]) -> Any: ...


@contextmanager
def token_split(model: Any, split: Split) -> Iterator[None]:
    """Within it, every layer of ``model`` runs in two pieces. Gradients are the same; what is kept for them is not. Raises `Unsupported` for layers that are anything but norm, attention, norm and
    perceptron, each with its residual, and for a model that computes whole layers again already.

    It changes the model's layers: one model serves one thread at a time, and the backward pass may come after it."""
    layers = list(model.get_decoder().layers)
    if any(getattr(layer, "gradient_checkpointing", False) for layer in layers):
        raise Unsupported(
            "Gradient checkpointing is on, which computes every layer again; turn it off: `model.gradient_checkpointing_disable()`."
        )
    held = [*model.parameters(), *model.buffers()]
    for layer in layers:
        _check(model, layer, held)
    for layer in layers:
        layer.forward = _forward(layer, split, held)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(layer: Any, split: Split, held: list[Tensor]) -> Callable[..., Tensor]:
    """What stands for a layer's own forward."""
    attention = layer.self_attn
    turned = sys.modules[type(attention).__module__].apply_rotary_pos_emb

    def before(states: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values [B, T, H, d], rotated."""
        told = layer.input_layernorm(states)
        q, k, v = (getattr(attention, name)(told).unflatten(-1, (-1, attention.head_dim)) for name in PROJECTIONS[:3])
        if hasattr(attention, "q_norm"):
            q, k = attention.q_norm(q), attention.k_norm(k)
        return (*turned(q, k, cos, sin, unsqueeze_dim=2), v)

    def after(states: Tensor, attended: Tensor) -> tuple[Tensor, ...]:
        states = states + attention.o_proj(attended)
        return (states + layer.mlp(layer.post_attention_layernorm(states)),)

    def forward(
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        position_embeddings: Any = None,
        **asked: Any,
    ) -> Tensor:
        if past_key_values is not None:
            raise Unsupported("A text is trained on as a whole, without a cache: call the model with `use_cache=False`.")
        asked.pop("use_cache", None)
        cos, sin = (one.expand(hidden_states.shape[0], -1, -1) for one in position_embeddings)
        with split.keeping(held):
            q, k, v = split.pieces(before, hidden_states, cos, sin)
            attend = ALL_ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, _eager(attention))
            dropout = attention.attention_dropout if attention.training else 0.0
            window = getattr(attention, "sliding_window", None)
            attended, _ = attend(
                attention, q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attention_mask,
                dropout=dropout, scaling=attention.scaling, **({"sliding_window": window} if window else {}), **asked,
            )  # fmt: skip
            return split.pieces(after, hidden_states, attended.flatten(2))[0]

    return forward


def _eager(attention: Any) -> Any:
    return getattr(sys.modules[type(attention).__module__], "eager_attention_forward", None)


class _Whole:
    """No split at all."""

    def pieces(self, each: Callable[..., tuple[Tensor, ...]], *tokens: Tensor) -> tuple[Tensor, ...]:
        return each(*tokens)

    def keeping(self, held: list[Tensor]) -> Any:
        return torch.no_grad()


def _children(module: Any) -> set[str]:
    return {name for name, _ in module.named_children()}


def _check(model: Any, layer: nn.Module, held: list[Tensor]) -> None:
    """Raises `Unsupported` unless a few tokens come out of the pieces as they come out of the layer."""
    what = f"Layers of {type(model).__name__} cannot be split by tokens"
    attention: Any = getattr(layer, "self_attn", None)
    if _children(layer) != PARTS or not _children(layer.mlp) <= PERCEPTRON or not all(hasattr(attention, name) for name in PROJECTIONS):
        raise Unsupported(
            f"{what}: they are not norm, attention, norm and perceptron alone. Train on shorter texts, or with gradient checkpointing."
        )
    if any(part._forward_hooks or part._forward_pre_hooks for part in (layer, attention)):
        raise Unsupported(
            f"{what}: somebody looks at their attention as a whole, with hooks. Take those off, or train with gradient checkpointing."
        )
    decoder = model.get_decoder()
    states = torch.randn(1, TRIED, decoder.config.hidden_size, generator=torch.Generator().manual_seed(0)).to(model.device, model.dtype)
    places = torch.arange(TRIED, device=model.device)[None]
    was_training = layer.training
    layer.eval()
    try:
        with torch.no_grad():
            asked = {"attention_mask": None, "position_ids": places, "position_embeddings": decoder.rotary_emb(states, places)}
            plain, ours = layer(states, **asked), _forward(layer, _Whole(), held)(states, **asked)
    except (TypeError, AttributeError, RuntimeError) as error:
        raise Unsupported(f"{what}: {error}.") from error
    finally:
        layer.train(was_training)
    border = max(NEAR, 4 * torch.finfo(model.dtype).eps) * float(plain.abs().max())
    if not isinstance(plain, Tensor) or float((plain - ours).abs().max()) > border:
        raise Unsupported(f"{what}: their parts do not add up to what they give. Train on shorter texts, or with gradient checkpointing.")

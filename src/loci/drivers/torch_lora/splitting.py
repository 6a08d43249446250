"""Layers of a model of transformers, trained in two pieces of their tokens (`methods/memo.py`'s split), so that long texts fit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from copy import deepcopy
from typing import Any, Protocol
from weakref import WeakSet

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from loci.errors import Unsupported

PARTS = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
PERCEPTRON = {"gate_proj", "up_proj", "down_proj", "act_fn"}
INSTEAD = "Train on shorter texts, or with gradient checkpointing."
TRIED, NEAR = 8, 1e-5  # tokens; of the largest number
HEARD = "loci_heard"

_passed: WeakSet[nn.Module] = WeakSet()  # layers whose parts were tried
_heard: ContextVar[list[dict[str, Any]] | None] = ContextVar("loci_heard", default=None)


def _hear(module: Any, *states: Any, **asked: Any) -> Any:
    """An attention that remembers what it is asked for: kernels may do what the one of a trial does not."""
    heard = _heard.get()
    if heard is not None:
        told = {name: "a tensor" if isinstance(one, Tensor) else one for name, one in asked.items()}
        heard.append({name: one for name, one in told.items() if one is not None and name != "use_cache"})
    return sdpa_attention_forward(module, *states, **asked)


AttentionInterface.register(HEARD, _hear)


class Split(Protocol):
    """How tokens are split: `TokenSplit`."""

    def pieces(self, each: Callable[..., tuple[Tensor, ...]], *tokens: Tensor) -> tuple[Tensor, ...]: ...
    def keeping(self, held: Sequence[Tensor], behind: int) -> AbstractContextManager[Any]: ...


@contextmanager
def token_split(model: Any, split: Split) -> Iterator[None]:
    """Within it, every layer of ``model`` runs in two pieces. Gradients are the same; what is kept for them is not. The last two layers keep theirs where they are: they are needed at once. Raises
    `Unsupported` for layers that are anything but norm, attention, norm and perceptron, each with its residual, or that somebody has changed already, and for attentions that are to be shown.

    It changes the model's layers: one model serves one thread at a time. The backward pass may come after it."""
    layers = list(getattr(model.get_decoder(), "layers", ()))
    if not layers:
        raise Unsupported(f"{type(model).__name__} has no `layers` that could be split by tokens. {INSTEAD}")
    held = [*model.parameters(), *model.buffers()]
    for layer in layers:
        _check(model, layer)
    try:
        for behind, layer in enumerate(reversed(layers)):
            layer.forward = _forward(layer, split, held, behind)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _forward(layer: Any, split: Split, held: Sequence[Tensor], behind: int) -> Callable[..., Tensor]:
    """What stands for a layer's own forward, with so many layers ``behind`` it."""
    attention = layer.self_attn
    module = sys.modules[type(attention).__module__]

    def before(states: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values [B, T, H, d], rotated."""
        told = layer.input_layernorm(states)
        q, k, v = (getattr(attention, name)(told).unflatten(-1, (-1, attention.head_dim)) for name in PROJECTIONS[:3])
        if hasattr(attention, "q_norm"):
            q, k = attention.q_norm(q), attention.k_norm(k)
        return (*module.apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=2), v)

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
        if asked.get("output_attentions"):
            raise Unsupported("Attentions are not shown by layers that are split; ask for them outside of `token_split`.")
        asked.pop("use_cache", None)
        window = getattr(attention, "sliding_window", getattr(attention.config, "sliding_window", None))
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            attention.config._attn_implementation, getattr(module, "eager_attention_forward", None)
        )
        with split.keeping(held, behind):
            q, k, v = (one.transpose(1, 2) for one in split.pieces(before, hidden_states, *position_embeddings))
            attended, _ = attend(
                attention, q, k, v, attention_mask, dropout=attention.attention_dropout if attention.training else 0.0, scaling=attention.scaling,
                **({} if window is None else {"sliding_window": window}), **asked,
            )  # fmt: skip
            return split.pieces(after, hidden_states, attended.flatten(2))[0]

    return forward


class _Whole:
    """No split at all."""

    def pieces(self, each: Callable[..., tuple[Tensor, ...]], *tokens: Tensor) -> tuple[Tensor, ...]:
        return each(*tokens)

    def keeping(self, held: Sequence[Tensor], behind: int) -> AbstractContextManager[Any]:
        return nullcontext()


def _check(model: Any, layer: Any) -> None:
    """Raises `Unsupported` for layers that cannot be split."""
    what = f"Layers of {type(model).__name__} cannot be split by tokens"
    attention: Any = getattr(layer, "self_attn", None)
    if _children(layer) != PARTS or not _children(layer.mlp) <= PERCEPTRON or not all(hasattr(attention, name) for name in PROJECTIONS):
        raise Unsupported(f"{what}: they are not norm, attention, norm and perceptron alone. {INSTEAD}")
    if getattr(layer, "gradient_checkpointing", False):
        raise Unsupported(
            "Gradient checkpointing is on, which computes every layer again; turn it off: `model.gradient_checkpointing_disable()`."
        )
    if "forward" in vars(layer) or "forward" in vars(attention):
        raise Unsupported(
            f"{what}: somebody has put another forward in their place, or they are split already. Split the model once, before it is wrapped."
        )
    hooks = [*attention._forward_hooks.values(), *attention._forward_pre_hooks.values()]
    if not all(
        str(getattr(hook, "__module__", "")).startswith("transformers.") for hook in hooks
    ):  # the library's own stay, to show attentions
        raise Unsupported(
            f"{what}: somebody looks at their attention as a whole, with hooks. Take those off, or train with gradient checkpointing."
        )
    if layer not in _passed:
        _try(model, layer, what)
        _passed.add(layer)


def _children(module: Any) -> set[str]:
    return {name for name, _ in module.named_children()}


def _try(model: Any, layer: nn.Module, what: str) -> None:
    """Raises `Unsupported` unless a few tokens come out of the parts as they come out of the layer: of a copy in float32, where rounding hides nothing, and in training, with every dropout that it has."""
    decoder = model.get_decoder()
    chance = torch.Generator().manual_seed(0)
    states = torch.randn(1, TRIED, decoder.config.hidden_size, generator=chance).to(model.device)
    places = torch.arange(TRIED, device=model.device)[None]
    devices = [model.device] if model.device.type != "cpu" else []
    told, heard = list[Any](), list[list[dict[str, Any]]]()
    try:
        copy: Any = deepcopy(layer).float().train()
        copy.self_attn.config._attn_implementation = HEARD  # the copy's own configuration
        asked = {"attention_mask": None, "position_ids": places, "position_embeddings": decoder.rotary_emb(states, places)}
        for forward in (copy.forward, _forward(copy, _Whole(), (), 0)):
            with torch.no_grad(), torch.random.fork_rng(devices), torch.autocast(model.device.type, enabled=False), _hearing() as one:
                torch.manual_seed(0)
                told.append(forward(states, **asked))
            heard.append(one)
    except (TypeError, AttributeError, RuntimeError) as error:
        raise Unsupported(f"{what}: {error}. {INSTEAD}") from error
    plain, ours = told
    if heard[0] != heard[1] or not isinstance(plain, Tensor) or not float((plain - ours).abs().max()) <= NEAR * float(plain.abs().max()):
        raise Unsupported(f"{what}: their parts do not add up to what they give. {INSTEAD}")


@contextmanager
def _hearing() -> Iterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)

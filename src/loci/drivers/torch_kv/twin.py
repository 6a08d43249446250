"""The same model once more: modules of its own, the weights and hooks of the first. Who uses the first notices nothing."""

from __future__ import annotations

import copy
from typing import Any

import torch

from loci.drivers.torch_kv.attention import NAME, check_can
from loci.drivers.torch_kv.fingerprint import adapters_of
from loci.errors import Unsupported

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")


def twin_of(model: Any) -> Any:
    """A model that attends by `attention.budget_attention` and shares every tensor with this one: it takes no room for weights, and both
    may be used at once, by several threads. Raises `Unsupported` for models that cannot have a budget, or cannot be copied."""
    check_can(model)
    twin = _copy_of(model, {id(p): p for p in model.parameters()})
    twin.set_attn_implementation(NAME)
    return twin


def bare_copy(model: torch.nn.Module) -> Any:
    """A model of modules of its own whose parameters are views of the same memory, frozen: what is put into it, and trained there, the first never sees, not even
    whether its weights want gradients. Raises `Unsupported` for a model that cannot be copied."""
    return _copy_of(model, {id(p): torch.nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()})


def _copy_of(model: torch.nn.Module, parameters: dict[int, Any]) -> Any:
    """Modules of its own, with these parameters, by the ids of the model's; buffers, and hooks as somebody hung them up, are the model's."""
    memo = parameters | {id(buffer): buffer for buffer in model.buffers()}
    for module in model.modules():
        memo |= {id(hook): hook for name in HOOKS for hook in getattr(module, name, {}).values()}
    try:
        return copy.deepcopy(model, memo).eval()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise Unsupported(
            f"{type(model).__name__} holds something of which there cannot be two ({error}): it can have no budget, adapter or bank. Use it without."
        ) from error


def mark_of(model: Any) -> tuple[object, ...]:
    """Another one where a tensor or a module took the place of another, or an adapter was mounted or switched off: a twin made before
    is a twin no more."""
    return (*(id(thing) for thing in (*model.parameters(), *model.buffers(), *model.modules())), *adapters_of(model))

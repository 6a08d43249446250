"""The same model with another attention: modules of its own, the weights and hooks of the first. Who uses the first notices nothing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
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
    try:
        twin = copy.deepcopy(model, {id(thing): thing for thing in _shared(model)})
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise Unsupported(
            f"{type(model).__name__} holds something of which there cannot be two ({error}); use it without a budget."
        ) from error
    twin.set_attn_implementation(NAME)
    return twin.eval()


def mark_of(model: Any) -> tuple[object, ...]:
    """Another one where a tensor or a module took the place of another, or an adapter was mounted or switched off: a twin made before
    is a twin no more."""
    return (*(id(thing) for thing in (*model.parameters(), *model.buffers(), *model.modules())), *adapters_of(model))


def _shared(model: torch.nn.Module) -> Iterator[Any]:
    """What both have: tensors, and hooks as somebody hung them up."""
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        for name in HOOKS:
            yield from getattr(module, name, {}).values()

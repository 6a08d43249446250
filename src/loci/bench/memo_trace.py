"""When each tensor of a computation is made and let go, as it happens: what a plan of an arena is made from."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from loci.methods.memo import Lifetime


class Trace(TorchDispatchMode):  # type: ignore[misc]
    """Within it, every tensor that an operation makes, forward or backward, is followed until its bytes are freed; what was there before is not, and what is there
    at the end lived to the end. A step is an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.step = 0
        self._known = weakref.WeakSet[Any]()  # storages: those from before, and those that are followed
        self._made: list[tuple[int, int]] = []  # bytes, and the step
        self._gone: dict[int, int] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        self.step += 1
        for given in tree_leaves((args, kwargs or {})):
            if isinstance(given, Tensor):
                self._known.add(given.untyped_storage())
        result = operation(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, Tensor) and (storage := made.untyped_storage()) not in self._known:
                self._follow(storage)
        return result

    @property
    def lifetimes(self) -> list[Lifetime]:
        return [Lifetime(size, begin, self._gone.get(number, self.step)) for number, (size, begin) in enumerate(self._made)]

    def _follow(self, storage: Any) -> None:
        number = len(self._made)
        self._made.append((storage.nbytes(), self.step))
        self._known.add(storage)
        weakref.finalize(storage, lambda: self._gone.setdefault(number, self.step))


def traced(work: Callable[[], Tensor]) -> list[Lifetime]:
    """Of what ``work`` and the backward pass from what it gives compute."""
    trace = Trace()
    with trace:
        made = work()
        made.backward(torch.ones_like(made))
        del made
    return trace.lifetimes

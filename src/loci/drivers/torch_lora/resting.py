"""What a model does for somebody who does not wait, in pieces of one operation each: on the way there, and on the way back along its gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Resting(TorchFunctionMode):  # type: ignore[misc]
    """Calls ``rest`` before each operation that this thread has torch do, and before the gradient of each of their results. No number is another by that."""

    def __init__(self, rest: Callable[[], None]) -> None:
        super().__init__()
        self._rest = rest

    def __torch_function__(self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> Any:
        self._rest()
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.grad_fn is not None:
            found.register_hook(self._before)
        return found

    def _before(self, _: torch.Tensor) -> None:
        self._rest()


def resting(rest: Callable[[], None] | None) -> AbstractContextManager[object]:
    """While this lasts, what this thread has torch do rests between two operations; not at all where there is nobody to rest for."""
    return contextlib.nullcontext() if rest is None else Resting(rest)

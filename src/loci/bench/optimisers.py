"""What trains the small models of the benchmarks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def optimisers(model: Any, rate: float, others: Iterable[torch.nn.Parameter] = ()) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices of the layers, which learns more in a step than AdamW (Jordan et al. 2024; at AdamW's rate by Liu et al. 2025, arXiv 2502.16982), and AdamW for the rest of the
    model and for ``others``."""
    layers = getattr(model, "model", model).layers
    matrices = [weight for name, weight in layers.named_parameters() if weight.ndim == 2 and name.endswith("weight")]
    taken = {id(weight) for weight in matrices}
    rest = [*(weight for weight in model.parameters() if id(weight) not in taken), *others]
    return (
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
    )

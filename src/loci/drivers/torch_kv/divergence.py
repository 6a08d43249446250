"""How far two states differ in what the model says next."""

from __future__ import annotations

import torch


def divergence(one: torch.Tensor, two: torch.Tensor) -> dict[str, float]:
    """Of logits [tokens, vocabulary] after one state and after another: the mean divergence of the second from the first (``kl``, nats a token),
    the largest difference of ``logits``, and the share of equal best tokens (``argmax``)."""
    p, q = one.log_softmax(-1), two.log_softmax(-1)
    return {
        "kl": float((p.exp() * (p - q)).sum(-1).mean().clamp_min(0)),
        "logits": float((one - two).abs().max()),
        "argmax": float((one.argmax(-1) == two.argmax(-1)).float().mean()),
    }  # fmt: skip

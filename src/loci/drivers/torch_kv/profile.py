"""How much each layer matters: two measures by which a budget can be shared among layers, each with its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cosine_similarity

from loci.drivers.torch_kv.attention import attending
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.divergence import divergence
from loci.drivers.torch_kv.leaf import Settled
from loci.drivers.torch_kv.prefill import read
from loci.errors import Invalid
from loci.ports import BudgetPlan, Scorer

ENDLESS = 1 << 40  # a budget that nothing reaches


def sensitivity(
    model: Any, ids: Sequence[int], plan: BudgetPlan, scorer: Scorer, block: int, probes: Sequence[Sequence[int]]
) -> tuple[float, ...]:
    """For each layer the divergence, in nats a token, of what the model says next where that layer alone is under its budget from what it says
    with everything at hand; the mean over ``probes``, token ids that are read after the text, each by itself.

    A layer's sensitivity as ZeroQ defines it for quantising one layer (Cai et al., CVPR 2020, arXiv 2001.00281), of a budget in the place of bits. The
    text is read once more than there are layers. Raises `Invalid` where there is no probe.
    """
    if not probes or not all(probes):
        raise Invalid("A layer's sensitivity is seen in what the model says next: give it at least one probe of one token.")
    full = _said(model, ids, BudgetPlan((ENDLESS,) * len(plan.per_layer), plan.sinks, plan.recent), scorer, block, probes)
    found = []
    for layer, budget in enumerate(plan.per_layer):
        alone = tuple(budget if place == layer else ENDLESS for place in range(len(plan.per_layer)))
        said = _said(model, ids, BudgetPlan(alone, plan.sinks, plan.recent), scorer, block, probes)
        found.append(sum(divergence(one, two)["kl"] for one, two in zip(full, said, strict=True)) / len(probes))
    return tuple(found)


def _said(
    model: Any, ids: Sequence[int], plan: BudgetPlan, scorer: Scorer, block: int, probes: Sequence[Sequence[int]]
) -> list[torch.Tensor]:
    """The logits of each probe after the text, [tokens, vocabulary], float32."""
    cache = BudgetedCache(plan, scorer)
    read(model, cache, ids, block=block, watched=0)
    found = []
    with torch.no_grad(), attending(model):
        for probe in probes:
            row = torch.tensor([list(probe)], dtype=torch.int64, device=model.device)
            found.append(model(input_ids=row, past_key_values=cache.fork(is_open=True), use_cache=True).logits[0].float())
    return found


def likeness(model: Any, ids: Sequence[int], block: int, sinks: int) -> tuple[float, ...]:
    """For each layer the mean cosine, over heads and tokens, of keys under full attention and under block attention, where a token sees the
    first ``sinks`` tokens and its own block up to itself (EpiCache, arXiv 2509.17396, section on layer budgets, and its code).

    The first layer's keys are made of the words alone, so it always has 1. The first block sees the same either way and is left out. Raises `Invalid` for
    a text of a single block.
    """
    if len(ids) <= block or not 0 <= sinks <= block:
        raise Invalid(
            f"{len(ids)} tokens in blocks of {block} behind {sinks} sinks have no second block to compare; take more, or smaller blocks."
        )
    whole = BudgetedCache(BudgetPlan((ENDLESS,) * model.config.get_text_config(decoder=True).num_hidden_layers, sinks), Settled())
    with torch.no_grad(), attending(model):
        begun = whole.fork()
        _forward(model, begun, ids[:sinks])
        _forward(model, whole, ids)
        total = torch.zeros(len(whole.layers))
        for start in range(block, len(ids), block):
            part = ids[start : start + block]
            alone = begun.fork()
            alone.skip_to(start)
            _forward(model, alone, part)
            seen = slice(start, start + len(part))
            pairs = zip(alone.layers, whole.layers, strict=True)
            total += torch.stack([_alike(a.keys[0][:, -len(part) :], w.keys[0][:, seen]) for a, w in pairs])
    return tuple((total / (len(ids) - block)).tolist())


def _alike(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """The cosines of keys [H, n, d], summed over tokens and averaged over heads."""
    return cosine_similarity(one.float(), two.float(), dim=-1).mean(0).sum().cpu()


def _forward(model: Any, cache: BudgetedCache, ids: Sequence[int]) -> None:
    if ids:
        row = torch.tensor([list(ids)], dtype=torch.int64, device=model.device)
        model(input_ids=row, past_key_values=cache, use_cache=True, logits_to_keep=1)

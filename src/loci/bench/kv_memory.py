"""`loci bench kv-memory`: what a budget does to the memory and the speed of a long context, on a model with random weights.

It measures bytes and milliseconds. What a budget does to answers is another question, for which random weights have none.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from transformers import DynamicCache

from loci.bench.kv import Bench, device_name, make
from loci.drivers.torch_kv.attention import attending
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.prefill import read
from loci.methods.key_difference import KeyDifference
from loci.ports import BudgetPlan

DECODED = 32  # tokens,
WARM = 2  # after as many that do not count


def run(shape: str, device: str, dtype: str, context: int, budget: int, block: int, advance: Callable[[int, int], None]) -> dict[str, Any]:
    """The same tokens read block by block into the library's own cache and into one with a budget for each layer: entries and bytes stored, the
    highest that was allocated beside the weights (GPU), what reading took, and a token of the answer."""
    bench = make(shape, device, dtype, 1, context + WARM + DECODED)
    ids = bench.ids(context)
    advance(0, 2)
    full = _full(bench, ids, block)
    advance(1, 2)
    bound = _budgeted(bench, ids, budget, block)
    advance(2, 2)
    return {
        "shape": shape, "device": device_name(device), "dtype": dtype, "context": context, "budget": budget, "block": block, "full": full,
        "budgeted": bound, "peak of full over budgeted": full["peak_bytes"] / bound["peak_bytes"],
        "entries of full over budgeted": full["peak_entries"] / bound["peak_entries"],
        "decode of full over budgeted": full["decode_ms"] / bound["decode_ms"],
    }  # fmt: skip


def _full(bench: Bench, ids: list[int], block: int) -> dict[str, float]:
    cache = DynamicCache()
    at_rest = _at_rest(bench)
    start = perf_counter()
    with torch.inference_mode():
        for begin in range(0, len(ids), block):
            _forward(bench, ids[begin : begin + block], cache)
    bench.wait()
    taken = perf_counter() - start
    stored = sum(2 * layer.keys.numel() * layer.keys.element_size() for layer in cache.layers)
    decode = _decode(bench, cache)
    return {
        "entries": len(ids), "peak_entries": len(ids), "stored_bytes": stored, "peak_bytes": _peak(bench, at_rest, stored), "read_s": taken,
        "decode_ms": decode,
    }  # fmt: skip


def _budgeted(bench: Bench, ids: list[int], budget: int, block: int) -> dict[str, float]:
    layers = bench.engine.model.config.num_hidden_layers
    cache = BudgetedCache(BudgetPlan((budget,) * layers, sinks=4, recent=min(64, budget // 4)), KeyDifference())
    at_rest = _at_rest(bench)
    start = perf_counter()
    read(bench.engine.model, cache, ids, block=block)
    bench.wait()
    taken = perf_counter() - start
    stored, entries, peak = cache.nbytes, max(cache.stored), max(cache.peaks)
    with attending(bench.engine.model):
        decode = _decode(bench, cache.fork(is_open=True))
    return {
        "entries": entries, "peak_entries": peak, "stored_bytes": stored, "peak_bytes": _peak(bench, at_rest, stored * peak / max(entries, 1)),
        "read_s": taken, "decode_ms": decode,
    }  # fmt: skip


def _decode(bench: Bench, cache: Any) -> float:
    """Milliseconds a token."""
    with torch.inference_mode():
        for _ in range(WARM):
            _forward(bench, [7], cache)
        bench.wait()
        start = perf_counter()
        for _ in range(DECODED):
            _forward(bench, [7], cache)
        bench.wait()
    return 1000 * (perf_counter() - start) / DECODED


def _forward(bench: Bench, ids: list[int], cache: Any) -> None:
    row = torch.tensor([ids], device=bench.engine.device)
    bench.engine.model(input_ids=row, past_key_values=cache, use_cache=True, logits_to_keep=1)


def _at_rest(bench: Bench) -> int:
    """What is allocated before anything is read: the weights."""
    if bench.engine.device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(bench.engine.device)
    return int(torch.cuda.memory_allocated(bench.engine.device))


def _peak(bench: Bench, at_rest: int, counted: float) -> float:
    """The highest allocation since, without the weights; on a CPU, which does not tell, the bytes of the entries that were counted."""
    return torch.cuda.max_memory_allocated(bench.engine.device) - at_rest if bench.engine.device.type == "cuda" else counted

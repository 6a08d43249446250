"""What the codecs of activation memory cost a model that was trained: the small one of `loci bench kv-recall`, on its made-up language.

It says what rounding keys and values does to a model that has learned to use them, and nothing about language.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from loci.bench.kv_language import Language, stream
from loci.bench.kv_model import Shape, trained
from loci.drivers.torch_kv.engine import TorchEngine
from loci.memories.activation import CODECS
from loci.ports.engine import BLOCK
from loci.testing.models import make_tokenizer

LENGTH, FACTS, TOPICS = 512, 64, 2


def run(weights: Path | None, streams: int, advance: Callable[[int, int], None]) -> dict[str, Any]:
    """For each codec: its bytes beside float16, the divergence of the answers in nats, the share of best tokens that stay, the share of facts
    that are told right, and the largest error of an element beside its bound, over all streams."""
    language = Language()
    model, told = trained(language, Shape(), weights, advance)
    engine = TorchEngine(model, make_tokenizer())
    rows: dict[str, dict[str, float]] = {}
    for name in CODECS:
        seen = [_of_stream(engine, language, name, seed) for seed in range(streams)]
        rows[name] = {key: (max if key in ("error over bound", "worst kl") else _mean)([one[key] for one in seen]) for key in seen[0]}
    return {"model": told, "streams": streams, "tokens": LENGTH, "facts": FACTS, "codecs": rows}


def _of_stream(engine: TorchEngine, language: Language, name: str, seed: int) -> dict[str, float]:
    codec = CODECS[name]
    one = stream(language, LENGTH, FACTS, TOPICS, "predictable" if seed % 2 else "noise", seed)
    state = engine.read_hidden(one.tokens) if name == "hidden" else engine.read(one.tokens)
    kept = [engine.encode(page, codec) for page in state]
    found = [engine.decode(page.ids, place * BLOCK, codec, tensors) for place, (page, tensors) in enumerate(zip(state, kept, strict=True))]
    size = sum(len(tensor.data) for tensors in kept for tensor in tensors.values())
    half = sum(t.numel() for page in state for t in (*page.keys, *page.values)) * 2
    divergences, same, right = [], [], []
    for key, value in one.facts.items():
        question = [language.question(key)]
        p, q = (engine.logits(s, question, 1)[-1].log_softmax(-1) for s in (state, found))
        divergences.append(float((p.exp() * (p - q)).sum().clamp_min(0)))
        same.append(float(p.argmax() == q.argmax()))
        right.append(float(int(q.argmax()) == language.value(value)))
    told = engine.compare(state, found)
    over = [told[f"{part}_error"] / told[f"{part}_bound"] for part in ("key", "value") if told[f"{part}_bound"]]
    return {
        "bytes over float16": size / half, "kl": _mean(divergences), "worst kl": max(divergences), "same best": _mean(same),
        "facts right": _mean(right), "error over bound": max(over, default=0.0),
    }  # fmt: skip


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)

"""The small model of `loci bench adapters`: Qwen3's shape, trained here from a seed on the language of `adapters_language`, until it knows what is so and reads what it is told."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

from loci.bench.adapters_language import World, tokenizer_of
from loci.bench.optimisers import optimisers
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_lora.words import NOT, expected, joined, row_of
from loci.errors import Invalid

KNOWN = 0.25  # share of the texts of a step that say what is always so; the others tell something of their own
SENTENCES = 9  # of a text; of one that tells something, at most 8 are new
CUES = 2.0  # weight of what a text says a second time, which can be known, beside everything
TRAINING = 2  # one more for each change of `train`, so that weights of another are not taken for its own
REPORTED = 50  # steps whose mean loss is told


@dataclass(frozen=True, slots=True)
class Shape:
    """The model and its training. The defaults take some minutes on one core; `LARGE` is for a GPU."""

    layers: int = 4
    width: int = 144
    heads: int = 4
    kv_heads: int = 2
    head: int = 64  # a head's width: names are told apart in it
    steps: int = 1200
    batch: int = 32
    rate: float = 3e-3
    entities: int = 640
    words: int = 24
    seed: int = 0
    device: str = "cpu"


LARGE = Shape(layers=10, width=512, heads=8, kv_heads=8, steps=6000, batch=128, rate=8e-4, entities=4000, words=64, device="cuda")


def build(world: World, shape: Shape) -> Any:
    """An untrained `Qwen3ForCausalLM` in evaluation mode."""
    torch.manual_seed(shape.seed)
    tokenizer = tokenizer_of(world)
    config = Qwen3Config(
        vocab_size=len(world.words()), hidden_size=shape.width, intermediate_size=3 * shape.width, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads, head_dim=shape.head, max_position_embeddings=4096,
        tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=None,
    )  # fmt: skip
    return Qwen3ForCausalLM(config).to(shape.device).eval()


def trained(shape: Shape, weights: Path | None, advance: Callable[[int, int], None]) -> tuple[World, TorchEngine, str]:
    """The language, an engine of the trained model, and what is to be said of it. Weights are read from ``weights`` where the file is there, and written to it otherwise.

    Raises `Invalid` for a file of another shape or training.
    """
    world = World(shape.entities, shape.words, shape.seed)
    model, made_as = build(world, shape), json.dumps({**asdict(replace(shape, device="")), "training": TRAINING})
    engine = TorchEngine(model, tokenizer_of(world))
    if weights is not None and weights.exists():
        with safe_open(weights, "pt") as stored:
            known = stored.metadata() or {}
        if known.get("made_as") != made_as:
            raise Invalid(f"{weights} holds a model made as {known.get('made_as')}, not {made_as}; name another file, and it is trained.")
        model.load_state_dict(load_file(weights, device=shape.device), strict=False)
        engine.refresh()
        return world, engine, known["about"]
    begin, clock = time.process_time(), time.perf_counter()
    last = train(model, engine.tokenizer, world, shape, advance)
    engine.refresh()
    about = (
        f"Model: Qwen3's shape, {shape.layers} layers, width {shape.width}, {sum(p.numel() for p in model.parameters()):,} weights, float32, seed {shape.seed}, "
        f"{shape.steps:,} steps in {time.process_time() - begin:,.0f} CPU seconds ({time.perf_counter() - clock:,.0f} by the clock) on {shape.device}, loss {last:.2f} nats a token. Language: "
        f"{len(world.known):,} entities of which 4 facts each are known, {len(world.free):,} of which none is, {len(world.words()):,} words."
    )
    if weights is not None:
        kept = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
        save_file(kept, weights, {"made_as": made_as, "about": about})
    return world, engine, about


def train(model: Any, tokenizer: Any, world: World, shape: Shape, advance: Callable[[int, int], None]) -> float:
    """Trains in place, and gives the mean loss of the last steps."""
    draw, losses = random.Random(f"training {shape.seed}"), []
    made = optimisers(model, shape.rate)
    for step in range(shape.steps):
        for optimiser in made:
            for group in optimiser.param_groups:
                group["lr"] = shape.rate * _rate(step, shape.steps)
        rows = [row_of(tokenizer, *text) for text in texts_of(world, shape, step, draw)]
        ids, asked = joined(rows, model.device)
        every = torch.full_like(asked, NOT)
        for number, row in enumerate(rows):
            every[number, : len(row.ids) - 1] = ids[number, 1 : len(row.ids)]
        nats = expected(model(input_ids=ids, use_cache=False).logits, every)
        can_be_known = asked != NOT
        loss = nats.sum() / (every != NOT).sum()
        again = (nats * can_be_known).sum() / can_be_known.sum()
        model.zero_grad()
        (loss + CUES * again).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in made:
            optimiser.step()
        losses.append(float(loss.detach()))
        advance(step + 1, shape.steps)
    return sum(losses[-REPORTED:]) / len(losses[-REPORTED:])


def texts_of(world: World, shape: Shape, step: int, draw: random.Random) -> list[tuple[str, str]]:
    """The texts of a step, each in two parts, of which the second can be known: from the weights, or from the first. What is told grows from one fact a text to eight."""
    known = round(KNOWN * shape.batch)
    facts = 1 + draw.randrange(min(8, 2 + 16 * step // shape.steps))
    said = [("", world.known_text(draw, SENTENCES)) for _ in range(known)]
    return [*said, *(world.told_text(draw, facts, max(2, SENTENCES - facts)) for _ in range(shape.batch - known))]


def _rate(step: int, steps: int) -> float:
    """The rate's share: up over the first fiftieth, then down along a cosine."""
    return min(1.0, (step + 1) / max(1, steps // 50)) * (0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * step / steps)))

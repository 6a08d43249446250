"""The small model of `loci bench kv-recall`: Qwen3's shape, trained here from a seed until it recalls what it read."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from loci.bench.kv_language import BOS, PATTERN, Language
from loci.errors import Invalid

ASKED = 24  # questions behind each training text
FARTHEST = 32_768  # positions a training text is stretched over, so that long conversations are not out of range
PREDICTED = 0.25  # share of the text's positions whose next token is trained for; surprisal comes from it


@dataclass(frozen=True, slots=True)
class Shape:
    """The model and its training. The defaults take some minutes on one core."""

    layers: int = 2
    width: int = 96
    heads: int = 4
    kv_heads: int = 2
    steps: int = 2000
    batch: int = 16
    length: int = 192
    rate: float = 1.5e-3
    seed: int = 0
    device: str = "cpu"


def build(language: Language, shape: Shape) -> Any:
    """An untrained `Qwen3ForCausalLM` in evaluation mode."""
    torch.manual_seed(shape.seed)
    config = Qwen3Config(
        vocab_size=language.vocabulary, hidden_size=shape.width, intermediate_size=2 * shape.width, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads, head_dim=32, max_position_embeddings=2 * FARTHEST,
        rope_parameters={"rope_type": "default", "rope_theta": 1e12}, tie_word_embeddings=False, bos_token_id=BOS, eos_token_id=None,
        pad_token_id=None,
    )  # fmt: skip
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():  # a fact starts as its key and its value, so that this need not be found out from answers alone
        words = model.get_input_embeddings().weight
        questions, values = words[1 : language.first_value], words[language.first_value : language.first_fact]
        words[language.first_fact : language.first_cycle] = (questions[:, None] + values[None]).flatten(0, 1)
    return model.to(shape.device).eval()


def trained(language: Language, shape: Shape, weights: Path | None, advance: Callable[[int, int], None]) -> tuple[Any, str]:
    """A trained model and what is to be said of it. Weights are read from ``weights`` where the file is there, and written to it otherwise.

    Raises `Invalid` for a file of another shape or training.
    """
    model, made_as = build(language, shape), json.dumps([asdict(language), asdict(replace(shape, device=""))])
    if weights is not None and weights.exists():
        with safe_open(weights, "pt") as stored:
            known = stored.metadata() or {}
        if known.get("made_as") != made_as:
            raise Invalid(f"{weights} holds a model made as {known.get('made_as')}, not {made_as}; name another file, and it is trained.")
        model.load_state_dict(load_file(weights, device=shape.device))
        return model, known["about"]
    rights: list[float] = []

    def told(step: int, steps: int, right: float) -> None:
        rights.append(right)
        advance(step, steps)

    begin = time.process_time()
    train(model, language, shape, told)
    last, count = rights[-100:], sum(p.numel() for p in model.parameters())
    about = (
        f"Model: Qwen3's shape, {shape.layers} layers, width {shape.width}, {count:,} weights, float32, seed {shape.seed}, {shape.steps:,} steps in "
        f"{time.process_time() - begin:,.0f} CPU seconds on {shape.device}; answers right in the last {len(last)} steps: {sum(last) / len(last):.1%}."
    )
    if weights is not None:
        save_file(model.state_dict(), weights, {"made_as": made_as, "about": about})
    return model, about


def train(model: Any, language: Language, shape: Shape, advance: Callable[[int, int, float], None]) -> None:
    """Trains in place. ``advance`` is told the step, how many there are, and the share of answers that were right in that step."""
    draw = torch.Generator().manual_seed(shape.seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=shape.rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, shape.steps))
    model.train()
    for step in range(shape.steps):
        lesson = _lesson(step, shape)
        tokens = batch(language, lesson, draw)
        share = max(0.0, min(1.0, 3 * step / shape.steps - 1))
        farthest = tokens.shape[1] * (FARTHEST / tokens.shape[1]) ** share
        positions = _positions(tokens.shape[0], tokens.shape[1], farthest, draw).to(shape.device)
        right = _step(model, tokens.to(shape.device), positions, lesson.length, draw, optimiser)
        schedule.step()
        advance(step + 1, shape.steps, right)
    model.eval()


def _lesson(step: int, shape: Shape) -> Shape:
    """The texts of a step: by turns as long as the shape says, a quarter, a sixteenth, and in the last third four times as long.

    Short texts are what a cache looks like when most of it was evicted: a model that never saw one fails there whatever was kept.
    """
    scale = (1.0, 0.25, 4.0 if 3 * step > 2 * shape.steps else 1.0, 0.0625)[step % 4]
    return replace(shape, length=max(8, int(shape.length * scale)), batch=max(1, min(4 * shape.batch, int(shape.batch / scale))))


def _step(model: Any, tokens: Tensor, positions: Tensor, length: int, draw: torch.Generator, optimiser: Any) -> float:
    """One step down the gradient; the share of right answers before it."""
    everything = torch.ones_like(tokens)  # without it, transformers takes each gap between positions for the start of another text
    hidden = model.model(input_ids=tokens, attention_mask=everything, position_ids=positions, use_cache=False).last_hidden_state[:, :-1]
    targets = tokens[:, 1:]
    asked = torch.zeros_like(targets, dtype=torch.bool)
    asked[:, length::2] = True  # the answer to each question
    told = (torch.rand(targets.shape, generator=draw) < PREDICTED).to(tokens.device) & ~asked
    told[:, length - 1 :] = False
    answers = model.lm_head(hidden[asked])
    loss = torch.nn.functional.cross_entropy(answers, targets[asked])
    loss = loss + 0.3 * torch.nn.functional.cross_entropy(model.lm_head(hidden[told]), targets[told])
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return float((answers.argmax(-1) == targets[asked]).float().mean())


def batch(language: Language, shape: Shape, draw: torch.Generator) -> Tensor:
    """Training texts, int64 [batch, length + 2 * ASKED]: any number of facts among predictable or noisy filler, then questions with their answers."""
    rows = []
    for _ in range(shape.batch):
        count = int(torch.randint(1, min(language.keys, shape.length - 1), (1,), generator=draw))
        keys = torch.randperm(language.keys, generator=draw)[:count]
        values = torch.randint(language.values, (count,), generator=draw)
        text = _filler(language, shape.length, draw)
        places = 1 + torch.randperm(shape.length - 1, generator=draw)[:count]
        if bool(text[1] < language.first_noise):
            text = _restarted(language, shape.length, places)
        text[places] = language.first_fact + keys * language.values + values
        text[0] = BOS
        asked = torch.randint(count, (ASKED,), generator=draw)
        pairs = torch.stack([1 + keys[asked], language.first_value + values[asked]], 1).flatten()
        rows.append(torch.cat([text, pairs]))
    return torch.stack(rows)


def _filler(language: Language, length: int, draw: torch.Generator) -> Tensor:
    """All noise or all cycle, by chance."""
    if bool(torch.rand(1, generator=draw) < 0.5):
        return language.first_cycle + torch.arange(length) % PATTERN
    return language.first_noise + torch.randint(PATTERN, (length,), generator=draw)


def _restarted(language: Language, length: int, places: Tensor) -> Tensor:
    """The cycle, from its start again after each fact and after the first token."""
    is_start = torch.zeros(length, dtype=torch.bool)
    is_start[places] = True
    is_start[0] = True
    index = torch.arange(length)
    last = torch.where(is_start, index, torch.zeros_like(index)).cummax(0).values
    return language.first_cycle + (index - last - 1).clamp(min=0) % PATTERN


def _positions(rows: int, length: int, farthest: float, draw: torch.Generator) -> Tensor:
    """Increasing positions, int64 [rows, length], each row stretched over a random span up to ``farthest``."""
    made = []
    for _ in range(rows):
        span = max(length, int(length * math.exp(float(torch.rand(1, generator=draw)) * math.log(farthest / length))))
        made.append(torch.randperm(span, generator=draw)[:length].sort().values)
    return torch.stack(made)


def _rate(step: int, steps: int) -> float:
    """The learning rate's share: up over the first twentieth, then down along a cosine."""
    warm = max(1, min(100, steps // 20))
    return min(1.0, (step + 1) / warm) * (0.55 + 0.45 * math.cos(math.pi * min(1.0, step / steps)))

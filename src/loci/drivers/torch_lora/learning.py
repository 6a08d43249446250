"""A LoRA learned from lessons: only answers carry loss, and texts of the model's own are said as before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.twin import bare_copy
from loci.drivers.torch_lora import layers, tensors
from loci.drivers.torch_lora.course import Plan, Terms, chance, run
from loci.drivers.torch_lora.own import TEXTS, TOKENS, elsewhere, texts_of
from loci.drivers.torch_lora.words import NOT, Row, apart, expected, joined, rows_of
from loci.ports.adapting import Learned, Lesson, Recipe

NAME = "learned"  # in the copy
LIGHT, HEAVY = 1.0, 4.0
"""What the model's own texts weigh beside the lessons, from the first step to the last: it learns first, and takes back then what that did elsewhere. They are in other words than
lessons, too: weighed more heavily (32), they have it say what it learned in the lessons' words alone."""


def prepared(engine: TorchEngine, lessons: Sequence[Lesson], recipe: Recipe) -> tuple[dict[str, tuple[int, ...]], list[Row]]:
    """The shapes of what is to be learned, and the lessons as rows. Raises `Invalid` or `TooLarge` for what the model cannot hold, or has no room to read."""
    shapes = layers.shapes_of(engine.model, recipe)
    layers.check_room(4 * sum(math.prod(shape) for shape in shapes.values()), recipe)
    rows = rows_of(engine, [lesson.prompt for lesson in lessons], [lesson.answer for lesson in lessons], end_of(engine))
    engine.check_room(max(len(row.ids) for row in rows))
    return shapes, rows


def learn(engine: TorchEngine, lessons: Sequence[Lesson], replay: Sequence[str], terms: Terms, after: Learned | None) -> Learned:
    """A LoRA of these lessons, or one that goes on from another."""
    recipe = terms.recipe
    shapes, rows = prepared(engine, lessons, recipe)
    old = rows_of(engine, [""] * len(replay), replay)
    engine.check_room(max((len(row.ids) for row in old), default=0))
    plan, begun = Plan(len(rows), recipe), terms.saved()
    own = torch.zeros(0, TOKENS, dtype=torch.int64)
    if plan.old and not old:
        own = begun.texts if begun else _own(engine, min(TEXTS, plan.old * plan.steps), rows, recipe.seed)
        old = [Row(tuple(line), 1) for line in own.tolist()]
    copy = bare_copy(engine.model)
    begins = tensors.read(after.tensors) if after else _fresh(shapes, recipe.seed)
    weights = layers.inject(copy, layers.config_of(engine.model, recipe), NAME, begins)

    def loss_of(step: int) -> tuple[Any, float]:
        ids, asked = joined([rows[n] for n in plan.lessons_of(step)], engine.device)
        nats = expected(copy(input_ids=ids, use_cache=False).logits, asked)
        loss = nats.sum() / (asked != NOT).sum()
        total = loss
        if plan.old:
            ids, asked = joined([old[n] for n in plan.texts_of(step, len(old))], engine.device)
            logits = copy(input_ids=ids, use_cache=False).logits
            weight = LIGHT + (HEAVY - LIGHT) * (step + 1) / plan.steps
            total = loss + (
                weight * _kept(engine, ids, asked, logits) if len(own) else expected(logits, asked).sum() / (asked != NOT).sum()
            )
        return total, float(loss.detach())

    last = run(terms, weights, plan.steps, own, begun, loss_of)
    return Learned(recipe, tensors.told(weights), plan.steps, last)


def _own(engine: TorchEngine, count: int, rows: Sequence[Row], seed: int) -> torch.Tensor:
    """Texts of the model's own that are not about what the lessons ask."""
    tokens = min(TOKENS, engine.fingerprint().context or TOKENS)
    return elsewhere(texts_of(engine, count, tokens, seed), [row.ids[: row.start] for row in rows if row.start > 1])


def _kept(engine: TorchEngine, ids: torch.Tensor, asked: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """How far the copy is from the model itself on these texts."""
    with torch.no_grad():
        meant = engine.model(input_ids=ids, use_cache=False).logits
    return apart(logits, meant, asked)


def _fresh(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """A as peft draws it, from our own lots; B zero, so that learning begins at the model."""
    found = {}
    for name, shape in shapes.items():
        found[name] = torch.zeros(shape)
        if ".lora_A." in name:
            found[name].uniform_(-1 / math.sqrt(shape[1]), 1 / math.sqrt(shape[1]), generator=chance(seed, name))
    return found


def end_of(engine: TorchEngine) -> int | None:
    """The token by which the model ends an answer; it is learned behind the answer to a prompt. None where it has none."""
    config = getattr(engine.model, "generation_config", None)
    found = getattr(config, "eos_token_id", None)
    return found[0] if isinstance(found, list) else found

"""Keys and values of a few virtual tokens in the place of a text: what a model made of it, cut short, and trained until it says much the same after them.

Self-study and distillation as Cartridges (Eyuboglu et al. 2025, arXiv 2506.06266) do it; begun from the text's own first tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import KVPage, State, cache_of, cut
from loci.drivers.torch_kv.twin import bare_copy
from loci.drivers.torch_lora import layers, tensors
from loci.drivers.torch_lora.course import Plan, Terms, chance, run
from loci.drivers.torch_lora.own import TEXTS, TOKENS, texts_of
from loci.drivers.torch_lora.words import NOT, Row, apart, joined, row_of
from loci.errors import Invalid
from loci.ports.adapting import Learned, Lesson, Recipe

FROZEN = 1  # the first token, to which models attend where they look for nothing


def text_of(lessons: Sequence[Lesson]) -> str:
    """What a cartridge stands for: the plain statements among the lessons, or all of them where there are none, each in its line."""
    plain = [lesson for lesson in lessons if not lesson.prompt] or list(lessons)
    return "\n".join(lesson.prompt + lesson.answer for lesson in plain)


def prepared(engine: TorchEngine, lessons: Sequence[Lesson], recipe: Recipe) -> tuple[list[int], int, list[Row]]:
    """The tokens of the text, how many are kept, and the lessons as rows, where that is fewer. Raises `Invalid` or `TooLarge` for what the model cannot hold, or has no
    room to read."""
    tensors.name_of(engine.model.dtype)  # what cannot be kept is not begun
    ids = engine.tokenizer(text_of(lessons))["input_ids"]
    count = min(recipe.tokens or len(ids), len(ids))
    if count < 1:
        raise Invalid("The lessons have no words, so there is nothing to make a cartridge of.")
    shapes = layers.cache_shapes(engine.fingerprint().layers, count)
    layers.check_room(sum(map(prod, shapes.values())) * engine.model.dtype.itemsize, recipe)
    if count == len(ids):
        engine.check_room(count)
        return ids, count, []
    if count <= FROZEN:
        raise Invalid(f"tokens is {recipe.tokens}; the first of a cartridge is not trained, so it takes {FROZEN + 1} at least.")
    rows = [row_of(engine.tokenizer, "", lesson.prompt + lesson.answer, has_specials=False) for lesson in lessons]
    engine.check_room(len(ids) + max(TOKENS, *(len(row.ids) for row in rows)))
    return ids, count, rows


def learn(engine: TorchEngine, lessons: Sequence[Lesson], terms: Terms) -> Learned:
    """As many tokens as the recipe says; none, or as many as the text has, is what the model made of it, bit for bit."""
    recipe = terms.recipe
    ids, count, rows = prepared(engine, lessons, recipe)
    state = engine.read(ids)
    keys, values = _whole(state)
    if count == len(ids):
        return Learned(recipe, tensors.told(_named(keys, values)), 0, 0.0)
    page = KVPage((-1,) * len(ids), tuple(keys), tuple(values))
    return _distilled(engine, rows, terms, state, _whole(cut(state, count)), page)


def _distilled(
    engine: TorchEngine, rows: Sequence[Row], terms: Terms, state: State, short: tuple[list[torch.Tensor], list[torch.Tensor]], text: KVPage
) -> Learned:  # fmt: skip
    """Trained so that what follows is said as after the whole text. What follows: each lesson, and, at the recipe's share, texts that the model writes after it and tokens by lot."""
    recipe, begins = terms.recipe, _named(*short)
    count = short[0][0].shape[1]
    plan, begun = Plan(len(rows), recipe), terms.saved()
    own = begun.texts if begun else texts_of(engine, min(TEXTS, plan.old * plan.steps), TOKENS, recipe.seed, state)
    weights = {name: nn.Parameter(tensor[:, FROZEN:].float().clone()) for name, tensor in begins.items()}
    frozen = {name: tensor[:, :FROZEN].clone() for name, tensor in begins.items()}
    copy = bare_copy(engine.model)

    def loss_of(step: int) -> tuple[Any, float]:
        now = {name: torch.cat([frozen[name], weight.to(frozen[name].dtype)], dim=1) for name, weight in weights.items()}
        page = KVPage((-1,) * count, *_layers(now))
        total, places = torch.zeros((), device=engine.device), 0
        for studied in ([rows[n] for n in plan.lessons_of(step)], _probes(own, plan, step)):
            if not studied:
                continue
            batch, asked = joined(
                studied, engine.device
            )  # lessons are far shorter than probes: together, most of what is read would be filling
            with torch.no_grad():
                meant = engine.model(input_ids=batch, past_key_values=cache_of((text,)), use_cache=True).logits
            said = copy(input_ids=batch, past_key_values=cache_of((page,)), use_cache=True).logits
            asked_here = int((asked != NOT).sum())
            total, places = total + apart(said, meant, asked) * asked_here, places + asked_here
        loss = total / places
        return loss, float(loss.detach())

    last = run(terms, weights, plan.steps, own, begun, loss_of)
    made = {name: torch.cat([frozen[name], weight.detach().to(frozen[name].dtype)], dim=1) for name, weight in weights.items()}
    return Learned(recipe, tensors.told(made), plan.steps, last)


def _probes(own: torch.Tensor, plan: Plan, step: int) -> list[Row]:
    """Half of them texts of the model's own, half tokens by lot."""
    if not plan.old:
        return []
    picked = own[plan.texts_of(step, len(own))]
    lots = torch.randint(int(own.max()) + 1, picked.shape, generator=chance(plan.recipe.seed, "probes", step))
    return [Row(tuple((line if n % 2 == 0 else lot).tolist()), 1) for n, (line, lot) in enumerate(zip(picked, lots, strict=True))]


def _whole(state: State) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Keys and values of a state, [heads, tokens, width] a layer."""
    count = range(len(state[0].keys))
    return [torch.cat([p.keys[n] for p in state], 1) for n in count], [torch.cat([p.values[n] for p in state], 1) for n in count]


def _named(keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    both = (("keys", keys), ("values", values))
    return {f"layers.{n}.{part}": tensor.detach().clone() for part, tensors_ in both for n, tensor in enumerate(tensors_)}


def _layers(now: dict[str, torch.Tensor]) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    count = range(len(now) // 2)
    return tuple(now[f"layers.{n}.keys"] for n in count), tuple(now[f"layers.{n}.values"] for n in count)

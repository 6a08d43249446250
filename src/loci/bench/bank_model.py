"""The small model of `loci bench bank`: Qwen3's shape, trained here from a seed until it answers from documents in its context."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import Qwen3Config, Qwen3ForCausalLM

from loci.bench.bank_language import Article, Language, alike, answer, article, question
from loci.bench.optimisers import optimisers
from loci.errors import Invalid

TOLD = 0.1  # what any other token counts beside an answer
ECHO = 0.3  # what saying words again counts beside an answer
ASKED = 8  # questions behind each text, at most
SHORT = 0.6  # share of the steps with short documents
TRAINING = 2  # one more for each change of `trained`, so that weights of another are not taken for its own


@dataclass(frozen=True, slots=True)
class Shape:
    """The model and its training. The defaults take some minutes on one core."""

    layers: int = 3
    width: int = 96
    heads: int = 4
    kv_heads: int = 2
    steps: int = 4500
    batch: int = 32  # documents of a step
    rate: float = 4e-3
    device: str = "cpu"


def build(language: Language, shape: Shape, seed: int) -> Any:
    """An untrained `Qwen3ForCausalLM` in evaluation mode."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=language.vocabulary, hidden_size=shape.width, intermediate_size=2 * shape.width, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads, head_dim=shape.width // shape.heads, max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4}, tie_word_embeddings=False, bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():  # a fact starts as its attribute and its value, so that this need not be found out from answers alone
        words = model.get_input_embeddings().weight
        attributes, values = words[language.first_attribute : language.first_value], words[language.first_value : language.first_fact]
        words[language.first_fact : language.first_filler] = (attributes[:, None] + values[None]).flatten(0, 1)
    return model.to(shape.device).eval()


def kept(
    language: Language, shape: Shape, among: Sequence[int], seed: int, folder: Path | None, advance: Callable[[int, int], None]
) -> tuple[Any, float, float]:
    """As `trained`; from a file in the folder where one is there, and written to it otherwise. Raises `Invalid` for one of another shape or training."""
    path = folder / f"model-{seed}.safetensors" if folder is not None else None
    made_as = json.dumps([asdict(language), asdict(replace(shape, device="")), sha256(repr(sorted(among)).encode()).hexdigest(), TRAINING])
    if path is not None and path.exists():
        with safe_open(path, "pt") as stored:
            known = stored.metadata() or {}
        if known.get("made_as") != made_as:
            raise Invalid(f"{path} holds a model made as {known.get('made_as')}, not {made_as}; name another folder, and it is trained.")
        model = build(language, shape, seed)
        model.load_state_dict(load_file(path, device=shape.device))
        advance(shape.steps, shape.steps)
        return model, float(known["right"]), float(known["seconds"])
    model, right, seconds = trained(language, shape, among, seed, advance)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(model.state_dict(), path, {"made_as": made_as, "right": str(right), "seconds": str(seconds)})
    return model, right, seconds


def trained(
    language: Language, shape: Shape, among: Sequence[int], seed: int, advance: Callable[[int, int], None]
) -> tuple[Any, float, float]:
    """A model that was trained on texts about these entities; the share of right answers in its last hundred steps; CPU seconds."""
    begin, chance = time.process_time(), random.Random(f"lessons {seed}")
    model, known, rights = build(language, shape, seed), frozenset(among), list[float]()
    echo = Echo(shape.width).to(shape.device)
    made = optimisers(model, shape.rate, echo.parameters())
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: rate(step, shape.steps)) for one in made]
    model.train()
    for step in range(shape.steps):
        tokens, start = lesson(language, shape, among, known, step, chance)
        rights.append(_step(model, echo, tokens.to(shape.device), start, made))
        for schedule in schedules:
            schedule.step()
        advance(step + 1, shape.steps)
    last = rights[-100:]
    return model.eval(), sum(last) / len(last), time.process_time() - begin


def lesson(
    language: Language, shape: Shape, among: Sequence[int], known: frozenset[int], step: int, chance: random.Random
) -> tuple[Tensor, int]:
    """Texts of a step, int64 [batch, tokens], and where their questions begin: by turns one, two and four documents each, new ones every
    time, and then questions with their answers.

    In the first ``SHORT`` of the steps documents are short, and those of a text tell about the same attributes: in few tokens it is soon found out that a fact belongs to
    the name before it."""
    is_short = step < SHORT * shape.steps
    count = 4 if is_short else (1, 2, 4)[step % 3]
    said = replace(language, facts=2, length=7) if is_short else language
    rows = []
    for _ in range(max(1, shape.batch * (2 if is_short else 1) // count)):
        subjects = [chance.choice(among)]
        while len(subjects) < count:
            other = chance.choice(among) if is_short else alike(said, subjects[0], among, known, chance)
            subjects += [other] if other not in subjects else []
        same = chance.sample(range(said.attributes), said.facts) if is_short else ()
        articles = [article(said, subject, chance, same) for subject in chance.sample(subjects, count)]
        rows.append([*articles[0].ids, *(i for one in articles[1:] for i in one.ids[1:]), *asked(said, articles, chance)])
    return torch.tensor(rows), 1 + count * (said.length - 1)


def asked(language: Language, articles: Sequence[Article], chance: random.Random) -> list[int]:
    """Questions about different facts in any order, each with its answer."""
    every = [(one.entity, attribute, value) for one in articles for attribute, value in one.facts.items()]
    return [i for e, a, v in chance.sample(every, min(ASKED, len(every))) for i in (*question(language, e, a), *answer(language, v))]


class Echo(torch.nn.Module):  # type: ignore[misc]
    """Has the first layer say which words stood one and two places before, as long as the model is trained: which name a fact belongs to need not be found out from answers
    alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.turns = torch.nn.ModuleList(torch.nn.Linear(width, width, bias=False) for _ in range(2))

    def forward(self, states: Tensor, tokens: Tensor, words: Tensor) -> Tensor:
        """Nats a token, of states [B, T, d] after the first layer."""
        parts = [
            cross_entropy((turn(states[:, back:]) @ words.T).flatten(0, 1), tokens[:, :-back].flatten())
            for back, turn in enumerate(self.turns, 1)
        ]
        return torch.stack(parts).mean()


def _step(model: Any, echo: Echo, tokens: Tensor, start: int, trainers: Sequence[torch.optim.Optimizer]) -> float:
    """One step down the gradient; the share of right answers before it."""
    made = model(input_ids=tokens, use_cache=False, output_hidden_states=True)
    logits, targets = made.logits[:, :-1], tokens[:, 1:]
    places = torch.arange(start + 3, targets.shape[1], 5, device=tokens.device)
    answers, wanted = logits[:, places], targets[:, places]
    loss = cross_entropy(answers.flatten(0, 1), wanted.flatten()) + TOLD * cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss = loss + ECHO * echo(made.hidden_states[1], tokens, model.get_input_embeddings().weight)
    for one in trainers:
        one.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for one in trainers:
        one.step()
    return float((answers.argmax(-1) == wanted).float().mean())


def rate(step: int, steps: int) -> float:
    """The learning rate's share: up over the first twentieth, then down along a cosine."""
    return min(1.0, (step + 1) / max(1, min(100, steps // 20))) * (0.55 + 0.45 * math.cos(math.pi * min(1.0, step / steps)))

"""The small model of `loci demo --three-forms`: Qwen3's shape, 299,232 weights, trained here from a seed on a made-up country's capitals, until it answers from what
stands before the question and from what it knows by heart.

The language is that of the product: memories as a recall packs them, and questions as lessons and people ask them. What it says shows what the system does, and nothing about
how well a language model would do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from loci.bench.bank_model import ECHO, Echo, rate
from loci.bench.optimisers import optimisers
from loci.policy import packing
from loci.text.lessons import BLANK, questions

TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<|pad|>", "<unk>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
LANDS, TOWNS = ("Zubia", "Norra", "Kelda"), ("Marlo", "Pelin", "Tovik", "Rasko")
LETTERS = ("bdfgklmnprstvz", "aeiou", "lnrsk")
KNOWN = 20  # lands whose capital is the same in every text
TOLD = 0.02  # what any other token counts beside an answer
ASKED = 6  # questions of a training text
BARE = 0.55  # share of the steps before memories come as a recall packs them


@dataclass(frozen=True, slots=True)
class Shape:
    """The model and its training. The defaults take one to three minutes on one core."""

    layers: int = 3
    width: int = 96
    heads: int = 4
    steps: int = 450
    batch: int = 24
    rate: float = 4e-3
    seed: int = 0


class Country:
    """Its lands and towns; ``world`` has the capitals of those that everybody knows, which are the first."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(f"country {seed}")
        made: dict[str, None] = {}
        while len(made) < 113:
            syllables = "".join(self.draw.choice(LETTERS[0]) + self.draw.choice(LETTERS[1]) for _ in range(2))
            made[(syllables + self.draw.choice(LETTERS[2])).capitalize()] = None
        names = [name for name in made if name not in (*LANDS, *TOWNS)]
        self.lands, self.towns = [*names[:67], *LANDS], [*names[67:110], *TOWNS]
        self.world = {land: self.draw.choice(self.towns) for land in self.lands[:KNOWN]}

    def text(self, *, is_bare: bool) -> list[dict[str, str]]:
        """A conversation: some memories, or none where everybody knows, and questions with their answers."""
        if self.draw.random() < 0.15:
            facts = [(land, self.world[land]) for land in self.draw.sample(self.lands[:KNOWN], 4)]
            head = ""
        else:
            chosen = self.draw.sample(self.lands[KNOWN:], self.draw.randrange(2, 6))
            facts = [(land, self.draw.choice(self.towns)) for land in chosen]
            head = f"{self._told(facts, is_bare=is_bare)}\n\n"
        turns = []
        for place in range(ASKED):
            land, town = self.draw.choice(facts)
            asked = self.draw.choice(questions(land, "attr/capital", is_own=False))
            turns.append({"role": "user", "content": (head if not place else "") + asked})
            turns.append({"role": "assistant", "content": town})
        return turns

    def _told(self, facts: Sequence[tuple[str, str]], *, is_bare: bool) -> str:
        lines = [said(land, town) for land, town in facts]
        if is_bare:
            return "\n".join(lines)
        at = datetime(self.draw.choice((2025, 2026, 2027)), self.draw.randrange(1, 13), self.draw.randrange(1, 29), tzinfo=UTC)
        return packing.pack([packing.Item(line, self.draw.choice(("kim", "Kim")), at) for line in lines], None).text


def said(land: str, town: str) -> str:
    return f"The capital of {land} is {town}."


def make(folder: Path, advance: Callable[[int, int], None], shape: Shape = Shape()) -> float:
    """Trains the model and writes it with its tokenizer into a new folder, from where an engine loads it. Returns the share of right answers at the end."""
    country = Country(shape.seed)
    tokenizer = _tokenizer(country)
    torch.manual_seed(shape.seed)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer), hidden_size=shape.width, intermediate_size=2 * shape.width, num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads, num_key_value_heads=shape.heads // 2, head_dim=32, max_position_embeddings=2048,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4}, tie_word_embeddings=True, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=0,
        )
    )  # fmt: skip
    right = _train(model, tokenizer, country, shape, advance)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return right


def _tokenizer(country: Country) -> PreTrainedTokenizerFast:
    """A word is a token, and so is every sign."""
    asked = [question for land in country.lands for question in questions(land, "attr/capital", is_own=False)]
    told = [country._told([(land, town)], is_bare=False) for land in country.lands for town in country.towns]
    words = f"kim Kim Which words are missing at {BLANK} : " + " ".join(f"{n:02d}" for n in range(60))
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(
        [*asked, *told, words], trainers.WordLevelTrainer(vocab_size=4000, special_tokens=SPECIAL, show_progress=False)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|end|>", pad_token="<|pad|>", unk_token="<unk>", chat_template=TEMPLATE
    )


def _train(model: Any, tokenizer: PreTrainedTokenizerFast, country: Country, shape: Shape, advance: Callable[[int, int], None]) -> float:
    """Two helpers train along and are thrown away: the first layer says which words stood before (`Echo`), the second, where an answer begins, which land was asked about."""
    echo, seek = Echo(shape.width), torch.nn.Linear(shape.width, shape.width, bias=False)
    made_by = optimisers(model, shape.rate, [*echo.parameters(), *seek.parameters()])
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: rate(step, shape.steps)) for one in made_by]
    model.train()
    rights = []
    for step in range(shape.steps):
        batch = _batch(country, tokenizer, shape, is_bare=step < BARE * shape.steps)
        words = model.get_input_embeddings().weight
        made = model(input_ids=batch.ids, output_hidden_states=True, use_cache=False)
        logits = made.logits[:, :-1]
        losses = cross_entropy(logits.flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none").view_as(batch.ids[:, 1:])
        loss = (losses * batch.weights[:, 1:]).sum() / batch.weights[:, 1:].sum() + ECHO * echo(made.hidden_states[1], batch.ids, words)
        loss = loss + ECHO * cross_entropy(seek(made.hidden_states[2][batch.rows, batch.begins]) @ words.T, batch.lands)
        for one in made_by:
            one.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for one in (*made_by, *schedules):
            one.step()
        found = logits[batch.rows, batch.begins].argmax(-1)
        rights.append(float((found == batch.ids[batch.rows, batch.begins + 1]).float().mean()))
        advance(step + 1, shape.steps)
    model.eval()
    last = rights[-50:]
    return sum(last) / len(last)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Texts [batch, tokens] and what each token counts; of every answer its row, where it begins, and the land that was asked about."""

    ids: Tensor
    weights: Tensor
    rows: Tensor
    begins: Tensor
    lands: Tensor


def _batch(country: Country, tokenizer: PreTrainedTokenizerFast, shape: Shape, *, is_bare: bool) -> _Batch:
    texts = [tokenizer.apply_chat_template(country.text(is_bare=is_bare), tokenize=False) for _ in range(shape.batch)]
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    longest = max(map(len, rows))
    ids, weights = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), longest)
    begins, end = tokenizer.convert_tokens_to_ids("<|assistant|>"), tokenizer.eos_token_id
    known, answers, land = set(tokenizer.convert_tokens_to_ids(country.lands)), [], 0
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        is_answer = False
        for place, token in enumerate(tokens):
            weights[row, place] = 1.0 if is_answer else TOLD
            land = token if token in known else land
            if token == begins:
                answers.append((row, place, land))
            is_answer = token == begins or (is_answer and token != end)
    return _Batch(ids, weights, *(torch.tensor(column) for column in zip(*answers, strict=True)))

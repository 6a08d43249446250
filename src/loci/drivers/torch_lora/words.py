"""Lessons and questions as rows of tokens, and what a model makes of such rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from loci.errors import Invalid
from loci.types import Message

if TYPE_CHECKING:
    from loci.drivers.torch_kv.engine import TorchEngine

NOT = -100  # where nothing is asked


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens, of which those from ``start`` on are asked for: each from all before it."""

    ids: tuple[int, ...]
    start: int

    @property
    def answer(self) -> tuple[int, ...]:
        return self.ids[self.start :]


def row_of(tokenizer: Any, cue: str, answer: str, end: int | None = None, *, has_specials: bool = True) -> Row:
    """The text of both as the tokenizer splits it, asked for from the first token on that is not the cue's alone; where the cue is empty, from the first that
    has one before it. ``end`` is put behind it; ``has_specials``: with what the tokenizer puts before every text. Raises `Invalid` where there is nothing to ask."""
    whole, alone = (tokenizer(text, add_special_tokens=has_specials)["input_ids"] for text in (cue + answer, cue))
    start = next((n for n, (a, b) in enumerate(zip(alone, whole, strict=False)) if a != b), min(len(alone), len(whole)))
    found = Row((*whole, *(() if end is None else (end,))), max(start, 1))
    if len(found.ids) <= found.start:
        raise Invalid(f"Nothing is asked for after {cue!r}: the answer {answer!r} adds no token to it.")
    return found


def rows_of(engine: TorchEngine, cues: Sequence[str], answers: Sequence[str], end: int | None = None) -> list[Row]:
    """Cues and answers as the engine tokenizes them: a cue in the model's template brings its special tokens, every other text gets the tokenizer's own, and neither does where a cartridge
    stands before it. ``end`` is put behind the answers to a cue."""
    has_template = bool(getattr(engine.tokenizer, "chat_template", None))
    head = engine.prompt("", [Message("user", "?")])[1] if has_template else ""

    def row(cue: str, answer: str) -> Row:
        is_prompt = has_template and cue != "" and cue.startswith(head)
        return row_of(engine.tokenizer, cue, answer, end if cue else None, has_specials=not engine.held and not is_prompt)

    return [row(cue, answer) for cue, answer in zip(cues, answers, strict=True)]


def joined(rows: Sequence[Row], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and the tokens that are asked for at each place, `NOT` where none is: int64 [rows, longest]. What is filled up on the right no token sees."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    asked = torch.full((len(rows), longest), NOT, dtype=torch.int64)
    for number, row in enumerate(rows):
        line = torch.tensor(row.ids, dtype=torch.int64)
        ids[number, : len(line)] = line
        asked[number, row.start - 1 : len(line) - 1] = line[row.start :]
    return ids.to(device), asked.to(device)


def expected(logits: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """How little the tokens asked for were expected: float32 nats [rows, longest], 0 where nothing is asked."""
    return cross_entropy(logits.float().flatten(0, 1), asked.flatten(), ignore_index=NOT, reduction="none").view(asked.shape)


def apart(logits: torch.Tensor, others: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """The divergence of what is said from what the ``others`` say, KL(others | logits): nats a token over the places that are asked."""
    places = asked != NOT
    said, meant = log_softmax(logits[places].float(), -1), log_softmax(others[places].float(), -1)
    return kl_div(said, meant, reduction="none", log_target=True).sum(-1).mean()

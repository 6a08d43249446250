"""Texts of the model's own: what it says by itself, so that what it knew can be held against what it learns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import State
from loci.drivers.torch_lora.course import chance

TEXTS, TOKENS = 1024, 48
MOST = 0.25  # of them that are left out
LIFT = 2.0  # how much more often prompts must hold a token than the model's own texts do, for it to tell what the lessons are about
ROWS = 64  # that are written at once


def texts_of(engine: TorchEngine, count: int, tokens: int, seed: int, after: State = ()) -> torch.Tensor:
    """Token ids, int64 [count, tokens], each token drawn as the model expects it; the first is the token that begins its texts, or, where it has none or the text goes
    on from a state, any."""
    draw = chance(seed, "own texts")
    size = int(engine.model.get_input_embeddings().num_embeddings)
    parts = [torch.zeros(0, tokens, dtype=torch.int64)]
    for done in range(0, count, ROWS):
        rows = min(ROWS, count - done)
        begin = engine.tokenizer.bos_token_id
        first = torch.full((rows, 1), begin) if begin is not None and not after else torch.randint(size, (rows, 1), generator=draw)
        parts.append(_written(engine, first, tokens, draw, after))
    return torch.cat(parts)


def _written(engine: TorchEngine, first: torch.Tensor, tokens: int, draw: torch.Generator, after: State) -> torch.Tensor:
    cache: Any = engine.begin(after)
    found = [first]
    with torch.no_grad():
        for _ in range(tokens - 1):
            logits = engine.model(input_ids=found[-1].to(engine.device), past_key_values=cache, use_cache=True).logits[:, -1]
            found.append(torch.multinomial(logits.float().softmax(-1).cpu(), 1, generator=draw))
    return torch.cat(found, dim=1)


def elsewhere(texts: torch.Tensor, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """The texts without those that are most about what the prompts ask of, a quarter at most: holding the model to what it said of that would be holding it to not knowing. How much a
    text is about it says the token in it that prompts hold more often than texts do."""
    if not prompts:
        return texts
    lines, cues = [set(line) for line in texts.tolist()], [set(prompt) for prompt in prompts]
    in_texts, in_prompts = (Counter(token for line in part for token in line) for part in (lines, cues))
    lift = {token: count / len(cues) / (in_texts[token] / len(lines)) for token, count in in_prompts.items() if in_texts[token]}
    about = [max((lift.get(token, 0.0) for token in line), default=0.0) for line in lines]
    ranked = sorted((n for n in range(len(lines)) if about[n] > LIFT), key=lambda n: (-about[n], n))
    left_out = set(ranked[: int(MOST * len(lines))])
    return texts[[n for n in range(len(lines)) if n not in left_out]]

"""Texts of the model's own: what it says by itself, so that what it knew can be held against what it learns."""

from __future__ import annotations

from typing import Any

import torch

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import State
from loci.drivers.torch_lora.course import chance

TEXTS, TOKENS = 256, 32
ROWS = 64  # that are written at once


def texts_of(engine: TorchEngine, count: int, tokens: int, seed: int, after: State = ()) -> torch.Tensor:
    """Token ids, int64 [count, tokens], each token drawn as the model expects it; the first is the token that begins its texts, or, where it has none or the text goes
    on from a state, any."""
    draw = chance(seed, "own texts")
    size = int(engine.model.get_input_embeddings().num_embeddings)
    parts = []
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

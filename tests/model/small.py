"""Real transformers, a few layers small, with random weights: what the cache tests run on."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)  # on tensors this small, threads wait for each other

WORDS = 211
SHAPE = {
    "vocab_size": WORDS, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "max_position_embeddings": 2048, "initializer_range": 0.2, "pad_token_id": None, "eos_token_id": None, "bos_token_id": 0,
}  # fmt: skip
FAMILIES = {"qwen3": (Qwen3Config, Qwen3ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}


@cache
def model(family: str = "qwen3", **changed: Any) -> Any:
    """The same model for everybody who asks for the same shape."""
    torch.manual_seed(7)
    config, made = FAMILIES[family]
    return made(config(**{**SHAPE, **changed})).eval()


def text(length: int, seed: int = 0) -> list[int]:
    """Random token ids."""
    return torch.randint(0, WORDS, (length,), generator=torch.Generator().manual_seed(seed)).tolist()

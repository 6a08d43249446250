"""Whether going on from a state equals reading the whole text, with the version of transformers that is installed."""

from __future__ import annotations

from functools import cache

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

from loci.drivers.torch_kv.state import cache_of, cut, state_of
from loci.errors import Unsupported

TOLERANCE = 1e-5
ANOTHER = "Install another version, from 5.4 on: `pip install 'transformers>=5.4'`. The rest of Loci works as it is."


@cache
def check_library() -> None:
    """Reads a few tokens with a tiny model at once and in two parts. Raises `Unsupported` when that is not the same. Once a process."""
    told = f"With transformers {transformers.__version__} "
    try:
        difference = measure()
    except (AttributeError, TypeError, KeyError, IndexError, ValueError, RuntimeError) as error:
        raise Unsupported(f"{told}a model cannot go on from what it has read ({error}). {ANOTHER}") from error
    if not difference <= TOLERANCE:
        raise Unsupported(
            f"{told}a text read in two parts differs from the text read at once (logits by {difference:.2g}), so activation memories would answer "
            f"otherwise than their text. {ANOTHER}"
        )


def measure() -> float:
    """The largest difference of logits between a text read at once and gone on from a state, cut once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64
        )  # fmt: skip
        model = LlamaForCausalLM(config).eval()
        row = torch.randint(0, 61, (1, 24))
    with torch.inference_mode():
        whole = model(input_ids=row).logits[0, 16:]
        begun = cache_of(())
        model(input_ids=row[:, :18], past_key_values=begun, use_cache=True)
        state = cut(state_of(row[0, :18].tolist(), begun), 16)
        differences = [
            float((model(input_ids=row[:, 16:], past_key_values=cache_of(state), use_cache=True).logits[0] - whole).abs().max())
            for _ in range(2)
        ]  # twice: the first use must have changed nothing
    return max(differences)

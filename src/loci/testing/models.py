"""Tiny real models with a tokenizer of their own: random weights in the shapes of models that people run. They show what a runtime does,
exactly; what they say means nothing. Needs the extra ``activation``."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = """Ann lives in Oslo and works as a baker. Her brother Ben moved to Rome in March; he likes green tea, chess and the sea.


What does she do there? Where does he live now? Data from memory is not an instruction.

The harbour opens at nine."""
TEMPLATE = (
    "{{ '<s>' }}{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
SPECIAL = ["<s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("Qwen3", {"head_dim": 32}),
    "llama": ("Llama", {}),
    "mistral": ("Mistral", {"sliding_window": 48}),
    "gemma": ("Gemma3", {"head_dim": 32, "sliding_window": 40}),
}
SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}  # fmt: skip


def make_tokenizer(template: str | None = TEMPLATE, vocabulary: int = 400) -> PreTrainedTokenizerFast:
    """Pairs of bytes merged as they occur in a few sentences, so that tokens merge across seams."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [TEXT] * 4, trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="<|end|>", chat_template=template)


def make_model(shape: str, seed: int = 0, dtype: torch.dtype = torch.float32, attention: str = "sdpa", **changes: Any) -> Any:
    """A random model of a shape, the same for the same seed. Its weights are larger than a fresh one's, so that what it has read shows
    in what it says."""
    family, extra = SHAPES[shape]
    config_class = getattr(transformers, f"{family}TextConfig" if family == "Gemma3" else f"{family}Config")
    config = config_class(vocab_size=512, initializer_range=0.1, **{**SIZES, **extra, **changes})
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family}ForCausalLM")._from_config(config, attn_implementation=attention)
    return model.to(dtype).eval()

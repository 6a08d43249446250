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
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("Qwen3", {"head_dim": 32}),
    "llama": ("Llama", {}),
    "mistral": ("Mistral", {"sliding_window": 48}),
    "gemma": ("Gemma3", {"head_dim": 32, "sliding_window": 40}),
    "gemma4": ("Gemma4", {"head_dim": 16, "global_head_dim": 32, "sliding_window": 40, "num_hidden_layers": 4, "num_kv_shared_layers": 1,
                          "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 512,
                          "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]}),
    "deepseek": ("DeepseekV3", {"q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16,
                                "num_key_value_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 32}),
    "qwen3.5": ("Qwen3_5", {"head_dim": 32, "num_hidden_layers": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 24, "linear_num_key_heads": 2,
                            "linear_num_value_heads": 4}),
    "lfm2": ("Lfm2", {"layer_types": ["conv", "full_attention", "conv"]}),
}  # fmt: skip
SHAPES = {name: told for name, told in FAMILIES.items() if hasattr(transformers, f"{told[0]}ForCausalLM")}
"""Those that the installed transformers has."""
TEXT_ONLY = {"Gemma3", "Gemma4", "Qwen3_5"}  # whose text models have configurations of their own
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
    """A random model of a shape, the same for the same seed. Its weights are larger than a fresh one's, and its states last longer, so that what it has read
    shows in what it says."""
    family, extra = SHAPES[shape]
    config_class = getattr(transformers, f"{family}TextConfig" if family in TEXT_ONLY else f"{family}Config")
    config = config_class(**{"vocab_size": 512, "initializer_range": 0.1, **SIZES, **extra, **changes})
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family}ForCausalLM")._from_config(config, attn_implementation=attention)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("A_log"):  # how fast a state forgets
                weight.fill_(-4.0)
    return model.to(dtype).eval()

"""Every family of causal language models that the installed transformers has, each as a tiny model of random weights: whether Loci goes on from what it has read
exactly, refuses it, or is wrong about it.

    python -m bench.families [--family qwen3_5_text ...] [--table]

Exact is: at every seam bit by bit the logits that the library's own cache gives there, and within ``TOLERANCE`` of those of the text read at once. Ends with 1 where
a family is neither exact nor refused.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from loci.drivers.torch_kv.ends import KINDS, fresh
from loci.drivers.torch_kv.engine import TorchEngine
from loci.errors import LociError
from loci.ports.engine import BLOCK, Codec
from loci.testing.models import make_tokenizer

TOLERANCE = 3e-4  # of what logits vary by
SEAMS = (1, 23, 63, 64, 65, 130, 333)
LENGTH = 400
SMALL: Mapping[str, Any] = {
    "vocab_size": 512, "hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "intermediate_size": 96, "n_inner": 96, "ffn_dim": 96,
    "d_ff": 96, "decoder_ffn_dim": 96, "num_hidden_layers": 4, "n_layer": 4, "num_layers": 4, "decoder_layers": 4,
    "num_attention_heads": 4, "n_head": 4, "num_heads": 4, "decoder_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "global_head_dim": 32, "v_head_dim": 16, "rotary_dim": 8, "max_position_embeddings": 1024, "n_positions": 1024, "sliding_window": 24,
    "window_size": 24, "keep_window_size": 64, "attention_chunk_size": 64, "initializer_range": 0.1, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 4,
    "num_experts": 4, "n_routed_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "q_lora_rank": 32, "kv_lora_rank": 16,
    "qk_nope_head_dim": 16, "qk_rope_head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16,
    "linear_value_head_dim": 16, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 512, "num_kv_shared_layers": 1,
    "mamba_d_state": 8, "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_ssm": 128, "mamba_n_groups": 1, "mamba_expand": 2,
    "mamba_num_heads": 4, "mamba_head_dim": 32, "n_mamba_heads": 2, "state_size": 8, "ssm_state_size": 8, "n_groups": 1,
}  # fmt: skip
"""Of these a family takes those that it knows."""
WISHED = {"sliding_window", "attention_chunk_size", "head_dim", "num_kv_shared_layers"}  # of these, those that it has set
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "falcon": {"num_kv_heads": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2, "num_key_value_heads": 2},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1},
    "mamba2": {"num_heads": 8, "head_dim": 16, "expand": 2},
    "ministral": {"head_dim": 16},
}
LEFT_OUT = {"blt", "phi4_multimodal"}  # of which no small one can be made
ASKS = (AttributeError, TypeError, LookupError, ValueError, RuntimeError, ImportError, AssertionError, StrictDataclassError)
"""What a family raises that asks for more than sizes."""
TITLE = """# Families of causal models, each as a tiny one of random weights

Written by `python -m bench.families --table`. Exact: at seven seams of 400 tokens, by way of files, bit by bit the logits that the library's own cache gives at the same seam, and within 3e-4 of what
logits vary by of those of the text read at once (the difference, in that measure). It keeps: layers with full keys or those of a window, with an end (one state that every token changes), both, or none of their own.
Nothing here is about what such a model says."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a family: exact, refused, wrong, or not made; what it keeps, or why; and the largest difference from the text read at once, beside what logits vary by."""

    family: str
    verdict: str
    told: str
    difference: float = 0.0


def main() -> int:
    """Prints a line or a row for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", action="append", default=[], help="as transformers calls it (all)")
    parser.add_argument("--table", action="store_true", help="as Markdown")
    asked = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    names: dict[str, list[str]] = {}
    if asked.table:
        print(f"{TITLE}\n\ntransformers {transformers.__version__}, torch {torch.__version__}\n")
        print("| family | | what it keeps, or why not | difference |\n|---|---|---|---|")
    for found in tried(asked.family):
        names.setdefault(found.verdict, []).append(found.family)
        difference = f"{found.difference:.1e}" if found.verdict in ("exact", "wrong") else ""
        if not asked.table:
            print(f"{found.family}: {found.verdict} {difference} {found.told}")
        elif found.verdict != "not made":
            print(f"| {found.family} | {found.verdict} | {found.told} | {difference} |")
        sys.stdout.flush()
    print("\n" + ", ".join(f"{len(these)} {verdict}" for verdict, these in sorted(names.items())) + ".")
    if asked.table and "not made" in names:
        print("Not made, since they ask for more than sizes: " + ", ".join(names["not made"]) + ".")
    return int("wrong" in names)


def tried(families: Sequence[str] = ()) -> Iterator[Found]:
    """Each of these families, or of all."""
    tokenizer = make_tokenizer()
    for family, name in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()):
        if family in families or not (families or family in LEFT_OUT):
            with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
                warnings.simplefilter("ignore")
                found = one(family, name if isinstance(name, str) else name[0], tokenizer)
            yield found


def one(family: str, name: str, tokenizer: Any) -> Found:
    """A family, by the name of its model's class."""
    try:
        model = made(family, name)
        row = torch.tensor([_ids()])
        with torch.inference_mode():
            whole = model(input_ids=row).logits[0].float()
    except ASKS as error:
        return Found(family, "not made", f"{type(error).__name__}: {error}".replace("\n", " ").replace("|", "/")[:100])
    try:
        engine = TorchEngine(model, tokenizer)
        difference, is_library = beside(engine, whole)
    except LociError as error:
        return Found(family, "refused", str(error).split(", so what it has read")[0].split(" Use the text")[0][:180])
    kinds = Counter(layer.kind for layer in engine.fingerprint().layers)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    asked = getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ()
    if not KINDS.isdisjoint(asked) and not engine.fingerprint().has_end:
        return Found(family, "wrong", f"{told}; it has layers that hold an end, and none is kept")
    is_exact = is_library and difference <= TOLERANCE
    return Found(family, "exact" if is_exact else "wrong", told if is_library else f"{told}; otherwise than the library", difference)


def made(family: str, name: str) -> Any:
    """The same tiny model each time."""
    known = CONFIG_MAPPING[family]()
    text = known.get_text_config(decoder=True)
    asked = {key: value for key, value in SMALL.items() if _has(text, key)}
    if _of(text, "num_key_value_heads") == _of(text, "num_attention_heads"):
        asked |= {key: SMALL["num_attention_heads"] for key in asked if key == "num_key_value_heads"}
    kinds = getattr(text, "layer_types", None)
    if kinds:
        asked["layer_types"] = (list(dict.fromkeys(kinds)) * 4)[:4]
    asked |= FAMILIES.get(family, {})
    try:
        config = type(text)(**asked)
    except ASKS:  # where what its layers are follows from other fields
        asked.pop("layer_types", None)
        config = type(text)(**asked)
    torch.manual_seed(0)
    return getattr(transformers, name)._from_config(config).float().eval()


def _has(config: Any, key: str) -> bool:
    """Whether a configuration has a field that these sizes are for."""
    return hasattr(type(config), key) and (key not in WISHED or bool(_of(config, key)))


def _of(config: Any, key: str) -> Any:
    try:
        return getattr(config, key, None)
    except RuntimeError:  # it is another for each layer
        return SMALL[key]


def _ids() -> list[int]:
    chance = random.Random(0)
    return [chance.randrange(5, 384) for _ in range(LENGTH)]


def beside(engine: TorchEngine, whole: torch.Tensor) -> tuple[float, bool]:
    """How far it is from the text read at once at the worst seam, by way of files, and whether it is bit by bit what the library's own cache gives there."""
    ids, worst, is_library, raw = _ids(), 0.0, True, Codec()
    spread = float(whole.std().clamp_min(1e-12))
    for seam in SEAMS:
        state = [
            engine.decode(page.ids, place * BLOCK, raw, engine.encode(page, raw)) for place, page in enumerate(engine.read(ids[:seam]))
        ]
        found = engine.logits(state, ids[seam:])
        worst = max(worst, float((found - whole[seam:]).abs().max()) / spread)
        cache = fresh(engine.model.config)
        with torch.inference_mode():
            engine.model(input_ids=torch.tensor([ids[:seam]]), past_key_values=cache, use_cache=True)
            stock = engine.model(input_ids=torch.tensor([ids[seam:]]), past_key_values=cache, use_cache=True).logits[0].float()
        is_library = is_library and torch.equal(found, stock)
    return worst, is_library


if __name__ == "__main__":
    sys.exit(main())

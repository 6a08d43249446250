"""An adapter as a folder that peft loads, and vLLM where it is a LoRA."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import torch
from peft import CartridgeConfig, PeftConfig
from safetensors.torch import save_file

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_lora import layers, tensors
from loci.drivers.torch_lora.cartridge import FROZEN
from loci.errors import Conflict, Missing, Unsupported
from loci.ports.adapting import Learned


def export(engine: TorchEngine, learned: Learned, folder: Path) -> Path:
    """Writes it beside the folder, and then gives it its name: it is there as a whole or not at all. Raises `Conflict` where there is one already, `Missing` where there is nowhere to put
    it, `Unsupported` for a cartridge of a model that peft has no layout for."""
    if folder.exists():
        raise Conflict(f"{folder} is there already. Name a folder that is not.")
    if not folder.parent.is_dir():
        raise Missing(f"There is no folder {folder.parent} to put it in. Make it first.")
    config, weights = _lora(engine, learned) if learned.recipe.form == "lora" else _cartridge(engine, learned)
    config.base_model_name_or_path, config.inference_mode = engine.name, True
    said = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    whole = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (whole / "adapter_config.json").write_text(json.dumps(said, indent=2, sort_keys=True, default=str) + "\n", "utf-8")
        save_file(weights, whole / "adapter_model.safetensors", {"format": "pt"})
        whole.chmod(0o755)
        whole.rename(folder)
    except OSError:
        shutil.rmtree(whole, ignore_errors=True)
        raise
    return folder


def _lora(engine: TorchEngine, learned: Learned) -> tuple[PeftConfig, dict[str, torch.Tensor]]:
    return layers.config_of(engine.model, learned.recipe), tensors.read(learned.tensors)


def _cartridge(engine: TorchEngine, learned: Learned) -> tuple[PeftConfig, dict[str, torch.Tensor]]:
    """As peft keeps one: a row for each token, of keys and values layer by layer, heads one behind another. It takes every layer to be of one shape."""
    found = tensors.read(learned.tensors)
    parts = [found[f"layers.{n}.{part}"] for n in range(len(found) // 2) for part in ("keys", "values")]
    heads, count, width = parts[0].shape
    if any(part.shape != parts[0].shape for part in parts) or len(parts) != 2 * engine.model.config.get_text_config().num_hidden_layers:
        raise Unsupported(
            "peft has no layout for a cartridge of a model whose layers are not all of one shape. It is served by the engine that learned it."
        )
    config = CartridgeConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=count, num_frozen_tokens=min(FROZEN, count), num_layers=len(parts) // 2, num_attention_heads=heads,
        token_dim=heads * width, num_transformer_submodules=1,
    )  # fmt: skip
    return config, {"prompt_embeddings": torch.stack([part.transpose(0, 1) for part in parts], 1).reshape(count, -1).contiguous()}

"""An adapter as a folder that peft and vLLM load."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_lora import layers, tensors
from loci.errors import Conflict, Missing, Unsupported
from loci.ports.adapting import Learned


def export(engine: TorchEngine, learned: Learned, folder: Path) -> Path:
    """Writes it beside the folder, and then gives it its name: it is there as a whole or not at all. Raises `Conflict` where there is one already, `Missing` where there is nowhere to put
    it, `Unsupported` for a cartridge."""
    if learned.recipe.form != "lora":
        raise Unsupported("peft and vLLM have no layout for a cartridge. It is served by the engine that learned it.")
    if folder.exists():
        raise Conflict(f"{folder} is there already. Name a folder that is not.")
    if not folder.parent.is_dir():
        raise Missing(f"There is no folder {folder.parent} to put it in. Make it first.")
    config = layers.config_of(engine.model, learned.recipe)
    config.base_model_name_or_path, config.inference_mode = engine.name, True
    said = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    whole = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (whole / "adapter_config.json").write_text(json.dumps(said, indent=2, sort_keys=True, default=str) + "\n", "utf-8")
        save_file(tensors.read(learned.tensors), whole / "adapter_model.safetensors", {"format": "pt"})
        whole.chmod(0o755)
        whole.rename(folder)
    except OSError:
        shutil.rmtree(whole, ignore_errors=True)
        raise
    return folder

"""A model from a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from loci.drivers.torch_kv.engine import TorchEngine
from loci.errors import Invalid, Missing


def load_engine(folder: Path, device: str = "auto") -> TorchEngine:
    """The engine of a folder that `save_pretrained` wrote, weights in safetensors. Nothing is downloaded, and no code of the folder's is
    run. Raises `Missing` and `Invalid`."""
    if not (folder / "config.json").is_file():
        raise Missing(f"{folder} holds no model: it has no config.json. Name a folder that save_pretrained wrote.")
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if place.startswith("cuda") and not torch.cuda.is_available():
        raise Invalid(
            f"device is {device!r}, and torch finds no GPU of that kind here. Choose cpu, or install a torch that was built for it."
        )
    shows = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # stderr is for what Loci says
    try:
        model, told = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        model = model.to(place)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise Invalid(f"The model in {folder} cannot be loaded on {place}: {error}") from error
    finally:
        if shows:
            logging.enable_progress_bar()
    if lacking := sorted(map(str, (*told["missing_keys"], *told["mismatched_keys"]))):
        raise Invalid(
            f"The weights in {folder} have no {lacking[0]}, as the model has, or of another shape ({len(lacking)} such tensors): it would answer by chance. "
            "Name the folder of a causal language model with all its weights."
        )
    if not tokenizer("a", add_special_tokens=False)["input_ids"]:
        raise Invalid(f"{folder} holds no tokenizer that knows any text. Save it beside the model, with save_pretrained.")
    return TorchEngine(model, tokenizer)

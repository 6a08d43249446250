"""A model from a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from loci.drivers.torch_kv.engine import TorchEngine
from loci.errors import Invalid, Missing


def load_engine(folder: Path, device: str = "auto") -> TorchEngine:
    """The engine of a folder that `save_pretrained` wrote, weights in safetensors. Nothing is downloaded, and no code of the folder's is
    run. Raises `Missing` and `Invalid`."""
    if not (folder / "config.json").is_file():
        raise Missing(f"{folder} holds no model: it has no config.json. Name a folder that save_pretrained wrote.")
    shows = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # stderr is for what Loci says
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", local_files_only=True, use_safetensors=True).to(place)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise Invalid(f"The model in {folder} cannot be loaded on {place}: {error}") from error
    finally:
        if shows:
            logging.enable_progress_bar()
    return TorchEngine(model, tokenizer)

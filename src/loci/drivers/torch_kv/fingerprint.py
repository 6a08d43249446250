"""Which model, tokenizer and template this is: everything that a state depends on besides its tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

import torch

from loci.errors import Unsupported
from loci.ports.engine import Fingerprint, LayerShape

SAMPLES = 16  # runs of a tensor that a sampled hash looks at
RUN = 256  # bytes of each
SILENT = {
    "_name_or_path",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "architectures",
    "_attn_implementation",
    "_attn_implementation_autoset",
}
"""Fields of a configuration that change nothing of what the model computes, or are told apart by fields of their own."""
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")  # of a tokenizer, beside its tokens
_TOKENIZERS: WeakKeyDictionary[Any, tuple[Any, tuple[object, ...], str]] = WeakKeyDictionary()
FIXED_ROPE = {"default", "linear", "llama3", "yarn"}
"""Kinds of rotation that turn a token by its position alone, however long the text is."""


def fingerprint_of(model: Any, tokenizer: Any, model_hash: str) -> Fingerprint:
    """As the model is now, given the hash of its weights (`hash_weights`), which takes long."""
    config = model.config.get_text_config(decoder=True)
    return Fingerprint(
        model=model_hash,
        tokenizer=_hash_tokenizer(tokenizer),
        template=_digest(getattr(tokenizer, "chat_template", None) or ""),
        adapters=adapters_of(model),
        dtype=str(model.dtype).removeprefix("torch."),
        attention=str(config._attn_implementation),
        rope=_rope(config),
        layers=_layers(config),
        context=int(getattr(config, "max_position_embeddings", 0) or 0),
    )


def hash_weights(model: Any, *, is_full: bool) -> str:
    """A hash of the configuration and of the weights without adapters: of every byte, or of ``SAMPLES`` runs in each tensor, which
    is quick and sees a change only where it looks."""
    config = {k: v for k, v in model.config.to_dict().items() if k not in SILENT}
    digest = sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in _weights(model):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(_bytes(tensor) if is_full else _sample(tensor))
    return digest.hexdigest()


def adapters_of(model: Any) -> tuple[str, ...]:
    """What is mounted on the model's layers, by name and a hash of its weights; none where adapters are switched off."""
    parts: dict[str, Any] = {}
    for name, tensor in model.named_parameters():
        if "lora_" in name:
            adapter = name.split("lora_", 1)[1].split(".")[1]
            parts.setdefault(adapter, sha256()).update(name.encode() + _sample(tensor))
    if not parts or not _is_adapted(model):
        return ()
    active = _active(model)
    return tuple(f"{name}:{parts[name].hexdigest()[:32]}" for name in sorted(parts) if active is None or name in active)


def _is_adapted(model: Any) -> bool:
    return not any(getattr(module, "disable_adapters", False) is True for module in model.modules())


def _active(model: Any) -> set[str] | None:
    """Names of the adapters in use, where the layers tell."""
    for module in model.modules():
        names = getattr(module, "active_adapters", None)
        if isinstance(names, list | tuple):
            return {str(name) for name in names}
    return None


def _weights(model: Any) -> Iterable[tuple[str, torch.Tensor]]:
    """Parameters and buffers, by the names that they have without adapters."""
    for name, tensor in sorted((*model.named_parameters(), *model.named_buffers()), key=lambda entry: str(entry[0])):
        if "lora_" not in name:
            yield name.removeprefix("base_model.model.").replace(".base_layer", ""), tensor.detach()


def _sample(tensor: torch.Tensor) -> bytes:
    """Runs of a tensor's bytes at fixed places, ends included."""
    flat = tensor.detach().reshape(-1)
    run = max(RUN // flat.element_size(), 1)
    if flat.numel() <= run * SAMPLES:
        return _bytes(flat)
    places = [round(i * (flat.numel() - run) / (SAMPLES - 1)) for i in range(SAMPLES)]
    return _bytes(torch.cat([flat[p : p + run] for p in places]))


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).cpu().numpy().tobytes() if tensor.numel() else b""


def _hash_tokenizer(tokenizer: Any) -> str:
    """Of all that it is. Spelling out a large one takes longer than many an answer, so that is done once, and again where what tells a change quickly
    has changed: how many tokens there are, and every part beside them."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return _digest(json.dumps(tokenizer.get_vocab(), sort_keys=True))
    parts = (getattr(backend, part) for part in PARTS)
    mark = backend.get_vocab_size(), backend.truncation, backend.padding, *(None if part is None else part.__getstate__() for part in parts)
    known = _TOKENIZERS.get(tokenizer)
    if known is None or known[:2] != (backend, mark):
        known = _TOKENIZERS[tokenizer] = backend, mark, _digest(backend.to_str())
    return known[2]


def _rope(config: Any) -> tuple[str, float, str]:
    """(type, theta, the whole of it). Raises `Unsupported` for rotations that depend on how long the text becomes."""
    found = getattr(config, "rope_parameters", None) or {}
    by_layer = found.values() if found and all(isinstance(v, dict) for v in found.values()) else [found]
    kinds = {str(rope.get("rope_type", "default")) for rope in by_layer}
    if not kinds <= FIXED_ROPE:
        raise Unsupported(
            f"This model's rotary positions ({', '.join(sorted(kinds - FIXED_ROPE))}) depend on how long the text becomes, so what it has read "
            "cannot be kept exactly. Use the text of memories with it."
        )
    theta = next((float(rope["rope_theta"]) for rope in by_layer if rope.get("rope_theta")), 0.0)
    return "+".join(sorted(kinds)), theta, json.dumps(found, sort_keys=True, default=str)


def _layers(config: Any) -> tuple[LayerShape, ...]:
    """Raises `Unsupported` for layers that keep something else than keys and values of every token."""
    heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    width = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    window = int(getattr(config, "sliding_window", None) or 0)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"] * config.num_hidden_layers
    others = sorted(set(kinds) - {"full_attention", "sliding_attention"})
    if others:
        raise Unsupported(
            f"This model has layers of {', '.join(others)}, which do not keep keys and values of every token, so what it has read cannot be kept "
            "exactly. Use the text of memories with it."
        )
    return tuple(
        LayerShape("window", heads, width, window) if kind == "sliding_attention" else LayerShape("full", heads, width) for kind in kinds
    )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()

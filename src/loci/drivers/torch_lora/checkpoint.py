"""How far learning has come, as bytes: what was learned, what the optimiser knows of it, the losses so far, and the model's own texts. Safetensors, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from loci.ports.adapting import Learned, Lesson, Recipe

if TYPE_CHECKING:
    from loci.ports.engine import Fingerprint

VERSION = 2
LIMITS = {"most_seconds", "most_bytes", "pairs"}  # of a recipe: they change nothing of what is learned of given lessons
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Saved:
    """The state of learning after so many steps. ``texts`` are token ids of the model's own, int64 [texts, tokens]."""

    step: int
    weights: Mapping[str, torch.Tensor]
    moments: Mapping[str, Mapping[str, torch.Tensor]]
    losses: Sequence[float]
    texts: torch.Tensor


def identity(fingerprint: Fingerprint, lessons: Sequence[Lesson], replay: Sequence[str], recipe: Recipe, after: str) -> str:
    """What learning is a function of: the model, the words, the recipe, and the adapter that it goes on from."""
    said = [[lesson.prompt, lesson.answer] for lesson in lessons]
    asked = {name: value for name, value in asdict(recipe).items() if name not in LIMITS}
    model = [fingerprint.model, fingerprint.tokenizer, fingerprint.dtype]
    return sha256(json.dumps([VERSION, model, said, list(replay), asked, after], sort_keys=True).encode()).hexdigest()


def packed(saved: Saved, named: str) -> bytes:
    """As bytes, under the name of what is learned (`identity`)."""
    tensors = {f"weight/{name}": tensor for name, tensor in saved.weights.items()}
    for name, moments in saved.moments.items():
        tensors |= {f"{moment}/{name}": moments[moment] for moment in MOMENTS}
    tensors["losses"] = torch.tensor(list(saved.losses), dtype=torch.float64)
    tensors["texts"] = saved.texts
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return bytes(save(tensors, {"of": named, "step": str(saved.step), "sum": _sum(tensors, str(saved.step))}))


def unpacked(data: bytes | None, named: str) -> Saved | None:
    """What was saved of this very learning. Nothing, where it was of another, of another version, or is not as it was written: then learning begins anew, which comes to the same and
    takes longer."""
    if data is None:
        return None
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        of, step, told = header["of"], header["step"], header["sum"]
        tensors = load(data)
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if of != named or told != _sum(tensors, step):
        return None
    by = {part: {n.removeprefix(f"{part}/"): t for n, t in tensors.items() if n.startswith(f"{part}/")} for part in ("weight", *MOMENTS)}
    moments = {name: {moment: by[moment][name] for moment in MOMENTS} for name in by["exp_avg"]}
    return Saved(int(step), by["weight"], moments, tensors["losses"].tolist(), tensors["texts"])


def _sum(tensors: Mapping[str, torch.Tensor], step: str) -> str:
    found = sha256(step.encode())
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensors[name].numel() else b"")
    return found.hexdigest()


def weights_of(learned: Learned | None) -> str:
    """What is said in `identity` of the adapter that learning goes on from."""
    from loci.drivers.torch_lora.tensors import digest

    return digest(learned) if learned is not None else ""

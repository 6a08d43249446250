"""A compressor and the entries that it made, as files in the safetensors format: read strictly, nothing executed, nothing allocated before it is checked.

A compressor says for which model it was trained, an entry by which compressor it was made. Neither is used with another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from loci.drivers.torch_bank.compressor import Recipe, TorchCompressor
from loci.drivers.torch_kv.fingerprint import fingerprint_of, look
from loci.errors import Corrupt, IncompatiblePayload, Invalid, Missing
from loci.ports.banking import Entry
from loci.ports.engine import Fingerprint

SCHEMA = "3"
COMPRESSOR, ENTRY = "loci bank compressor", "loci bank entry"
DEPENDS = (
    "tokenizer",
    "template",
    "adapters",
    "dtype",
    "rope",
    "layers",
    "model",
)  # what of a fingerprint an entry depends on; the weights last
AGAIN = {COMPRESSOR: "Train a compressor for this model.", ENTRY: "Compress the document again."}
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def digest_of(compressor: TorchCompressor) -> str:
    """A hash of what a compressor has learned and of the model that it belongs to: entries of two that differ are never mixed."""
    found = sha256(json.dumps([_base(compressor.fingerprint), asdict(compressor.recipe)], sort_keys=True).encode())
    for name, tensor in compressor.learned().items():
        found.update(name.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def save_compressor(compressor: TorchCompressor, path: Path) -> None:
    """Writes what it has learned, whole or not at all."""
    about = {
        "kind": COMPRESSOR,
        "schema": SCHEMA,
        "base": json.dumps(_base(compressor.fingerprint)),
        "recipe": json.dumps(asdict(compressor.recipe)),
    }
    _write(path, compressor.learned(), {**about, "digest": digest_of(compressor)})


def load_compressor(path: Path, model: Any, tokenizer: Any, *, is_full_hash: bool = False) -> TorchCompressor:
    """The compressor of a file, for the model that it was trained on. Raises `Missing`, `Corrupt`, and `IncompatiblePayload` with what differs for
    another model."""
    with _opened(path, COMPRESSOR) as (file, about):
        known = fingerprint_of(model, tokenizer, look(model, is_full=is_full_hash))
        _check_base(path, about, known)
        recipe = _recipe(path, about)
        _check_recipe(path, file, recipe, len(known.layers))
        made = TorchCompressor(model, tokenizer, recipe, is_full_hash=is_full_hash)
        tensors = _tensors(path, file, {name: (tuple(t.shape), t.dtype) for name, t in made.learned().items()}, COMPRESSOR)
    with torch.no_grad():
        for name, tensor in made.learned().items():
            tensor.copy_(tensors[name])
    if digest_of(made) != about.get("digest"):
        raise _corrupt(path, COMPRESSOR, "its numbers are not those that were written")
    return made


def save_entry(entry: Entry, compressor: TorchCompressor, path: Path) -> None:
    """Writes an entry that this compressor made, whole or not at all."""
    at = entry.at.isoformat() if entry.at else ""
    about = {
        "kind": ENTRY,
        "schema": SCHEMA,
        "id": entry.id,
        "at": at,
        "compressor": digest_of(compressor),
        "base": json.dumps(_base(compressor.fingerprint)),
    }
    tensors = {"states": entry.states, "key": entry.key}
    _write(path, tensors, {**about, "digest": _digest(tensors, about)})


def load_entry(path: Path, compressor: TorchCompressor) -> Entry:
    """The entry of a file. Raises `Missing`, `Corrupt`, and `IncompatiblePayload` where another compressor made it."""
    with _opened(path, ENTRY) as (file, about):
        _check_base(path, about, compressor.fingerprint)
        made, own = about.get("compressor", ""), digest_of(compressor)
        if made != own:
            raise IncompatiblePayload(
                f"{path.name} was made by compressor {made[:12]}, and this is {own[:12]}. {AGAIN[ENTRY]}", "compressor", made, own
            )
        tensors = _tensors(path, file, _shapes(compressor), ENTRY)
    if _digest(tensors, about) != about.get("digest"):
        raise _corrupt(path, ENTRY, "it is not what was written")
    try:
        at = datetime.fromisoformat(about["at"]) if about["at"] else None
        return Entry(about["id"], at, tensors["states"].to(compressor.device), tensors["key"].to(compressor.device))
    except (KeyError, ValueError) as error:
        raise _corrupt(path, ENTRY, f"it does not say what it is of ({error})") from error


# -- what has to be -------------------------------------------------------------------------------------------------------


def _base(fingerprint: Fingerprint) -> dict[str, Any]:
    """What an entry depends on of the model, as JSON has it."""
    whole = asdict(fingerprint)
    return dict(json.loads(json.dumps({name: whole[name] for name in DEPENDS})))


def _check_base(path: Path, about: Mapping[str, str], fingerprint: Fingerprint) -> None:
    kind, now = about["kind"], _base(fingerprint)
    try:
        before = dict(json.loads(about["base"]))
    except (KeyError, ValueError, TypeError) as error:
        raise _corrupt(path, kind, f"it does not say of which model it is ({error})") from error
    for name in DEPENDS:
        was, found = (json.dumps(told.get(name)) for told in (before, now))
        if was != found:
            raise IncompatiblePayload(
                f"{path.name} is of a model with {name} {was[:60]}, and the one at hand has {found[:60]}. {AGAIN[kind]}", name, was, found
            )


def _shapes(compressor: TorchCompressor) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    layers, m = compressor.fingerprint.layers, compressor.recipe.tokens
    states = (len(layers), 2, layers[0].heads, m, layers[0].width)
    return {"states": (states, compressor.reader.dtype), "key": ((compressor.memory.shape[1],), torch.float32)}


def _recipe(path: Path, about: Mapping[str, str]) -> Recipe:
    try:
        told = json.loads(about["recipe"])
        return Recipe(**{**told, "targets": tuple(told["targets"])})
    except (KeyError, ValueError, TypeError, Invalid) as error:
        raise _corrupt(path, COMPRESSOR, f"it does not say how it was made ({error})") from error


def _check_recipe(path: Path, file: Any, recipe: Recipe, layers: int) -> None:
    """Nothing is made of a size that the file's own tensors do not have."""
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  (no mapping)
    deltas = {name: shape for name, shape in shapes.items() if ".lora_A." in name}
    adapted = {name.partition(".lora_A.")[0].rpartition(".")[2] for name in deltas}
    sizes = (recipe.tokens, recipe.rank, recipe.matched, recipe.longest)
    if not all(type(size) is int for size in sizes) or recipe.matched > layers or adapted != set(recipe.targets):
        raise _corrupt(path, COMPRESSOR, f"its layers cannot be adapted by {recipe}")
    if shapes.get("memory", ())[:1] != (recipe.tokens,) or any(shape[:1] != (recipe.rank,) for shape in deltas.values()):
        raise _corrupt(path, COMPRESSOR, f"its tensors have other sizes than {recipe}")


# -- files ----------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """A file and what it says of itself; every fault of the format is told as `Corrupt`."""
    if not path.is_file():
        raise Missing(f"There is no file {path}. {AGAIN[kind]}")
    try:
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
            if about.get("kind") != kind or about.get("schema") != SCHEMA:
                raise _corrupt(path, kind, f"it is {about.get('kind')!r} of schema {about.get('schema')!r}, not {kind!r} of {SCHEMA!r}")
            yield file, about
    except SafetensorError as error:
        raise _corrupt(path, kind, str(error)) from error


def _tensors(path: Path, file: Any, wanted: Mapping[str, tuple[tuple[int, ...], torch.dtype]], kind: str) -> dict[str, Tensor]:
    """Exactly these tensors, of these shapes and types, all finite."""
    if odd := sorted(wanted.keys() ^ set(file.keys())):
        raise _corrupt(path, kind, f"it has too many tensors or too few: {', '.join(odd[:3])}")
    found: dict[str, Tensor] = {}
    for name, (shape, dtype) in wanted.items():
        part = file.get_slice(name)
        if tuple(part.get_shape()) != shape or part.get_dtype() != NAMES.get(dtype):
            raise _corrupt(path, kind, f"{name} is {part.get_dtype()} {part.get_shape()}; it should be {NAMES.get(dtype)} {list(shape)}")
        found[name] = file.get_tensor(name)
        if not bool(found[name].isfinite().all()):
            raise _corrupt(path, kind, f"{name} has numbers that are none")
    return found


def _corrupt(path: Path, kind: str, what: str) -> Corrupt:
    return Corrupt(f"{path} is no {kind}: {what}. {AGAIN[kind]}")


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    found = sha256(json.dumps({name: told for name, told in about.items() if name != "digest"}, sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """In one piece: what was there stays until what replaces it is on the disk."""
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(about))
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

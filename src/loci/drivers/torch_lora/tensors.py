"""Torch's tensors as the kernel passes them on, and back, with a name for all of them together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import sha256

import torch

from loci.drivers.torch_kv.codecs import NAMES
from loci.errors import Corrupt, IncompatiblePayload, Unsupported
from loci.ports.adapting import Learned
from loci.ports.engine import Tensor, Tensors

TYPES = {name: dtype for dtype, name in NAMES.items()}


def name_of(dtype: torch.dtype) -> str:
    """What files call a type. Raises `Unsupported` for one that they do not hold."""
    if dtype not in NAMES:
        raise Unsupported(
            f"A cartridge of {dtype} numbers cannot be kept; there are {', '.join(map(str, NAMES))}. Load the model as one of them, or learn a lora."
        )
    return NAMES[dtype]


def told(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """In the order of their names."""
    found = {}
    for name in sorted(tensors):
        whole = tensors[name].detach().cpu().contiguous()
        found[name] = Tensor(name_of(whole.dtype), tuple(whole.shape), whole.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found


def read(tensors: Tensors) -> dict[str, torch.Tensor]:
    """On the CPU, with memory of their own."""
    return {name: torch.frombuffer(bytearray(t.data), dtype=TYPES[t.dtype]).reshape(t.shape) for name, t in tensors.items()}


def check(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> None:
    """Raises `IncompatiblePayload` where these are not tensors of just these names and shapes and this type, `Corrupt` where their bytes are too few or many, or
    hold what is no finite number."""
    if set(tensors) != set(shapes):
        odd = sorted(set(tensors) ^ set(shapes))[0]
        _refuse("layers", odd if odd in tensors else f"no {odd}", odd if odd in shapes else f"no {odd}")
    for name, shape in shapes.items():
        found = tensors[name]
        if found.dtype != name_of(dtype):
            _refuse("dtype", f"{name}: {found.dtype}", name_of(dtype))
        if tuple(found.shape) != shape:
            _refuse("shape", f"{name}: {list(found.shape)}", str(list(shape)))
        size = math.prod(shape) * dtype.itemsize
        if len(memoryview(found.data).cast("B")) != size:
            raise Corrupt(f"{name} of this adapter has {len(found.data):,} bytes; {list(shape)} takes {size:,}. Learn it again.")
        if not bool(torch.isfinite(torch.frombuffer(bytearray(found.data), dtype=dtype)).all()):
            raise Corrupt(f"{name} of this adapter holds what is no finite number. Learn it again.")


def _refuse(field: str, stored: str, current: str) -> None:
    message = f"This adapter is not of this model: in {field} it has {stored}, the model {current}. Learn it again with this model."
    raise IncompatiblePayload(message, field, stored, current)


def digest(learned: Learned) -> str:
    """What tells an adapter from every other that would answer otherwise: 32 hexadecimal digits."""
    recipe = learned.recipe
    found = sha256(json.dumps([recipe.form, recipe.rank, recipe.alpha]).encode())
    for name in sorted(learned.tensors):
        tensor = learned.tensors[name]
        found.update(json.dumps([name, tensor.dtype, list(tensor.shape)]).encode())
        found.update(tensor.data)
    return found.hexdigest()[:32]

"""A page of keys and values as named tensors, and back: as they are, or as codes of 8 or 4 bits with a bound on what that changes.

Codes are asymmetric and uniform: x is kept as q, the nearest of 2**bits - 1 steps of s above m. Keys have an s and an m for each channel
of a head, over the page's tokens (a few channels of keys are large at every token); values for each token, over ``GROUP`` channels. The
error of an element is s / 2 at the most; s and m are float16, rounded so that the steps still reach from the least x to the
greatest. The layout is KIVI's (arXiv 2402.02750); the bound is checked here, element by element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from loci.drivers.torch_kv.state import KVPage
from loci.errors import Corrupt, Unsupported
from loci.ports.engine import Codec, LayerShape, Tensor, Tensors

GROUP = 64  # channels of a value that share a scale
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.uint8: "U8"}


def encode(page: KVPage, codec: Codec) -> Tensors:
    """The tensors of a page: ``L{layer}.k`` and ``.v`` of shape [heads, tokens, width]; coded ones have ``.q`` (codes), ``.s`` (steps) and
    ``.m`` (least values) instead, in groups as `_grouped` lays them. What is held at the end of a text is kept as it is by every codec."""
    found = {name: _out(tensor) for name, tensor in page.ends.items()}
    for number, (keys, values) in enumerate(zip(page.keys, page.values, strict=True)):
        if not keys.numel():
            continue
        for letter, tensor in (("k", keys), ("v", values)):
            name = f"L{number}.{letter}"
            if codec.bits:
                q, s, m = _quantize(_grouped(tensor.float(), letter), codec.bits)
                found |= {f"{name}.q": _out(_packed(q, codec.bits)), f"{name}.s": _out(s), f"{name}.m": _out(m)}
            else:
                found[name] = _out(tensor)
    return found


def decode(ids: Sequence[int], codec: Codec, tensors: Tensors, shapes: Sequence[LayerShape], dtype: torch.dtype) -> KVPage:
    """A page of these tokens, on the CPU. Raises `Corrupt` where it lacks a tensor, or has one of another shape or type."""
    keys: list[torch.Tensor] = []
    values: list[torch.Tensor] = []
    bounds = {"k": 0.0, "v": 0.0}
    for number, shape in enumerate(shapes):
        for letter, whole, width in (("k", keys, shape.width), ("v", values, shape.values or shape.width)):
            if not shape.heads:
                whole.append(torch.empty(0, len(ids), 0, dtype=dtype))
                continue
            part, bound = _part(tensors, f"L{number}.{letter}", (shape.heads, len(ids), width), codec, dtype)
            whole.append(part)
            bounds[letter] = max(bounds[letter], bound)
    return KVPage(tuple(ids), tuple(keys), tuple(values), (bounds["k"], bounds["v"]))


def decode_end(tensors: Tensors, ends: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> KVPage:
    """The end of a state, which has these tensors and no others. Raises `Corrupt` as `decode` does."""
    if others := sorted(set(tensors) - set(ends)):
        raise Corrupt(f"The end of this memory has {others[0][:40]!r}, which this model does not hold there. Build the memory again.")
    return KVPage((), (), (), ends={name: _in(tensors, name, shape, dtype) for name, (dtype, shape) in ends.items()})


def encode_hidden(page: KVPage) -> Tensors:
    """The inputs of attention, ``L{layer}.x`` of shape [tokens, d]."""
    return {f"L{number}.x": _out(x) for number, x in enumerate(page.hidden)}


def decode_hidden(ids: Sequence[int], tensors: Tensors, layers: int, size: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """What `encode_hidden` kept. Raises `Corrupt` as `decode` does."""
    return [_in(tensors, f"L{number}.x", (len(ids), size), dtype) for number in range(layers)]


def _part(page: Tensors, name: str, shape: tuple[int, int, int], codec: Codec, dtype: torch.dtype) -> tuple[torch.Tensor, float]:
    """[heads, tokens, width] of one page, and the bound of its codec."""
    if not codec.bits:
        return _in(page, name, shape, dtype), 0.0
    heads, tokens, width = shape
    group = _group(width)
    grouped = (heads, width, tokens) if name[-1] == "k" else (heads, tokens, width // group, group)
    scales = (*grouped[:-1], 1)
    s, m = _in(page, f"{name}.s", scales, torch.float16).float(), _in(page, f"{name}.m", scales, torch.float16).float()
    size = heads * tokens * width
    packed = (size,) if codec.bits == 8 else ((size + 1) // 2,)
    x = m + _unpacked(_in(page, f"{name}.q", packed, torch.uint8), codec.bits, size).reshape(grouped) * s
    part = x.transpose(1, 2) if name[-1] == "k" else x.reshape(shape)
    return part.to(dtype).contiguous(), float(s.max()) / 2


def _quantize(x: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, steps and least values of groups, whose members are on the last axis. Raises `Unsupported` where the bound would not hold."""
    least, most = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    steps = 2**bits - 1
    m = _rounded(least, -1)
    s = _rounded((most - m.float()).clamp_min(0) / steps, 1)
    if not (torch.isfinite(s).all() and torch.isfinite(m).all()):
        raise Unsupported(
            "These keys or values are not finite, or beyond 65,504, which is what the codec's scales hold. Use the codec raw."
        )
    q = ((x - m.float()) / s.float().clamp_min(1e-30)).round().clamp(0, steps)
    rounding = 1e-6 * torch.maximum(least.abs(), most.abs())  # of float32, in which this is computed
    wrong = (m.float() + q * s.float() - x).abs() > s.float() / 2 * (1 + 1e-5) + rounding
    if wrong.any():
        raise Unsupported(f"{int(wrong.sum())} numbers are further from their codes than the codec promises. Use the codec raw.")
    return q.to(torch.uint8), s, m


def _rounded(x: torch.Tensor, direction: int) -> torch.Tensor:
    """The nearest float16 that is not below x (1), or not above it (-1)."""
    half = x.half()
    return torch.where((half.float() - x) * direction < 0, _next(half, direction), half)


def _next(half: torch.Tensor, direction: int) -> torch.Tensor:
    """The neighbouring float16, by way of its bits as integers in the order of what they stand for."""
    bits = half.view(torch.int16).int()
    bits = torch.where(bits < 0, -32768 - bits, bits) + direction
    return torch.where(bits < 0, -32768 - bits, bits).to(torch.int16).view(torch.float16)


def _grouped(x: torch.Tensor, letter: str) -> torch.Tensor:
    """[heads, tokens, width] with the members of a group last: keys [heads, width, tokens], values [heads, tokens, groups, members]."""
    if letter == "k":
        return x.transpose(1, 2)
    group = _group(x.shape[-1])
    return x.reshape(x.shape[0], x.shape[1], x.shape[2] // group, group)


def _group(width: int) -> int:
    return GROUP if width % GROUP == 0 else width


def _packed(q: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes in a row; of 4 bits two in a byte, the earlier one below."""
    flat = q.reshape(-1)
    if bits == 8:
        return flat
    flat = torch.cat([flat, flat.new_zeros(flat.numel() % 2)])
    return flat[::2] | (flat[1::2] << 4)


def _unpacked(q: torch.Tensor, bits: int, size: int) -> torch.Tensor:
    return q if bits == 8 else torch.stack([q & 15, q >> 4], -1).reshape(-1)[:size]


def _out(tensor: torch.Tensor) -> Tensor:
    whole = tensor.detach().cpu().contiguous()
    return Tensor(NAMES[whole.dtype], tuple(whole.shape), memoryview(whole.reshape(-1).view(torch.uint8).numpy()))


def _in(page: Tensors, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    found = page.get(name)
    if found is None:
        raise Corrupt(f"A page of this memory lacks {name}. Build the memory again.")
    if found.shape != shape or found.dtype != NAMES[dtype]:
        raise Corrupt(
            f"A page of this memory has {name} as {found.dtype} {list(found.shape)}; it should be {NAMES[dtype]} {list(shape)}. Build the memory again."
        )
    return torch.frombuffer(found.data, dtype=dtype).reshape(shape)

"""The files of activation memory: named tensors in the safetensors format, written plainly and read strictly.

A file is eight bytes that say how long the header is, the header as JSON (name: type, shape, and where its bytes begin and end), and the
bytes, which must fill the rest without a gap. Nothing in a file can be executed, and nothing is allocated before all of this is checked.
"""

from __future__ import annotations

import json
from math import prod

from loci.errors import Corrupt, TooLarge
from loci.ports.engine import Tensor, Tensors

LONGEST_HEADER = 1 << 20  # bytes
MOST_TENSORS = 8192
SIZES = {"U8": 1, "F16": 2, "BF16": 2, "F32": 4, "I32": 4}  # bytes of the types that pages have
AGAIN = "The file is not used; build the memory again (`loci activate`)."


def dump(tensors: Tensors) -> bytes:
    """The bytes of a file; the same tensors give the same bytes. Raises `TooLarge` for more than `load` would take."""
    header: dict[str, object] = {}
    place = 0
    for name, tensor in sorted(tensors.items()):
        size = len(tensor.data)
        assert size == SIZES[tensor.dtype] * prod(tensor.shape), name
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [place, place + size]}
        place += size
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    if len(header) > MOST_TENSORS or len(told) > LONGEST_HEADER:
        raise TooLarge(
            f"A file of {len(header):,} tensors, with {len(told):,} bytes of names, is more than {MOST_TENSORS:,} and {LONGEST_HEADER:,}. Choose fewer layers."
        )
    return b"".join([len(told).to_bytes(8, "little"), told, *(bytes(tensor.data) for _, tensor in sorted(tensors.items()))])


def load(data: memoryview, again: str = AGAIN) -> Tensors:
    """The tensors of a file, which share its memory. Raises `Corrupt` for anything that is not as `dump` would have written it, with what makes it ``again``."""
    try:
        return _tensors(data)
    except ValueError as error:
        raise Corrupt(f"{error} {again}") from error


def _tensors(data: memoryview) -> Tensors:
    """The same. Raises `ValueError`."""
    size = int.from_bytes(data[:8], "little") if len(data) >= 8 else -1
    if not 0 <= size <= min(LONGEST_HEADER, len(data) - 8):
        raise ValueError(f"A page of {len(data)} bytes has no header of a length that could be.")
    header, body = _header(bytes(data[8 : 8 + size])), data[8 + size :]
    found: dict[str, Tensor] = {}
    place = 0
    for name, told in header.items():
        dtype, shape, start, stop = _entry(name, told)
        if start != place or stop - start != SIZES[dtype] * prod(shape):
            raise ValueError(f"Tensor {name[:40]!r} lies at {start} to {stop}, which its shape {shape} or its neighbours contradict.")
        found[name] = Tensor(dtype, tuple(shape), body[start:stop])
        place = stop
    if place != len(body):
        raise ValueError(f"A page's tensors fill {place} bytes and it has {len(body)}: it was cut off or added to.")
    return found


def _header(raw: bytes) -> dict[str, object]:
    try:
        header = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ValueError("A page's header is not JSON.") from error
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise ValueError(f"A page's header does not list tensors, or more than {MOST_TENSORS}.")
    return header


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _entry(name: str, told: object) -> tuple[str, list[int], int, int]:
    """(type, shape, start, stop) of a line of the header."""
    if isinstance(told, dict) and set(told) == {"dtype", "shape", "data_offsets"}:
        dtype, shape, ends = told["dtype"], told["shape"], told["data_offsets"]
        if (
            isinstance(dtype, str)
            and dtype in SIZES
            and _are_sizes(shape, 8)
            and _are_sizes(ends, 2)
            and len(ends) == 2
            and ends[0] <= ends[1]
        ):
            return dtype, shape, ends[0], ends[1]
    raise ValueError(f"A page's header says of tensor {name[:40]!r} what no page has.")


def _are_sizes(found: object, most: int) -> bool:
    return isinstance(found, list) and len(found) <= most and all(type(n) is int and 0 <= n < 1 << 48 for n in found)

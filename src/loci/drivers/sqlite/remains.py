"""Which of many runs of bytes occur in others: what an erasure has left, looked for in one pass, however many words went."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from loci.text.residue import PIECE

FEW = 48  # of so many each is looked for by itself, which is faster
RUN = 1 << 22  # bytes at a time
WORDS = PIECE // 8
FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
BITS = 20  # of the table by which most places are passed over


def occurring(wanted: Collection[bytes], data: bytes) -> set[bytes]:
    """Those of these runs, of `PIECE` bytes each, that occur in the data."""
    if len(wanted) <= FEW:
        return {piece for piece in wanted if piece in data}
    known = np.sort(_hashes(b"".join(wanted), 0, PIECE * len(wanted))[::WORDS])
    table = np.zeros(1 << BITS, dtype=bool)
    table[known >> np.uint64(64 - BITS)] = True
    found, bytewise = set[bytes](), np.frombuffer(data, dtype=np.uint8)
    for start in range(0, len(data), RUN):
        for shift in range(start, start + 8):
            hashes = _hashes(data, shift, RUN)
            near = np.flatnonzero(table[hashes >> np.uint64(64 - BITS)])
            near = near[known[np.searchsorted(known[:-1], hashes[near])] == hashes[near]]
            there = bytewise[(shift + 8 * near)[:, None] + np.arange(PIECE)]
            found.update(row.tobytes() for row in np.unique(there, axis=0))
    return found.intersection(wanted)


def _hashes(data: bytes, start: int, length: int) -> NDArray[np.uint64]:
    """A number for each run of `PIECE` bytes that begins at a whole word from ``start`` on, and within that length: equal for equal ones."""
    size = min(len(data) - start, length + PIECE - 8)
    if size < PIECE:
        return np.zeros(0, dtype=np.uint64)
    words = np.frombuffer(data, dtype=np.uint64, offset=start, count=size // 8)
    count = len(words) - WORDS + 1
    mixed = np.zeros(count, dtype=np.uint64)
    for place, factor in enumerate(FACTORS):
        word = words[place : place + count]
        mixed += (word ^ (word >> np.uint64(29))) * np.uint64(factor)
    return mixed

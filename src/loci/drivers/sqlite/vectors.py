"""The vectors of a cube in memory, and how near a question lies to some of them.

Up to some thousands every cosine is computed. Beyond, the signs of the components are compared first (a bit each: 48 bytes are
read where a vector of 384 takes 1,536), and only the cosines of the best of those are computed: Charikar's sign hashing (STOC 2002) with rescoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loci.errors import Corrupt

EXACT = 16_384  # vectors: of so many every cosine is computed
SHORTLIST = 2000  # vectors that are nearest by their signs, and are compared exactly
SAMPLE = 2048  # of more vectors, so many tell what cosines are like
BLOCK = 32_768  # vectors whose signs are compared at a time: what stays in the processor's cache
SPREAD, SPREAD_WEIGHT = 0.1, 20  # what cosines are taken to spread before there are many to tell, and how many texts that is worth

Positions = NDArray[np.int64]
Direction = NDArray[np.float32]


class Vectors:
    """Rows of unit vectors in the order they were computed, each of one content."""

    def __init__(self) -> None:
        self._count = 0
        self._rows: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)
        self._signs: list[NDArray[np.uint64]] = []  # 64 components of all vectors together, then the next 64
        self._contents = np.zeros(0, dtype=np.int64)
        self._slot = slots(self._contents)

    def __len__(self) -> int:
        return self._count

    @property
    def width(self) -> int:
        """How many numbers each has."""
        return int(self._rows.shape[1])

    def apart(self) -> Vectors:
        """A copy that can go another way. It has no room left, so what it takes in goes elsewhere."""
        other = copy(self)
        other._rows, other._contents = self._rows[: self._count], self._contents[: self._count]
        other._signs = [word[: self._count] for word in self._signs]
        return other

    @property
    def contents(self) -> Positions:
        """The content of each row."""
        return self._contents[: self._count]

    def append(self, contents: Sequence[int], data: Sequence[bytes]) -> None:
        """Takes in further rows, as they are stored: float32."""
        known = {4 * self._rows.shape[1]} if self._count else set()
        if len(known | {len(row) for row in data}) > 1 or len(data[0]) % 4:
            raise Corrupt("A stored vector has the wrong length. Run `loci verify`, and restore a copy.")
        fresh = np.frombuffer(b"".join(data), dtype=np.float32).reshape(len(data), -1)
        signs = _signs(fresh)
        if not self._count:
            self._rows, self._signs = fresh[:0], [word[:0] for word in signs]
        self._rows = _grown(self._rows, self._count, fresh)
        self._contents = _grown(self._contents, self._count, np.asarray(contents))
        self._signs = [_grown(known, self._count, word) for known, word in zip(self._signs, signs, strict=True)]
        self._count += len(fresh)
        self._slot = slots(self.contents)

    def places(self, contents: Positions) -> Positions:
        """The row of each content; -1 where it has none."""
        return look_up(self._slot, contents)

    def compare(self, vector: Direction, rows: Positions | None = None) -> NDArray[np.float32]:
        """Inner products with these rows, or with all. Row by row, not as a matrix: BLAS would start threads, which spin while
        another process has the cores."""
        every = self._rows[: self._count]
        is_most = rows is None or 2 * len(rows) > self._count  # reading a few too many costs less than copying the rest together
        products: NDArray[np.float32] = np.vecdot(every if is_most else every[rows], vector)
        return products if rows is None or not is_most else products[rows]

    def likeness(self, contents: Sequence[int], to: Sequence[int]) -> list[NDArray[np.float64]]:
        """Inner products of the vectors of contents with those of others, a column for each of these; NaN where one has none."""
        if not self._count:
            return [np.full(len(contents), np.nan) for _ in to]
        place, other = (self.places(np.asarray(of, dtype=np.int64)) for of in (contents, to))
        found = np.vecdot(self._rows[other][:, None], self._rows[place][None])
        found[(other < 0)[:, None] | (place < 0)[None]] = np.nan
        return list(found.astype(np.float64))

    def differing(self, vector: Direction, rows: Positions | None = None) -> NDArray[np.uint16]:
        """For these rows, or all, in how many components their sign differs from the vector's."""
        found = np.zeros(self._count if rows is None else len(rows), dtype=np.uint16)
        wanted = _signs(vector[None])[:, 0]
        for start in range(0, len(found), BLOCK):
            part = found[start : start + BLOCK]
            place = slice(start, start + len(part)) if rows is None else rows[start : start + BLOCK]
            for word, signs in zip(wanted, self._signs, strict=True):
                part += np.bitwise_count(signs[place] ^ word)
        return found


class Nearness:
    """Cosines of the rows of one selection with a question. ``best`` has the places of the nearest, the nearest first; ``mean``,
    ``deviation`` and ``closest`` are of all. ``places`` are those that have a vector, and ``rows`` their vectors; None: all."""

    def __init__(
        self, vectors: Vectors, vector: Direction, content: Positions, places: Positions, rows: Positions | None, top: int
    ) -> None:
        self._vectors, self._vector, self._content = vectors, vector, content
        self.count = len(places)
        self.mean, self.deviation, self.closest = 0.0, 0.0, 0.0
        self.best, self._known = places[:0], None
        if not self.count:
            return
        if self.count <= EXACT:
            products = sample = vectors.compare(vector, rows)
            self._known = np.full(len(content), np.nan, dtype=np.float32)
            self._known[places] = products
        else:
            every = np.arange(self.count) if rows is None else rows
            sample = vectors.compare(vector, every[:: -(-self.count // SAMPLE)])
            listed = _fewest(vectors.differing(vector, rows), SHORTLIST)
            places, products = places[listed], vectors.compare(vector, every[listed])
        order = best(products, top)
        self.best, self.closest = places[order], float(products[order[0]])
        spread = len(sample) * float(sample.var()) + SPREAD_WEIGHT * SPREAD**2
        self.mean, self.deviation = float(sample.mean()), float(np.sqrt(spread / (len(sample) + SPREAD_WEIGHT)))

    def of(self, places: Positions) -> NDArray[np.float32]:
        """The cosines of the rows at these places; NaN where one has no vector."""
        if self._known is not None:
            return self._known[places]
        if not self.count:
            return np.full(len(places), np.nan, dtype=np.float32)
        row = self._vectors.places(self._content[places])
        found = self._vectors.compare(self._vector, row)
        found[row < 0] = np.nan
        return found


def best(scores: NDArray[Any], count: int) -> Positions:
    """Positions of the largest, the largest first; at most ``count``."""
    if len(scores) <= count:
        return np.argsort(-scores)
    found = np.argpartition(scores, -count)[-count:]
    return found[np.argsort(-scores[found])]


def slots(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """A table from key to position; -1 where a key does not occur."""
    table = np.full(int(keys.max()) + 2 if len(keys) else 1, -1, dtype=np.int64)
    table[keys] = np.arange(len(keys))
    return table


def look_up(table: NDArray[np.int64], keys: NDArray[np.int64]) -> Positions:
    """The position of each key; -1 for one that does not occur. The last slot is always free."""
    last = len(table) - 1
    return table[np.where((keys < 0) | (keys > last), last, keys)]


def _fewest(numbers: NDArray[np.uint16], count: int) -> Positions:
    """Positions of the smallest of many small numbers, in no order; of those that are as small as the last, the later."""
    last = int(np.searchsorted(np.cumsum(np.bincount(numbers)), count))
    below, level = np.flatnonzero(numbers < last), np.flatnonzero(numbers == last)
    return np.concatenate([below, level[len(level) - (count - len(below)) :]])


def _signs(vectors: NDArray[np.float32]) -> NDArray[np.uint64]:
    """The signs of vectors, 64 to a word; shape (words, vectors), so that a word of all lies together."""
    bits = np.packbits(vectors > 0, axis=1)
    words = -(-bits.shape[1] // 8)
    padded = np.zeros((len(bits), 8 * words), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.ascontiguousarray(padded.view(np.uint64).T)


def _grown(known: NDArray[Any], count: int, fresh: NDArray[Any]) -> NDArray[Any]:
    """The first ``count`` rows and then the fresh ones, with room for more where there was none."""
    total = count + len(fresh)
    if total > len(known):
        room = np.zeros((max(total, 2 * len(known)), *fresh.shape[1:]), dtype=fresh.dtype)
        room[:count] = known[:count]
        known = room
    known[count:total] = fresh
    return known

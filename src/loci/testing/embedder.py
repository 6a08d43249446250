"""Embedders that need no model: one that hashes words, and one that fails."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from loci.errors import EmbedderFailed
from loci.text.tokens import words

if TYPE_CHECKING:
    from numpy.typing import NDArray


class HashEmbedder:
    """A real `Embedder`: each word adds a direction drawn from its hash and the embedder's name, so texts that share words
    are near, texts that share none are nearly at right angles, and two names have nothing to say to each other."""

    def __init__(self, name: str = "hash-64", dimensions: int = 64) -> None:
        self.name, self.dimensions = name, dimensions
        self.embedded = 0  # texts so far
        self._known: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in words(text) or [""]:
                row += self._direction(word)
            row /= np.linalg.norm(row)
        self.embedded += len(texts)
        return rows

    def _direction(self, word: str) -> NDArray[np.float32]:
        found = self._known.get(word)
        if found is None:
            seed = blake2b(f"{self.name}\0{word}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
            drawn = np.random.default_rng(int.from_bytes(seed, "big")).standard_normal(self.dimensions)
            found = self._known[word] = (drawn / np.linalg.norm(drawn)).astype(np.float32)
        return found


class FailingEmbedder(HashEmbedder):
    """A `HashEmbedder` that raises `EmbedderFailed` while ``is_failing``."""

    def __init__(self, name: str = "hash-64", dimensions: int = 64) -> None:
        super().__init__(name, dimensions)
        self.is_failing = True

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.is_failing:
            raise EmbedderFailed("the embedder is set to fail")
        return super().embed(texts)

"""What a bank of compressed documents asks of a model that compresses, and what teaching such a model asks of a method. Tensors are torch's, and only
named here: L layers, H heads of keys, m memory tokens, w numbers a head, d numbers a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

LEFT_OUT = -100  # a target that does not count
Turn = Callable[["Tensor", int], "Tensor"]
"""Keys [..., H, m, w] as they would be if read so many places later."""


class Document(Protocol):
    """What a bank needs to know of a document; a `Memory` is one."""

    @property
    def id(self) -> str: ...

    @property
    def at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A document in a bank: ``states``, keys and values [L, 2, H, m, w] of its memory tokens at places 0 to m - 1, and its ``key``, float32 [d] of
    length 1. Never written to."""

    id: str
    at: datetime | None
    states: Tensor
    key: Tensor

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.states, self.key))


class Compressor(Protocol):
    """A frozen model that was taught to compress. The same tokens give the same bits."""

    def compress(self, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Of a document: the states of an entry, and the mean of the last states at its memory tokens, [d]. Raises `Invalid` for tokens that it cannot read."""

    def turn(self, keys: Tensor, places: int) -> Tensor:
        """As `Turn`."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What came of Q questions over N documents in a step of teaching, T tokens each and V words: ``said`` after the prefix and ``taught`` after the document itself, logits
    [Q, T, V]; ``wanted`` [Q, T]; the ``scores`` of the documents [Q, N] and which one is ``gold`` [Q]; of some documents, ``rebuilt`` [B, T, V] after their own
    entry alone, and what they are, ``documents`` [B, T]. Targets that are `LEFT_OUT` do not count."""

    said: Tensor
    taught: Tensor
    wanted: Tensor
    scores: Tensor
    gold: Tensor
    rebuilt: Tensor
    documents: Tensor


class Objective(Protocol):
    """What a compressor is taught for, and how its entries will be used. Pure: no chance, nothing changed."""

    def scores(self, questions: Tensor, keys: Tensor) -> Tensor:
        """How well documents match, [Q, N], of mean states [Q, d] and directions [N, d]."""

    def direction(self, states: Tensor) -> Tensor:
        """The keys of mean states, [N, d], of length 1."""

    def chosen(self, scores: Tensor, gold: Tensor) -> Tensor:
        """Which documents a question is answered from, int64 [Q, k], the gold one among them, ascending."""

    def hardest(self, keys: Tensor, anchors: Tensor, count: int) -> Tensor:
        """The documents most easily taken for each of these, int64 [A, count]."""

    def aggregated(self, entries: Tensor, scores: Tensor, turn: Turn) -> Tensor:
        """One prefix [..., L, 2, H, n, w] of the states of entries [..., k, L, 2, H, m, w] with these scores [..., k]."""

    def loss(self, trial: Trial) -> Tensor:
        """What is to become less."""

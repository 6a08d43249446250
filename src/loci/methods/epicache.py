"""EpiCache (Kim et al., ICML 2026, arXiv 2509.17396): a conversation in episodes, a small cache for each, and a question is asked of one.

Windows of the conversation are put together by likeness. What an episode's cache keeps is what the episode's own most typical windows attend
to when they are read once more (the patched prompt). A question goes to the episode nearest to it.

Otherwise here: episodes grow with the conversation instead of being clustered when it is over, so a new window costs one block on one cache;
an episode may be judged by another method; sinks are protected (by the plan); every layer has the same budget unless somebody allocates otherwise (`policy.eviction`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import torch

from loci.errors import Invalid
from loci.ports import Need, ScoreContext, Scorer

if TYPE_CHECKING:
    from torch import Tensor

RUNS, ROUNDS = 10, 50  # of k-means: starts, and steps at most


@dataclass(frozen=True, slots=True)
class Patched:
    """The scorer of one episode: the most that any of the probe's queries gives an entry, now. Earlier scores are not carried."""

    tokens: tuple[int, ...]

    @property
    def name(self) -> str:
        said = sha256(b"".join(token.to_bytes(4, "little") for token in self.tokens)).hexdigest()[:12]
        return f"epicache, a probe of {len(self.tokens)} ({said})"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"probe"})

    def probe(self, block: Sequence[int]) -> Sequence[int]:
        """The patched prompt, or the block itself for an episode that has none yet."""
        return self.tokens or tuple(block)

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        """Float32 [H, n] a layer, in 0..1: the maximum over queries and the head's group."""
        return context.attention


@dataclass(frozen=True, slots=True)
class EpiCache:
    """How episodes are made: ``most`` of them, ``medoids`` windows in a patched prompt behind ``instruction`` (token ids), cut to ``longest`` tokens.

    A window whose cosine to the nearest episode is below ``tau`` opens a new one while there is room. The paper has 4 episodes and 8 medoids (its code's default: 4).
    ``judge`` scores every episode's cache in place of its patched prompt: where an episode reads its own windows alone, any method that knows no
    question keeps what belongs to the episode.
    """

    most: int = 4
    medoids: int = 8
    tau: float = 0.5
    instruction: tuple[int, ...] = ()
    longest: int = 512
    judge: Scorer | None = None

    def __post_init__(self) -> None:
        if self.most < 1 or self.medoids < 1 or not -1 <= self.tau <= 1 or self.longest <= len(self.instruction):
            raise Invalid(f"EpiCache needs an episode, a medoid, tau in [-1, 1] and room for more than the instruction: {self}.")

    def book(self) -> Book:
        """An empty record of a conversation's episodes."""
        return Book(self)

    def clustered(self, windows: Sequence[Sequence[int]], vectors: Sequence[Sequence[float]], seed: int = 42) -> Book:
        """The record of a conversation that is already there: its windows by spherical k-means into at most ``most`` episodes."""
        groups = kmeans(torch.tensor([list(v) for v in vectors]), min(self.most, len(vectors)), seed)
        book = Book(self)
        for tokens, vector, group in zip(windows, vectors, groups, strict=True):
            book.remember(group, tokens, vector)
        return book


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the conversation and its direction."""

    number: int
    tokens: tuple[int, ...]
    vector: tuple[float, ...]


@dataclass(slots=True)
class Book:
    """The episodes so far: the port `Episodes`."""

    method: EpiCache
    episodes: list[list[Window]] = field(default_factory=list)
    sums: list[list[float]] = field(default_factory=list)  # of the unit vectors of each episode's windows
    count: int = 0

    def join(self, tokens: Sequence[int], vector: Sequence[float]) -> int:
        """The nearest episode; a new one if that is farther than ``tau`` and there is room for it."""
        direction = _unit(vector)
        nearest = max(range(len(self.sums)), key=lambda e: self._cosine(e, direction), default=-1)
        if nearest < 0 or (self._cosine(nearest, direction) < self.method.tau and len(self.sums) < self.method.most):
            nearest = len(self.sums)
        self.remember(nearest, tokens, vector)
        return nearest

    def remember(self, episode: int, tokens: Sequence[int], vector: Sequence[float]) -> None:
        """Notes a window of an episode; the one after the last opens."""
        while len(self.episodes) <= episode:
            self.episodes.append([])
            self.sums.append([0.0] * len(vector))
        direction = _unit(vector)
        self.episodes[episode].append(Window(self.count, tuple(tokens), direction))
        self.sums[episode] = [a + b for a, b in zip(self.sums[episode], direction, strict=True)]
        self.count += 1

    def windows(self) -> list[list[int]]:
        """The numbers of each episode's windows."""
        return [[window.number for window in windows] for windows in self.episodes]

    def route(self, vector: Sequence[float]) -> int:
        """The episode whose mean direction is nearest. Raises `Invalid` where there is none."""
        if not self.sums:
            raise Invalid("No window has been read yet, so there is no episode to ask; append one first.")
        direction = _unit(vector)
        return max(range(len(self.sums)), key=lambda e: self._cosine(e, direction))

    def patched(self, episode: int) -> tuple[int, ...]:
        """The instruction and the episode's windows nearest to its mean direction, in the order of time, cut to ``longest``."""
        nearest = sorted(self.episodes[episode], key=lambda w: (-self._cosine(episode, w.vector), w.number))[: self.method.medoids]
        tokens = [t for window in sorted(nearest, key=lambda w: w.number) for t in window.tokens]
        return (*self.method.instruction, *tokens)[: self.method.longest]

    def scorer(self, episode: int) -> Scorer:
        """The judge, or what the episode's patched prompt attends to, as it is now."""
        return self.method.judge or Patched(self.patched(episode))

    def _cosine(self, episode: int, direction: Sequence[float]) -> float:
        total = self.sums[episode]
        length = math.hypot(*total)
        return sum(a * b for a, b in zip(total, direction, strict=True)) / length if length else 0.0


def kmeans(vectors: Tensor, count: int, seed: int) -> list[int]:
    """The group of each vector [n, d], by cosine: the best of ten seeded starts, groups numbered in the order of their first vector."""
    draw = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(vectors.double(), dim=1)
    best, found = -math.inf, torch.zeros(len(points), dtype=torch.int64)
    for _ in range(RUNS):
        centres = points[_spread(points, count, draw)]
        for _ in range(ROUNDS):
            groups = (points @ centres.T).argmax(1)
            sums = torch.zeros_like(centres).index_add_(0, groups, points)
            moved = torch.where(sums.norm(dim=1, keepdim=True) > 0, torch.nn.functional.normalize(sums, dim=1), centres)
            if torch.equal(moved, centres):
                break
            centres = moved
        worth = float((points @ centres.T).amax(1).sum())
        if worth > best:
            best, found = worth, (points @ centres.T).argmax(1)
    names: dict[int, int] = {}
    return [names.setdefault(int(g), len(names)) for g in found]


def _spread(points: Tensor, count: int, draw: torch.Generator) -> list[int]:
    """Starting points far from each other: each next one by chance, in proportion to 1 - its cosine to the nearest chosen (k-means++)."""
    chosen = [int(torch.randint(len(points), (1,), generator=draw))]
    while len(chosen) < count:
        far = (1 - (points @ points[chosen].T).amax(1)).clamp(min=0)
        far[chosen] = 0
        chosen.append(int(torch.multinomial(far if bool(far.sum() > 0) else torch.ones(len(points)).double(), 1, generator=draw)))
    return chosen


def _unit(vector: Sequence[float]) -> tuple[float, ...]:
    length = math.hypot(*vector)
    if not length or not math.isfinite(length):
        raise Invalid("A window's vector has no direction; give one of finite, positive length.")
    return tuple(x / length for x in vector)

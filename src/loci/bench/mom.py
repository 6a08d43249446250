"""What a recurrent memory of several matrices recalls beside one matrix, one of as many numbers, and attention: associative recall (MQAR; Arora et al. 2023, arXiv 2312.04927).

A text tells pairs of a key and a value, then names each key once among filler, and the value is to be said at each. Keys, values and their order are drawn anew for every text, so nothing can be
known but what stands in it. All arms have the same embedding, layers, convolution and lessons.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from typing import Any

import torch
from torch import Tensor
from torch.nn import Embedding, Linear, Module, ModuleList, Parameter, RMSNorm
from torch.nn.functional import cross_entropy, scaled_dot_product_attention, silu

from loci.bench.bank_model import rate as share
from loci.bench.optimisers import optimisers
from loci.errors import Invalid
from loci.methods.mom import TAPS, Form, MixtureOfMemories

ONE, MOM, OWN, WIDE, FULL = "one memory", "MoM, shared projections", "MoM, own projections", "one memory, as many numbers", "attention"
ARMS = (ONE, MOM, OWN, WIDE, FULL)
BALANCE = 0.01  # what the balance counts beside an answer
ASKED = 512  # texts of the examination
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """``pairs`` that texts of ``length`` tokens tell, each number of them examined by itself. ``keys`` x ``values`` numbers a head and memory; ``words`` of either kind."""

    pairs: tuple[int, ...] = (4, 8, 16, 32)
    length: int = 128
    width: int = 64
    layers: int = 2
    heads: int = 1
    keys: int = 16
    values: int = 64
    memories: int = 4
    top: int = 2
    words: int = 128
    steps: int = 1500
    batch: int = 32
    rates: tuple[float, ...] = (5e-3, 1.5e-2)  # tried by every arm
    device: str = "cpu"

    def __post_init__(self) -> None:
        most = max(self.pairs, default=0)
        if min(self.pairs, default=0) < 1 or 4 * most > self.length or most > self.words:
            raise Invalid(f"{self.pairs} pairs do not fit {self.length} tokens, four a pair, or {self.words} keys; fewer, or longer texts.")

    def form(self, arm: str) -> Form | None:
        """Of a layer of that arm; None of attention."""
        if arm == FULL:
            return None
        if arm in (ONE, WIDE):
            return Form(0, 0, self.heads, self.keys * (self.memories + 1 if arm == WIDE else 1), self.values)
        return Form(self.memories, self.top, self.heads, self.keys, self.values, own=arm == OWN)


@dataclass(frozen=True, slots=True)
class Trained:
    """One model: right answers by the number of pairs, to texts of which none was a lesson; ``chosen_by`` is the share over other such texts, by which a rate is chosen. ``state`` is
    bytes a layer, ``least`` and ``most`` are shares of tokens that a memory got."""

    seed: int
    arm: str
    rate: float
    right: tuple[float, ...]
    chosen_by: float
    weights: int
    state: int
    seconds: float
    least: float
    most: float


def run(setting: Setting, seeds: int, arms: Sequence[str], advance: Advance, workers: int = 1) -> list[Trained]:
    """Every arm from every seed at every rate. ``advance`` is told models done, of all; ``workers`` processes train them, to the same figures as one."""
    jobs = [(setting, arm, seed, rate) for seed in range(seeds) for arm in arms for rate in setting.rates]
    found = []
    for one in _done(jobs, workers):
        found.append(one)
        advance(len(found), len(jobs))
    return sorted(found, key=lambda one: (one.seed, arms.index(one.arm), one.rate))


def best(found: Sequence[Trained], arm: str) -> list[Trained]:
    """Of each seed, the one at the rate that answered best before the examination."""
    seeds = sorted({one.seed for one in found})
    return [max((one for one in found if (one.arm, one.seed) == (arm, seed)), key=lambda one: one.chosen_by) for seed in seeds]


def _done(jobs: Sequence[tuple[Setting, str, int, float]], workers: int) -> Iterator[Trained]:
    if workers == 1:
        yield from (measured(*job) for job in jobs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for done in as_completed([pool.submit(measured, *job) for job in jobs]):
            yield done.result()


def measured(setting: Setting, arm: str, seed: int, rate: float) -> Trained:
    """Trains a model of an arm, and examines it."""
    torch.set_num_threads(1)  # on tensors this small, threads wait for each other
    begin = time.process_time()
    model = trained(setting, arm, seed, rate)
    seconds = time.process_time() - begin
    with torch.no_grad():
        chosen_by = sum(examined(model, setting, pairs, f"choice {seed}") for pairs in setting.pairs) / len(setting.pairs)
        right = tuple(examined(model, setting, pairs, f"examination {seed}") for pairs in setting.pairs)
        used = model.loads(texts(setting, max(setting.pairs), drawn(f"load {seed}"), 64)[0].to(setting.device))
    count = sum(p.numel() for p in model.parameters())
    return Trained(seed, arm, rate, right, chosen_by, count, state_bytes(setting, arm), seconds, float(used.min()), float(used.max()))


def state_bytes(setting: Setting, arm: str) -> int:
    """Of a layer after a text, float32, the convolution's three tokens left out of all arms alike."""
    form = setting.form(arm)
    return 4 * (form.numbers if form else 2 * setting.length * setting.width)


# -- texts ---------------------------------------------------------------------------------------------------------------


def texts(setting: Setting, pairs: int, draw: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Texts int64 [count, length] and what is to be said at each token, -100 where nothing is asked: pairs first, then their keys at random places among one filler word, each asked once."""
    words, rest = setting.words, (setting.length - 2 * pairs) // 2
    keys = torch.rand(count, words, generator=draw).argsort(-1)[:, :pairs]
    values = words + torch.randint(words, (count, pairs), generator=draw)
    tokens = torch.full((count, setting.length), 2 * words)
    wanted = torch.full_like(tokens, -100)
    tokens[:, 0 : 2 * pairs : 2], tokens[:, 1 : 2 * pairs : 2] = keys, values
    places = 2 * pairs + 2 * torch.rand(count, rest, generator=draw).argsort(-1)[:, :pairs]
    tokens.scatter_(1, places, keys)
    wanted.scatter_(1, places, values)
    return tokens, wanted


def drawn(what: str) -> torch.Generator:
    return torch.Generator().manual_seed(int.from_bytes(sha256(what.encode()).digest()[:7]))


# -- the model -----------------------------------------------------------------------------------------------------------


class Attention(Module):  # type: ignore[misc]
    """Attention behind the same short convolution, so that it sees which word stood before, and before the same norm and gate, as the others have them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.read, self.gate, self.out = (
            Linear(width, 3 * width, bias=False),
            Linear(width, width, bias=False),
            Linear(width, width, bias=False),
        )
        self.taps = Parameter(torch.randn(TAPS, 3 * width) / TAPS)
        self.norm = RMSNorm(width // heads)

    def forward(self, states: Tensor) -> Tensor:
        wide = torch.nn.functional.pad(self.read(states), (0, 0, TAPS - 1, 0))
        tokens = states.shape[1]
        mixed = silu(sum(self.taps[n] * wide[:, n : n + tokens] for n in range(TAPS)))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in mixed.chunk(3, -1))
        told = self.norm(scaled_dot_product_attention(q, k, v, is_causal=True)).transpose(1, 2).flatten(2)
        return self.out(told * silu(self.gate(states)))


class Model(Module):  # type: ignore[misc]
    """Words, layers that mix tokens, and words again."""

    def __init__(self, setting: Setting, arm: str) -> None:
        super().__init__()
        width, form = setting.width, setting.form(arm)
        self.words = Embedding(2 * setting.words + 1, width)
        self.layers = ModuleList(MixtureOfMemories(width, form) if form else Attention(width, setting.heads) for _ in range(setting.layers))
        self.norms = ModuleList(RMSNorm(width) for _ in range(setting.layers + 1))
        self.head = Linear(width, 2 * setting.words, bias=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, T, V], and how unevenly memories were used, the sum over layers."""
        states, unevenly = self.words(tokens), torch.zeros((), device=tokens.device)
        for layer, norm in zip(self.layers, self.norms, strict=False):
            read: Any = layer(norm(states))
            if isinstance(layer, MixtureOfMemories):
                unevenly = unevenly + read.balance
                read = read.states
            states = states + read
        return self.head(self.norms[-1](states)), unevenly

    def loads(self, tokens: Tensor) -> Tensor:
        """The share of tokens that each memory that is chosen from got, of all layers; 1 where none is."""
        states, found = self.words(tokens), []
        for layer, norm in zip(self.layers, self.norms, strict=False):
            if not isinstance(layer, MixtureOfMemories) or not layer.form.memories:
                return torch.ones(1)
            read = layer(norm(states))
            found.append(read.load[: layer.form.memories].cpu())
            states = states + read.states
        return torch.cat(found)


def trained(setting: Setting, arm: str, seed: int, rate: float) -> Any:
    """A model of that arm; the lessons of a seed are the same for all."""
    torch.manual_seed(seed)
    model, draw = Model(setting, arm).to(setting.device), drawn(f"lessons {seed}")
    trainers = optimisers(model, rate)
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: share(step, setting.steps)) for one in trainers]
    for step in range(setting.steps):
        tokens, wanted = texts(setting, setting.pairs[step % len(setting.pairs)], draw, setting.batch)
        logits, unevenly = model(tokens.to(setting.device))
        asked = wanted != -100
        loss = cross_entropy(logits[asked.to(logits.device)], wanted[asked].to(logits.device)) + BALANCE * unevenly
        for one in trainers:
            one.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for one in (*trainers, *schedules):
            one.step()
    return model.eval()


def examined(model: Any, setting: Setting, pairs: int, what: str) -> float:
    """The share of right answers to texts of so many pairs that no lesson had."""
    draw, right, count = drawn(what), 0, 0
    for _ in range(0, ASKED, 64):
        tokens, wanted = texts(setting, pairs, draw, 64)
        asked = wanted != -100
        said = model(tokens.to(setting.device))[0].argmax(-1).cpu()
        right, count = right + int((said == wanted)[asked].sum()), count + int(asked.sum())
    return right / count

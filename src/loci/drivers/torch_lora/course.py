"""A run of learning, whatever is learned: step by step, saved as it goes, the same each time."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from loci.drivers.torch_lora.checkpoint import Saved, packed, unpacked
from loci.errors import Diverged, OutOfTime
from loci.ports.adapting import Checkpoint, Progress, Recipe

SAVED_STEPS, SAVED_SECONDS = 50, 5.0  # whichever comes first
WARM = 0.05  # share of the steps in which the rate rises
LEAST = 0.05  # of the rate, at the end
CLIP = 1.0  # of the gradient's length
SEEN, FAR = 10, 3.0  # steps, and nats a token that their loss is above that before any: learning stops at once
GROWN = 0.1  # nats and share by which the last losses may be above that before any


@dataclass(frozen=True, slots=True)
class Terms:
    """What one call of `learn` is given besides what it learns."""

    recipe: Recipe
    named: str  # `checkpoint.identity`
    checkpoint: Checkpoint | None = None
    progress: Progress | None = None
    breathe: Callable[[], None] | None = None
    begun: float = field(default_factory=time.monotonic)

    def saved(self) -> Saved | None:
        return unpacked(self.checkpoint.load(), self.named) if self.checkpoint else None


@dataclass(frozen=True, slots=True)
class Plan:
    """Which lessons and which texts come in each step: every lesson once before any comes again, in an order that follows from the seed."""

    lessons: int
    recipe: Recipe

    @property
    def fresh(self) -> int:
        """Lessons of a step; one may be in it twice, where a round ends within it."""
        return min(self.lessons, max(1, self.recipe.batch - round(self.recipe.batch * self.recipe.replay)))

    @property
    def old(self) -> int:
        """Texts of a step that are replayed."""
        share = self.recipe.replay
        return max(1, round(self.fresh * share / (1 - share))) if share else 0

    @property
    def steps(self) -> int:
        return math.ceil(self.lessons * self.recipe.exposures / self.fresh)

    def lessons_of(self, step: int) -> list[int]:
        return self._drawn("lessons", step, self.fresh, self.lessons)

    def texts_of(self, step: int, texts: int) -> list[int]:
        return self._drawn("texts", step, self.old, texts)

    def _drawn(self, what: str, step: int, count: int, of: int) -> list[int]:
        places = range(step * count, (step + 1) * count)
        rounds = {n: torch.randperm(of, generator=chance(self.recipe.seed, what, n)).tolist() for n in {p // of for p in places}}
        return [rounds[place // of][place % of] for place in places]


def chance(seed: int, *what: object) -> torch.Generator:
    """Lots of their own for each thing that is drawn, whenever it is drawn."""
    drawn = sha256(repr((seed, *what)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(drawn[:7], "little"))


def run(
    terms: Terms, weights: Mapping[str, nn.Parameter], steps: int, texts: torch.Tensor, begun: Saved | None, loss_of: Callable[[int], tuple[Any, float]]
) -> float:  # fmt: skip
    """Learns in place. ``loss_of`` a step gives what goes down, and the loss of its lessons in nats a token. Returns the mean of the last losses. Raises `OutOfTime`, `Diverged`."""
    optimiser = torch.optim.AdamW(list(weights.values()), lr=terms.recipe.rate, betas=(0.9, 0.98), weight_decay=0.0, foreach=False)
    losses = list(begun.losses) if begun else []
    first = begun.step if begun else 0
    if begun:
        _resume(optimiser, weights, begun)
    saved_at, last_saved = time.monotonic(), first
    for step in range(first, steps):
        if terms.breathe:
            terms.breathe()
        if step > first and time.monotonic() - terms.begun > terms.recipe.most_seconds:  # a step at least, or it would never come to an end
            _save(terms, optimiser, weights, step, losses, texts)
            raise OutOfTime(_late(terms, step, steps))
        for group in optimiser.param_groups:
            group["lr"] = terms.recipe.rate * rate(step, steps)
        with _steady(next(iter(weights.values())).device):
            loss, measured = loss_of(step)
            losses.append(measured)
            _check(losses, terms.recipe)
            optimiser.zero_grad()
            loss.backward()
        nn.utils.clip_grad_norm_(weights.values(), CLIP)
        optimiser.step()
        if terms.progress:
            terms.progress(step + 1, steps)
        if step + 1 - last_saved >= SAVED_STEPS or time.monotonic() - saved_at > SAVED_SECONDS:
            _save(terms, optimiser, weights, step + 1, losses, texts)
            saved_at, last_saved = time.monotonic(), step + 1
    _check_end(losses, weights)
    return _mean(losses[-max(1, steps // 10) :])


def rate(step: int, steps: int) -> float:
    """The share of the rate: up, and then down along a cosine."""
    warm = max(1, math.ceil(WARM * steps))
    return min(1.0, (step + 1) / warm) * (LEAST + (1 - LEAST) * (0.5 + 0.5 * math.cos(math.pi * step / steps)))


@contextlib.contextmanager
def _steady(device: torch.device) -> Iterator[None]:
    """On a GPU the attention whose gradients are the same each time."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        sdpa_kernel(SDPBackend.MATH) if device.type == "cuda" else contextlib.nullcontext(),
    ):
        yield


def _resume(optimiser: torch.optim.Optimizer, weights: Mapping[str, nn.Parameter], begun: Saved) -> None:
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(begun.weights[name])
            held = {moment: tensor.to(weight.device) for moment, tensor in begun.moments[name].items()}
            optimiser.state[weight] = {"step": torch.tensor(float(begun.step)), **held}


def _save(
    terms: Terms, optimiser: torch.optim.Optimizer, weights: Mapping[str, nn.Parameter], step: int, losses: Sequence[float], texts: torch.Tensor
) -> None:  # fmt: skip
    if terms.checkpoint:
        moments = {name: {m: optimiser.state[w][m] for m in ("exp_avg", "exp_avg_sq")} for name, w in weights.items()}
        terms.checkpoint.save(packed(Saved(step, weights, moments, losses, texts), terms.named))


def _late(terms: Terms, step: int, steps: int) -> str:
    told = f"Learning took longer than the {terms.recipe.most_seconds:g} seconds it was allowed, and came to step {step:,} of {steps:,}. "
    if terms.checkpoint:
        return told + "That is saved: learn again, and it goes on from there."
    return told + "Without a checkpoint nothing of it is kept: give one, or allow more seconds."


def _check(losses: Sequence[float], recipe: Recipe) -> None:
    if not math.isfinite(losses[-1]):
        raise Diverged(f"After {len(losses) - 1:,} steps at a rate of {recipe.rate:g} the loss is {losses[-1]}. {AGAIN}")
    if len(losses) >= 2 * SEEN and (now := _mean(losses[-SEEN:])) > (first := _mean(losses[:SEEN])) + FAR:
        raise Diverged(
            f"In {len(losses):,} steps at a rate of {recipe.rate:g} the loss grew from {first:.2f} to {now:.2f} nats a token. {AGAIN}"
        )


def _check_end(losses: Sequence[float], weights: Mapping[str, nn.Parameter]) -> None:
    first, last = losses[0], _mean(losses[-max(1, len(losses) // 10) :])
    if last > first + GROWN * max(1.0, first):
        raise Diverged(f"In {len(losses):,} steps the loss grew from {first:.2f} to {last:.2f} nats a token. {AGAIN}")
    for name, weight in weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise Diverged(f"In {len(losses):,} steps {name} came to hold what is no finite number. {AGAIN}")


AGAIN = "Nothing is kept. Learn again at a smaller rate, or from another seed."


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

"""`loci bench memo`: what training on long texts takes when layers are split by tokens, and whether gradients stay what they are.

A model with random weights, a few layers of a real one's shape; nothing is learned. Time and bytes do not depend on what the weights say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import save_on_cpu
from transformers import Qwen3Config, Qwen3ForCausalLM

from loci.bench.kv import SHAPES, device_name
from loci.bench.memo_trace import traced
from loci.drivers.torch_lora.splitting import token_split
from loci.errors import Invalid, TooLarge
from loci.methods.memo import LayerProfile, TokenSplit, elsewhere, plan_alpha, plan_arena

PLAIN, AGAIN, SAVED = "everything kept", "every layer computed again", "everything kept on the host (torch)"
AWAY, ALL, BEST = "every layer computed again, inputs on the host", "split, alpha 1, on the host", "split, alpha as planned, on the host"
WAYS = (PLAIN, AGAIN, AWAY, SAVED, ALL, BEST)
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
WORDS = 1000
COPIED = 1 << 26  # bytes, to see how fast they are copied to the host
COUNTED, TRACED = 2048, 512  # tokens, at most, whose bytes are counted; whose tensors are followed
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """``layers`` of a shape of `loci bench kv`, trained on texts of so many ``tokens``. ``host`` is how many bytes may be kept in the host's memory; a half of what is free."""

    shape: str = "30m"
    layers: int = 4
    tokens: tuple[int, ...] = (512, 2048)
    device: str = "cpu"
    dtype: str = "float32"
    tries: int = 3
    host: int | None = None

    def __post_init__(self) -> None:
        there = [name for name, shape in SHAPES.items() if "linear_num_key_heads" not in shape]
        if self.shape not in there:
            raise Invalid(f"There is no shape {self.shape!r} of plain attention; there are {', '.join(there)}.")


def run(setting: Setting, advance: Advance) -> dict[str, Any]:
    """Every way at every length, what is kept by alpha, and plans for the tensors of a layer. ``advance`` is told what is done, of all."""
    bench, cells, kept = Bench(setting), list[dict[str, Any]](), list[dict[str, Any]]()
    done = 0
    for tokens in setting.tokens:
        ids = torch.arange(tokens, device=setting.device)[None] % WORDS
        alpha = bench.planned(ids)
        for way in WAYS:
            cells.append(bench.cell(way, ids, alpha))
            done += 1
            advance(done, len(WAYS) * len(setting.tokens))
        if min(tokens, COUNTED) not in {row["tokens"] for row in kept}:
            kept += [{"tokens": min(tokens, COUNTED), **row} for row in bench.kept(ids)]
    return {"shape": setting.shape, "layers": setting.layers, "device": device_name(setting.device), "dtype": setting.dtype, "steps": cells, "kept": kept,
            "plans": bench.plans()}  # fmt: skip


class Bench:
    """A model, and what is measured on it."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        torch.manual_seed(0)
        config = Qwen3Config(**{**SHAPES[setting.shape], "num_hidden_layers": setting.layers, "vocab_size": WORDS}, max_position_embeddings=max(setting.tokens),
                             pad_token_id=None, bos_token_id=None, eos_token_id=None)  # fmt: skip
        with torch.device(setting.device):
            self.model: Any = Qwen3ForCausalLM(config).to(getattr(torch, setting.dtype)).train()
        self.held = [*self.model.parameters(), *self.model.buffers()]
        self.direction = torch.randn(config.hidden_size, generator=torch.Generator().manual_seed(1)).to(setting.device)
        self._first: dict[int, list[Tensor]] = {}  # gradients by the first way that fits, by tokens

    def forward(self, ids: Tensor) -> Tensor:
        """A loss of what the layers give, in a direction that norms do not cancel; no words are said."""
        states: Tensor = self.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        return (states.float() @ self.direction).mean()

    def step(self, ids: Tensor, within: Callable[[], Any]) -> None:
        self.model.zero_grad(set_to_none=True)
        with within():
            loss = self.forward(ids)
        loss.backward()

    @contextmanager
    def again(self) -> Iterator[None]:
        """Each layer through torch's checkpoint, as transformers has it."""
        on, off = (  # by the names of newer versions of transformers, and of older ones
            getattr(self.model, f"activation_checkpointing_{what}", None) or getattr(self.model, f"gradient_checkpointing_{what}")
            for what in ("enable", "disable")
        )
        on({"use_reentrant": False})
        try:
            yield
        finally:
            off()

    def within(self, way: str, alpha: float) -> Callable[[], Any]:
        """What a forward pass of that way is made in."""
        ways: dict[str, Callable[[], Any]] = {
            PLAIN: nullcontext, AGAIN: nullcontext, AWAY: partial(elsewhere, self.held), SAVED: partial(save_on_cpu, pin_memory=self.is_gpu), ALL: partial(token_split, self.model, TokenSplit(1.0)),
            BEST: partial(token_split, self.model, TokenSplit(alpha)),
        }  # fmt: skip
        return ways[way]

    def cell(self, way: str, ids: Tensor, alpha: float | None) -> dict[str, Any]:
        """Milliseconds of a step, its peak beside the weights (GPU), and how far the gradients of a weight are from those of the first way that fits, as a share of their length, the worst of all weights; None of all where it does not fit."""
        row: dict[str, Any] = {
            "tokens": ids.shape[1],
            "way": way,
            "alpha": alpha if way == BEST else None,
            "ms": None,
            "peak": None,
            "differ": None,
        }
        if way == BEST and alpha is None:
            return row
        within = self.within(way, alpha or 0.0)
        try:
            with self.again() if way in (AGAIN, AWAY) else nullcontext():  # for the backward pass too, which computes again
                taken = [self.timed(lambda: self.step(ids, within)) for _ in range(self.setting.tries + 1)][1:]
                row["peak"] = self.peak(lambda: self.step(ids, within))
        except torch.OutOfMemoryError:
            self.model.zero_grad(set_to_none=True)
            return row
        row["ms"] = 1000 * (median(taken) if self.is_gpu else min(taken))
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.model.get_decoder().parameters()]
        first = self._first.setdefault(ids.shape[1], [one.cpu() for one in gradients])
        row["differ"] = max(float((a.cpu() - b).float().norm() / b.float().norm()) for a, b in zip(gradients, first, strict=True))
        return row

    def planned(self, ids: Tensor) -> float | None:
        """The alpha that `plan_alpha` gives for this machine; None where the host has no room even for 0."""
        layers = self.setting.layers
        least, most = (row["bytes"] for row in self.split(ids, (0.0, 1.0)))
        scale = ids.shape[1] / min(ids.shape[1], COUNTED) / layers
        with torch.no_grad():
            forward = min(self.timed(lambda: self.forward(ids)) for _ in range(2))
        profile = LayerProfile(
            int(least * scale), int((most - least) * scale), forward / layers, self.copied(), layers, self.setting.host or _free() // 2
        )
        try:
            return plan_alpha(profile)
        except TooLarge:
            return None

    def kept(self, ids: Tensor) -> list[dict[str, Any]]:
        """What a forward pass keeps for the backward one, beside the weights: as it is, where every layer is computed again, and by alpha. Of `COUNTED` tokens at most."""
        rows: list[dict[str, Any]] = [{"way": PLAIN, "alpha": None, "bytes": self.bytes(ids, nullcontext)}]
        with self.again():
            rows.append({"way": AGAIN, "alpha": None, "bytes": self.bytes(ids, nullcontext)})
        return rows + self.split(ids, ALPHAS)

    def split(self, ids: Tensor, alphas: Sequence[float]) -> list[dict[str, Any]]:
        rows = []
        for alpha in alphas:
            within = partial(token_split, self.model, TokenSplit(alpha, offload=False))
            rows.append({"way": "split", "alpha": alpha, "bytes": self.bytes(ids, within)})
        return rows

    def bytes(self, ids: Tensor, within: Callable[[], Any]) -> int:
        with elsewhere(self.held) as kept, within():
            loss = self.forward(ids[:, :COUNTED])
        found = kept.nbytes
        del loss
        return found

    def plans(self) -> list[dict[str, Any]]:
        """Of the tensors of one layer's step."""
        decoder, width = self.model.get_decoder(), self.model.config.hidden_size
        states = torch.randn(1, TRACED, width, device=self.setting.device, dtype=self.model.dtype, requires_grad=True)
        places = torch.arange(TRACED, device=self.setting.device)[None]
        turns = decoder.rotary_emb(states, places)
        layer = decoder.layers[0]
        work = {
            "a layer": layer,
            "two layers": lambda states, **asked: decoder.layers[1 % len(decoder.layers)](layer(states, **asked), **asked),
        }
        rows = []
        for name, one in work.items():
            self.model.zero_grad(set_to_none=True)
            lives = traced(lambda one=one: one(states, attention_mask=None, position_ids=places, position_embeddings=turns))  # type: ignore[misc]
            by_size, online = plan_arena(lives), plan_arena(lives, online=True)
            rows.append({"of": name, "tensors": len(lives), "bound": by_size.bound, "by size": by_size.gap, "online": online.gap})
        return rows

    @property
    def is_gpu(self) -> bool:
        return self.setting.device.startswith("cuda")

    def timed(self, call: Callable[[], object]) -> float:
        """Seconds."""
        self.wait()
        begin = perf_counter()
        call()
        self.wait()
        return perf_counter() - begin

    def peak(self, call: Callable[[], object]) -> int | None:
        if not self.is_gpu:
            return None
        self.model.zero_grad(set_to_none=True)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return int(torch.cuda.max_memory_allocated() - before)

    def copied(self) -> float:
        """Bytes a second to the host's memory."""
        here = torch.zeros(COPIED, dtype=torch.uint8, device=self.setting.device)
        there = torch.empty(COPIED, dtype=torch.uint8, pin_memory=self.is_gpu)
        return COPIED / min(self.timed(lambda: there.copy_(here)) for _ in range(3))

    def wait(self) -> None:
        if self.is_gpu:
            torch.cuda.synchronize()


def _free() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

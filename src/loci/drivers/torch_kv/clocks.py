"""How long this model and machine take, in the two or three numbers that a decision needs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from loci.ports.engine import Rates, Tier

if TYPE_CHECKING:
    from loci.drivers.torch_kv.engine import TorchEngine

LONGEST = 1024  # tokens, unless more are asked for
POINTS = (
    (1 / 32, 0),
    (1 / 4, 0),
    (1, 0),
    (1 / 32, 1),
    (1 / 4, 1),
)  # (tokens that are read, tokens that are held), as shares of the longest
SIZES = (1 << 18, 1 << 24)  # bytes that are moved
TRIES = 3


def measure(engine: TorchEngine, longest: int = LONGEST) -> Rates:
    """Reads texts of a few lengths, alone and after others, and moves bytes of two sizes, each a few times; the fastest counts. Some
    seconds, by how large the model is."""
    longest = min(longest, (engine.fingerprint().context or 2 * longest) // 2)
    begun = engine.read([1] * longest)
    points = [(max(int(read * longest), 1), int(held * longest)) for read, held in POINTS]
    seconds = [_fastest(partial(engine.logits, begun if held else (), [1] * read, 1), engine.device) for read, held in points]
    start, token, pair, held = _plane([(1.0, n, n * (m + n / 2), m) for n, m in points], seconds)
    with tempfile.TemporaryDirectory(prefix="loci-") as folder:
        disk = _line([partial(_file(Path(folder), size).read_bytes) for size in SIZES], engine.device)
    host = _line([partial(_held(size, engine.device).to, engine.device, copy=True) for size in SIZES], engine.device)
    return Rates(start, token, pair, held, host, disk)


def _plane(rows: Sequence[tuple[float, ...]], seconds: Sequence[float]) -> list[float]:
    """The costs that explain the seconds best, in shares of each, with none below zero: a cost that would be is left out."""
    weights = torch.tensor([[x / s for x in row] for row, s in zip(rows, seconds, strict=True)], dtype=torch.float64)
    chosen = list(range(len(rows[0])))
    while True:
        found = (
            torch.linalg.lstsq(weights[:, chosen], torch.ones(len(rows), 1, dtype=torch.float64), driver="gelsd").solution[:, 0].tolist()
        )
        if min(found) >= 0:
            costs = dict(zip(chosen, found, strict=True))
            return [costs.get(n, 0.0) for n in range(len(rows[0]))]
        chosen.remove(chosen[found.index(min(found))])


def _line(moves: list[Callable[[], object]], device: torch.device) -> Tier:
    """The line through what two sizes took."""
    small, large = (_fastest(move, device) for move in moves)
    per_byte = max(large - small, 1e-9) / (SIZES[1] - SIZES[0])
    return Tier(max(small - SIZES[0] * per_byte, 0.0), 1 / per_byte)


def _held(size: int, device: torch.device) -> torch.Tensor:
    held = torch.empty(size, dtype=torch.uint8)
    return held.pin_memory() if device.type == "cuda" else held


def _file(folder: Path, size: int) -> Path:
    """Just written, so that it is read from the system's cache, as a memory that is used again and again is."""
    path = folder / str(size)
    path.write_bytes(bytes(size))
    return path


def _fastest(call: Callable[[], object], device: torch.device) -> float:
    best = float("inf")
    for _ in range(TRIES):
        start = perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, perf_counter() - start)
    return best

"""How long this model and machine take, in the two or three numbers that a decision needs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from loci.ports.engine import Rates, Tier

if TYPE_CHECKING:
    from loci.drivers.torch_kv.engine import TorchEngine

SHARES = (32, 4, 1)  # of the longest text that is read
LONGEST = 1024  # tokens
SIZES = (1 << 18, 1 << 24)  # bytes that are moved
TRIES = 3


def measure(engine: TorchEngine) -> Rates:
    """Reads texts of three lengths and moves bytes of two sizes, each a few times; the fastest counts. About two seconds for a small
    model."""
    longest = min(LONGEST, engine.fingerprint().context or LONGEST)
    lengths = [longest // share for share in SHARES]
    seconds = [_fastest(partial(engine.read, [1] * n), engine.device) for n in lengths]
    start, token, pair = _parabola(lengths, seconds)
    with tempfile.TemporaryDirectory(prefix="loci-") as folder:
        disk = _line([partial(_file(Path(folder), size).read_bytes) for size in SIZES], engine.device)
    host = _line([partial(_held(size, engine.device).to, engine.device, copy=True) for size in SIZES], engine.device)
    return Rates(start, token, pair, host, disk)


def _parabola(lengths: list[int], seconds: list[float]) -> tuple[float, float, float]:
    """The parabola through three points, without negative parts: noise at the short end must not make a long text look free."""
    rows = torch.tensor([[1.0, n, n * n] for n in lengths], dtype=torch.float64)
    a, b, c = torch.linalg.solve(rows, torch.tensor(seconds, dtype=torch.float64)).tolist()
    return max(a, 0.0), max(b, 0.0), max(c, 0.0)


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

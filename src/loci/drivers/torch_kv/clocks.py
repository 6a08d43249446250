"""How long this model and machine take, in the two or three numbers that a decision needs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from loci.errors import Unavailable
from loci.ports.engine import BLOCK, Rates, Tier

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
PAGES = (1, 16)  # that are moved
TRIES = 3


def measure(engine: TorchEngine, longest: int = LONGEST) -> Rates:
    """Reads texts of a few lengths, alone and after others, and moves few and many pages, each a few times; the fastest counts. Some
    seconds, by how large the model is. Raises `Unavailable` where the folder for temporary files takes no pages."""
    longest = min(longest, (engine.fingerprint().context or 2 * longest) // 2)
    begun = engine.read([1] * longest)
    points = [(max(int(read * longest), 1), int(held * longest)) for read, held in POINTS]
    seconds = [_fastest(partial(engine.logits, begun if held else (), [1] * read, 1), engine.device) for read, held in points]
    start, token, pair, held = _plane([(1.0, n, n * (m + n / 2), m) for n, m in points], seconds)
    size = engine.read([1] * BLOCK)[0].bytes
    try:
        with tempfile.TemporaryDirectory(prefix="loci-") as folder:
            disk = _line([partial(_load, _files(Path(folder), size, n), engine.device) for n in PAGES], size, engine.device)
    except OSError as error:
        told = (
            f"How fast pages come from the disk could not be measured: {error}. Free some space there, or let TMPDIR name another folder."
        )
        raise Unavailable(told) from error
    host = _line([partial(_held(size * n, engine.device).to, engine.device, copy=True) for n in PAGES], size, engine.device)
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


def _line(moves: list[Callable[[], object]], size: int, device: torch.device) -> Tier:
    """The line through what few and many pages of a size took."""
    few, many = (_fastest(move, device) for move in moves)
    per_byte = max(many - few, 1e-9) / (size * (PAGES[1] - PAGES[0]))
    return Tier(max(few - size * PAGES[0] * per_byte, 0.0), 1 / per_byte)


def _held(size: int, device: torch.device) -> torch.Tensor:
    held = torch.empty(size, dtype=torch.uint8)
    return held.pin_memory() if device.type == "cuda" else held


def _files(folder: Path, size: int, count: int) -> list[Path]:
    """Pages that were just written, so that they are read from the system's cache, as a memory that is used again and again is."""
    paths = [folder / f"{count}-{n}" for n in range(count)]
    for path in paths:
        path.write_bytes(bytes(size))
    return paths


def _load(paths: Sequence[Path], device: torch.device) -> None:
    """What it takes to have pages: to read them, hash them, put them together, and move them."""
    found = []
    for path in paths:
        data = bytearray(path.read_bytes())
        sha256(data)
        found.append(torch.frombuffer(data, dtype=torch.uint8))
    torch.cat(found).to(device)


def _fastest(call: Callable[[], object], device: torch.device) -> float:
    best = float("inf")
    for _ in range(TRIES):
        start = perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, perf_counter() - start)
    return best

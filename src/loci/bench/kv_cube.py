"""`loci bench kv-cube`: the first token of an answer through a whole cube: from the text, from the disk, with its pages brought ahead, and from
several activation memories put together; and what keeping costs that was read for an answer.

The model has random weights: times are real, answers are nothing. Everything that a question takes is in the time: the search,
the comparison of words, model and tokens, the pages, the model's first step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from loci.bench.kv import Bench, chill, device_name, make
from loci.system import Cube
from loci.types import Message
from loci.wire import MemOS

PARTS = 3  # activation memories that are put together
QUESTION = "Which of these things is green, and who keeps it?"
THINGS = ("kettle", "ladder", "harbour", "piano", "garden", "bridge", "lantern", "anchor")
USER = "ann"
GIB = 1 << 30
SECONDS = 600.0


def run(shape: str, device: str, dtype: str, tries: int, contexts: Sequence[int], advance: Callable[[int, int], None]) -> dict[str, Any]:
    """For each context the fastest of some tries of each way, in milliseconds, taken in turns; and the ratios within this run."""
    bench = make(shape, device, dtype, tries, 4 * max(contexts))  # each memory is told with its number, day and speaker
    bench.engine.rates()
    rows = []
    for place, context in enumerate(contexts):
        advance(place, len(contexts))
        with tempfile.TemporaryDirectory(prefix="loci-kv-") as folder:
            rows.append(measured(bench, Path(folder), context))
    advance(len(contexts), len(contexts))
    return {"shape": shape, "device": device_name(device), "dtype": dtype, "first token": rows}


def measured(bench: Bench, folder: Path, context: int) -> dict[str, Any]:
    """One context: about so many tokens of memories, read at once and in parts."""
    with opened(bench, folder) as cube:
        ids = told(cube, bench, context)
        whole = cube.activate(ids, user=USER)
        size = -(-len(ids) // PARTS)
        parts = [cube.activate(ids[start : start + size], user=USER).id for start in range(0, len(ids), size)]
    found: dict[str, list[float]] = {}
    said: dict[str, Any] = {}

    def note(way: str, taken: tuple[float, Any]) -> None:
        found.setdefault(way, []).append(taken[0])
        said[way] = taken[1]

    for _ in range(bench.tries):
        chill(folder / "bench.kv")
        with opened(bench, folder) as cube:
            note("disk", first_token(bench, cube, activations=[whole.id]))
            note("device", first_token(bench, cube, activations=[whole.id]))
        chill(folder / "bench.kv")
        with opened(bench, folder) as cube:
            start = perf_counter()
            errand = cube.prepare(activations=[whole.id], user=USER)
            asked = perf_counter()
            errand.wait(SECONDS)
            found.setdefault("asking for it", []).append(1e3 * (asked - start))
            found.setdefault("bringing it", []).append(1e3 * (perf_counter() - asked))
            note("prepared", first_token(bench, cube, activations=[whole.id]))
            cube.prepare(activations=parts, user=USER).wait(SECONDS)
            for mode in ("prefix", "block", "blend"):
                note(mode, first_token(bench, cube, activations=parts, compose=mode))
    for path in (folder / "bench.kv").iterdir():
        path.unlink()
    for _ in range(bench.tries):
        with opened(bench, folder) as cube:
            note("text", first_token(bench, cube, activations=[whole.id]))
    keep(bench, folder, len(ids), note)
    best = {way: min(times) for way, times in found.items()}
    reread = said["blend"].reread_tokens
    return {
        "context": whole.tokens, "bytes": whole.bytes, "ms": best, "told": {way: attached.reason for way, attached in said.items()},
        "reread": reread, "disk over prepared": best["disk"] / best["prepared"], "text over prepared": best["text"] / best["prepared"],
        "prefix over block": best["prefix"] / best["block"], "prefix over blend": best["prefix"] / best["blend"],
        "kept over read": best["kept"] / best["read"], "read over gone on": best["read"] / best["gone on"],
    }  # fmt: skip


def keep(bench: Bench, folder: Path, count: int, note: Callable[[str, tuple[float, Any]], None]) -> None:
    """Of a question that recalls as many memories: the text read, read and kept, and gone on from."""
    for _ in range(bench.tries):
        with opened(bench, folder) as cube:
            for handle in cube.activations(user=USER):
                cube.deactivate(handle.id)
            note("read", first_token(bench, cube, limit=count))
            note("kept", first_token(bench, cube, limit=count, keep=True))
            note("gone on", first_token(bench, cube, limit=count))


def first_token(bench: Bench, cube: Cube, **wanted: Any) -> tuple[float, Any]:
    """(milliseconds, how the prompt was read)"""
    start = perf_counter()
    answer = cube.generate(QUESTION, user=USER, max_tokens=1, **{"limit": 1, **wanted})
    next(iter(answer), "")
    bench.wait()
    return 1e3 * (perf_counter() - start), answer.attached


@contextmanager
def opened(bench: Bench, folder: Path) -> Iterator[Cube]:
    """The cube as a process finds it that has nothing at hand, with the model loaded."""
    with MemOS.open(
        folder,
        engine=bench.engine,
        embedder="none",
        background=False,
        kv_device_bytes=8 * GIB,
        kv_host_bytes=8 * GIB,
        kv_disk_bytes=32 * GIB,
    ) as memory:
        yield memory.cube("bench")


def told(cube: Cube, bench: Bench, context: int) -> list[str]:
    """Says things until their tokens are about as many as wanted; returns the ids of what was remembered."""
    ids: list[str] = []
    tokens = number = 0
    while tokens < context:
        text = f"I keep {THINGS[number % len(THINGS)]} number {number}, which is green, in the house by the harbour."
        ids += cube.add(Message("user", text, speaker="Ann"), user=USER).ids
        tokens += len(bench.engine.tokenize(text)) + 12  # with number, day and speaker
        number += 1
    return ids

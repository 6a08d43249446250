"""What trust costs a search: the same questions to the same 10,000 memories, by a principal with a grant, with reads audited and secrets
masked on the way out, and by the owner with all of that off. Interleaved in one run, questions embedded beforehand.

    python -m bench.gate [--memories 10000] [--write]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from bench.poison import filled, questions
from loci.bench.retrieval import Remembering
from loci.settings import load
from loci.system import Cube
from loci.testing import HashEmbedder
from loci.wire import MemOS, embedder_of

REPORT = Path(__file__).resolve().parent / "results" / "gate.md"
ROUNDS = 5


def measure(folder: Path, memories: int) -> dict[str, float]:
    """Median milliseconds of a search, each way."""
    engine = Remembering(embedder_of(load()[0]) or HashEmbedder())
    asked = [str(question["text"]) for question in questions()]
    with MemOS.open(folder, embedder=engine, background=False, audit_reads=False, secrets="keep", personal="keep") as memory:
        count = len(filled(memory, memories).list(user="runa", limit=10**6))
        memory.grant("reader", "reader", cube="honest", user="runa")
    with (
        MemOS.open(folder, embedder=engine, background=False, audit_reads=False, secrets="keep", personal="keep") as open_gate,
        MemOS.open(folder, embedder=engine, background=False) as guarded,
    ):
        ways: dict[str, Cube] = {
            "the gate open: owner, nothing audited or masked": open_gate.cube("honest"),
            "owner, as shipped": guarded.cube("honest"),
            "a reader of one user, as shipped": guarded.acting("reader").cube("honest"),
        }
        return {"memories": count, **timed({way: search(cube) for way, cube in ways.items()}, asked)}


def search(cube: Cube) -> Callable[[str], object]:
    return lambda question: cube.search(question, user="runa")


def timed(ways: dict[str, Callable[[str], object]], asked: list[str]) -> dict[str, float]:
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for round in range(ROUNDS + 1):
        for question in asked:
            for way, ask in ways.items():
                start = perf_counter()
                ask(question)
                if round:
                    taken[way].append(1000 * (perf_counter() - start))
    return {way: statistics.median(times) for way, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=10_000)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loci-gate-") as folder:
        found = measure(Path(folder), arguments.memories)
    count = found.pop("memories")
    base = next(iter(found.values()))
    rows = "\n".join(f"| {way} | {took:.2f} | {took / base:.2f}x |" for way, took in found.items())
    page = (
        f"# What trust costs a search of {count:,.0f} memories\n\n`python -m bench.gate --write`; medians of {ROUNDS} interleaved rounds, "
        f"questions embedded beforehand. Target: at most 1.2x.\n\n| | ms | ratio |\n|---|---|---|\n{rows}\n"
    )
    print(page)
    if arguments.write:
        REPORT.write_text(page, "utf-8")


if __name__ == "__main__":
    main()

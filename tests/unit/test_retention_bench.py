"""The figure of retention: ours beats LRU, the official code's inverted law does not, and neither would ours if it were inverted."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest

from loci.bench.retention import BACK, BASE, DAYS, INVERTED, MEMORIES, OURS, RULES, SHARES, TARGET, WORLDS, Kept, World, hits, needs_of, run
from loci.bench.retention_report import targets, write
from loci.methods import memorybank

SEEDS = range(3)
WORD = "idle_days(strength, now) / self._stability(strength)"


def share(rule: str | Kept, world: World) -> float:
    return fmean(hits(RULES[rule] if isinstance(rule, str) else rule, world, seed) for seed in SEEDS)


@pytest.mark.parametrize("world", [BASE, BACK], ids=lambda world: world.name)
def test_ours_beats_lru_and_the_inverted_law_does_not(world: World) -> None:
    lru = share("LRU", world)
    assert share(OURS, world) >= lru + TARGET
    assert share(INVERTED, world) < lru


@pytest.mark.parametrize("world", [BASE, BACK], ids=lambda world: world.name)
def test_ours_inverted_as_the_official_code_is_would_be_seen(world: World) -> None:
    """The same file with one operator changed: t S for t / S."""
    source = Path(memorybank.__file__).read_text("utf-8")
    assert source.count(WORD) == 1
    mutant = ModuleType("mutant")
    mutant.__dict__["__name__"] = memorybank.__name__
    exec(compile(source.replace(WORD, WORD.replace("/", "*")), "mutant", "exec"), mutant.__dict__)
    assert share(Kept(mutant.MemoryBank()), world) < share("LRU", world)


def test_the_needs_are_those_of_the_words() -> None:
    needs = needs_of(BASE, 1)
    days: dict[int, list[int]] = {memory: [] for memory in range(MEMORIES)}
    for day, needed in enumerate(needs.days):
        for memory in needed:
            days[memory].append(day)
    assert len(needs.days) == DAYS and all(day >= needs.born[memory] for memory, found in days.items() for day in found)
    gaps = {memory: {b - a for a, b in pairwise(found)} for memory, found in days.items() if len(found) > 3}
    periodic = [memory for memory, found in gaps.items() if len(found) == 1 and 7 <= min(found) <= 30]
    assert 0.05 < len(periodic) / MEMORIES < 0.15, "of 15 %, those that were there for four periods"
    assert 0.5 < sum(len(found) <= 1 for found in days.values()) / MEMORIES < 0.7, f"mostly {SHARES[0]}"
    assert needs_of(BASE, 1) == needs and needs_of(BASE, 2) != needs


def test_every_reading_is_reported(tmp_path: Path) -> None:
    figures = run(WORLDS[:2], 1)
    write(tmp_path, figures, {0.5: [0.1, 0.2]}, "told")
    report = (tmp_path / "report.md").read_text()
    assert all(line in report for line in targets(figures)) and (tmp_path / "hits.svg").read_text().startswith("<svg")
    assert len({world.name for world in WORLDS}) == len(WORLDS)

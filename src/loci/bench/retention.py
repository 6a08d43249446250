"""What a full memory keeps at hand, by different rules, where needs come as people have them: once, in bursts, at intervals, steadily.

The simulator of MemoryBank's rank (arXiv 2305.10250 gives none; this one is ours): 1,500 memories over 180 days with room for 150 of them.
55 % are needed once, 20 % in a burst, 15 % every 7 to 30 days, 10 % steadily. A need is a hit where its memory is still at hand; that
is counted before the day's eviction. What those words leave open is a field of `World`, and `WORLDS` has the readings that are reported.
Synthetic: the order of the rules is the claim, and not the values.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import fmean, stdev
from typing import Any, Protocol

from loci.methods.memorybank import MemoryBank
from loci.policy import retention
from loci.ports.retaining import Strength

MEMORIES, DAYS, CAPACITY = 1500, 180, 150
SHARES = (("once", 0.55), ("burst", 0.20), ("periodic", 0.15), ("steady", 0.10))
PERIODS = 7, 30
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = 0.05  # over LRU


@dataclass(frozen=True, slots=True)
class World:
    """One reading of the words. ``said_until``: the share of the time in which memories are made. ``wait_days``: from then to the one need, or
    to the beginning of the burst, at most. ``does_return``: whether what is needed and not at hand is looked up, and is at hand again."""

    name: str
    said_until: float = 1.0
    wait_days: int = 30
    burst_days: int = 10
    burst_needs: int = 6
    steady: float = 0.3  # needs a day
    does_return: bool = False


BASE = World("what left stays away")
BACK = replace(BASE, name="what left comes back when needed", does_return=True)
WORLDS = (
    BASE,
    BACK,
    *(
        replace(changed, name=f"{name}, {'comes back' if world.does_return else 'stays away'}")
        for world in (BASE, BACK)
        for name, changed in (
            ("needed from the day it is said", replace(world, wait_days=0)),
            ("needed at any time later", replace(world, wait_days=DAYS)),
            ("bursts of three weeks", replace(world, burst_days=21, burst_needs=8)),
            ("bursts of five days", replace(world, burst_days=5, burst_needs=5)),
            ("steady is every other day", replace(world, steady=0.5)),
            ("steady is weekly", replace(world, steady=0.15)),
            ("all said in the first half", replace(world, said_until=0.5)),
        )
    ),
    replace(BACK, name="all said at the start, comes back", said_until=0.0),
)
"""Where all is said at the start and what left stays away, 90 % of it is gone on the first day, whatever the rule: that is no reading."""


@dataclass(frozen=True, slots=True)
class Needs:
    """When each memory is said, and on each day the memories that are needed."""

    born: Sequence[int]
    days: Sequence[Sequence[int]]


def needs_of(world: World, seed: int) -> Needs:
    """The life of a memory, from a seed."""
    chance = random.Random(seed)
    days: list[list[int]] = [[] for _ in range(DAYS)]
    kinds = chance.choices([name for name, _ in SHARES], [share for _, share in SHARES], k=MEMORIES)
    born = [chance.randrange(max(1, int(DAYS * world.said_until))) for _ in kinds]
    for memory, kind in enumerate(kinds):
        for day in sorted(_needed(kind, born[memory], world, chance)):
            if day < DAYS:
                days[day].append(memory)
    return Needs(born, days)


def _needed(kind: str, born: int, world: World, chance: random.Random) -> set[int]:
    """The days on which a memory is needed."""
    if kind == "periodic":
        period = chance.randint(*PERIODS)
        return set(range(born + period, DAYS, period))
    if kind == "steady":
        return {day for day in range(born + 1, DAYS) if chance.random() < world.steady}
    first = born + chance.randint(0, min(world.wait_days, DAYS - 1 - born))
    if kind == "once":
        return {first}
    return {first + chance.randrange(world.burst_days) for _ in range(world.burst_needs)}


class Rule(Protocol):
    """Which of those at hand stay: those with the greatest ``key``."""

    def begin(self, day: int) -> Any: ...

    def use(self, state: Any, day: int) -> Any: ...

    def key(self, state: Any, day: int, chance: random.Random) -> float: ...


@dataclass(frozen=True, slots=True)
class Past:
    """A rule over all that happened to a memory: the day it was said, and those on which it was used."""

    rank: Callable[[tuple[int, ...], int, random.Random], float]

    def begin(self, day: int) -> tuple[int, ...]:
        return (day,)

    def use(self, state: tuple[int, ...], day: int) -> tuple[int, ...]:
        return (*state, day)

    def key(self, state: tuple[int, ...], day: int, chance: random.Random) -> float:
        return self.rank(state, day, chance)


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule of the kernel's, as a cube applies it."""

    by: retention.Retention = field(default_factory=MemoryBank)

    def begin(self, day: int) -> Strength:
        return Strength(_moment(day))

    def use(self, state: Strength, day: int) -> Strength:
        return retention.used(state, _moment(day), self.by)

    def key(self, state: Strength, day: int, chance: random.Random) -> float:
        return retention.rank(state, self.by, _moment(day))[0]


def _moment(day: int) -> datetime:
    return EPOCH + timedelta(days=day)


def _act_r(days: tuple[int, ...], day: int, _: random.Random) -> float:
    """Base-level activation with a decay of 0.5, the saying counted as the first use."""
    return math.fsum((day + 1 - then) ** -0.5 for then in days)


def _idle(days: tuple[int, ...], day: int) -> int:
    return day - days[-1]


OURS = "ours: spaced, a third at most"
INVERTED = "the official code's law as a rank"
RULES: dict[str, Rule] = {
    "random": Past(lambda days, day, chance: chance.random()),
    "FIFO": Past(lambda days, day, _: days[0]),
    "LFU": Past(lambda days, day, _: len(days)),
    "LRU": Past(lambda days, day, _: days[-1]),
    "ACT-R base level": Past(_act_r),
    INVERTED: Past(lambda days, day, _: -_idle(days, day) * len(days)),
    "the paper's law as a rank": Past(lambda days, day, _: -_idle(days, day) / len(days)),
    "power law over the same t/S": Past(lambda days, day, _: (1 + 19 / 81 * _idle(days, day) / len(days)) ** -0.5),
    "spaced, by the whole gap": Kept(MemoryBank(most_growth=1e9)),
    OURS: Kept(),
}
DICE: dict[str, Callable[[int, int], float]] = {
    "dice, the paper's law": lambda idle, strength: math.exp(-idle / strength),
    "dice, the official code's law": lambda idle, strength: math.exp(-idle * strength / 5),
}


def hits(rule: Rule, world: World, seed: int) -> float:
    """The share of needs whose memory was at hand."""
    needs, chance = needs_of(world, seed), random.Random(seed)
    state = [rule.begin(day) for day in needs.born]
    hot: set[int] = set()
    hit = asked = 0
    for day, needed, said in _days(needs):
        hot.update(said)
        for memory in needed:
            asked += 1
            hit += memory in hot
            if memory in hot or world.does_return:
                hot.add(memory)
                state[memory] = rule.use(state[memory], day)
        if len(hot) > CAPACITY:
            order = sorted(hot, key=lambda memory: (-rule.key(state[memory], day, chance), memory))
            hot = set(order[:CAPACITY])
    return hit / asked


def dice(law: Callable[[int, int], float], world: World, seed: int) -> float:
    """The same where each day each memory is lost with a chance, as the official code does at every start: there is no capacity."""
    needs, chance = needs_of(world, seed), random.Random(seed)
    last, strength = list(needs.born), [1] * MEMORIES
    hot: set[int] = set()
    hit = asked = 0
    for day, needed, said in _days(needs):
        hot.update(said)
        for memory in needed:
            asked += 1
            hit += memory in hot
            if memory in hot or world.does_return:
                hot.add(memory)
                last[memory], strength[memory] = day, strength[memory] + 1
        hot = {memory for memory in sorted(hot) if chance.random() < law(day - last[memory], strength[memory])}
    return hit / asked


def _days(needs: Needs) -> Sequence[tuple[int, Sequence[int], Sequence[int]]]:
    said: list[list[int]] = [[] for _ in range(DAYS)]
    for memory, day in enumerate(needs.born):
        said[day].append(memory)
    return [(day, needs.days[day], said[day]) for day in range(DAYS)]


@dataclass(frozen=True, slots=True)
class Figure:
    """The share of hits over seeds, its deviation, and over LRU on the same seeds the gain and the least of any seed."""

    world: str
    rule: str
    hit: float
    deviation: float
    gain: float
    least: float


def run(worlds: Sequence[World], seeds: int, advance: Callable[[int, int], None] = lambda done, total: None) -> list[Figure]:
    """Every rule in every world, over the same seeds."""
    found: list[Figure] = []
    runs: dict[str, Callable[[World, int], float]] = {
        **{name: partial(hits, rule) for name, rule in RULES.items()},
        **{name: partial(dice, law) for name, law in DICE.items()},
    }
    for place, world in enumerate(worlds):
        told = {}
        for number, (name, once) in enumerate(runs.items()):
            told[name] = [once(world, seed) for seed in range(seeds)]
            advance(place * len(runs) + number + 1, len(worlds) * len(runs))
        for name, values in told.items():
            gains = [a - b for a, b in zip(values, told["LRU"], strict=True)]
            spread = stdev(values) if seeds > 1 else 0.0
            found.append(Figure(world.name, name, fmean(values), spread, fmean(gains), min(gains)))
    return found


def growths(worlds: Sequence[World], seeds: int, steps: Sequence[float] = (0.1, 0.2, 1 / 3, 0.5, 1.0, 3.0)) -> dict[float, list[float]]:
    """The gain of ours over LRU in each world, for other limits of growth: how much hangs on the choice."""
    lru = {world.name: fmean(hits(RULES["LRU"], world, seed) for seed in range(seeds)) for world in worlds}
    return {
        step: [fmean(hits(Kept(MemoryBank(most_growth=step)), world, seed) for seed in range(seeds)) - lru[world.name] for world in worlds]
        for step in steps
    }

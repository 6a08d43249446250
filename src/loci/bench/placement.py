"""What it costs to have memories read, loaded, made into KV memories and kept, under rules that decide in which form they are.

Traces of uses and edits are replayed against a machine whose rates are declared, so that every run gives the same. A use is an answer that
cites some memories: it costs the reading of what no KV memory holds, and the loading of the one that holds most of it, as `generate` goes on
from one; where reading is cheaper, the text is read, whatever the rule. A rule decides only what is made and let go. Ours asks what
`generate --keep` asks of what was just read, and once an hour in which anything was asked `policy.placing.plan`, as `loci plan` does. Costs are of
the prompt's beginning: what is answered after it costs the same in every form.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from loci.policy import placing
from loci.policy.eviction import Stored, payload_key
from loci.policy.placement import load_seconds, read_seconds
from loci.policy.placing import Limits, Machine, Member, State
from loci.policy.retention import Recency, heat, used
from loci.ports.engine import Rates, Tier
from loci.ports.retaining import Strength
from loci.types import Kind

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
TIMER_DAYS = 5 / (24 * 60)
PLAN_DAYS = 1 / 24
TOP = 20  # memories that the timer copies
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Event:
    """At a time in days: an answer that cites memories, or a change of the words of one."""

    day: float
    memories: tuple[str, ...]
    is_edit: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """What happens, in order; the tokens of each memory, and the body that it belongs to."""

    name: str
    events: tuple[Event, ...]
    tokens: Mapping[str, int]
    bodies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Declared:
    """A machine by its name, what is known of it, and its room."""

    name: str
    machine: Machine
    limits: Limits


def _declared(name: str, rates: Rates, token_bytes: float, hand: float, disk: float) -> Declared:
    return Declared(name, Machine(rates, token_bytes, 32_768), Limits(int(hand * GIB), int(disk * GIB)))


MACHINES = (
    # measured: bench/results/kv/report.md, a model in the shape 30m, float32, one thread
    _declared("one core, 32M", Rates(13.7e-3, 464.9e-6, 215.76e-9, 6.75e-6, Tier(1e-5, 22.7e9), Tier(1e-4, 1.7e9)), 16_384, 1, 8),
    # derived: 2 P n + 2 n^2 d L over 8 TFLOP/s, PCIe 12 GB/s, an SSD of 3 GB/s; 147 KB a token (Qwen3-8B, bf16)
    _declared("laptop GPU, 8B", Rates(20e-3, 2.05e-3, 7.4e-8, 0.7e-6, Tier(2e-5, 12e9), Tier(1e-4, 3e9)), 147_456, 8, 32),
    # derived: the same over 495 TFLOP/s, PCIe 25 GB/s, NVMe 5 GB/s
    _declared("H100, 8B", Rates(5e-3, 33.1e-6, 1.2e-9, 0.05e-6, Tier(2e-5, 25e9), Tier(1e-4, 5e9)), 147_456, 24, 32),
)


@dataclass(slots=True)
class Cost:
    """Tokens that the model read, and milliseconds: of reading, of loading and of making."""

    tokens: int = 0
    read_ms: float = 0.0
    load_ms: float = 0.0
    made_ms: float = 0.0
    made: int = 0
    attached: int = 0

    @property
    def ms(self) -> float:
        return self.read_ms + self.load_ms + self.made_ms


@dataclass(slots=True)
class Block:
    """A KV memory: the memories in it, each with the version that was read. One that ``is_kept`` was read for an answer."""

    versions: dict[str, int]
    tokens: int
    day: float
    is_kept: bool = False

    def may_begin(self, memories: Iterable[str]) -> bool:
        """What an answer had read begins only a prompt that wants half of it, as in `operation.activation.nearest`."""
        return not self.is_kept or 2 * sum(memory in self.versions for memory in memories) >= len(self.versions)


@dataclass(slots=True)
class Room:
    """What is held on a machine in the course of a trace, and what it has cost so far."""

    trace: Trace
    declared: Declared
    blocks: dict[str, Block] = field(default_factory=dict)
    holding: dict[str, set[str]] = field(default_factory=dict)  # memory to blocks
    hand: OrderedDict[str, int] = field(default_factory=OrderedDict)  # blocks at hand, the longest unused first, and their bytes
    versions: Counter[str] = field(default_factory=Counter)
    cost: Cost = field(default_factory=Cost)
    day: float = 0.0

    @property
    def rates(self) -> Rates:
        return self.declared.machine.rates

    def bytes_of(self, tokens: int) -> int:
        return round(tokens * self.declared.machine.token_bytes)

    def is_fresh(self, block: Block) -> bool:
        return all(self.versions[memory] == version for memory, version in block.versions.items())

    def answer(self, memories: Sequence[str]) -> str | None:
        """Has memories read, from the block that holds most of them where that is cheaper. Returns it."""
        tokens = sum(self.trace.tokens[memory] for memory in memories)
        text_s = read_seconds(self.rates, tokens + placing.QUESTION)
        near = self._nearest(memories)
        if near is not None:
            block = self.blocks[near]
            rest = sum(self.trace.tokens[memory] for memory in memories if memory not in block.versions)
            tier = self.rates.host if near in self.hand else self.rates.disk
            load_s, read_s = (
                load_seconds(tier, self.bytes_of(block.tokens)),
                read_seconds(self.rates, rest + placing.QUESTION, block.tokens),
            )
            if load_s + read_s < text_s:
                self._pay(rest + placing.QUESTION, read_s, load_s)
                self.cost.attached += 1
                self._bring(near)
                return near
        self._pay(tokens + placing.QUESTION, text_s, 0.0)
        return None

    def _pay(self, tokens: int, read_s: float, load_s: float) -> None:
        self.cost.tokens += tokens
        self.cost.read_ms += 1000 * read_s
        self.cost.load_ms += 1000 * load_s

    def _may_begin(self, name: str, memories: Sequence[str]) -> bool:
        return self.is_fresh(self.blocks[name]) and self.blocks[name].may_begin(memories)

    def _nearest(self, memories: Sequence[str]) -> str | None:
        held = {name for memory in memories for name in self.holding.get(memory, ()) if self._may_begin(name, memories)}

        def overlap(name: str) -> tuple[int, int, str]:
            block = self.blocks[name]
            return sum(self.trace.tokens[m] for m in memories if m in block.versions), -block.tokens, name

        return max(held, key=overlap, default=None)

    def make(self, name: str, memories: Sequence[str], *, is_read: bool = True) -> None:
        """Has memories read into a block, and written. What was just read for an answer need not be read again (``is_read`` False)."""
        self.drop(name)
        tokens = sum(self.trace.tokens[memory] for memory in memories)
        self.blocks[name] = Block({memory: self.versions[memory] for memory in memories}, tokens, self.day, not is_read)
        for memory in memories:
            self.holding.setdefault(memory, set()).add(name)
        reading = read_seconds(self.rates, tokens) if is_read else 0.0
        self.cost.tokens += tokens * is_read
        self.cost.made_ms += 1000 * (reading + load_seconds(self.rates.disk, self.bytes_of(tokens)))
        self.cost.made += 1
        self._bring(name)

    def drop(self, name: str) -> None:
        block = self.blocks.pop(name, None)
        for memory in block.versions if block else ():
            self.holding[memory].discard(name)
        self.hand.pop(name, None)

    def _bring(self, name: str) -> None:
        self.hand.pop(name, None)
        self.hand[name] = self.bytes_of(self.blocks[name].tokens)
        while sum(self.hand.values()) > self.declared.limits.hand_bytes:
            self.hand.popitem(last=False)

    @property
    def bytes(self) -> int:
        return sum(self.bytes_of(block.tokens) for block in self.blocks.values())


class Rule(Protocol):
    """What is made and let go, after each use and each edit, and as time goes by."""

    def used(self, room: Room, event: Event, attached: str | None) -> None: ...

    def edited(self, room: Room, event: Event) -> None: ...

    def passed(self, room: Room, day: float) -> None:
        """Called before each event with its time."""


class Nothing:
    """Text, always."""

    def used(self, room: Room, event: Event, attached: str | None) -> None:
        pass

    def edited(self, room: Room, event: Event) -> None:
        pass

    def passed(self, room: Room, day: float) -> None:
        pass


@dataclass
class Latest(Nothing):
    """A cache of what was used last: each answer's memories are made into a block if they are in none, and the longest unused leaves.
    ``is_read``: as `activate` makes one, which reads them; otherwise as a prefix cache keeps what was just read."""

    is_read: bool = True
    order: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def used(self, room: Room, event: Event, attached: str | None) -> None:
        name = attached if attached and set(event.memories) <= room.blocks[attached].versions.keys() else "+".join(sorted(event.memories))
        if name not in room.blocks or not room.is_fresh(room.blocks[name]):
            room.make(name, event.memories, is_read=self.is_read)
        self.order.pop(name, None)
        self.order[name] = None
        while room.bytes > room.declared.limits.disk_bytes:
            room.drop(self.order.popitem(last=False)[0])


@dataclass
class Timer(Nothing):
    """The memories used most, copied into one block every five minutes in which anything was asked. ``is_repaired``: only where they or their words
    are others than those in it; the official system makes it anew each time."""

    is_repaired: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    last: dict[str, float] = field(default_factory=dict)
    due: float = math.inf

    def used(self, room: Room, event: Event, attached: str | None) -> None:
        self.counts.update(event.memories)
        self.last.update(dict.fromkeys(event.memories, event.day))
        self.due = min(self.due, (math.floor(event.day / TIMER_DAYS) + 1) * TIMER_DAYS)

    def passed(self, room: Room, day: float) -> None:
        if day < self.due:
            return
        self.due = math.inf
        chosen = sorted(self.counts, key=lambda memory: (-self.counts[memory], -self.last[memory], memory))[:TOP]
        block = room.blocks.get("top")
        if self.is_repaired and block is not None and block.versions.keys() == set(chosen) and room.is_fresh(block):
            return
        while sum(room.trace.tokens[memory] for memory in chosen) > placing.PREFIX * room.declared.machine.context:
            chosen.pop()  # what is used least of them
        room.make("top", chosen)


@dataclass
class Planned(Nothing):
    """The decisions of `policy.placing.plan` alone, by which text is read once more to be kept."""

    strengths: dict[str, Strength] = field(default_factory=dict)
    changes: dict[str, tuple[int, float]] = field(default_factory=dict)  # of a memory: how often, when last
    demoted: dict[str, float] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)  # by body, its memories that were used
    due: float = math.inf
    by: Recency = field(default_factory=Recency)

    def used(self, room: Room, event: Event, attached: str | None) -> None:
        moment = _moment(event.day)
        for memory in event.memories:
            self.strengths[memory] = used(self.strengths.get(memory, Strength(moment)), moment, self.by)
            self.groups.setdefault(room.trace.bodies[memory], set()).add(memory)
        self._ask(event.day)

    def edited(self, room: Room, event: Event) -> None:
        for memory in event.memories:
            self.changes[memory] = self.changes.get(memory, (0, 0.0))[0] + 1, event.day
        self._ask(event.day)

    def _ask(self, day: float) -> None:
        self.due = min(self.due, (math.floor(day / PLAN_DAYS) + 1) * PLAN_DAYS)

    def passed(self, room: Room, day: float) -> None:
        if day < self.due:
            return
        now, self.due = self.due, math.inf
        for decision in placing.plan(self._bodies(room, now), room.declared.machine, room.declared.limits):
            if decision.is_move and decision.after is Kind.ACTIVATION:
                room.make(decision.body.id, decision.body.memories)
            elif decision.is_move:
                room.drop(decision.body.id)
                self.demoted[decision.body.id] = now

    def _bodies(self, room: Room, now: float) -> list[placing.Body]:
        """The memories of each block, and of each body those that were used and are in no block but its own."""
        taken = {memory: name for name, block in room.blocks.items() for memory in block.versions}
        members: dict[str, list[Member]] = {}
        for memory, name in taken.items():
            members.setdefault(name, []).append(self._member(room, memory, now))
        for name, memories in list(self.groups.items()):
            own = [self._member(room, memory, now) for memory in memories if memory not in taken]
            if any(member.heat >= placing.HOT for member in own):
                members.setdefault(name, []).extend(own)
            elif name not in room.blocks and not any(memory in taken for memory in memories):
                del self.groups[name]  # it comes back with its next use
        return [placing.body_of(name, own, self._state(room, name, now)) for name, own in members.items()]

    def _state(self, room: Room, name: str, now: float) -> State:
        block = room.blocks.get(name)
        if block is None:
            return State(demoted_days=now - self.demoted[name] if name in self.demoted else None)
        stale = "" if room.is_fresh(block) else "its words changed"
        return State(Kind.ACTIVATION, frozenset(block.versions), stale, held_days=now - block.day)

    def _member(self, room: Room, memory: str, now: float) -> Member:
        strength = self.strengths[memory]
        count, when = self.changes.get(memory, (0, -math.inf))
        return Member(memory, room.trace.tokens[memory], heat(strength, _moment(now)), strength.uses, count, now - when)


@dataclass
class Keeping(Planned):
    """Ours: besides, what was just read is kept where `policy.placing.why_not_kept` has nothing against it. What there is no room for goes as
    it goes from a cube, by `policy.eviction.payload_key`."""

    reads: dict[tuple[tuple[str, int], ...], Strength] = field(default_factory=dict)  # of a text: its memories and their versions
    clock: float = 0.0
    uses: Counter[str] = field(default_factory=Counter)
    keys: dict[str, float] = field(default_factory=dict)

    def used(self, room: Room, event: Event, attached: str | None) -> None:
        super().used(room, event, attached)
        if attached is not None:
            self._rank(room, attached)
            return
        text = tuple(sorted((memory, room.versions[memory]) for memory in event.memories))
        strength = self.reads[text] = used(self.reads.get(text, Strength(_moment(event.day))), _moment(event.day), self.by)
        tokens = sum(room.trace.tokens[memory] for memory in event.memories)
        if not placing.why_not_kept(tokens, strength.heat, room.declared.machine):
            name = self._name(room, event)
            room.make(name, event.memories, is_read=False)
            self._rank(room, name)
            self._fit(room, name)

    def _name(self, room: Room, event: Event) -> str:
        """What is kept of one body is that body's, unless it has something already."""
        bodies = {room.trace.bodies[memory] for memory in event.memories}
        body = bodies.pop() if len(bodies) == 1 else ""
        is_taken = body in room.blocks and room.blocks[body].versions.keys() != set(event.memories)
        return body if body and not is_taken else "+".join(sorted(event.memories))

    def _rank(self, room: Room, name: str) -> None:
        self.uses[name] += 1
        tokens = room.blocks[name].tokens
        size = room.bytes_of(tokens)
        costs = 1000 * read_seconds(room.rates, tokens), 1000 * load_seconds(room.rates.disk, size)
        self.keys[name] = payload_key(Stored(self.uses[name], *costs, size), self.clock)

    def _fit(self, room: Room, newest: str) -> None:
        while room.bytes > room.declared.limits.disk_bytes and len(room.blocks) > 1:
            key, least = min((self.keys.get(name, 0.0), name) for name in room.blocks if name != newest)
            room.drop(least)
            self.clock = max(self.clock, key)


def _moment(day: float) -> datetime:
    return EPOCH + timedelta(days=day)


NOTHING, OURS = "nothing: text, always", "ours"
RULES: dict[str, Callable[[], Rule]] = {
    NOTHING: Nothing,
    "fixed timer, as the official system": lambda: Timer(is_repaired=False),
    "fixed timer, made anew on change": Timer,
    "LRU cache of activations": Latest,
    OURS: Keeping,
}
PREFIX_CACHE, PLAN_ALONE = "LRU that keeps what was just read", "ours, the plan alone"
EXTRA: dict[str, Callable[[], Rule]] = {PREFIX_CACHE: lambda: Latest(is_read=False), PLAN_ALONE: Planned}
"""Beside the targets: a cache that makes as we do, without being asked whether it pays; and what the plan does if nothing is kept in passing."""


def replay(trace: Trace, rule: Rule, declared: Declared) -> Cost:
    """What a trace costs under a rule."""
    room = Room(trace, declared)
    for event in trace.events:
        room.day = event.day
        rule.passed(room, event.day)
        if event.is_edit:
            room.versions.update(event.memories)
            rule.edited(room, event)
        else:
            rule.used(room, event, room.answer(event.memories))
    return room.cost

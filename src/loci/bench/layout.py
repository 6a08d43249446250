"""What a prompt's layout costs with a provider's cache: simulated conversations, by token counts alone.

    A  recalled memories by relevance, then the history      D  a fixed core first, what it lacks just before the user
    B  the same in the order of ids                          E  what is not there yet just before the user, and kept
    C  history first, recalled memories just before          F  no memory
       the user, dropped at the next turn                    Loci  as `Conversation` lays it out

A cache knows the longest start of a prompt that is the last prompt's and its answer's. What is not found is written to it and paid as
such. What is recalled: a memory's chance falls with its rank in popularity and rises with its nearness to the topic; topics change.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from loci.errors import Invalid
from loci.policy import layout as layouts
from loci.policy.caching import Provider
from loci.policy.layout import Block, Budget, Candidates, Known, Layout, Now
from loci.policy.packing import Item, line_of
from loci.policy.prompt import fenced
from loci.text.tokens import count_tokens

Piece = tuple[object, int]  # something in a prompt that is the same or not, and its tokens
LAYOUTS = ("A", "B", "C", "D", "E", "F", "Loci")
NEARNESS, SPREAD = 2.0, 4.6  # what a topic counts for, beside the logarithm of a rank; what noise is multiplied by


@dataclass(frozen=True, slots=True)
class World:
    """The conversations to simulate. ``write`` and the like are the provider's."""

    turns: int = 40
    memories: int = 400
    topics: int = 20
    change: float = 0.15
    noise: float = 0.15
    top: int = 20
    memory_tokens: int = 30
    system_tokens: int = 500
    history_tokens: int = 200
    user_tokens: int = 60
    provider: Provider = field(default_factory=lambda: Provider("simulated", 1.25, 0.1, 1024, 128, 300.0))

    def __post_init__(self) -> None:
        counts = (self.turns, self.topics, self.top, self.memories - self.top + 1, self.history_tokens - self.user_tokens + 1)
        if min(counts) < 1 or min(self.memory_tokens, self.system_tokens, self.user_tokens, self.noise) < 0 or not 0 <= self.change <= 1:
            raise Invalid(
                f"{self} cannot be simulated: it needs a turn, a topic, at least as many memories as are recalled, a history that grows"
                " by what the user says or more, a chance from 0 to 1, and nothing below zero."
            )


@dataclass(frozen=True, slots=True)
class Turn:
    """What one prompt came to: its tokens, those found in the cache, and its price in tokens that are not cached."""

    tokens: int
    cached: int
    cost: float


def run(world: World, seeds: int, advance: Callable[[int, int], None]) -> dict[str, dict[str, float]]:
    """By layout the means over turns and seeds: tokens of a prompt, the share that was cached, the cost of a turn and its deviation over
    seeds; also of A without breakpoints, where nothing is written and nothing found."""
    told: dict[str, list[list[Turn]]] = {name: [] for name in LAYOUTS}
    for seed in range(seeds):
        drawn, popular = recalls(world, seed)
        for name in LAYOUTS:
            told[name].append(accounts(prompts(name, world, drawn, popular), world.provider))
        advance(seed + 1, seeds)
    return {name: summary(runs) for name, runs in told.items()}


def summary(runs: Sequence[Sequence[Turn]]) -> dict[str, float]:
    """The means over the turns of several conversations, each turn counting as much."""
    turns = [turn for run in runs for turn in run]
    tokens = statistics.mean(turn.tokens for turn in turns)
    return {
        "prompt tokens": tokens,
        "cached": sum(turn.cached for turn in turns) / max(1, sum(turn.tokens for turn in turns)),
        "cost": statistics.mean(turn.cost for turn in turns),
        "deviation": statistics.stdev(statistics.mean(turn.cost for turn in run) for run in runs) if len(runs) > 1 else 0.0,
        "uncached cost": tokens,
    }


def accounts(told: Iterator[tuple[list[Piece], Piece]], provider: Provider) -> list[Turn]:
    """What each prompt of a conversation costs, its cache holding the prompt before it with its answer."""
    found: list[Turn] = []
    before: list[Piece] = []
    for prompt, answer in told:
        prefix = 0
        for old, new in zip(before, prompt, strict=False):
            if old != new:
                break
            prefix += new[1]
        tokens = sum(piece[1] for piece in prompt)
        hit = provider.hit_of(prefix)
        found.append(Turn(tokens, hit, provider.cost_of(tokens, hit)))
        before = [*prompt, answer]
    return found


def recalls(world: World, seed: int) -> tuple[list[list[int]], list[int]]:
    """What is recalled at each turn, best first, and all memories by popularity."""
    import numpy as np  # here, so that `loci --help` does not read it

    chance = np.random.default_rng(seed)
    popularity = -np.log(chance.permutation(world.memories) + 1.0)
    nearness = NEARNESS * chance.normal(size=(world.topics, world.memories))
    topic = int(chance.integers(world.topics))
    drawn = []
    for turn in range(world.turns):
        if turn and chance.random() < world.change:
            topic = int(chance.integers(world.topics))
        score = popularity + nearness[topic] + SPREAD * world.noise * chance.normal(size=world.memories)
        drawn.append([int(memory) for memory in np.argsort(-score)[: world.top]])
    return drawn, [int(memory) for memory in np.argsort(-popularity)]


def prompts(name: str, world: World, drawn: Sequence[Sequence[int]], popular: Sequence[int]) -> Iterator[tuple[list[Piece], Piece]]:
    """The prompt of each turn in a layout, and the answer to it."""
    if name == "Loci":
        yield from _of_loci(world, drawn, popular)
        return
    core = core_of(world, drawn, popular)
    kept: list[int] = []
    inline: list[list[Piece]] = []
    for turn, memories in enumerate(drawn):
        fresh = [memory for memory in memories if memory not in kept]
        recalled = {"B": sorted(memories), "D": [m for m in memories if m not in core], "E": fresh, "F": []}.get(name, list(memories))
        pieces: list[Piece] = [(("memory", memory), world.memory_tokens) for memory in recalled]
        first = [(("memory", memory), world.memory_tokens) for memory in core] if name == "D" else pieces if name in "AB" else []
        history = [
            piece
            for past in range(turn)
            for piece in (*(inline[past] if name == "E" else ()), *_exchange(world, past))
        ]  # fmt: skip
        tail = [] if name in "ABF" else pieces
        asked, answer = _exchange(world, turn)
        yield [("system", world.system_tokens), *first, *history, *tail, asked], answer
        kept += fresh
        inline.append(pieces)


def core_of(world: World, drawn: Sequence[Sequence[int]], popular: Sequence[int]) -> list[int]:
    """A fixed core: half of it the most popular memories, half what the conversation began with, in the order of ids."""
    half = world.top // 2
    begun = [memory for memory in drawn[0] if memory not in popular[:half]]
    return sorted([*popular[:half], *begun[: world.top - half]])


def _exchange(world: World, turn: int) -> tuple[Piece, Piece]:
    return (("user", turn), world.user_tokens), (("answer", turn), world.history_tokens - world.user_tokens)


def _of_loci(world: World, drawn: Sequence[Sequence[int]], popular: Sequence[int]) -> Iterator[tuple[list[Piece], Piece]]:
    """The prompts as `policy.layout` decides them, of memories that never change."""
    names = [f"m{number:06}" for number in range(world.memories)]
    bare = count_tokens(line_of(Item("", None, None), 100) + "\n")
    item = Item("x" * max(0, 4 * (world.memory_tokens - bare)), None, None)
    known = Known({(name, 1): item for name in names}, {name: Now(1) for name in names})
    tokens = world.top * world.memory_tokens
    budget = Budget(tokens, 8 * tokens)
    candidates = Candidates([names[memory] for memory in popular[: world.top // 2]])
    layout = Layout()
    for turn, memories in enumerate(drawn):
        layout = layouts.settled(layout, known, world.provider, budget)
        spoken = turn * world.history_tokens + world.user_tokens
        if not layout.core_version or layouts.why_rewrite(layout, layout, known, budget, spoken, world.provider) is not None:
            layout = layouts.with_core(layout, known, candidates, budget, world.provider)
        layout = layouts.with_recalled(layout, known, [names[memory] for memory in memories], (), 2 * turn, (), world.user_tokens)
        blocks = {block.at: block for block in layout.blocks}
        history = [piece for past in range(turn) for piece in (*_block(blocks.get(2 * past), known), *_exchange(world, past))]
        asked, answer = _exchange(world, turn)
        core = _block(Block(0, layout.core) if layout.core else None, known)
        yield [("system", world.system_tokens), *core, *history, *_block(blocks.get(2 * turn), known), asked], answer


def _block(block: Block | None, known: Known) -> list[Piece]:
    return [] if block is None else [(block, count_tokens(fenced(block, known)))]


def sensitivity(world: World, seeds: int, advance: Callable[[int, int], None]) -> dict[str, dict[str, dict[str, float]]]:
    """The same where topics change less, where the system prompt is long, and both."""
    calm = replace(world, noise=0.05, change=0.05)
    cases = {"low churn": calm, "2,000-token system prompt": replace(world, system_tokens=2000), "both": replace(calm, system_tokens=2000)}
    return {
        case: run(other, seeds, lambda done, _, place=place: advance(place * seeds + done, len(cases) * seeds))  # type: ignore[misc]
        for place, (case, other) in enumerate(cases.items())
    }

"""What a provider's prompt cache is worth: how much of a prompt it should find again, what that costs, when a rewrite pays, and whether
what was reported is what was to be expected.

All providers' caches are of exact prefixes, so one layout serves them all; they differ in prices and in where a prefix may end. Tokens are
Loci's own estimate (`text.tokens.count_tokens`, four bytes each) until a provider has said how many it counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loci.errors import Invalid


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider's cache does, as data: it is for the caller to keep true. ``write`` and ``read`` are prices of a token over one that
    is not cached; what is found again ends at a multiple of ``step_tokens`` and is not less than ``minimum_tokens``; what nobody asked
    for in ``idle_seconds`` is gone. ``breakpoints`` is how many ends of prefixes a request may mark, 0 where every prefix is kept."""

    name: str
    write: float
    read: float
    minimum_tokens: int = 1024
    step_tokens: int = 1
    idle_seconds: float = 300.0
    breakpoints: int = 0

    def __post_init__(self) -> None:
        sound = 0 <= self.read <= self.write and self.minimum_tokens >= 0 and self.step_tokens >= 1 and 0 <= self.breakpoints <= 4
        if not sound or self.idle_seconds <= 0:
            raise Invalid(
                f"{self} is no provider: prices with read <= write, steps from 1, at most 4 breakpoints, and idle seconds above 0."
            )

    def hit_of(self, prefix_tokens: float) -> int:
        """Tokens that are read from the cache, of a prefix of so many that it knows."""
        found = int(prefix_tokens) // self.step_tokens * self.step_tokens
        return found if found >= self.minimum_tokens else 0

    def cost_of(self, tokens: float, hit: float) -> float:
        """The price of a prompt in tokens that are not cached, everything that is not found again being written."""
        return hit * self.read + (tokens - hit) * self.write


# As told in public in November 2026, second-hand; prices and minima differ by model and change: make your own where yours are others.
ANTHROPIC = Provider("anthropic", write=1.25, read=0.1, minimum_tokens=1024, step_tokens=1, idle_seconds=300, breakpoints=4)
OPENAI = Provider("openai", write=1.0, read=0.1, minimum_tokens=1024, step_tokens=128, idle_seconds=300)
PROVIDERS = {provider.name: provider for provider in (ANTHROPIC, OPENAI)}
LEAST, MOST = 0.5, 2.0
"""Tokens of a provider's to one of Loci's, in a stretch that it has not counted by itself: prose has few, ids and punctuation many."""
FRAME = 64  # tokens that a provider may put around a few messages
Anchors = tuple[tuple[int, int], ...]
"""Ends of prefixes of the last prompt: tokens as Loci estimates them, and as the provider counted them; in order."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of a segment of a prompt: a keyed hash of everything up to there, the estimated tokens up to there, and whether a breakpoint
    stands there."""

    hash: str
    tokens: int
    is_breakpoint: bool = False


def shared(before: Sequence[Mark], now: Sequence[Mark]) -> int:
    """How many segments two prompts have in common from their start."""
    count = 0
    for old, new in zip(before, now, strict=False):
        if old.hash != new.hash:
            break
        count += 1
    return count


def known_prefix(before: Sequence[Mark], now: Sequence[Mark], provider: Provider) -> int:
    """Estimated tokens of the longest start of this prompt that the one before it left in the cache."""
    common = before[: shared(before, now)]
    ends = [mark.tokens for mark in common if mark.is_breakpoint or not provider.breakpoints]
    return max(ends, default=0)


def pays(saved_per_turn: float, rewritten_tokens: float, expected_turns: float, provider: Provider) -> bool:
    """Whether writing so many tokens anew is cheaper than going on as it is for the turns to come."""
    return saved_per_turn * expected_turns > rewritten_tokens * (provider.write - provider.read)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider says of one prompt: its tokens, how many of them were read from the cache, and how many there are up to the last
    breakpoint, 0 where it has none."""

    prompt_tokens: int
    cached_tokens: int
    marked_tokens: int = 0


def usage_of(said: Mapping[str, object]) -> Usage:
    """The figures of a response's ``usage``, in Anthropic's words or in OpenAI's. Raises `Invalid` where it holds neither. Details that are null, as
    vLLM's are where nothing was cached, are of nothing."""
    if not isinstance(said, Mapping):
        raise Invalid(f"The usage is {said!r:.100}; it must be a dictionary: the response's `usage`, as the provider gave it.")
    named = next((name for name in ("prompt_tokens_details", "input_tokens_details") if name in said), None)
    details = None if named is None else {} if said[named] is None else said[named]
    if "cache_read_input_tokens" in said:
        read, written = _count(said, "cache_read_input_tokens"), _count(said, "cache_creation_input_tokens")
        return Usage(_count(said, "input_tokens") + read + written, read, read + written)
    if isinstance(details, Mapping):
        total = _count(said, "prompt_tokens" if "prompt_tokens" in said else "input_tokens")
        return Usage(total, min(_count(details, "cached_tokens"), total))
    raise Invalid(
        f"The usage has {sorted(map(str, said))}: it says nothing of the cache. Hand in the response's usage as a dictionary, with"
        " cache_read_input_tokens, or with prompt_tokens_details."
    )


def _count(said: Mapping[str, object], name: str) -> int:
    value = said.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Invalid(f"{name} in the usage is {value!r:.100}; it must be a number of tokens.")
    return value


@dataclass(frozen=True, slots=True)
class Gap:
    """Fewer tokens came from the cache than must have: something breaks the prefix, or the cache was lost. ``expected`` is what to count
    on at least, ``reported`` what the provider said."""

    turn: int
    expected: int
    reported: int
    provider: str

    @property
    def missing(self) -> int:
        return self.expected - self.reported

    def __str__(self) -> str:
        return (
            f"Turn {self.turn}: {self.provider} read {self.reported:,} tokens from its cache, where at least {self.expected:,} were to be"
            " expected. Was the prompt changed after it was rendered, sent with another key or model, or so late that the cache was gone?"
        )


def anchors_of(sent: Sequence[Mark], usage: Usage) -> Anchors:
    """What is known of how the provider counts the prompt that it reports on."""
    marked = max((mark.tokens for mark in sent if mark.is_breakpoint), default=0)
    ends = {0: 0, sent[-1].tokens: usage.prompt_tokens} | ({marked: usage.marked_tokens} if marked and usage.marked_tokens else {})
    return tuple(sorted(ends.items()))


def counted_as(prefix: int, anchors: Anchors) -> tuple[float, float]:
    """How many tokens the provider counts in an estimated prefix of a prompt: most likely, and at least. Between two ends that it has
    counted the first goes in a straight line; the second is what the nearest of them leave, however the rest is counted."""
    low = max((anchor for anchor in anchors if anchor[0] <= prefix), default=(0, 0))
    high = min((anchor for anchor in anchors if anchor[0] >= prefix), default=None)
    beyond = prefix - low[0]
    if high is None:
        rate = low[1] / low[0] if low[0] else 1.0
        return low[1] + beyond * rate, low[1] + beyond * LEAST
    share = beyond / (high[0] - low[0]) if high[0] > low[0] else 0.0
    frame = FRAME if high[0] > prefix else 0
    return low[1] + share * (high[1] - low[1]), max(low[1] + beyond * LEAST, high[1] - (high[0] - prefix) * MOST - frame)


def gap(turn: int, prefix: int, anchors: Anchors, usage: Usage, provider: Provider) -> Gap | None:
    """What is missing of the tokens that the cache must have known: those of an estimated ``prefix`` of the prompt before, counted at
    least. A step is no gap."""
    sure = provider.hit_of(counted_as(prefix, anchors)[1]) if prefix else 0
    return Gap(turn, sure, usage.cached_tokens, provider.name) if usage.cached_tokens < sure - provider.step_tokens else None

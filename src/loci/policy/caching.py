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
EARLY, LATER = 0.25, 0.05
"""By how much the count of a prefix may be off, before the provider has counted a prompt of this conversation, and after."""


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
    """What a provider says of one prompt: its tokens, and how many of them were read from the cache."""

    prompt_tokens: int
    cached_tokens: int


def usage_of(said: Mapping[str, object]) -> Usage:
    """The figures of a response's ``usage``, in Anthropic's words or in OpenAI's. Raises `Invalid` where it holds neither."""
    details = said.get("prompt_tokens_details", said.get("input_tokens_details"))
    if "cache_read_input_tokens" in said:
        read, written = _count(said, "cache_read_input_tokens"), _count(said, "cache_creation_input_tokens")
        return Usage(_count(said, "input_tokens") + read + written, read)
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


def gap(turn: int, prefix: int, estimated: int, counted: int, is_calibrated: bool, usage: Usage, provider: Provider) -> Gap | None:
    """What is missing of the tokens that the cache must have known. ``prefix`` of ``estimated`` tokens were sent before, which the provider
    ``counted`` as so many then: what it must have read is that share, less what a count may be off, and less a step."""
    if not prefix or not estimated:
        return None
    off = LATER if is_calibrated else EARLY
    sure = provider.hit_of(prefix * counted / estimated * (1 - off))
    return Gap(turn, sure, usage.cached_tokens, provider.name) if usage.cached_tokens < sure - provider.step_tokens else None

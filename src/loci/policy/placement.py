"""Where a memory is best kept, by what it costs: reading its text again, or loading what a model made of it. Pure.

Costs are two-parameter models with rates measured on the machine at hand (`loci.ports.engine.Rates`): reading n tokens after m
others takes ``start + n a + n (m + n / 2) b + m c``, loading takes ``latency + bytes / bandwidth``. Below the break-even bandwidth of a model, which does not depend
on n for short texts, reading the text again is faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from loci.ports.engine import Rates, Tier

MARGIN = 0.9  # a state is loaded where that takes less than this share of reading the text: estimates err


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether to load a state, what each way takes, and the reason in a sentence."""

    is_loaded: bool
    load_ms: float
    read_ms: float
    reason: str


def read_seconds(rates: Rates, tokens: int, after: int = 0) -> float:
    """To read ``tokens`` that follow ``after`` others."""
    return rates.start_s + tokens * rates.token_s + tokens * (after + tokens / 2) * rates.pair_s + after * rates.held_s


def load_seconds(tier: Tier, size: int) -> float:
    """To bring ``size`` bytes from a tier."""
    return tier.latency_s + size / tier.bytes_per_s


def choose(rates: Rates, tier: str, tokens: int, size: int) -> Choice:
    """Load a state of ``size`` bytes from ``host`` or ``disk``, or read its ``tokens`` again?"""
    load = 1000 * load_seconds(rates.host if tier == "host" else rates.disk, size)
    read = 1000 * read_seconds(rates, tokens)
    is_loaded = load < MARGIN * read
    verb = "loading it takes" if is_loaded else "reading the text again is as fast: loading takes"
    return Choice(is_loaded, load, read, f"{verb} {load:.0f} ms from the {tier}, reading {tokens} tokens {read:.0f} ms")


def uses_to_pay(build_ms: float, choice: Choice) -> float:
    """After how many uses a state has saved what it cost to build: infinite where it saves nothing."""
    saved = choice.read_ms - choice.load_ms
    return math.ceil(build_ms / saved) if saved > 0 else math.inf


def page_key(last_used: int, depth: int) -> tuple[int, int]:
    """The sort key by which pages leave memory, least first: the least recently used, of these the last of a text before its beginning,
    which others may share."""
    return last_used, -depth

"""Where a memory is best kept, by what it costs: reading its text again, or loading what a model made of it. Pure.

Costs are two-parameter models with rates measured on the machine at hand (`loci.ports.engine.Rates`): reading n tokens after m
others takes ``start + n a + n (m + n / 2) b + m c``, loading takes ``latency + bytes / bandwidth``. Below the break-even bandwidth of a model, which does not depend
on n for short texts, reading the text again is faster.
"""

from __future__ import annotations

from loci.ports.engine import Rates, Tier

MARGIN = 0.9  # a state is loaded where that takes less than this share of reading the text: estimates err

PATIENCE = 4.0  # times the reading of a text that bringing its state ahead may take


def read_seconds(rates: Rates, tokens: int, after: int = 0) -> float:
    """To read ``tokens`` that follow ``after`` others."""
    return rates.start_s + tokens * rates.token_s + tokens * (after + tokens / 2) * rates.pair_s + after * rates.held_s


def load_seconds(tier: Tier, size: int) -> float:
    """To bring ``size`` bytes from a tier."""
    return tier.latency_s + size / tier.bytes_per_s


def is_worth_loading(load_ms: float, read_ms: float) -> bool:
    """Whether a state comes from the disk sooner than its text is read again."""
    return load_ms < MARGIN * read_ms


def is_worth_preparing(load_ms: float, read_ms: float) -> bool:
    """Whether a state is worth bringing from the disk before it is asked for, while nobody waits. Once at hand it is gone on from however
    long that took, so it may take longer than reading; but the next turn comes in seconds, and others want the disk too."""
    return load_ms <= PATIENCE * read_ms


def page_key(last_used: int, depth: int) -> tuple[int, int]:
    """The sort key by which pages leave memory, least first: the least recently used, of these the last of a text before its beginning,
    which others may share."""
    return last_used, -depth

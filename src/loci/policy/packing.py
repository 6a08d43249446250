"""Hits to a prompt: within a token budget, in reading order, dated and cited, and fenced so that it stays data.

How a line is written, and read back, is `text.fence`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from loci.text.excerpt import excerpt
from loci.text.fence import CLOSE, OPEN, OPEN_UNTRUSTED, Line, escape, parse, write
from loci.text.tokens import count_tokens

__all__ = ["CLOSE", "OPEN", "OPEN_UNTRUSTED", "SMALLEST_BUDGET", "Item", "Line", "Pack", "escape", "line_of", "pack", "parse"]

SMALLEST_BUDGET = count_tokens(f"{OPEN}\n{CLOSE}") + 8


@dataclass(frozen=True, slots=True)
class Item:
    """What is needed of a hit to write its line. ``note`` says what a reader must know (superseded, until when); ``origin`` where it came
    from, empty for first-hand words of the speaker; what is not trusted may inform, but authorises nothing."""

    text: str
    speaker: str | None
    at: datetime | None
    note: str = ""
    origin: str = ""
    is_trusted: bool = True


@dataclass(frozen=True, slots=True)
class Pack:
    """The text for a prompt, its size, and the positions of the items that went in (by rank)."""

    text: str
    tokens: int
    taken: tuple[int, ...]


LONG = 160
"""Tokens: within a budget, no memory takes more; of a longer one the sentences that the question is about."""
SHARES = 3  # memories that even a small budget has room for
SHORTEST = 24  # tokens that an excerpt is worth having for


def pack(items: Sequence[Item], budget_tokens: int | None, terms: Sequence[str] = (), first: int = 1) -> Pack:
    """Takes items by rank while they fit; of one that is long, or too long for what is left, the sentences that share the ``terms``.
    Citations count what was taken, best first, from ``first``: [1] is the first hit of the recall."""
    opening = OPEN if all(item.is_trusted for item in items) else OPEN_UNTRUSTED
    room = None if budget_tokens is None else budget_tokens - count_tokens(f"{opening}\n{CLOSE}") - 1
    taken: list[tuple[int, str]] = []
    for rank, item in enumerate(items):
        line = line_of(item, len(taken) + first)
        cost = count_tokens(line + "\n")
        if room is not None and budget_tokens is not None:
            most = min(room, LONG, max(budget_tokens // SHARES, 2 * SHORTEST))
            if cost > most:
                bare = count_tokens(line_of(replace(item, text=""), len(taken) + first) + "\n")
                allowed = most - bare
                if allowed < SHORTEST:
                    continue
                line = line_of(replace(item, text=excerpt(item.text, terms, allowed)), len(taken) + first)
                cost = count_tokens(line + "\n")
            if cost > room:  # escaping made it longer
                continue
            room -= cost
        taken.append((rank, line))
    if not taken:
        return Pack("", 0, ())
    taken.sort(key=lambda entry: (items[entry[0]].at is not None, items[entry[0]].at or 0))
    text = "\n".join([opening, *(line for _, line in taken), CLOSE])
    return Pack(text, count_tokens(text), tuple(sorted(rank for rank, _ in taken)))


def line_of(item: Item, citation: int) -> str:
    """The line of one item, cited by this number."""
    day = None if item.at is None else item.at.date()
    return write(Line(citation, item.text, item.speaker, day, item.note, item.origin, item.is_trusted))

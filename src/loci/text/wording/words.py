"""Lists of words as they are written in the tables: one string, split at white space."""

from __future__ import annotations


def listed(words: str) -> tuple[str, ...]:
    """Return the words in order."""
    return tuple(words.split())


def wordset(words: str) -> frozenset[str]:
    """Return the words as a set."""
    return frozenset(words.split())

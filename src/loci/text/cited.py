"""Which of the numbered memories of a prompt an answer refers to."""

from __future__ import annotations

import re

_MARK = re.compile(r"\[(\d{1,6}(?:\s?[,;–-]\s?\d{1,6})*)\]")
_PART = re.compile(r"(\d{1,6})(?:\s?[–-]\s?(\d{1,6}))?")
MOST_APART = 100  # "[1-1000]" is no citation of a thousand


def citations(text: str) -> list[int]:
    """The numbers that stand in square brackets in a text, each once, in their order: [2], [1, 3], [4-6]."""
    found: dict[int, None] = {}
    for mark in _MARK.finditer(text):
        for part in _PART.finditer(mark[1]):
            first, last = int(part[1]), int(part[2] or part[1])
            if last - first <= MOST_APART:
                found.update(dict.fromkeys(range(first, last + 1)))
    return list(found)

"""What is left of words elsewhere: runs of them that are theirs alone, and whether another text holds any."""

from __future__ import annotations

import re

PIECE = 24  # bytes; a run of words this long is theirs alone, and what is shorter may be anybody's


def pieces(text: str) -> list[bytes]:
    """Byte runs of a text that are theirs alone; none of a short one."""
    raw = text.encode()
    return [raw[start : start + PIECE] for start in range(0, len(raw) - PIECE + 1, PIECE)]


def holds(said: str, text: str) -> bool:
    """Whether what is said holds the words of a text: a run of them, or, of a short one, all of them as whole words."""
    if found := pieces(text):
        raw = said.encode()
        return any(piece in raw for piece in found)
    return bool(text.strip()) and re.search(rf"(?<!\w){re.escape(text.strip())}(?!\w)", said) is not None

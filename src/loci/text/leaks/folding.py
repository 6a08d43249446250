"""A text as its reader sees it: look-alikes, wide letters and invisible characters folded away, with the way back to the original."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

FILL = "\ufffc"  # stands for what is masked already: no letter, no space, part of no token

# Letters of other scripts that are drawn like a Latin one (Unicode's confusables, those that are alike in common fonts).
_ALIKE = {
    "ABCEHIJKMOPSTXYZ": "АВСЕНІЈКМОРЅТХҮΖ", "GVWQDL": "ԌѴԜԚꓓᏞ", "abcdehijklmnopqrstuvwxyz": "аЬсԁеһіјκӏмпорԛгѕтυѵԝхуꙅ",
    "ABEZHIKMNOPTYX": "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aevioyuxnwpt": "αενιογυχηωρτ", "onuhgqf": "օոսհցգք", "ilgaoscvwxz": "ıꓲɡɑᴏꜱᴄᴠᴡⅹᴢ",
    "ABCEHIKMPST": "ᎪᏴᏟᎬᎻᏆᏦᎷᏢᏚᎢ", "yYdblj": "үҮ𐑅ƅǀϳ",
}  # fmt: skip
_LOOKS = {ord(drawn): plain for plains, drawns in _ALIKE.items() for plain, drawn in zip(plains, drawns, strict=True)}
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u17b4\u17b5\u2800")  # letters and signs that are drawn as nothing
_QUOTES = {"‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "\u2212": "-"}


class _Folding(dict[int, str]):
    """What each code point is folded to, worked out when it is first met."""

    def __missing__(self, point: int) -> str:
        folded = self[point] = _folded(point)
        return folded


def _folded(point: int) -> str:
    char = chr(point)
    if point < 128 or char == FILL:
        return char
    category = unicodedata.category(char)
    if point in _LOOKS:
        return _LOOKS[point]
    if category in ("Cf", "Mn", "Me") or char in _BLANKS:
        return ""
    if category in ("Zs", "Zl", "Zp"):
        return " " if category == "Zs" else "\n"
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Pd" or char in _QUOTES:
        return _QUOTES.get(char, "-")
    plain = unicodedata.normalize("NFKC", char)
    return plain if plain.isascii() else char


_FOLDING = _Folding()


class Candidate(NamedTuple):
    """A place in a view that may be a finding. Of those that overlap, the lower rank wins, then the longer."""

    start: int
    end: int
    kind: str
    rank: int


class View:
    """A text that detectors read, its lower-case form of the same length, its long runs, and where each character came from."""

    __slots__ = ("_at", "_from", "lower", "runs", "text")

    def __init__(self, text: str, at: list[int], origins: list[int]) -> None:
        lower = text.lower()
        if len(lower) != len(text):
            lower = "".join(low if len(low := char.lower()) == 1 else char for char in text)
        self.text, self.lower, self.runs, self._at, self._from = text, lower, _runs(text), at, origins

    def origin(self, at: int) -> int:
        """Where the character at `at` stands in what the view was made of."""
        piece = bisect_right(self._at, at) - 1
        return self._from[piece] + at - self._at[piece]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that `start` to `end` was made of."""
        return self.origin(start), self.origin(end - 1) + 1


def folded(text: str) -> str:
    """The text as its reader sees it, in ASCII where it looks like ASCII."""
    return text if text.isascii() else text.translate(_FOLDING)


def view_of(text: str, holes: Sequence[tuple[int, int]] = ()) -> View:
    """The folded view of `text`, each of the `holes` (sorted spans) filled with one character that belongs to nothing."""
    parts: list[str] = []
    at: list[int] = []
    origins: list[int] = []
    length = last = 0
    for start, end in (*holes, (len(text), len(text))):
        piece = text[last:start]
        plain = folded(piece)
        if plain == piece:
            at.append(length)
            origins.append(last)
            length += len(plain)
        else:
            length = _spread(piece, last, length, at, origins)
        parts.append(plain)
        if end > start:
            at.append(length)
            origins.append(start)
            parts.append(FILL)
            length += 1
        last = end
    return View("".join(parts), at, origins)


def _spread(piece: str, first: int, length: int, at: list[int], origins: list[int]) -> int:
    """Notes for a piece that was changed where each of its characters came from; returns the length of the view after it."""
    is_even = False
    for place, char in enumerate(piece, first):
        size = 1 if char < "\x80" else len(_FOLDING[ord(char)])
        if size == 1 and is_even:
            length += 1
            continue
        for _ in range(size):
            at.append(length)
            origins.append(place)
            length += 1
        is_even = size == 1
    if not is_even:  # what follows starts anew
        at.append(length)
        origins.append(first + len(piece))
    return length


# --- runs and lines -------------------------------------------------------------------------------------------------------------

RUN = 16  # characters without a space; no token is shorter
_NO_WORD = re.compile(r"[0-9_]|[a-z][A-Z]|[A-Z]{2}[a-z]|[A-Z]{12}")
_BREAK = re.compile(r"\\?\r?\n[ \t>|]{0,16}(?=[A-Za-z0-9_+/=.$-])")
_TAIL = re.compile(r"[A-Za-z0-9_+/=.%$-]{3,256}")


def _runs(text: str) -> list[tuple[int, int]]:
    """The long runs without a space that are no words: with digits, underlines or capitals inside."""
    places: list[tuple[int, int]] = []
    at = 0
    for word in text.split():
        if len(word) >= RUN and _NO_WORD.search(word):
            at = text.index(word, at)
            places.append((at, at + len(word)))
            at += len(word)
    return places


def has_runs(text: str) -> bool:
    """Whether there is such a run, or two halves of one in two lines."""
    if any(map(_NO_WORD.search, [word for word in text.split() if len(word) >= RUN])):
        return True
    return "\n" in text and bool(_breaks(text))


def _breaks(text: str) -> list[re.Match[str]]:
    """Where one line ends and the next begins with what may be two halves of a token."""
    places = []
    for broken in _BREAK.finditer(text):
        tail = _TAIL.match(text, broken.end())
        if tail is None or not is_rest(tail[0]):
            continue
        head = text[max(0, broken.start() - 256) : broken.start()]
        first = head.split()[-1] if head and not head[-1].isspace() else ""
        if len(first) + len(tail[0]) >= RUN and (first.isupper() or _NO_WORD.search(first)):
            places.append(broken)
    return places


def is_rest(tail: str) -> bool:
    """Whether what stands first in a line is the rest of a token rather than a word."""
    is_capital = len(tail) >= 6 and tail.isupper()
    return len(tail) >= 3 and (is_capital or _NO_WORD.search(tail) is not None or tail.endswith("="))


def joined(view: View) -> list[View]:
    """The view with its lines run together where a token may have been broken: at every such place, and at every second one, so that
    each is also seen without the next."""
    breaks = _breaks(view.text)
    if len(breaks) < 2:
        return [_without(view, breaks)] if breaks else []
    return [_without(view, breaks), _without(view, breaks[::2]), _without(view, breaks[1::2])]


def _without(view: View, breaks: Sequence[re.Match[str]]) -> View:
    at, origins, parts = [0], [0], []
    last = length = 0
    for broken in breaks:
        parts.append(view.text[last : broken.start()])
        length += broken.start() - last
        last = broken.end()
        at.append(length)
        origins.append(last)
    return View("".join([*parts, view.text[last:]]), at, origins)

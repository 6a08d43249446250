"""Recalled text that comes back: which parts of a message look like lines of a recall, verbatim or as people and models pass them on."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from loci.text import fence

DEEPEST = 4  # JSON in JSON that is looked into
_WORTH = re.compile(r"\[[0-9]|[0-9]{4}-[0-9]{2}-[0-9]{2} |<memory|u003cmemory", re.IGNORECASE)
_ROW = re.compile("[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_MARKS = re.compile(r"[ \t]*+(?:(?:>|[-*+•‣◦▪–—](?=[ \t])|\(?[0-9]{1,4}[.)](?=[ \t])|\[[ xX]\](?=[ \t]))[ \t]*+)*+")
_QUOTES = {"'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "„": "“"}
_LITERAL = re.compile(r'(?<!\\)"((?:[^"\\\n\r]|\\.)*+)(?=")')
_JSON = re.compile(r'\\(?:(["\\/bfnrt])|u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))')
_JSON_SIGNS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_BEGIN = re.compile(r"<memory\b[^<>\n]*>", re.IGNORECASE)
_END = re.compile(r"</memory\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quote:
    """What looks like a line of a recall: characters [start, end) of the message, and the words, name and day that it gives.

    The span takes in what marks the line as a quotation or an item of a list and, of the first and the last line of a closed fence, the
    fence: a message without its quotes is what somebody else said. ``is_fenced``: it stood inside a fence of Loci's.
    """

    start: int
    end: int
    text: str
    speaker: str | None = None
    day: date | None = None
    is_fenced: bool = False


def recalled(text: str) -> tuple[Quote, ...]:
    """What of a message looks like lines of a recall of Loci's, in order. Outside a fence a line is one if it begins with a citation or
    with a day: verbatim, requoted, as an item of a list, or inside a JSON string. Spans are apart, or one is inside the other where a
    line holds a string that holds a line. Whether the words really are in memory is for the caller to look up; compare them without
    regard to white space, which does not survive every requoting."""
    if not may_quote(text):
        return ()
    return tuple(sorted(_found(text, DEEPEST), key=lambda quote: (quote.start, -quote.end)))


def may_quote(text: str) -> bool:
    """Whether there is a sign without which nothing is worth a look; most of what is said has none of them."""
    return "[" in text or "-" in text or "<" in text or "003" in text


def _found(text: str, depth: int) -> Iterator[Quote]:
    if not _WORTH.search(text):
        return
    literals = [quote for literal in _LITERAL.finditer(text) for quote in _literal(literal, depth)] if depth and '"' in text else []
    yield from literals
    yield from _rows(text, sorted((quote.start, quote.end) for quote in literals))


# -- lines -------------------------------------------------------------------------------------------------------------------


def _rows(text: str, literals: list[tuple[int, int]]) -> Iterator[Quote]:
    """Quotes among the lines. A fence that is never closed counts only where its lines are cited or dated."""
    blocks = _blocks(text)
    gathered: list[list[Quote]] = [[] for _ in blocks]
    number = 0
    for row in _ROW.finditer(text):
        while number < len(blocks) and row.start() >= blocks[number][1]:
            number += 1
        inside = number < len(blocks) and row.end() > blocks[number][0]
        start, end = row.span()
        if inside:
            start, end = _between(text, start, end)
        words = _unmarked(text, start, end)
        quote = _row(words, start, end, inside)
        if quote is None and inside and words.strip() and not _meets(literals, start, end):
            quote = Quote(start, end, fence.unescape(words), is_fenced=True)
        if quote is None:
            continue
        if inside:
            gathered[number].append(quote)
        else:
            yield quote
    for (first, last), quotes in zip(blocks, gathered, strict=True):
        if quotes:
            quotes[0] = replace(quotes[0], start=min(first, quotes[0].start))
            quotes[-1] = replace(quotes[-1], end=max(last, quotes[-1].end))
        yield from quotes


def _blocks(text: str) -> list[tuple[int, int]]:
    """Where closed fences begin and end."""
    found: list[tuple[int, int]] = []
    begin = _BEGIN.search(text)
    while begin is not None:
        end = _END.search(text, begin.end())
        if end is None:
            break
        found.append((begin.start(), end.end()))
        begin = _BEGIN.search(text, end.end())
    return found


def _between(text: str, start: int, end: int) -> tuple[int, int]:
    """What of a row of a fence is not the fence."""
    begin, close = _BEGIN.search(text, start, end), _END.search(text, start, end)
    return begin.end() if begin else start, close.start() if close else end


def _unmarked(text: str, start: int, end: int) -> str:
    """A line without what makes it a quotation or an item of a list."""
    marks = _MARKS.match(text, start, end)
    at = marks.end() if marks else start
    closing = _QUOTES.get(text[at : at + 1])
    return text[at + 1 : end].rstrip(" \t,;").removesuffix(closing) if closing else text[at:end]


def _row(words: str, start: int, end: int, is_fenced: bool) -> Quote | None:
    """A line that begins with a citation or a day."""
    line = fence.read(words)
    if line is not None:
        return Quote(start, end, line.text, line.speaker, line.day, is_fenced)
    day, speaker, said, _ = fence.read_words(words)
    return None if day is None else Quote(start, end, said, speaker, day, is_fenced)


def _meets(spans: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether any of these spans, which are in order, shares a character with [start, end)."""
    place = bisect_left(spans, (end, -1)) - 1
    return place >= 0 and spans[place][1] > start


# -- JSON --------------------------------------------------------------------------------------------------------------------


def _literal(literal: re.Match[str], depth: int) -> Iterator[Quote]:
    """Quotes in what stands between two quotation marks, as the message counts characters."""
    raw, offset = literal[1], literal.start(1)
    if not _WORTH.search(raw):
        return
    plain: list[str] = []
    places, sources = [0], [0]  # after each escape, the place in the plain text and in the raw one
    last = size = 0
    for found in _JSON.finditer(raw):
        plain += (raw[last : found.start()], _sign(found))
        size += found.start() - last + 1
        last = found.end()
        places.append(size)
        sources.append(last)
    told = "".join((*plain, raw[last:]))

    def source(place: int) -> int:
        number = bisect_right(places, place) - 1
        return offset + sources[number] + place - places[number]

    for quote in _found(told, depth - 1):
        yield replace(quote, start=source(quote.start), end=source(quote.end))


def _sign(escape: re.Match[str]) -> str:
    """The character that an escape of JSON stands for."""
    letter, high, low, code = escape.groups()
    if letter:
        return _JSON_SIGNS.get(letter, letter)
    return chr(int(code, 16)) if code else chr(0x10000 + ((int(high, 16) & 0x3FF) << 10 | int(low, 16) & 0x3FF))

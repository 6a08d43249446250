"""Where sentences begin and end."""

from __future__ import annotations

import re

from loci.text.tokens import STOPWORDS

_EMOJI = "\u2600-\u27bf\u2b50\u2b55\U0001f000-\U0001faff\u200d\ufe0f"
_BULLETS = "•◦▪‣●"
_STOPS = ".!?…؟۔।॥"
_FULL_STOPS = "。！？｡．"
# One candidate border: a run of stops with what closes after it, then white space; or a newline. The lookbehind keeps
# a long run of dots from being tried at every dot.
_ASCII_BORDER = re.compile(r"""[.!?\n\r](?:(?<=[\n\r])|(?<![.!?].)[.!?]*+["')\]*_]*+(?=\s|\Z))\s*+""")
_BORDER = re.compile(
    rf"""[{_STOPS}{_FULL_STOPS}{_EMOJI}{_BULLETS}\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029](?:
    (?<=[{_BULLETS}\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029])
    |(?<=[{_STOPS}{_FULL_STOPS}])(?<![{_STOPS}{_FULL_STOPS}].)[{_STOPS}{_FULL_STOPS}]*+
        ["'”’»)\]*_」』）]*+(?:(?<=[{_FULL_STOPS}」』）])|(?=[\s{_EMOJI}]|\Z))(?:[ \t]?[{_EMOJI}]++)*+
    |(?<=[{_EMOJI}])(?<![{_EMOJI}].)[{_EMOJI}]*+(?=\s|\Z))\s*+""",
    re.X,
)
_FENCE = re.compile(r"^[ \t]*(```|~~~)[^`\n]*$.*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.M | re.S)
_NEWLINE = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_WORD = re.compile(r"\S+")

# After these a full stop is never an end; an end only before a capital; only before a function word with a capital;
# only if no number follows.
_TITLES = """mr mrs ms mx dr prof rev hon sgt lt col gen capt cpl maj adm pres messrs mme mlle
    e.g i.e eg ie cf vs viz al approx ca dept est incl misc tel ext attn b.a m.a"""
_ENDINGS = """a.m p.m pm etc inc ltd co corp llc jr sr bros esq ph.d m.d b.sc m.sc
    jan feb apr jun jul aug sep sept oct nov dec tue tues thu thur thurs fri ave blvd rd hrs oz lb lbs"""
_ACRONYMS = "u.s u.k u.n e.u u.s.a d.c b.c a.d st mt ft"
_COUNTED = "no nos vol vols p pp ch sec art op figs nr"
_NEVER = frozenset(_TITLES.split())
_BEFORE_SMALL = frozenset(_ENDINGS.split())
_BEFORE_NAME = frozenset(_ACRONYMS.split())
_BEFORE_NUMBER = frozenset(_COUNTED.split())
_LONGEST = 8


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the spans of the sentences of `text`, in order, trimmed; every visible character is in one of them.

    A newline or bullet always ends a sentence; a fenced code block is one span.
    """
    if "```" not in text and "~~~" not in text:
        return _split(text, 0, len(text))
    spans: list[tuple[int, int]] = []
    start = 0
    for fence in _FENCE.finditer(text):
        spans += _split(text, start, fence.start())
        spans += _trimmed(text, fence.start(), fence.end())
        start = fence.end()
    return spans + _split(text, start, len(text))


def _split(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the trimmed sentence spans of text[start:stop], which holds no fence."""
    spans: list[tuple[int, int]] = []
    pattern = _ASCII_BORDER if text.isascii() else _BORDER
    while start < stop and text[start].isspace():
        start += 1
    for match in pattern.finditer(text, start, stop):
        first, after = match.span()
        mark = text[first]
        if mark in _BULLETS:
            after = first
        elif after < stop and not _is_end(text, start, first, after) and not _NEWLINE.search(text, first, after):
            continue
        piece = text[start:after].rstrip()
        if piece:
            spans.append((start, start + len(piece)))
            start = after
    piece = text[start:stop].rstrip()
    if piece:
        spans.append((start, start + len(piece)))
    return spans


def _is_end(text: str, start: int, first: int, after: int) -> bool:
    """Return whether the stops at `first`, followed by a word at `after`, end the sentence begun at `start`."""
    mark, following, closing = text[first], text[after], text[first + 1]
    if mark == "." and closing.isspace():
        return _is_full_stop(text, start, first, after)
    if mark in "!?":
        # '"Why?" she asked' goes on; 'Wow! that is great' does not.
        return closing not in "\"'”’)»" or not following.islower()
    if mark in ".…":
        return not following.islower()
    return mark in _STOPS or mark in _FULL_STOPS or following.isupper()


def _is_full_stop(text: str, start: int, dot: int, after: int) -> bool:
    """Return whether the single dot at `dot` ends a sentence, not an abbreviation, initial or list number."""
    word = text[max(start, dot - _LONGEST) : dot].rpartition(" ")[2].lstrip("\"'([“‘*_\n")
    if len(word) >= _LONGEST or not word:
        return True
    lowered = word.lower()
    if lowered in _BEFORE_NAME or (len(word) == 1 and word.isupper()):
        return _starts_sentence(text, after)
    if lowered in _BEFORE_SMALL:
        return text[after].isupper()
    if lowered in _BEFORE_NUMBER:
        return not text[after].isdigit()
    if word.isdigit() and dot - len(word) == start:
        return False
    return lowered not in _NEVER


def _starts_sentence(text: str, at: int) -> bool:
    """Return whether the word at `at` is a capitalised function word, as at the start of a sentence."""
    if not text[at].isupper():
        return False
    word = _WORD.match(text, at, at + 12)
    return word is not None and word.group().strip(".,;:!?\"'").partition("'")[0].lower() in STOPWORDS


def _trimmed(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return text[start:end] as one span without the white space around it, or nothing if it is only that."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    piece = piece.strip()
    return [(start, start + len(piece))] if piece else []


_JOINTS = re.compile(r"(?:,?\s+(?:and|but)(?:\s+also)?|;)\s+", re.IGNORECASE)


def clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the spans of what "and", "but" and semicolons join in a sentence, which need not be clauses, in order."""
    spans: list[tuple[int, int]] = []
    for joint in _JOINTS.finditer(text, start, end):
        spans.append((start, joint.start()))
        start = joint.end()
    return [*spans, (start, end)]

"""What is told with a day and no event: until when work is to be done, on which weekdays something is, on which day one flies.

"The budget report is due on Friday" has the key of "the deadline for the budget report", plan/deadline/budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from loci.text.wording.by_event import EVENTS, MOVED, REACH, STILL, UNSURE
from loci.text.wording.by_verb import blocked
from loci.text.wording.nouns import event
from loci.text.wording.telling import Cue, Fact, Sentence
from loci.text.wording.values import WEEKDAYS, when
from loci.text.wording.verbs import UPPER

_MINE = r"(?:[Mm]y|[Oo]ur|[Tt]he)\s+"
_NP = r"(?:[\w'-]+\s){0,3}?[\w'-]+"
_DUE = re.compile(
    rf"""(?x) \b{_MINE}(?P<what>{_NP}) (?:(?:\s+(?:is|are|isn't|'s)|,\s+(?:and\s+)?it(?:'s|\s+is))\s+(?:now\s|actually\s|only\s)*due\b
        |\s+(?:has|have|needs?|must)\s+(?:to\s+)?be\s+(?:finished|submitted|handed\s+in|in|ready|done|delivered|sent|filed)\s+by\b)
    | \b(?:have|has|need|needs|must)\s+(?:to\s+)?(?:do|finish|submit|hand\s+in|deliver|send|complete|file|turn\s+in)\s+{_MINE}(?P<work>{_NP})\s+by\b
    | \b(?:needs?|wants?)\s+{_MINE}(?P<wanted>{_NP})\s+by\b"""
)
_DROPPED = re.compile(rf"\b{_MINE}(?P<what>{_NP})\s+(?:has\sbeen|have\sbeen|was|were|is)\s+(?:scrapped|cancell?ed|called\soff|dropped)\b")
_DAY = rf"(?:{'|'.join(day.capitalize() for day in WEEKDAYS)})"
_REGULAR = re.compile(
    rf"""(?x) (?:(?:\A|(?<=[.!?:,]\s))(?:[Mm]y\s|[Oo]ur\s)?(?P<what>(?!(?i:it|s?he|they|this|that|which|who|there|here|what|i|we|you)\s)[^\W\d][\w'-]*(?:\s[a-z][\w'-]*){{0,2}}?)
    \s(?:is|are|has\smoved|have\smoved|moved|has\schanged|takes\splace)\s(?:now\s)?(?:on|to|every)
      | \b(?:I|[Ww]e)\s(?:now\s)?(?:have|do|play|train)\s(?P<sport>[^\W\d][\w-]+(?:\s[a-z][\w-]+)?)\s(?:now\s)?(?:on|every))
    \s(?P<v>{_DAY}(?:s\b(?:\s(?:evenings?|mornings?|afternoons?|nights?))?|\s(?:evenings|mornings|afternoons|nights)))"""
)
_LESSON = re.compile(r"\s(?:class|lesson|training|practice|session)(?:es|s)?\Z")
_FLY = re.compile(
    rf"\b(?:I|[Ww]e)(?:'m|'re|\sam|\sare)?\s(?:fly|flying)\s(?:out\s|back\s)?to\s(?P<which>{UPPER}[\w'-]*(?:\s{UPPER}[\w'-]*)*)"
)
_BY_WORDS = {
    pattern: frozenset(words.split())
    for pattern, words in ((_DUE, "due by"), (_DROPPED, "scrapped cancelled canceled called dropped"), (_FLY, "fly flying"))
} | {_REGULAR: frozenset([*WEEKDAYS, *(f"{day}s" for day in WEEKDAYS)])}
WAKING = frozenset().union(*_BY_WORDS.values())


def by_schedule(sentence: Sentence) -> Iterator[Fact]:
    """Yield what is to be done or to happen by or on a day."""
    if sentence.words.isdisjoint(WAKING) or UNSURE.search(sentence.said):
        return
    moved = MOVED.search(sentence.said) and not STILL.search(sentence.said)
    for pattern, words in _BY_WORDS.items():
        for found in pattern.finditer(sentence.text, sentence.start) if not sentence.words.isdisjoint(words) else ():
            fact = (
                None
                if blocked(sentence.text, sentence.start, found.start())
                else _read(sentence, found, "change" if moved else "statement")
            )
            if fact is not None:
                yield fact


def _read(sentence: Sentence, found: re.Match[str], cue: Cue) -> Fact | None:
    start, end = found.span()
    if found.re is _REGULAR:
        what = _LESSON.sub("", (found["what"] or found["sport"]).casefold())
        return Fact(start, end, sentence.me, f"attr/{what}", found["v"].casefold(), cue=cue)
    if found.re is _FLY:
        return _dated(sentence, found, event("", "flight", found["which"]), cue)
    if EVENTS.search(sentence.text, start, end):
        return None  # it has a key of its own
    groups = found.groupdict()
    what = groups["what"] or groups.get("work") or groups.get("wanted") or ""
    deadline = event("", "deadline", what.split()[0])
    return (
        Fact(start, end, sentence.me, deadline, "", False, cue="end", sort="date")
        if found.re is _DROPPED
        else _dated(sentence, found, deadline, cue)
    )


def _dated(sentence: Sentence, found: re.Match[str], attribute: str, cue: Cue) -> Fact | None:
    """Return the fact with the day told behind it; None where there is none, but perhaps a year."""
    got = when(sentence.text[found.end() : found.end() + REACH], sentence.anchor)
    if got is None or got[2].isdecimal():
        return None
    return Fact(found.start(), found.end() + got[1], sentence.me, attribute, got[2], cue=cue, sort="date")

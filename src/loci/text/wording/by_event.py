"""Dates of events: "the wedding is on June 3", "they moved my appointment to Friday", "the trip is off"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loci.text.wording.by_verb import blocked
from loci.text.wording.nouns import EVENT, event
from loci.text.wording.subjects import OWNER, owner
from loci.text.wording.telling import Cue, Fact, Sentence
from loci.text.wording.values import MONTHS, WEEKDAYS, when
from loci.text.wording.verbs import UPPER
from loci.text.wording.words import listed

# what behind a noun says when it is, or goes on with the sentence, and does not say which of several it is
_NOT_WHICH = "|".join(
    (*MONTHS, *(month[:3] for month in MONTHS), "sept", *WEEKDAYS, *listed(
        """today tonight tomorrow noon midnight next this last early late mid later the my our a an him her them us me you it its all both now
        then be is are was will work home school morning afternoon evening night week weekend month year spring summer autumn fall winter end
        beginning first second third fourth fifth sixth seventh eighth ninth tenth day same date one two three four five six seven eight
        nine ten eleven twelve half quarter"""
    ))
)  # fmt: skip
EVENTS = re.compile(
    rf"""(?x) (?:(?:{OWNER})'s\s+|\b(?P<det>[Mm]y|[Oo]ur|[Tt]he|[Tt]his|[Aa]n?)\s+)(?P<mod>[\w'-]+\s+(?:[\w'-]+\s+(?=deadline))?)??(?P<ev>{EVENT})\b
      (?P<back>(?:\s+(?:back|home))*)(?:\s+(?:(?P<from>from)|with|to|for|in|at|of)\s+(?:(?:[Mm]y|[Oo]ur|[Tt]he|[Aa]n?)\s+)?(?P<which>(?!(?i:{_NOT_WHICH})\b)(?:(?:Dr|Mrs?|Ms|Prof)\.?\s)?[^\W\d][\w'-]*(?:\s{UPPER}[\w'-]*)*))?
    | \bon\s+(?P<leave>vacation|holiday)\b"""
)
_TIME = re.compile(
    r"(?i)\b(?:at|to|until|for)\s(?P<v>\d{1,2}(?:[:.]\d\d)?\s?[ap]\.?m\b|\d{1,2}[:.]\d\d\b|noon\b|midnight\b|(?<=at\s)\d{1,2}\b(?!\s?(?:%|percent|years|weeks|st|nd|rd|th|[A-Z])))"
)
_NEARBY = re.compile(r"(?:\s(?!(?:and|where|then|but|so|because|which|who|when|while)\b)[^\s,;:.!?]+){0,8}\s*")
_SOON = frozenset(["now", "instead", "changed"])
WAKING = frozenset([*EVENT.replace("\\s", " ").replace("|", " ").split(), *(word + "s" for word in EVENT.split("|"))])
MOVED = re.compile(
    r"(?i)\b(?:moved|pushed|postponed?|rescheduled?|rebooked|extended|brought forward|bumped|delayed|shifted|put off|changed|now|change of plans|instead|"
    r"new date|moving|(?:have|has|had|need|going) to (?:move|postpone|reschedule))\b"
)
OFF = re.compile(
    r"(?i)\b(?:cancell?ed|(?:had to|have to|going to|decided to) (?:cancel|call off)|called off|is off|isn't happening|not happening|"
    r"scrapped|fell through)\b"
)
_SET = re.compile(
    r"(?i)\b(?:is|are|will be|has been|have|having|had to|set|planned|scheduled|booked|taking|going|starts?|begins?|leaves|departs|arrives|lands|got|due|on)\b"
    r"|'(?:s|ve|re)\b"
)
_OVER = re.compile(r"(?i)\b(?:was|were|went|had(?! to)|last|attended|took|old|previous|would|wasn't|did)\b")
UNSURE = re.compile(
    r"(?i)\b(?:would|could|should|might|maybe|perhaps|if|wish|wouldn't|rather|thought about|thinking|thinks?|wanted|hoping|considering|"
    r"suggested|asked|proposed|offered)\b|'d\b"
)
STILL = re.compile(r"(?i)\bstill\b")
_TARGET = re.compile(r"(?i)\b(?:to|until|till|for|it's|it is|now|but)\b")
REACH = 80  # a date further than this from the noun belongs to something else


def by_event(sentence: Sentence) -> Iterator[Fact]:
    """Yield the dates and times of events: set, moved, or called off."""
    if sentence.words.isdisjoint(WAKING):
        return
    facts = [fact for found in EVENTS.finditer(sentence.text, sentence.start) if (fact := _read_event(sentence, found))]
    if facts:  # of several events the one whose noun stands nearest to the date
        yield min(facts, key=lambda fact: fact.end - fact.start)
    yield from _times(sentence)


def _times(sentence: Sentence) -> Iterator[Fact]:
    """Yield the time of day of the event that the sentence tells of, under a key of its own."""
    told = [found for found in EVENTS.finditer(sentence.text, sentence.start) if not found["leave"]]
    times = list(_TIME.finditer(sentence.text, sentence.start))
    said = sentence.said
    if len(told) != 1 or len(times) != 1 or UNSURE.search(said) or blocked(sentence.text, sentence.start, told[0].start()):
        return
    found, time = told[0], times[0]
    who = owner(found, sentence) if found["kin"] or found["name"] else (sentence.me, False)
    moved = MOVED.search(said)
    if (
        who is None
        or OFF.search(said)
        or (not moved and (_OVER.search(said) or not _SET.search(said)))
        or not _NEARBY.fullmatch(sentence.text, found.end(), time.start())
    ):
        return
    attribute = event((found["mod"] or "").strip(), found["ev"], _which(found)).replace("plan/", "time/", 1)
    cue: Cue = "change" if moved and not STILL.search(said) else "statement"
    value = re.sub(r"[\s.]+(?=[ap])|\.(?=m)", "", time["v"].casefold()).replace(".", ":")
    yield Fact(min(found.start(), time.start()), max(found.end(), time.end()), who[0], attribute, value, cue=cue)


def _read_event(sentence: Sentence, found: re.Match[str]) -> Fact | None:
    said, start = sentence.said, sentence.start
    if blocked(sentence.text, start, found.start()) or UNSURE.search(said):
        return None
    who = owner(found, sentence) if found["kin"] or found["name"] else (sentence.me, False)
    if who is None:
        return None
    attribute = event((found["mod"] or "").strip(), found["ev"] or found["leave"], _which(found))
    moved = MOVED.search(said)
    got = _date(sentence, found, bool(moved))
    if OFF.search(said) and (not moved or (got is None and moved[0].casefold() in _SOON)):
        return Fact(found.start(), found.end(), who[0], attribute, "", False, cue="end", sort="date")
    if got is None or (not moved and (_OVER.search(said) or not _SET.search(said))):
        return None
    cue: Cue = "change" if moved and not STILL.search(said) else "statement"
    return Fact(min(found.start(), got[0]), max(found.end(), got[1]), who[0], attribute, got[2], cue=cue, sort="date")


def _which(found: re.Match[str]) -> str:
    """Return which of several events is meant: the way back is another than the way there."""
    which = (found["which"] or "").replace(".", "")
    return f"from {which}" if which and found["from"] else which or ("home" if found["back"] else "")


def _date(sentence: Sentence, found: re.Match[str], moved: bool) -> tuple[int, int, str] | None:
    """Return where the date of an event stands, and its form: after the noun (after "to" if it moved), else before it."""
    text = sentence.text
    after = found.end()
    if moved and (target := _TARGET.search(text, after)):
        after = target.end()
    for begin, end in ((after, len(text)), (found.end(), len(text)), (max(sentence.start, found.start() - REACH), found.start())):
        got = when(text[begin : min(end, begin + REACH)], sentence.anchor)
        if got and got[2].isdecimal() and not re.search(r"(?i)\bin\s+\Z", text[begin : begin + got[0]]):
            continue  # a number that looks like a year
        if got and not re.match(r"\s[A-Z][a-z]", text[begin + got[1] : end]):  # "Friday Nights", a name
            return begin + got[0], begin + got[1], got[2]
    return None

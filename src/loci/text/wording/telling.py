"""What the readers of wordings share: the sentence they are given, and the fact they make of it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from loci.text.dates import TimeMention, mentions
from loci.text.wording.values import SINCE, UNTIL, Sort

Tense = Literal["now", "past", "future"]
Cue = Literal["statement", "correction", "change", "end"]
Arity = Literal["one", "many"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing said of one subject. An empty value means "whatever it was"; no subject: a correction of what came before."""

    start: int
    end: int
    subject: str | None
    attribute: str | None
    value: str
    polarity: bool = True
    tense: Tense = "now"
    cue: Cue = "statement"
    arity: Arity = "one"
    since: datetime | None = None
    until: datetime | None = None
    replaces: str | None = None  # the value it takes back, where it says so ("not Monday but Tuesday")
    sort: Sort = "text"  # what the value looks like
    serial: int | None = None  # the number of a numbered fact
    relation: str | None = None  # what the subject is called besides the name: "ana/brother" of "my brother Tom"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with a little of the turn before it: it begins at `start` in `text` and ends where `text` ends."""

    text: str
    start: int
    me: str  # the subject key of the speaker
    anchor: datetime | None
    people: Collection[str]
    words: frozenset[str]  # its words in small letters, and "#" if it holds a digit

    @property
    def said(self) -> str:
        return self.text[self.start :]


_DAYS = frozenset(["minute", "hour", "part", "day"])  # grains that say when something is to begin
_STRETCHES = frozenset(["week", "month"])  # grains whose first day "from" names
_FROM = re.compile(r"(?i)\b(?:from|as of|starting)\s+\Z")
_BETWEEN = re.compile(
    r"(?:(?!\s(?:for|to|before|after|until|till|by|and|but|or|if)\b)\s[\w'-]+){0,6}\s*|,\s(?:starting|from|on|as\sof)(?:\s\w+)?\s*"
)


def _is_of(sentence: Sentence, fact: Fact, mention: TimeMention) -> bool:
    """Tell whether a time is that of the fact: right before it, or a few words behind it in the same clause."""
    behind = sentence.said[fact.end - sentence.start : mention.start]
    is_behind = fact.end - sentence.start <= mention.start and _BETWEEN.fullmatch(behind)
    return bool(is_behind) or _opens_clause(sentence, fact, mention)


def _names_its_day(sentence: Sentence, mention: TimeMention) -> bool:
    """Tell whether a time says on which day something begins: "on July 1", "from April", not "in April"."""
    return mention.grain in _DAYS or (mention.grain in _STRETCHES and bool(_FROM.search(sentence.said, 0, mention.start)))


def _is_ahead(fact: Fact, mention: TimeMention, anchor: datetime) -> bool:
    """Tell whether what is said to hold would begin after it is said."""
    return fact.tense == "now" and fact.polarity and fact.cue in ("statement", "change") and mention.earliest > anchor


def _opens_clause(sentence: Sentence, fact: Fact, mention: TimeMention) -> bool:
    """Tell whether a time stands right before what is said: "Next year I live in Porto"."""
    begin = fact.start - sentence.start
    return mention.end <= begin and not sentence.said[mention.end : begin].strip(" ,")


def dated(sentence: Sentence, fact: Fact) -> Fact:
    """Return the fact with the time since or until which the sentence says it holds."""
    if sentence.anchor is None:
        return fact
    since, until, is_announced = None, None, False
    for mention in mentions(sentence.said, sentence.anchor):
        before = sentence.said[: mention.start]
        opens = bool(SINCE.search(before)) or mention.words.casefold().startswith("since")
        if mention.grain == "span" and not opens and fact.tense == "past":
            continue  # "for two years": how long, not when
        if UNTIL.search(before) and (fact.tense == "past" or since):
            until = mention.earliest
        elif _is_ahead(fact, mention, sentence.anchor) and (opens or _opens_clause(sentence, fact, mention)):
            is_announced = fact.cue == "change" or (
                fact.subject == sentence.me and _names_its_day(sentence, mention)
            )  # "got hired, starting in May"
            fact, since = replace(fact, tense="future", cue="change" if is_announced else fact.cue), mention.earliest
        elif opens or mention.grain == "span" or fact.cue in ("change", "end") or fact.tense != "now":
            if since is None:
                is_ahead = fact.tense == "future" and mention.earliest > sentence.anchor
                is_announced = is_ahead and mention.grain in _DAYS and _is_of(sentence, fact, mention)
            since = since or mention.earliest
            if fact.tense == "past" and not opens:
                until = until or mention.latest
    if until and since and until < since:
        until = None
    if until and fact.tense == "now":
        fact = replace(fact, tense="past")
    if fact.tense == "future" and fact.cue == "change" and not is_announced:
        fact = replace(fact, cue="statement")
    return replace(fact, since=since, until=until)

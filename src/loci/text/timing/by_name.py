"""Readers of days, weekdays, months, seasons and feasts that are called by name."""

from __future__ import annotations

import re
from functools import partial

from loci.text.timing.almanac import days, feast, months, period, season
from loci.text.timing.reading import MONTHS, SHIFTED, STEPS, WEEKDAYS, YEAR_RIGHT, Found, Reading, part_of, yearly

DAY_OFFSETS = {"today": 0, "tonight": 0, "yesterday": -1, "tomorrow": 1, "tmrw": 1, "tmr": 1, "tomo": 1}
_TOMO_RIGHT = re.compile(r",? (?:morning|afternoon|evening|night|noon|(?:at|around|by) \d|\d{1,2}(?::\d\d)?[ ]?[ap]\.?m\b)")
_SKIPPING = re.compile(r"(?:\bthe )?\bday (?:before|after)[ ]+$")


def read_day(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read today, tonight, yesterday, tomorrow and the days beyond them."""
    if reading.now is None:
        return None
    if word in ("tmr", "tmrw", "tomo") and reading.text[start:end].isupper():
        return None  # an acronym
    if word == "tomo" and not _TOMO_RIGHT.match(reading.lower, end):
        return None  # a name, or a word of another language
    offset = DAY_OFFSETS[word]
    day = period("day", reading.now, offset)
    if word == "tonight":
        return Found(start, end, part_of(day, "night"), "part")
    skipping = _SKIPPING.search(reading.lower, max(0, start - 16), start) if offset else None
    if skipping and ("before" if offset < 0 else "after") in skipping.group():
        return Found(skipping.start(), end, period("day", reading.now, 2 * offset), "day")
    return Found(start, end, day, "day")


def read_part(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read "last night" and "this morning"; other parts of a day are joined to their day."""
    cue, begin = reading.before(start)
    if reading.now is None or (cue != "this" and (cue, word) != ("last", "night")):
        return None
    return Found(begin, end, part_of(period("day", reading.now, -1 if cue == "last" else 0), word), "part")


_NO_DAY = frozenset(["good", "black", "cyber", "ash", "fat", "casual", "ruby", "every", "each", "most", "a", "any", "some"])
_OF_WEEK = re.compile(r" (?:of )?(last|this|next) week\b")
_WEEK_ON = re.compile(r" week\b(?![-'’]|[ ]+(?:\d|one\b|two\b|three\b|four\b|of\b))")
_SHORT_CUES = frozenset(["on", "last", "this", "next", "by", "until", "till", "since", "past", "coming"])
_SHORT_RIGHT = re.compile(r"\.?,? (?:\d|(?:jan|feb|mar|apr|may|ju[nl]|aug|sep|oct|nov|dec))")


def read_weekday(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read a weekday, with last, this, next, before last; a bare one lies in the past if the verb does."""
    cue, begin = reading.relative(start)
    if reading.now is None or cue in _NO_DAY or cue in ("one", "man"):
        return None
    if len(word) < 6:
        if cue not in _SHORT_CUES and not _SHORT_RIGHT.match(reading.lower, end):
            return None
        if word in ("sun", "sat", "wed", "mon") and not reading.text[start].isupper():
            return None
    target = WEEKDAYS[word]
    week = _OF_WEEK.match(reading.lower, end)
    shifted = SHIFTED.match(reading.lower, end) if cue == "the" else None
    week_on = None if cue in STEPS or cue == "the" or reading.is_past(start, end) else _WEEK_ON.match(reading.lower, end)
    if week:
        offset, end = target - reading.now.weekday() + 7 * STEPS[week[1]], week.end()
    elif shifted:
        offset, end = _weekday_offset(reading, target, "last" if shifted[1] else "coming", start, end), shifted.end()
        offset += -7 if shifted[1] else 7
    elif week_on:
        offset, end = _weekday_offset(reading, target, "coming", start, end) + 7, week_on.end()
    else:
        offset = _weekday_offset(reading, target, cue, start, end)
    return Found(begin if cue in STEPS or shifted else start, end, period("day", reading.now, offset), "day")


def _weekday_offset(reading: Reading, target: int, cue: str, start: int, end: int) -> int:
    """Return how many days from now the weekday is that `cue` and the tense of the clause mean."""
    assert reading.now is not None
    ahead = (target - reading.now.weekday()) % 7
    if cue == "next":
        return target - reading.now.weekday() + 7
    if cue == "this":
        return ahead - 7 if ahead and reading.is_past(start, end) else ahead
    if cue in ("last", "past", "since"):
        return ahead - 7
    if cue in ("coming", "upcoming", "until", "till", "by") or not reading.is_past(start, end):
        return ahead or 7
    return ahead - 7


_MONTH_RIGHT = re.compile(
    r"\.?(?:[ ]+(?:the )?(?P<day>\d{1,2})(?![\d/:%]|[.,]\d|[ ]?[ap]\.?m\b)(?P<nth>st|nd|rd|th)?\b"
    r"(?:[ ]?(?:-|–|to|through)[ ]?(?P<last>\d{1,2})(?:st|nd|rd|th)?\b(?![/:]|[ ]?[ap]\.?m\b))?)?"
    r"(?:,?[ ]+(?:of |in )?(?P<year>(?:1[5-9]|20)\d\d)\b)?"
)
_DAY_LEFT = re.compile(r"(?:\bthe )?(?<![\w.,:/$-])(?P<day>\d{1,2})(?P<nth>st|nd|rd|th)?(?: of)?[ ]+$")
_VERBISH = frozenset(["may", "march", "mar"])
_BARE = frozenset(["january", "february", "july", "september", "october", "november", "december"])
_CUES_SMALL = frozenset(["in", "last", "next", "since", "until", "till", "during", "early", "late", "mid"])
_CUES = _CUES_SMALL | frozenset(["this", "by", "before", "after", "around", "through", "throughout", "of", "past", "coming", "starting"])
_PAIRED = frozenset(["and", "to", "or", "between", "from"])
_ONWARDS = re.compile(r",? (?:on|onwards?|i|we)\b")
_NEXT_MONTH = re.compile(r" (?:and|to|through|until|or) (?:jan|feb|mar|apr|may|ju[nl]|aug|sep|oct|nov|dec)")


def read_month(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read a month with its day, its year, or a word that shows it to be a month."""
    number, lower = MONTHS[word], reading.lower
    right = _MONTH_RIGHT.match(lower, end)
    assert right is not None
    day, nth, year, begin = right["day"], right["nth"], right["year"], start
    if day is None:
        left = _DAY_LEFT.search(lower, max(0, start - 14), start)
        if left:
            day, nth, begin = left["day"], left["nth"] or ("of" if " of" in left.group() else None), left.start()
    cue, cue_start = reading.relative(begin)
    is_capital = reading.text[start].isupper()
    if word in _VERBISH and not (is_capital or nth or (year and day) or cue in _CUES_SMALL):
        return None
    if not day and not year and not _is_month(reading, word, cue, cue_start, end):
        return None
    if cue in STEPS:
        begin = cue_start
    finish = right.end() if right["day"] or year else end
    if not day:
        return yearly(reading, partial(months, month=number), year, cue, (begin, finish), "month")
    count = int(right["last"]) - int(day) + 1 if right["last"] else 1
    build = partial(days, month=number, day=int(day), count=max(1, count))
    return yearly(reading, build, year, cue, (begin, finish), "span" if count > 1 else "day")


def _is_month(reading: Reading, word: str, cue: str, cue_start: int, end: int) -> bool:
    """Return whether a month's name without a day or year means the month and not a verb or a person."""
    if word in _BARE:
        return True
    if reading.lower.startswith(("'s", "’s"), end):
        return False
    if cue in _PAIRED:
        is_paired = reading.before(cue_start)[0] in MONTHS or _NEXT_MONTH.match(reading.lower, end) is not None
        return is_paired or (cue == "from" and _ONWARDS.match(reading.lower, end) is not None)
    return cue in _CUES


_BY_SEASON = "in over during since until till for throughout through early late mid"
_SEASON_CUES = frozenset(_BY_SEASON.split())


def read_season(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read a season with its year, or after last, this, next, or a preposition."""
    right = YEAR_RIGHT.match(reading.lower, end)
    cue, begin = reading.relative(start)
    article_cue = reading.before(begin)[0] if cue == "the" else cue
    if not right and cue not in STEPS and article_cue not in _SEASON_CUES:
        return None
    if article_cue in ("over", "for", "through") and word in ("fall", "spring") and cue != "the":
        return None
    at = (begin if cue in STEPS or (cue == "the" and right) else start, right.end() if right else end)
    return yearly(reading, partial(season, word), right[1] if right else None, article_cue, at, "season")


_FEAST_RIGHT = re.compile(r"(?:['’]s?)?(?: (?P<part>eve|day)\b)?(?:,? (?:of |in )?(?P<year>(?:1[5-9]|20)\d\d)\b)?(?: (?P<noun>\w+))?")
_NO_FEAST = frozenset(["merry", "happy", "every", "each", "love", "loves", "a", "white", "like"])
_FEAST_NOUNS = """tree trees gift gifts present presents carol carols movie movies song songs card cards light lights cookie
    cookies spirit sweater sweaters music market markets costume costumes candy decoration decorations egg eggs bunny
    shopping list dinner party parties lunch play concert show story stories break ornament ornaments
    celebration celebrations tradition traditions decor magic theme themed vibes special episode"""
_NOUNS = frozenset(_FEAST_NOUNS.split())
_OWNERS = frozenset(["the", "my", "our", "your", "his", "her", "their", "some", "various", "this"])


def read_feast(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read a feast that is named by one word; not where it only says what kind of tree or movie it is."""
    cue, begin = reading.relative(start)
    right = _FEAST_RIGHT.match(reading.lower, end)
    assert right is not None
    is_kind = right["noun"] in _NOUNS or (cue in _OWNERS and right["noun"] and not right["part"])
    if cue in _NO_FEAST or (is_kind and not right["year"]):
        return None
    name = "christmas eve" if word in ("christmas", "xmas") and right["part"] == "eve" else word
    finish = right.end("year") if right["year"] else right.end("part") if right["part"] else end
    at = (begin if cue in STEPS else start, finish)
    return yearly(reading, partial(feast, name), right["year"], cue, at, "day")


_NAMED_DAYS = frozenset(["valentine", "mother", "father", "independence", "boxing", "patrick"])
_NEW_YEAR = re.compile(r"(?:['’]?s)?['’]? (eve|day)\b")


def read_feast_day(reading: Reading, cue: str, begin: int, end: int) -> Found | None:
    """Read Valentine's Day and the like; `cue`, which begins at `begin`, is the word before "day"."""
    name = cue.replace("’", "'").removesuffix("'s").rstrip("s'")
    return _read_named(reading, name, begin, end) if name in _NAMED_DAYS else None


def read_new_year(reading: Reading, begin: int, end: int) -> Found | None:
    """Read New Year's Eve and New Year's Day; "new year" stands in [begin, end)."""
    right = _NEW_YEAR.match(reading.lower, end)
    return _read_named(reading, "new year's eve" if right[1] == "eve" else "new year", begin, right.end()) if right else None


def _read_named(reading: Reading, name: str, begin: int, end: int) -> Found | None:
    """Read the feast whose name stands in [begin, end), with its year or last, this, next."""
    year = YEAR_RIGHT.match(reading.lower, end)
    cue, cue_start = reading.relative(begin)
    if cue in _NO_FEAST:
        return None
    at = (cue_start if cue in STEPS else begin, year.end() if year else end)
    return yearly(reading, partial(feast, name), year[1] if year else None, cue, at, "day")

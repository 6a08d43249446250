"""Readers of expressions of time that are written in digits: dates, years, decades, times of day."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial

from loci.text.timing.almanac import Interval, days, months, moved, nearest, period
from loci.text.timing.reading import MONTHS, WEEKDAYS, Found, Reading

_NUMERIC = re.compile(r"(?<![\w$#£€/.:,+-])\d{1,4}(?:[-/.:–]\d{1,4}){0,2}(?!\d)")
_SEPARATOR = re.compile(r"[-/.:–]")
_DATE_CUES = frozenset(["on", "by", "since", "until", "till", "before", "after", "from"])
_ISO_CLOCK = re.compile(r"t(\d\d):(\d\d)(?::\d\d(?:\.\d+)?)?(?:z\b|[+-]\d\d:?\d\d)?")


def read_numbers(reading: Reading) -> list[Found]:
    """Return what is written in digits, in order; numbers beside a month's name are left to the month."""
    found = []
    for match in _NUMERIC.finditer(reading.lower):
        group = match.group()
        marks = "".join(_SEPARATOR.findall(group))
        reader = _READERS.get(marks)
        result = reader(reading, [int(part) for part in _SEPARATOR.split(group)], match.start(), match.end()) if reader else None
        if result:
            found.append(result)
    return found


def _read_date(reading: Reading, parts: list[int], start: int, end: int) -> Found | None:
    """Read 2023-05-07, 5/7/2023 (month first unless it cannot be) and 7.5.2023 (day first)."""
    lower = reading.lower
    if end < len(lower) and (lower[end].isalnum() and lower[end] != "t"):
        return None
    first, second, third = parts
    if first > 31:
        interval = days(first, second, third) if first > 999 else None
    else:
        if "." in lower[start:end] and third < 1000:
            return None  # a version or a section
        year = third if third > 99 else third + (2000 if third < 70 else 1900)
        is_day_first = first > 12 or ("." in lower[start:end] and second < 13)
        interval = days(year, second, first) if is_day_first else days(year, first, second)
    if not interval:
        return None
    clock = _ISO_CLOCK.match(lower, end)
    if clock and int(clock[1]) < 24 and int(clock[2]) < 60:
        at = moved(interval[0], (int(clock[1]) * 60 + int(clock[2])) / 1440)
        return Found(start, clock.end(), (at, moved(at, 1 / 1440)), "minute")
    return Found(start, end, interval, "day")


_FROM_TO = re.compile(
    r"\b(?:from|between) (\d{1,2})/(\d{1,2}),? ?(?:to|until|till|through|thru|and|[-–]) ?(\d{1,2})/(\d{1,2})(?![\w/])(?:[ ]+([^\W\d_]+))?"
)


def _read_month_day(reading: Reading, parts: list[int], start: int, end: int) -> Found | None:
    """Read 5/7 after a preposition of time, and both ends of "from 10/26 to 11/2"."""
    cue, ends = reading.before(start)[0], _ends(reading, start)
    if reading.now is None or (cue not in _DATE_CUES and not ends) or reading.lower[end : end + 1].isalnum():
        return None
    month, day = parts if max([parts[0], *ends[::2]]) < 13 else parts[::-1]
    if not 1 <= month <= 12:
        return None
    interval = nearest(partial(days, month=month, day=day), reading.now, reading.mode(cue, start, end))
    return Found(start, end, interval, "day") if interval else None


def _ends(reading: Reading, at: int) -> list[int]:
    """Return the four numbers of the range that the two at `at` are of; none where they may be of a score ("from 6/10 to 8/10") or a measure."""
    for found in _FROM_TO.finditer(reading.lower, max(0, at - 24), at + 24):
        if at in (found.start(1), found.start(3)) and found[2] != found[4] and (found[5] is None or found[5] in _FUNCTION_WORDS):
            return [int(number) for number in found.groups()[:4]]
    return []


def _read_years(reading: Reading, parts: list[int], start: int, end: int) -> Found | None:
    """Read 2019-2021."""
    first, last = parts
    if not (1500 <= first < 2100 and first < last < 2100) or reading.lower[end : end + 1].isalnum():
        return None
    return Found(start, end, (months(first, 1)[0], months(last + 1, 1)[0]), "span")


# --- one number: a year, a decade, an hour, a day of the month ------------------------------------------------------------

_YEAR_CUES = frozenset(["in", "since", "during", "early", "late", "mid", "year", "circa"])
_LOOSELY = "until till by from before after around of between and to through"
_LOOSE_YEAR_CUES = frozenset(_LOOSELY.split())
_RIGHT_WORD = re.compile(r"[ ]+([^\W\d_]+)")
_UNIT_WORDS = """people persons men women kids students members users followers words pages books steps meters metres feet
    miles km kilometers calories dollars bucks euros pounds usd kg grams hours minutes seconds days weeks months years times
    points votes square sq cases copies units items percent more other different"""
_UNIT_NOUNS = frozenset(_UNIT_WORDS.split())
_GO_ON = """and or but to until through till i we you he she it they was is were are had has have did do will would when while
    because so that which who with at in on for by as the my our his her their if then after before up down out there"""
_FUNCTION_WORDS = frozenset(_GO_ON.split())
_MERIDIEM = re.compile(r"[ ]?(?:([ap])(?:m\b|\.[ ]?m\b\.?)|o['’]?[ ]?clock\b)")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b(?: of (this|last|next) month\b)?")


def _read_number(reading: Reading, parts: list[int], start: int, end: int) -> Found | None:
    """Read a single number as a year, a decade, an hour or a day of the month, if its neighbours say so."""
    number, lower = parts[0], reading.lower
    following = lower[end : end + 1]
    if end - start == 4:
        if following == "s" and number % 10 == 0:
            return _read_decade(reading, number, start, end)
        return _read_year(reading, number, start, end) if 1500 <= number < 2100 else None
    if end - start > 2 or not following:
        return None
    if following in "snrt":
        decade = 1900 if number >= 30 else 2000
        if number % 10 == 0 and end - start == 2 and lower.startswith("s", end) and not lower.startswith("st", end):
            return _read_decade(reading, decade + number, start, end)
        return _read_ordinal(reading, number, start, end)
    return _read_clock(reading, parts, start, end) if following in " apo" else None


def _read_year(reading: Reading, year: int, start: int, end: int) -> Found | None:
    """Read a year after a preposition, unless what follows is counted by it."""
    cue, cue_start = reading.before(start)
    following = reading.lower[end : end + 1]
    if following.isalnum() or following in ("%", "$", "€"):
        return None
    right = _RIGHT_WORD.match(reading.lower, end)
    word = right[1] if right else ""
    if cue in ("and", "to", "through"):
        is_year = reading.before(cue_start)[0].isdigit() or reading.before(cue_start)[0] in MONTHS
        is_year = is_year or "between" in reading.lower[max(0, cue_start - 32) : cue_start]
    elif cue == "the":
        is_year = bool(right) and reading.text[right.start(1)].isupper() if right else False
        return Found(start, end, months(year, 1, 12), "year") if is_year and year >= 1900 else None
    else:
        is_year = cue in _YEAR_CUES or cue in _LOOSE_YEAR_CUES
        is_year = is_year or (reading.lower[start - 1 : start] == "(" and following == ")")
    is_counted = word in _UNIT_NOUNS or (word.endswith("s") and word not in _FUNCTION_WORDS and cue != "year")
    if not is_year or is_counted or (cue not in _YEAR_CUES and word and word not in _FUNCTION_WORDS):
        return None
    return Found(start, end, months(year, 1, 12), "year")


def _read_decade(reading: Reading, first: int, start: int, end: int) -> Found | None:
    """Read the 1980s, the 80s and, as a century, the 1800s."""
    end += 1
    cue = reading.before(start - 1 if reading.lower[start - 1 : start] in ("'", "’") else start)[0]
    is_long = end - start == 5
    if reading.lower[end : end + 1].isalnum() or (cue not in ("the", "early", "late", "mid") and not (is_long and cue == "in")):
        return None
    years = 100 if first % 100 == 0 and first < 2000 else 10
    return Found(start, end, months(first, 1, 12 * years), "span")


def _read_ordinal(reading: Reading, day: int, start: int, end: int) -> Found | None:
    """Read "the 14th" as a day of the month: of the one that the tense or "of next month" means."""
    lower, now = reading.lower, reading.now
    right = _ORDINAL.match(lower, end)
    cue, cue_start = reading.before(start)
    if now is None or not right or not 1 <= day <= 31 or cue not in ("the", "on", "by", "until", "since"):
        return None
    following = _RIGHT_WORD.match(lower, right.end())
    if lower.startswith("-", right.end()) or (following and not right[1] and following[1] not in _FUNCTION_WORDS):
        return None
    begin = cue_start if cue == "the" else start
    outer = reading.before(cue_start)[0] if cue == "the" else cue
    steps = {"last": -1, "this": 0, "next": 1}
    interval = _monthly(now, day, steps.get(right[1]), outer == "since" or reading.is_past(begin, right.end()) is True)
    return Found(begin, right.end(), interval, "day") if interval else None


_NAMED_DAYS = """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth
    seventeenth eighteenth nineteenth"""
DAYS_OF_MONTH = {name: day for day, name in enumerate(_NAMED_DAYS.split(), 1)} | {"twentieth": 20, "thirtieth": 30}
_TENS = {"twenty": 20, "thirty": 30}


def read_named_ordinal(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read "the fifth" or "the twenty-first" as a day of the month, behind a weekday: by itself it may be the fifth of anything."""
    cue, begin = reading.before(start)
    day = DAYS_OF_MONTH[word] + _TENS.get(cue, 0)
    if cue in _TENS:
        cue, begin = reading.before(begin)
    following = _RIGHT_WORD.match(reading.lower, end)
    if reading.now is None or cue != "the" or day > 31 or reading.before(begin)[0].rstrip(",") not in WEEKDAYS:
        return None
    if following and following[1] not in _FUNCTION_WORDS:
        return None
    interval = _monthly(reading.now, day, None, reading.is_past(begin, end) is True)
    return Found(begin, end, interval, "day") if interval else None


def _monthly(now: datetime, day: int, step: int | None, is_past: bool) -> Interval | None:
    """Return the day of the month `step` months away, or the nearest one behind or ahead of now."""
    for away in [step] if step is not None else range(0, -4 if is_past else 4, -1 if is_past else 1):
        first = period("month", now, away)[0]
        interval = days(first.year, first.month, day)
        if interval and (step is not None or (interval[0] <= now if is_past else interval[1] > now)):
            return interval
    return None


_TODAYS = frozenset(["today", "tomorrow", "tmrw", "tmr", "yesterday", "tonight"])
_ON_DAY = re.compile(r" (?:on|today|tomorrow|tmrw|tmr|yesterday|tonight)\b")
_CLOCK_CUES = frozenset(["at", "by", "around", "about", "until", "till", "from", "after", "before", "@", "to"])


def _read_clock(reading: Reading, parts: list[int], start: int, end: int) -> Found | None:
    """Read 3 pm, 3:30, 15:30 and 3 o'clock; without am or pm, the hours from one to six are in the afternoon."""
    hour, minute = parts[0], parts[1] if len(parts) > 1 else 0
    lower = reading.lower
    suffix = _MERIDIEM.match(lower, end)
    if hour > 23 or minute > 59 or (suffix and (hour > 12 or hour == 0)) or (not suffix and len(parts) == 1):
        return None
    if suffix and suffix[1]:
        hour = hour % 12 + (12 if suffix[1] == "p" else 0)
    elif suffix or (len(parts) > 1 and _is_clock(reading, start, end, hour)):
        hour += 12 if 1 <= hour <= 6 and lower[start] != "0" else 0
    else:
        return None
    finish = suffix.end() if suffix else end
    grain = "minute" if len(parts) > 1 else "hour"
    return clock(reading, hour * 60 + minute, start, finish, grain)


def _is_clock(reading: Reading, start: int, end: int, hour: int) -> bool:
    """Return whether digits with a colon are a time of day and not a score, a ratio or a verse."""
    cue = reading.before(start)[0]
    lower = reading.lower
    if lower[end : end + 1].isalnum() or lower[end - 3 : end - 2] != ":":
        return False
    is_beside_day = cue in WEEKDAYS or cue in _TODAYS or cue[:1].isdigit()
    return cue in _CLOCK_CUES or hour > 12 or lower[start] == "0" or is_beside_day


def read_noon(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read noon and midnight after a preposition or a day."""
    cue = reading.before(start)[0]
    if cue not in _CLOCK_CUES and cue not in WEEKDAYS and cue not in _TODAYS and not _ON_DAY.match(reading.lower, end):
        return None
    midnight = 0 if reading.is_past(start, end) else 1440
    return clock(reading, 720 if word == "noon" else midnight, start, end, "hour")


def clock(reading: Reading, minute: int, start: int, end: int, grain: str) -> Found:
    """Return a time of day, on the day of the message until a day is found beside it."""
    interval = at_clock(period("day", reading.now, 0), minute, grain) if reading.now else None
    return Found(start, end, interval, grain, minute)


def at_clock(day: Interval, minute: int, grain: str) -> Interval:
    """Return the hour or minute that begins at `minute` of the day."""
    start = moved(day[0], minute / 1440)
    return start, moved(start, 1 / 24 if grain == "hour" else 1 / 1440)


_READERS = {
    "": _read_number,
    ":": _read_clock,
    "::": _read_clock,
    "/": _read_month_day,
    "--": _read_date,
    "//": _read_date,
    "..": _read_date,
    "-": _read_years,
    "–": _read_years,
}

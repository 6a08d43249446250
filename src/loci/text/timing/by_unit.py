"""Readers of what is said with units: last week, two months ago, in three days, for a year, the end of the month."""

from __future__ import annotations

import re
from datetime import datetime

from loci.text.timing.almanac import Interval, months, moved, period, third
from loci.text.timing.by_name import read_feast_day, read_new_year
from loci.text.timing.reading import SHIFTED, STEPS, Found, Reading, part_of

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_NUMBERS = {word: n for n, word in enumerate(_SMALL.split())} | {"a": 1, "an": 1, "eighteen": 18, "nineteen": 19}
_NUMBERS |= {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_NUMBER = r"\d{1,4}|" + "|".join(sorted(_NUMBERS, key=len, reverse=True))
_COUNT = re.compile(
    rf"(?<![\w.,$-])(?:(?P<half>half an?)|(?P<few>(?:a )?few|several)|(?P<couple>(?:a )?couple(?: of)?)|"
    rf"(?P<low>{_NUMBER})(?P<plus> and a half)?(?:(?:-| or | to )(?P<high>{_NUMBER}))?)(?: more| full| whole| long| short)?[ ]+$"
)
_RATE = re.compile(r" (?:a|per|each|every) (?:day|night|week|month|year)\b| of (?!this|last|next)")
_ADVERB_WORDS = "about almost nearly over around roughly like least at exactly only just"
_ADVERBS = frozenset(_ADVERB_WORDS.split())
_AGO = re.compile(r"(?P<half> and a half)?(?:,? (?:(?P<past>ago|back)|(?P<future>from (?:now|today)|away)|(?P<now>now))\b)?")
UNITS = {"minute": "minute", "min": "minute", "hour": "hour", "hr": "hour", "day": "day", "night": "night", "week": "week"}
UNITS |= {"wk": "week", "weekend": "weekend", "fortnight": "fortnight", "month": "month", "year": "year", "yr": "year"}
UNITS |= {f"{name}s": unit for name, unit in UNITS.items()} | {"decade": "decade", "decades": "decade"}


def read_unit(reading: Reading, word: str, start: int, end: int) -> Found | None:
    """Read what is said with minutes, hours, days, weeks, weekends, months and years."""
    cue, begin = reading.relative(start)
    unit = UNITS[word]
    if unit == "day":
        named = read_feast_day(reading, cue, begin, end)
        if named:
            return named
    if cue == "new" and unit == "year":
        return read_new_year(reading, begin, start + 4)
    if reading.now is None:
        return None
    found = _read_this(reading, unit, cue, begin, end) if word == unit else None
    return found or _read_count(reading, unit, start, end)


_FROM = re.compile(r"\b(days?|weeks?|wks?|fortnights?) from $")


def read_ahead(reading: Reading, at: int) -> tuple[int, int] | None:
    """Read "a week from" before the day that begins `at`: where it begins, and how many days it is ahead of that day."""
    unit = _FROM.search(reading.lower, max(0, at - 20), at)
    count = _COUNT.search(reading.lower, max(0, unit.start() - 28), unit.start()) if unit else None
    if not unit or not count or reading.before(count.start())[0] in ("for", "of"):
        return None
    name, low, high = _size(count, UNITS[unit[1]], bool(count["plus"]))
    if low != high or name not in ("day", "week"):
        return None
    return count.start(), low * (7 if name == "week" else 1)


_EDGES = {"beginning": "early", "start": "early", "middle": "mid", "end": "late"}
_OTHER = {"day": 7, "night": 7, "week": 21}


def _read_this(reading: Reading, unit: str, cue: str, begin: int, end: int) -> Found | None:
    """Read a unit after last, this, next, or the."""
    now, lower = reading.now, reading.lower
    assert now is not None
    earlier, earlier_start = reading.before(begin)
    if cue in STEPS and unit in ("week", "weekend", "month", "year") and not lower.startswith(" of ", end):
        if cue == "past" and earlier in ("the", "last") and unit != "weekend":
            return Found(begin, end, _back(now, unit, 1), "span")
        step = STEPS[cue]
        return Found(begin, end, period(unit, now, step), unit)
    if cue == "other" and earlier == "the" and unit in _OTHER:
        return Found(earlier_start, end, (moved(now, -_OTHER[unit]), period("day", now, 0)[0]), "span")
    if cue != "the" or unit not in ("week", "weekend", "month", "year"):
        return None
    shifted = SHIFTED.match(lower, end)
    if shifted:
        return Found(begin, shifted.end(), period(unit, now, -2 if shifted[1] else 2), unit)
    if unit == "weekend" and earlier in ("over", "on", "at", "for", "during") and not lower.startswith(" of ", end):
        is_past = reading.is_past(begin, end) and now.weekday() < 5
        return Found(begin, end, period(unit, now, -1 if is_past else 0), unit)
    edge, edge_start = reading.before(earlier_start) if earlier == "of" else ("", 0)
    if edge in _EDGES:
        return Found(edge_start, end, third(period(unit, now, 0), _EDGES[edge]), "span")
    return None


def _read_count(reading: Reading, unit: str, start: int, end: int) -> Found | None:
    """Read "two weeks ago", "in three days", "for a year", "the past few months", "seven years now"."""
    now, lower = reading.now, reading.lower
    if _RATE.match(lower, end):
        return None
    count = _COUNT.search(lower, max(0, start - 28), start)
    right = _AGO.match(lower, end)
    assert now is not None and right is not None
    if not count:
        return None
    begin = count.start()
    unit, low, high = _size(count, unit, bool(count["plus"] or right["half"]))
    grain = unit if low == high else "span"
    if right["past"]:
        return Found(begin, right.end(), _away(now, unit, -high, -low), grain)
    if right["future"]:
        return Found(begin, right.end(), _away(now, unit, low, high), grain)
    cue, cue_start = reading.before(begin)
    while cue in _ADVERBS:
        cue, cue_start = reading.before(cue_start)
    if cue in ("in", "within") and not reading.is_past(cue_start, end) and not lower.startswith(" or ", end):
        is_idiom = unit == "minute" and low == 1
        return None if is_idiom else Found(cue_start, end, _away(now, unit, low, high), grain)
    if cue in ("past", "last"):
        return Found(cue_start, end, _back(now, unit, high), "span")
    if cue == "next":
        return Found(cue_start, end, (now, _away(now, unit, high, high)[1]), "span")
    if right["now"]:
        return Found(cue_start if cue == "for" else begin, right.end(), _back(now, unit, high), "span")
    is_long = unit in ("week", "month", "year") or (unit == "day" and low > 1)
    if cue == "for" and is_long and not lower.startswith(" old", end) and _is_lasting(reading, cue_start, end):
        return Found(cue_start, end, _back(now, unit, high), "span")
    return None


_LASTING = re.compile(r"\b(?:have|has|been|known|is|are|am)\b|['’](?:ve|s|m|re)\b")


def _is_lasting(reading: Reading, start: int, end: int) -> bool:
    """Return whether what is said to be "for a year" goes on now: "have known", "am", no verb; not "was" or "will"."""
    if _LASTING.search(reading.lower, max(0, start - 48), start):
        return reading.is_past(start, end) is not False
    return reading.is_past(start, end) is None


def _size(count: re.Match[str], unit: str, is_half: bool) -> tuple[str, int, int]:
    """Return the unit and the least and greatest number of it that the words mean ("a few" is two to five)."""
    factors = {"fortnight": ("week", 2), "decade": ("year", 10)}
    unit, factor = factors.get(unit, (unit, 1))
    if count["half"]:
        halves = {"year": ("month", 6), "hour": ("minute", 30), "day": ("hour", 12), "month": ("week", 2)}
        unit, factor = halves.get(unit, (unit, 1))
        return unit, factor, factor
    if count["few"] or count["couple"]:
        low, high = (2, 2) if count["couple"] else (3, 8) if count["few"] == "several" else (2, 5)
    else:
        low = _number(count["low"])
        high = max(low, _number(count["high"])) if count["high"] else low
    low, high = low * factor, high * factor
    if is_half and unit == "year":
        return "month", low * 12 + 6, high * 12 + 6
    return unit, low, high


def _number(word: str) -> int:
    """Return the value of a number word or of digits."""
    return _NUMBERS[word] if word in _NUMBERS else int(word)


def _away(now: datetime, unit: str, first: int, last: int) -> Interval:
    """Return the interval from `first` to `last` units from now, as exact as one speaks: a week is three days either way."""
    if unit in ("minute", "hour"):
        size = 1 / 24 if unit == "hour" else 1 / 1440
        slack = size / 2 if unit == "hour" else 0.0
        start = moved(now.replace(second=0, microsecond=0), first * size - slack)
        return start, moved(start, (last - first + 1) * size)
    if unit == "week":
        return moved(period("day", now, 7 * first)[0], -3), moved(period("day", now, 7 * last)[1], 3)
    if unit == "night":
        return part_of(period("day", now, first), "night")[0], part_of(period("day", now, last), "night")[1]
    return period(unit, now, first)[0], period(unit, now, last)[1]


def _back(now: datetime, unit: str, count: int) -> Interval:
    """Return the interval of `count` units that ends now; of days and more it begins at midnight."""
    if unit in ("month", "year"):
        index = now.year * 12 + now.month - 1 - count * (12 if unit == "year" else 1)
        first, after = months(index // 12, index % 12 + 1)
        return moved(first, min(now.day, max(1, (after - first).days)) - 1), now
    if unit in ("minute", "hour"):
        return moved(now, -count / (24 if unit == "hour" else 1440)), now
    return period("day", now, -count * (7 if unit == "week" else 1))[0], now

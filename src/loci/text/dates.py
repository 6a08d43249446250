"""Expressions of time in text, resolved against the time of the message.

A trigger word or a digit is looked for first, which is all that most texts cost; then a reader for that kind of word
looks at what stands around it. Weeks begin on Monday, seasons are those of the northern hemisphere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from loci.text.timing.almanac import Interval, moved, third
from loci.text.timing.by_name import DAY_OFFSETS, read_day, read_feast, read_month, read_part, read_season, read_weekday
from loci.text.timing.by_number import at_clock, read_noon, read_numbers
from loci.text.timing.by_unit import UNITS, read_ahead, read_unit
from loci.text.timing.reading import MONTHS, MOVING, STEPS, WEEKDAYS, Found, Reading, part_of


@dataclass(frozen=True, slots=True)
class TimeMention:
    """An expression of time: where it stands, its words, and the half-open interval [earliest, latest) it names.

    `grain` is minute, hour, part (of a day), day, weekend, week, month, season, year or span.
    """

    start: int
    end: int
    words: str
    earliest: datetime
    latest: datetime
    grain: str


_Reader = Callable[[Reading, str, int, int], Found | None]
_READERS: dict[str, _Reader] = dict.fromkeys(UNITS, read_unit)
_READERS |= dict.fromkeys(MONTHS, read_month) | dict.fromkeys(WEEKDAYS, read_weekday)
_READERS |= dict.fromkeys(DAY_OFFSETS, read_day)
_READERS |= dict.fromkeys(("morning", "afternoon", "evening", "night"), read_part)
_READERS |= dict.fromkeys(("spring", "summer", "autumn", "fall", "winter"), read_season)
_READERS |= dict.fromkeys(("christmas", "xmas", "halloween", "thanksgiving", "easter"), read_feast)
_READERS |= dict.fromkeys(("noon", "midnight"), read_noon)
_TRIGGERS: Final = frozenset(_READERS)
_RAW_TRIGGERS: Final = frozenset(word.encode() for word in _READERS)

_LETTERS = bytes(ord(chr(i).lower()) if chr(i).isalpha() else 32 for i in range(128)) + bytes(128)
_DIGITS = b"0123456789"
_LETTER_RUN = re.compile("[a-z]+")


def mentions(text: str, anchor: datetime | None) -> list[TimeMention]:
    """Return the expressions of time in `text`, in order, resolved against `anchor` (the time of the message).

    The intervals are in the anchor's time zone. Without an anchor only dates with a year are found.
    """
    triggers, has_digits = _triggers(text)
    if not triggers and not has_digits:
        return []
    zone = anchor.tzinfo if anchor else None
    reading = Reading(text, anchor.replace(tzinfo=None) if anchor else None)
    result = []
    for found in _completed(reading, _paired(reading, _joined(reading, _found(reading, triggers, has_digits)))):
        if found.interval is None or found.interval[0] >= found.interval[1]:
            continue
        earliest, latest = found.interval
        if zone:
            earliest, latest = earliest.replace(tzinfo=zone), latest.replace(tzinfo=zone)
        words = text[found.start : found.end]
        result.append(TimeMention(found.start, found.end, words, earliest, latest, found.grain))
    return result


def has_time(text: str) -> bool:
    """Return whether `mentions` finds an expression of time in `text`, given some anchor."""
    triggers, has_digits = _triggers(text)
    if not triggers and not has_digits:
        return False
    return bool(mentions(text, _SOME_DAY))


_SOME_DAY = datetime(2000, 6, 15, 12)
_INVERTED = "did does do is are was were will would has have had can could should might am exactly"
_TIMES = "day|date|time|year|month|week|weekday|season|decade"
_ASKS = re.compile(
    rf"\bwhen(?:['’](?:s|d|ll|re)\b| (?:{_INVERTED.replace(' ', '|')})\b|\W*$|\?)"
    rf"|\b(?:what|which) (?:exact )?(?:{_TIMES})\b|\bwhat(?:['’]s| is| was) the (?:exact )?(?:date|day|year|time)\b"
    r"|\b(?:tell me|told me|know|recall|remind me|idea|wondering|wonder|you remember|mentioned|say|said) (?:exactly )?when\b"
    r"|\bhow (?:long ago|recently|soon)\b"
)


def asks_when(question: str) -> bool:
    """Return whether `question` asks for a time ("when did", "what year", "do you know when"), and not only names one."""
    lower = question.lower()
    if "when" not in lower and "what" not in lower and "which" not in lower and "how " not in lower:
        return False
    return _ASKS.search(lower) is not None


_BEFORE = re.compile(r"\b(before|until|till|by|prior to|earlier than|up to)(?: the)?[ ]+$")
_AFTER = re.compile(r"\b(after|later than|following|since|from)(?: the)?[ ]+$")
_BETWEEN = re.compile(r"\b(?:between|from)(?: the)?[ ]+$")
_AND = re.compile(r",? (?:and|to|until|till|through)(?: the)? |[ ]?[-–][ ]?")
_YEAR = re.compile(r"\d{4}")


def window(question: str, anchor: datetime | None) -> tuple[datetime, datetime] | None:
    """Return the window of time that `question` asks about; None if it asks about none, or for a time ("when did").

    "Before June" begins at the edge of time, "after June" ends there. Several times that overlap narrow each other.
    """
    found = mentions(question, anchor)
    if not found or asks_when(question):
        return None
    lower = question.lower()
    first = found[0]
    if len(found) > 1:
        second = found[1]
        gap = _AND.fullmatch(lower, first.end, second.start)
        if gap and ("and" not in gap.group() or _BETWEEN.search(lower, 0, first.start)):
            return (first.earliest, second.latest) if first.earliest < second.latest else (second.earliest, first.latest)
    windows = [_opened(lower, mention) for mention in found]
    earliest, latest = max(w[0] for w in windows), min(w[1] for w in windows)
    if earliest < latest:
        return earliest, latest
    return min(w[0] for w in windows), max(w[1] for w in windows)


def _opened(lower: str, mention: TimeMention) -> tuple[datetime, datetime]:
    """Return the interval of the mention, opened to one side by a "before" or "after" in front of it."""
    zone = mention.earliest.tzinfo
    left = lower[max(0, mention.start - 20) : mention.start]
    before = _BEFORE.search(left)
    if before:
        is_within = before[1] in ("until", "till", "by", "up to")
        return datetime.min.replace(tzinfo=zone), mention.latest if is_within else mention.earliest
    after = _AFTER.search(left)
    if after:
        return mention.earliest if after[1] in ("since", "from") else mention.latest, datetime.max.replace(tzinfo=zone)
    return mention.earliest, mention.latest


# --- finding and joining --------------------------------------------------------------------------------------------------


def _triggers(text: str) -> tuple[list[str], bool]:
    """Return the trigger words of `text` and whether it has digits."""
    if text.isascii():
        raw = text.encode()
        raw_words = raw.translate(_LETTERS).split()
        has_digits = len(raw.translate(None, _DIGITS)) != len(raw)
        if _RAW_TRIGGERS.isdisjoint(raw_words):
            return [], has_digits
        return sorted(word.decode() for word in _RAW_TRIGGERS.intersection(raw_words)), has_digits
    words = _LETTER_RUN.findall(text.lower())
    return sorted(_TRIGGERS.intersection(words)), any(map(str.isdecimal, text))


def _found(reading: Reading, triggers: list[str], has_digits: bool) -> list[Found]:
    """Return what the readers find, in order; of two that overlap the earlier, then the longer."""
    found = read_numbers(reading) if has_digits else []
    for word in triggers:
        for start in _occurrences(reading.lower, word):
            read = _READERS[word](reading, word, start, start + len(word))
            if read:
                found.append(read)
    found.sort(key=lambda each: (each.start, -each.end))
    result: list[Found] = []
    for each in found:
        if not result or each.start >= result[-1].end:
            result.append(each)
    return result


def _occurrences(lower: str, word: str) -> Iterator[int]:
    """Yield where `word` stands as a whole word and not in an address or tag."""
    at = lower.find(word)
    while at >= 0:
        end = at + len(word)
        if not (at and (lower[at - 1].isalnum() or lower[at - 1] in "/@#_=&")) and not (
            end < len(lower) and (lower[end].isalnum() or lower[end] in "_@")
        ):
            yield at
        at = lower.find(word, end)


_TO_CLOCK = re.compile(r"(?:,? (?:at|around|about|by|@)?|,)[ ]?")
_TO_DAY = re.compile(r",? (?:on |in the )?")
_TO_DATE = re.compile(r",? [(]?(?:the )?")
_DASH = re.compile(r"[ ]?[-–][ ]?")
_PART_RIGHT = re.compile(r",?(?: in the| at)? (morning|afternoon|evening|night)\b")
_PART_LEFT = re.compile(r"(?:\bthe )?\b(morning|afternoon|evening|night) (?:of|on) (?:the )?$")


def _joined(reading: Reading, found: list[Found]) -> list[Found]:
    """Return the list with days and their parts, weekdays and dates, days and times of day made one."""
    result: list[Found] = []
    for each in found:
        each = _with_part(reading, _ahead(reading, each)) if each.grain == "day" else each
        joined = _join(reading, result[-1], each) if result else None
        if joined:
            result[-1] = joined
        else:
            result.append(each)
    return result


def _ahead(reading: Reading, day: Found) -> Found:
    """Return the day that "a week from" before a weekday or tomorrow means; what was done "two days from Monday" lasted."""
    word = reading.lower[day.start : day.end].rpartition(" ")[2]
    ahead = read_ahead(reading, day.start) if word in WEEKDAYS or DAY_OFFSETS.get(word) == 1 else None
    if not ahead or not day.interval or reading.is_past(ahead[0], day.end):
        return day
    return day._replace(start=ahead[0], interval=(moved(day.interval[0], ahead[1]), moved(day.interval[1], ahead[1])))


def _with_part(reading: Reading, day: Found) -> Found:
    """Return the morning, afternoon, evening or night of the day if one is named beside it."""
    right = _PART_RIGHT.match(reading.lower, day.end)
    left = None if right else _PART_LEFT.search(reading.lower, max(0, day.start - 24), day.start)
    match = right or left
    if not match or not day.interval:
        return day
    start, end = (day.start, match.end()) if right else (match.start(), day.end)
    return Found(start, end, part_of(day.interval, match[1]), "part")


def _join(reading: Reading, left: Found, right: Found) -> Found | None:
    """Return what two neighbours mean together, None if they are two mentions."""
    lower = reading.lower
    days = ("day", "part")
    if right.clock >= 0 and left.grain in days and left.interval and _TO_CLOCK.fullmatch(lower, left.end, right.start):
        day, clock = left, right
    elif left.clock >= 0 and right.grain in days and right.interval and _TO_DAY.fullmatch(lower, left.end, right.start):
        day, clock = right, left
    elif left.grain == "day" and right.grain in days and lower[left.start : left.end].rpartition(" ")[2] in WEEKDAYS:
        return _on_weekday(lower, left, right) if _TO_DATE.fullmatch(lower, left.end, right.start) else None
    else:
        return _range(lower, left, right)
    assert day.interval is not None
    midnight = day.interval[0].replace(hour=0, minute=0)
    minute = clock.clock + (1440 if day.grain == "part" and day.interval[0].hour >= 18 and clock.clock < 360 else 0)
    return Found(left.start, right.end, at_clock((midnight, midnight), minute, clock.grain), clock.grain)


def _range(lower: str, left: Found, right: Found) -> Found | None:
    """Return "March 11 - March 17, 2024" as one span, the first day in the year of the last."""
    grains = ("day", "month", "year")
    if left.grain not in grains or left.grain != right.grain or not left.interval or not right.interval:
        return None
    if not _DASH.fullmatch(lower, left.end, right.start):
        return None
    first, last = left.interval[0], right.interval[1]
    if not _YEAR.search(lower, left.start, left.end) and (first.month, first.day) != (2, 29):
        first = first.replace(year=right.interval[0].year)
    return Found(left.start, right.end, (first, last), "span") if first < last else None


def _on_weekday(lower: str, weekday: Found, date: Found) -> Found:
    """Return the date with its weekday in front; without a year it is the nearest year in which the two agree."""
    assert weekday.interval is not None and date.interval is not None
    start, end = date.interval
    wanted = weekday.interval[0].weekday()
    if not _YEAR.search(lower, date.start, date.end):
        for year in (start.year, start.year - 1, start.year + 1, start.year - 2, start.year + 2):
            if 1 <= year <= 9998 and (start.month, start.day) != (2, 29):
                moved_start = start.replace(year=year)
                if moved_start.weekday() == wanted:
                    return date._replace(start=weekday.start, interval=(moved_start, moved_start + (end - start)))
    return date._replace(start=weekday.start)


# --- ranges ---------------------------------------------------------------------------------------------------------------

_TO = re.compile(r",? (?:to|until|till|through|thru|(and))(?: the)? |[ ]?[-–][ ]?")
_BETWEEN_LEFT = re.compile(r"\bbetween(?: the)?[ ]+$")
_BESIDE_NOW = frozenset(UNITS) - {"day", "night", "year"} | STEPS.keys() | DAY_OFFSETS.keys() | {"ago", "back", "now", "in", "within"}
_WORD = re.compile("[a-z]+")


def _paired(reading: Reading, found: list[Found]) -> list[Found]:
    """Return the list with both ends of each "from A to B" chosen for each other: B does not lie before A."""
    result = list(found)
    for place, (left, right) in enumerate(pairwise(found)):
        gap = _TO.fullmatch(reading.lower, left.end, right.start)
        before = reading.lower[max(0, left.start - 120) : left.start] if gap else ""
        if gap and (not gap[1] or _BETWEEN_LEFT.search(before)) and not MOVING.search(before):
            result[place], result[place + 1] = _pair(reading, result[place], right)
    return result


def _pair(reading: Reading, left: Found, right: Found) -> tuple[Found, Found]:
    """Return the two ends of a range. Of what was, the end is known to be over; weekdays are counted on from the first; of dates
    those are meant that lie nearest to the message and to each other."""
    if not left.interval or not right.interval:
        return left, right
    if right.clock >= 0:
        return left, _next_clock(left, right) if left.grain in ("hour", "minute") else right
    is_left_dated, is_right_dated = (_YEAR.search(reading.lower, each.start, each.end) is not None for each in (left, right))
    if is_left_dated == is_right_dated and left.interval[0] <= right.interval[0]:
        return left, right
    begun = None if is_left_dated else _again(reading, left, "since", right.interval[0])
    ended = None if is_right_dated else _again(reading, right, "until", left.interval[0])
    if not begun or not ended or not reading.now:
        return begun or left, ended or right
    is_past = reading.is_past(left.start, right.end)
    if is_past or (not _are_weekdays(reading, left, right) and _reach(begun, right, reading.now) <= _reach(left, ended, reading.now)):
        return begun, right
    return left, ended


def _again(reading: Reading, each: Found, cue: str, now: datetime) -> Found | None:
    """Return the mention as it reads when it is seen from another time; None where it was told by its distance from now."""
    words = reading.text[each.start : each.end]
    if each.clock >= 0 or not _BESIDE_NOW.isdisjoint(_WORD.findall(words.lower())):
        return None
    again = Reading(f"{cue} {words}", now)
    found = _joined(again, _found(again, *_triggers(again.text)))
    return each._replace(interval=found[0].interval) if len(found) == 1 and found[0].grain == each.grain else None


def _next_clock(left: Found, right: Found) -> Found:
    """Return the first such time of day after what it ends."""
    assert left.interval is not None
    midnight = left.interval[0].replace(hour=0, minute=0)
    interval: Interval = at_clock((midnight, midnight), right.clock, right.grain)
    return right._replace(interval=interval if interval[0] >= left.interval[0] else (moved(interval[0], 1), moved(interval[1], 1)))


def _are_weekdays(reading: Reading, *ends: Found) -> bool:
    return all(not WEEKDAYS.keys().isdisjoint(_WORD.findall(reading.lower, each.start, each.end)) for each in ends)


def _reach(left: Found, right: Found, now: datetime) -> timedelta:
    """Return how long a range is, and how far from now it ends."""
    assert left.interval is not None and right.interval is not None
    return right.interval[1] - left.interval[0] + abs(right.interval[1] - now)


_EDGES = {"early": "early", "mid": "mid", "late": "late", "beginning": "early", "start": "early", "middle": "mid", "end": "late"}
_LONG_GRAINS = frozenset(["week", "month", "season", "year", "span"])


def _completed(reading: Reading, found: list[Found]) -> Iterator[Found]:
    """Yield the mentions with "early", "end of" and "since" before them taken in."""
    for each in found:
        word, start = reading.before(each.start)
        if word == "the":
            word, start = reading.before(start)
        if each.interval and each.grain in _LONG_GRAINS:
            edge, edge_start = reading.before(start) if word == "of" else (word, start)
            if edge in _EDGES and (word == "of") == (len(edge) > 5 or edge in ("start", "end")):
                each = each._replace(start=edge_start, interval=third(each.interval, _EDGES[edge]), grain="span")
                word, start = reading.before(edge_start)
        if word == "the":
            word, start = reading.before(start)
        if word == "since" and each.interval and reading.now and each.interval[0] < reading.now:
            each = each._replace(start=start, interval=(each.interval[0], reading.now), grain="span")
        yield each

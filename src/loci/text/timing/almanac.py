"""The calendar: days, weeks, months, seasons and feasts as half-open intervals, clamped to the years 1 to 9999.

Times are naive: the wall clock of whoever speaks. Weeks begin on Monday; seasons are those of the northern hemisphere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

Interval = tuple[datetime, datetime]


def moved(base: datetime, number: float) -> datetime:
    """Return `base` moved by `number` days, at the edge of time if it would lie beyond."""
    try:
        return base + timedelta(days=number)
    except OverflowError:
        return datetime.max if number > 0 else datetime.min


def month_start(index: int) -> datetime:
    """Return the first day of month `index`, counted as year * 12 + month - 1."""
    if index < 12:
        return datetime.min
    return datetime(index // 12, index % 12 + 1, 1) if index < 120_000 else datetime.max


def months(year: int, month: int, count: int = 1) -> Interval:
    """Return the interval of `count` months; `month` may lie outside 1..12."""
    index = year * 12 + month - 1
    return month_start(index), month_start(index + count)


def days(year: int, month: int, day: int, count: int = 1) -> Interval | None:
    """Return the interval of `count` days, None if there is no such day."""
    try:
        start = datetime(year, month, day)
    except ValueError:
        return None
    return start, moved(start, count)


def period(unit: str, base: datetime, offset: int) -> Interval:
    """Return the calendar day, week, weekend, month or year `offset` after the one `base` is in."""
    midnight = base.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "month":
        return months(base.year, base.month + offset)
    if unit == "year":
        return months(base.year + offset, 1, 12)
    if unit == "day":
        start = moved(midnight, offset)
        return start, moved(start, 1)
    start = moved(midnight, 7 * offset - base.weekday() + (5 if unit == "weekend" else 0))
    return start, moved(start, 2 if unit == "weekend" else 7)


def nth_weekday(year: int, month: int, weekday: int, nth: int, after: int = 0) -> Interval | None:
    """Return the day `after` the nth weekday (Monday is 0) of the month."""
    first = datetime(year, month, 1).weekday()
    return days(year, month, 1 + (weekday - first) % 7 + 7 * (nth - 1) + after)


def easter(year: int) -> Interval | None:
    """Return Easter Sunday, by the anonymous Gregorian algorithm."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    m = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return days(year, month, day + 1)


_SEASON_STARTS = {"spring": 3, "summer": 6, "fall": 9, "autumn": 9, "winter": 12}
_FIXED_FEASTS = {
    "new year's eve": (12, 31),
    "new year": (1, 1),
    "valentine": (2, 14),
    "patrick": (3, 17),
    "independence": (7, 4),
    "halloween": (10, 31),
    "christmas eve": (12, 24),
    "christmas": (12, 25),
    "xmas": (12, 25),
    "boxing": (12, 26),
}
_MOVABLE_FEASTS: dict[str, Callable[[int], Interval | None]] = {
    "easter": easter,
    "thanksgiving": lambda year: nth_weekday(year, 11, 3, 4),
    "black friday": lambda year: nth_weekday(year, 11, 3, 4, after=1),
    "mother": lambda year: nth_weekday(year, 5, 6, 2),
    "father": lambda year: nth_weekday(year, 6, 6, 3),
}


def season(name: str, year: int) -> Interval:
    """Return the three months of the season that begins in `year` (a winter ends in the next)."""
    return months(year, _SEASON_STARTS[name], 3)


def feast(name: str, year: int) -> Interval | None:
    """Return the day of the feast in `year`."""
    if name in _MOVABLE_FEASTS:
        return _MOVABLE_FEASTS[name](year)
    month, day = _FIXED_FEASTS[name]
    return days(year, month, day)


def third(interval: Interval, part: str) -> Interval:
    """Return the early, mid or late third of the interval."""
    start, end = interval
    length = (end - start) / 3
    bounds = {"early": (start, start + length), "mid": (start + length, end - length), "late": (end - length, end)}
    first, last = bounds[part]
    return first.replace(hour=0, minute=0, second=0, microsecond=0), last.replace(hour=0, minute=0, second=0, microsecond=0)


def nearest(build: Callable[[int], Interval | None], now: datetime, mode: str) -> Interval | None:
    """Return which yearly return of `build(year)` is meant, seen from `now`.

    Modes: "last" (the latest that is over), "past" (that has begun), "future" (the first not over), "next" (not begun).
    """
    step = -1 if mode in ("last", "past") else 1
    for distance in range(-1, 9):
        year = now.year + step * distance
        interval = build(year) if 1 <= year <= 9999 else None
        if interval is None:
            continue
        start, end = interval
        if {"last": end <= now, "past": start <= now, "future": end > now, "next": start > now}[mode]:
            return interval
    return None

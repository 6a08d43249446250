"""What every reader of time works on: the text with its time, the words around a place, and the tense there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from loci.text.timing.almanac import Interval, moved, nearest

MONTH_NAMES = "january february march april may june july august september october november december"
MONTHS = {name: n for n, name in enumerate(MONTH_NAMES.split(), 1)}
MONTHS |= {name[:3]: n for name, n in MONTHS.items()} | {"sept": 9}
WEEKDAY_NAMES = "monday tuesday wednesday thursday friday saturday sunday"
WEEKDAYS = {name: n for n, name in enumerate(WEEKDAY_NAMES.split())}
WEEKDAYS |= {name[:3]: n for name, n in WEEKDAYS.items()} | {"tues": 1, "thur": 3, "thurs": 3}
_OPENING = "([{\"'“‘*_~<-–—"

_PAST_VERBS = """was were wasn't weren't had hadn't did didn't went got came saw made took met gave found felt told said
    thought bought brought ate drank ran swam sang wrote drove flew rode left lost won paid spent sent kept slept stood
    sat taught caught fought built began broke chose fell forgot grew heard held knew led sold spoke threw understood
    woke wore became been hung beat i've we've they've"""
_PAST = frozenset(_PAST_VERBS.split())
_FUTURE_WORDS = """will won't gonna going plan plans planning planned hope hoping want wanna let's lets shall should might
    looking forward upcoming soon scheduled booked tomorrow tmrw tmr i'll we'll you'll he'll she'll they'll it'll can coming wait
    excited ready join invited due"""
_FUTURE = frozenset(_FUTURE_WORDS.split())
_IS_DONE = frozenset(["is", "isn't", "isn’t", "are", "aren't", "aren’t", "be", "being", "gets"])
_NOT_PAST = frozenset(["need", "indeed", "interested", "supposed", "hundred", "married", "united", "tired", "speed", "used"])
_VERB = re.compile(r"[^\W\d_]+(?:['’][a-z]+)?")
_STOP = re.compile(r"[.!?;\n]")
# what is arranged for lies ahead, though the arranging is over: read up to the time, which stands right behind
_UP_TO = r"(?:\s[\w'’-]+){0,6}?"
_ARRANGED = re.compile(
    rf"""(?x) \b(?:
      (?:moved|pushed|postponed|rescheduled|delayed|extended|deferred|shifted|adjourned|changed|brought\sforward|put\s(?:off|back))
        {_UP_TO}\s(?:to|until|till|for)
    | (?:rescheduled|booked|reserved|scheduled|arranged|registered|signed\sup|rsvped){_UP_TO}\sfor
    | (?:bought|got|ordered|purchased|reserved|made|found|won|received){_UP_TO}\s(?:tickets?|seats?|reservations?|appointments?|bookings?|slots?)\sfor
    | (?:bought|got|ordered|purchased|reserved|found|won|received){_UP_TO}\s(?:tickets?|seats?|passes)\s(?:for|to){_UP_TO}\s(?:on|in)
    | (?:registered|signed\sup|entered)\sfor{_UP_TO}\s(?:on|in)
    | (?:hired|registered|signed|enrolled|accepted|offered|admitted|promoted|appointed|assigned|rented|leased|landed|joined|agreed|approved
        |granted|found|got\san?\s[\w'’-]+){_UP_TO},?\s(?:starting|beginning|commencing|effective)(?:\s(?:on|in|from|as\sof))?
    )\s(?:the\s)?$"""
)
# what is moved "from Friday to Thursday" may well go to the earlier day
MOVING = re.compile(
    rf"\b(?:mov|push|postpon|reschedul|delay|defer|shifted|shifting|adjourn|chang|switch|swap|bring|brought|put)[a-z]*{_UP_TO}\sfrom\s(?:the\s)?$"
)
SHIFTED = re.compile(r" (?:(before last)|(after next))\b")
YEAR_RIGHT = re.compile(r",?(?: of| in)? ((?:1[5-9]|20)\d\d)\b")


class Found(NamedTuple):
    """A mention before its neighbours were looked at; `clock` is a minute of a day that may still be unknown."""

    start: int
    end: int
    interval: Interval | None
    grain: str
    clock: int = -1


class Reading:
    """A text, its lower-case form of the same length, and the wall-clock time it was said at."""

    __slots__ = ("lower", "now", "text")

    def __init__(self, text: str, now: datetime | None) -> None:
        lower = text.lower()
        if len(lower) != len(text):
            lower = "".join(char if len(char.lower()) != 1 else char.lower() for char in text)
        self.text, self.lower, self.now = text, lower, now

    def before(self, at: int) -> tuple[str, int]:
        """Return the word that stands before `at`, only spaces or a hyphen between, and where it starts."""
        floor = max(0, at - 24)
        piece = self.lower[floor:at]
        if not piece or piece[-1] not in " -":
            return "", at
        piece = piece.rstrip(" -")
        word = piece[max(piece.rfind(" "), piece.rfind("\n")) + 1 :].lstrip(_OPENING)
        return word, floor + len(piece) - len(word)

    def is_past(self, start: int, end: int) -> bool | None:
        """Return whether the verb nearest to [start, end) in its clause is past; None where no verb tells.

        It is not where it only arranged for that time: "moved to Friday", "bought tickets for the show on Friday". What "is cancelled" tells nothing.
        """
        left = max(0, start - 120)
        left += max((m.end() for m in _STOP.finditer(self.lower, left, start)), default=left) - left
        stop = _STOP.search(self.lower, end, end + 120)
        right = stop.start() if stop else min(len(self.lower), end + 120)
        best, result = 1000, None
        for match in _VERB.finditer(self.lower, left, right):
            word = match.group().replace("’", "'")
            is_future = word in _FUTURE
            if not is_future and word not in _PAST and (word[-2:] != "ed" or len(word) < 4 or word in _NOT_PAST):
                continue
            if not is_future and self.before(match.start())[0] in _IS_DONE:
                continue
            distance = start - match.end() if match.start() < start else match.start() - end
            if 0 <= distance < best:
                best, result = distance, not is_future
        return False if result and _ARRANGED.search(self.lower[left:start]) else result

    def mode(self, cue: str, start: int, end: int) -> str:
        """Return which of the yearly returns of a date is meant: last, past, future or next."""
        return _MODES.get(cue) or ("past" if self.is_past(start, end) else "future")

    def relative(self, at: int) -> tuple[str, int]:
        """Return the word before `at` and where it starts; for "this past" and "this coming", where that starts."""
        cue, start = self.before(at)
        if cue in ("past", "coming"):
            earlier, earlier_start = self.before(start)
            if earlier == "this":
                start = earlier_start
        return cue, start


_MODES = {"last": "last", "past": "last", "next": "next", "coming": "next", "upcoming": "next"}
_MODES |= {"since": "past", "until": "future", "till": "future"}
STEPS = {"last": -1, "past": -1, "this": 0, "next": 1, "coming": 1, "upcoming": 1}
_PART_HOURS = {"morning": (5, 12), "afternoon": (12, 18), "evening": (17, 23), "night": (18, 30)}


def part_of(day: Interval, name: str) -> Interval:
    """Return the morning, afternoon, evening or night (it ends at six the next day) of a day."""
    first, last = _PART_HOURS[name]
    return moved(day[0], first / 24), moved(day[0], last / 24)


def yearly(
    reading: Reading, build: Callable[[int], Interval | None], year: str | None, cue: str, at: tuple[int, int], grain: str
) -> Found | None:
    """Return what recurs each year, in its year if one is named, else the one that `cue` and the tense mean."""
    if year:
        interval = build(int(year))
    elif reading.now is None:
        return None
    else:
        interval = nearest(build, reading.now, reading.mode(cue, *at))
    return Found(*at, interval, grain) if interval else None

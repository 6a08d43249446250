"""Plain transcripts: ``Name: text`` lines with their dates, in the shapes that chat apps and people write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from loci.infrastructure.formats import MARKS, Gathering, Sheet, Transcript, is_blank, who
from loci.types import Message

SPACE = "[ \u00a0\u202f]"
DATE = r"(?P<a>\d{4}|\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<c>\d{4}|\d{1,2})"
TIME = rf"(?P<h>\d{{1,2}})[:.](?P<m>\d{{2}})(?:[:.](?P<s>\d{{2}})(?:[.,]\d+)?)?(?:{SPACE}?(?P<half>[AaPp])\.?{SPACE}?[Mm]\.?)?"
ZONE = r"(?:(?P<zone>Z|[+-]\d{2}:?\d{2}))?"
STAMPS = (  # the first message of a file says which of them it is written in
    re.compile(rf"\[{DATE},?[ T]{SPACE}?{TIME}{ZONE}\]:?{SPACE}?(?P<rest>.*)"),
    re.compile(rf"{DATE},?[ T]{SPACE}?{TIME}{ZONE}{SPACE}[-–]{SPACE}(?P<rest>.*)"),
    re.compile(rf"{DATE},?[ T]{SPACE}?{TIME}{ZONE}[,:]?{SPACE}+(?P<rest>.+)"),
)
BARE = STAMPS[2]
SAID = re.compile(rf"(?P<name>[^:]{{1,100}}):(?:{SPACE}(?P<text>.*))?")
TURN = re.compile(rf"(?:\[?{TIME}\]?(?:{SPACE}[-–]|,)?{SPACE}+)?(?P<name>[^\W\d_][^:,;?!\"\t]{{0,39}}):(?:\s+(?P<text>.*))?")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
NAMED_DAY = re.compile(r"(?P<weekday>mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+(?P<date>.+)", re.IGNORECASE)
MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?P<ending>[a-z]*)\.?"
HEADERS = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        DATE,
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?{MONTH},?\s+(?P<year>\d{{4}})",
        rf"{MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})",
    )
)
HEADER_CHARS = 60
EXAMPLES = "'[12/05/2024, 14:33:10] Ana: hi', '2024-05-12 14:33 Ana: hi', or a date line and then 'Ana: hi'"

Match = re.Match[str]


def chatlog(sheet: Sheet) -> list[Transcript]:
    """One transcript. The first message decides how the file is written: each message with its own date and time, or
    ``Name: text`` lines (with a time or without) under date lines. Any other line goes on with the message before it."""
    lines = re.split(r"\r\n|\n|\r", sheet.text)
    stamp = _stamp(sheet, lines)
    gathered = Gathering(sheet)
    turns = _stamped(sheet, lines, stamp) if stamp else _headed(sheet, lines)
    for line, message in turns:
        gathered.add(message, line, f"line {line}")
    return [gathered.transcript(sheet.name)]


def _stamp(sheet: Sheet, lines: Sequence[str]) -> re.Pattern[str] | None:
    """The shape of a file whose messages are dated one by one; None when there are date lines, or no dates at all."""
    for number, line in enumerate(lines, 1):
        text = line.lstrip(MARKS)
        if is_blank(text) or header(text):
            continue
        for stamp in STAMPS:
            if stamp.fullmatch(text):
                return stamp
        if TURN.fullmatch(text):
            return None
        raise sheet.malformed(number, f"this is no message of a transcript. Write {EXAMPLES}.")
    raise sheet.malformed(0, f"there is no message in it. Write {EXAMPLES}.")


# -- messages that carry their own date -------------------------------------------------------------------------------------


def _stamped(sheet: Sheet, lines: Sequence[str], stamp: re.Pattern[str]) -> Iterator[tuple[int, Message]]:
    found = [stamp.fullmatch(line.lstrip(MARKS)) for line in lines]
    day = order(sheet, [(number, match) for number, match in enumerate(found, 1) if match])
    if not any(match and SAID.fullmatch(match["rest"]) for match in found):
        raise sheet.malformed(0, f"no line says who spoke. Write {EXAMPLES}.")
    turn: Turn | None = None
    for number, (line, match) in enumerate(zip(lines, found, strict=True), 1):
        if match:
            if turn:
                yield turn.line, turn.message()
            turn = Turn(number, *_named(sheet, number, match, stamp is BARE), clock(sheet, number, match, day(number, match)))
        elif turn:
            turn.lines.append(line)
        else:
            assert is_blank(line) or header(line.lstrip(MARKS)), "the first line that is none of these chose the shape"
    if turn:
        yield turn.line, turn.message()


def _named(sheet: Sheet, line: int, match: Match, is_strict: bool) -> tuple[str | None, list[str]]:
    """(name, lines so far) of a dated line. What WhatsApp says itself has no name, and is kept as the system's."""
    said = SAID.fullmatch(match["rest"])
    if said:
        return said["name"].strip(MARKS + " \t~\u00a0\u202f") or said["name"], [said["text"] or ""]
    if is_strict:
        raise sheet.malformed(line, f"nobody is named after the time. Write {EXAMPLES}.")
    sheet.note("lines of the app itself, without a name, were kept as 'system'", line)
    return None, [match["rest"]]


@dataclass(slots=True)
class Turn:
    """A message while its lines come in. Nobody's is the system's."""

    line: int
    name: str | None
    lines: list[str]
    at: datetime | None

    def message(self) -> Message:
        role, speaker = ("system", None) if self.name is None else who(self.name)
        return Message(role, "\n".join(self.lines).rstrip(), self.at, speaker)


# -- messages under date lines ------------------------------------------------------------------------------------------------


def _headed(sheet: Sheet, lines: Sequence[str]) -> Iterator[tuple[int, Message]]:
    heads = {number: found for number, line in enumerate(lines, 1) if (found := header(line.lstrip(MARKS)))}
    day_of = order(sheet, [(number, match) for number, (match, _) in heads.items() if "a" in match.groupdict()])
    day: date | None = None
    turn: Turn | None = None
    for number, line in enumerate(lines, 1):
        head, match = heads.get(number), None
        if head is None:
            match = TURN.fullmatch(line.lstrip(MARKS))
        if (head or match) and turn:
            yield turn.line, turn.message()
            turn = None
        if head:
            day = _day(sheet, number, head, day_of)
        elif match:
            if heads and day is None:
                sheet.note("messages before the first date line have no date", number)
            turn = Turn(number, match["name"].strip(), [match["text"] or ""], _moment(sheet, number, match, day))
        elif turn:
            turn.lines.append(line)
        elif not is_blank(line):
            raise sheet.malformed(number, f"this belongs to no message. Write {EXAMPLES}.")
    if turn:
        yield turn.line, turn.message()


def header(line: str) -> tuple[Match, str] | None:
    """(date, weekday) when a line is a date and nothing else, with or without decoration."""
    if len(line) > HEADER_CHARS or not any(c.isdecimal() for c in line):
        return None
    text, weekday = line.strip(MARKS + " \t#=*_-–—[]()~:.|"), ""
    named = NAMED_DAY.fullmatch(text)
    if named:
        text, weekday = named["date"], named["weekday"].lower()
    for shape in HEADERS:
        match = shape.fullmatch(text)
        if match and _is_month(match):
            return match, weekday
    return None


def _is_month(match: Match) -> bool:
    parts = match.groupdict()
    return "month" not in parts or any(m.startswith((parts["month"] + parts["ending"]).lower()) for m in (*MONTHS, "sept"))


def _day(sheet: Sheet, line: int, head: tuple[Match, str], day_of: Callable[[int, Match], date]) -> date:
    match, weekday = head
    if "a" in match.groupdict():
        day = day_of(line, match)
    else:
        month = next(n for n, name in enumerate(MONTHS, 1) if name.startswith(match["month"].lower()))
        day = _date(sheet, line, int(match["year"]), month, int(match["day"]))
    if weekday and not DAYS[day.weekday()].startswith(weekday):
        raise sheet.malformed(line, f"{day} was a {DAYS[day.weekday()].capitalize()}, and the line says otherwise. Correct one.")
    return day


def _moment(sheet: Sheet, line: int, match: Match, day: date | None) -> datetime | None:
    if match["h"] is None:
        return None if day is None else datetime(day.year, day.month, day.day)
    if day is None:
        raise sheet.malformed(line, "a time without a date. Put a line with the date, such as '2024-05-12', before it.")
    return clock(sheet, line, match, day)


# -- dates ----------------------------------------------------------------------------------------------------------------------


def order(sheet: Sheet, matches: Sequence[tuple[int, Match]]) -> Callable[[int, Match], date]:
    """How to read the dates of a file: whether the day or the month comes first is settled by all of them together."""
    written = [(line, int(m["a"]), int(m["b"])) for line, m in matches if len(m["a"]) < 4]
    day_first = next((line for line, a, _ in written if a > 12), None)
    month_first = next((line for line, _, b in written if b > 12), None)
    if day_first is not None and month_first is not None:
        first, second = sorted((day_first, month_first))
        raise sheet.malformed(second, f"the day and the month are written in another order than in line {first}.")
    if written and day_first is None and month_first is None:
        sheet.note("no date tells whether the day or the month is first; they were read as day/month/year")

    def read(line: int, match: Match) -> date:
        a, b, c = (int(match[name]) for name in "abc")
        if len(match["a"]) == 4:
            return _date(sheet, line, a, b, c)
        year = c if len(match["c"]) == 4 else 2000 + c
        return _date(sheet, line, year, *((a, b) if month_first is not None else (b, a)))

    return read


def _date(sheet: Sheet, line: int, year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as error:
        raise sheet.malformed(line, f"there is no day {day} of month {month} of {year}.") from error


def clock(sheet: Sheet, line: int, match: Match, day: date) -> datetime:
    """The moment of a day that a line tells; naive unless it names a zone."""
    hour, minute, second = int(match["h"]), int(match["m"]), int(match["s"] or 0)
    half = (match["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise sheet.malformed(line, f"there is no hour {hour} before or after noon.")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    zone = match.groupdict().get("zone")
    try:
        at = datetime(day.year, day.month, day.day, hour, minute, second)
        return at.replace(tzinfo=_zone(zone)) if zone else at
    except ValueError as error:
        raise sheet.malformed(line, f"there is no time {match['h']}:{match['m']}" + (f":{match['s']}." if match["s"] else ".")) from error


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))

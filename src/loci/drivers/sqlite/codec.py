"""Between values and columns: times, names, header attributes, checksums. One place, so that both directions agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from typing import overload

from loci.errors import Corrupt, Invalid
from loci.types import TimeSpan, Trust

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
FLAG_QUESTION, FLAG_TIME, FLAG_EVENT, FLAG_OWN = 1, 2, 4, 8
TRUSTS = tuple(Trust)
RANK = {trust: rank for rank, trust in enumerate(TRUSTS)}  # as it is stored: more is more
compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@overload
def to_micros(at: datetime) -> int: ...
@overload
def to_micros(at: datetime | None) -> int | None: ...
def to_micros(at: datetime | None) -> int | None:
    """Microseconds since the epoch, exact for every year that datetime knows."""
    return None if at is None else (at - EPOCH) // MICROSECOND


def time_of(value: object, zone_minutes: object = None) -> datetime | None:
    """A column of microseconds as a time, in the zone of another column; one that datetime cannot name becomes the first or the last that it can."""
    if not isinstance(value, int):
        return None
    at = EPOCH + timedelta(0, 0, value if FIRST <= value <= LAST else FIRST if value < FIRST else LAST)
    if not zone_minutes or not isinstance(zone_minutes, int):
        return at
    try:
        return at.astimezone(timezone(timedelta(minutes=zone_minutes)))
    except OverflowError:  # year 1 or 9999 in a zone that would leave the calendar: the same instant, in UTC
        return at


def sure_time(value: object) -> datetime:
    """The same, of a column that is never empty. Raises `Corrupt`."""
    at = time_of(value)
    if at is None:
        raise Corrupt("A row has no time where Loci always writes one. Run `loci verify`, and restore a copy.")
    return at


def zone_of(at: datetime | None) -> int | None:
    offset = None if at is None else at.utcoffset()
    return None if offset is None else int(offset.total_seconds() // 60)


def keyed_hash(secret: bytes, *parts: str | None) -> bytes:
    """A 16-byte hash that tells equal words apart from others only to whoever has the cube."""
    raw = b"".join([b"\xff" if part is None else b"%d:%b" % (len(part), part.encode()) for part in parts])
    return blake2b(raw, key=secret, digest_size=16).digest()


def check_text(text: str, what: str) -> str:
    """The text, if it can be stored verbatim; ``Invalid`` names the first character that cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid(
            f"{what} holds an unpaired surrogate (U+{ord(text[error.start]):04X}) at character {error.start}, which is not "
            "text. Decode it with errors='replace', or drop that character; nothing was stored."
        ) from error
    return text


def dump_attributes(entities: Sequence[str], keywords: Sequence[str], times: Sequence[TimeSpan]) -> str | None:
    if not (entities or keywords or times):
        return None
    moments = [(t.words, to_micros(t.earliest), to_micros(t.latest), zone_of(t.earliest)) for t in times]
    return compact([entities, keywords, moments])


def load_attributes(raw: str | None) -> tuple[tuple[str, ...], tuple[str, ...], tuple[TimeSpan, ...]]:
    if raw is None:
        return (), (), ()
    entities, keywords, moments = json.loads(raw)
    times = []
    for words, earliest, latest, zone in moments:
        start, end = time_of(earliest, zone), time_of(latest, zone)
        assert start is not None and end is not None
        times.append(TimeSpan(words, start, end))
    return tuple(entities), tuple(keywords), tuple(times)

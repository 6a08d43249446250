"""The real clock, and ids that sort by time."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAIRS = tuple(a + b for a in CROCKFORD for b in CROCKFORD)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHIFTS = tuple(range(120, -1, -10))
MILLISECOND = timedelta(milliseconds=1)


class SystemClock:
    """The machine's time in UTC, kept from running backwards within the process."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        self._last = max(self._last, datetime.now(UTC))
        return self._last


class Ulids:
    """ULIDs: 48 bits of milliseconds and 80 random bits in 26 letters; within one process strictly ascending."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def new(self, at: datetime) -> str:
        milliseconds = max((at - EPOCH) // MILLISECOND, 0)
        with self._lock:
            value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
            if value <= self._last:
                value = self._last + 1
            self._last = value
        return "".join([PAIRS[value >> shift & 1023] for shift in SHIFTS])

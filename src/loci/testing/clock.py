"""Time that stands still until it is told to go on, and ids that can be read."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from loci.errors import Invalid

START = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """A `Clock` turned by hand. It never runs backwards; to play a machine whose clock was set back, start another one."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start if start.tzinfo is not None else start.replace(tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, days: float = 0, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Turns the clock on, and returns the new present."""
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if step < timedelta(0):
            raise Invalid(f"A clock cannot go back by {-step}; make another ManualClock for that.")
        self._now += step
        return self._now


class CountingIds:
    """`Ids` that say when and which: ``20260101T000000.000000-000001``. One for each vault, or they repeat themselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def new(self, at: datetime) -> str:
        with self._lock:
            self._count += 1
            count = self._count
        t = at if at.tzinfo is None else at.astimezone(UTC)
        return f"{t.year:04}{t.month:02}{t.day:02}T{t.hour:02}{t.minute:02}{t.second:02}.{t.microsecond:06}-{count:06}"

"""Who comes first: calls that somebody waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 1.0  # how long work waits at a time: where calls never cease, it goes on all the same, by pieces


class Pace:
    """Counts the calls of a process that somebody waits for. Work in the background asks between two pieces whether to go on."""

    def __init__(self) -> None:
        self._calls, self._lock = 0, threading.Lock()
        self._is_free = threading.Event()
        self._is_free.set()

    @contextmanager
    def foreground(self) -> Iterator[None]:
        """While this lasts, work in the background stands still."""
        with self._lock:
            self._calls += 1
            self._is_free.clear()
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self._is_free.set()

    def wait(self) -> None:
        """Returns once no call is being answered, or after a while."""
        self._is_free.wait(PATIENCE_SECONDS)

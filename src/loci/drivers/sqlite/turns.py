"""Whose turn it is to write: first come, first served among the threads of a process, and a patient try among processes.

SQLite has one writer at a time and no queue: who finds the lock taken sleeps, longer each time, while those who come later and more
often get it. With eight processes of four threads some waited for most of a minute's run, and would have been told `Locked`.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque

import apsw

from loci.drivers.sqlite.connection import scalar

SHORTEST_SECONDS, LONGEST_SECONDS = 0.002, 0.012  # between two tries: a few short transactions
_chance = random.Random()  # so that processes that have met once do not meet at every try


class Turns:
    """A lock that is handed on in the order in which it was asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Event] = deque()

    def take(self, seconds: float) -> bool:
        """Waits for the turn. False when it did not come within this time."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        is_mine = False
        try:
            is_mine = turn.wait(seconds)
        finally:
            if not is_mine:
                is_mine = self._leave(turn)
        return is_mine

    def _leave(self, turn: threading.Event) -> bool:
        """Out of the queue; or it is this one's turn after all, if it came just now."""
        with self._lock:
            if not turn.is_set():
                self._waiting.remove(turn)
            return turn.is_set()

    def give(self) -> None:
        """Lets the next one go on."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False


def patience(db: apsw.Connection) -> int:
    """Milliseconds that the connection waits for a lock."""
    return int(scalar(db, "PRAGMA busy_timeout"))


def begin(db: apsw.Connection, seconds: float, usual: int) -> None:
    """Takes the write lock, trying again at short and uneven intervals, so that every process has the same chance of the next gap.
    Leaves the connection as patient as it is ``usual``."""
    end = time.monotonic() + seconds
    db.set_busy_timeout(0)
    try:
        while True:
            try:
                db.execute("BEGIN IMMEDIATE")
                return
            except apsw.BusyError:
                if time.monotonic() > end:
                    raise
            time.sleep(_chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))
    finally:
        db.set_busy_timeout(usual)

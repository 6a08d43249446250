"""Who comes first: calls that somebody waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

PATIENCE_SECONDS = 30.0
"""For so long work in the background waits for a moment without a call: longer than an answer that somebody waits for mostly takes. Where there is none, the calls never cease, and
without a share of the machine what is queued would never be done."""
SPELL_SECONDS, AGAIN_SECONDS = 0.05, 1.0
"""Then it has one spell of this length at a time, and so long between two: a twentieth of the time, and no call waits longer for it than it may."""
LOOK_SECONDS = 0.1  # between two looks at whether there is still something to wait for


class Pace:
    """Knows the calls of a process that somebody waits for. Work in the background asks before each piece whether to go on."""

    def __init__(self) -> None:
        self._calls = set[object]()
        self._changed = threading.Condition()
        self._here = threading.local()
        self._spell, self._is_starved = 0.0, False

    @contextmanager
    def foreground(self) -> Iterator[None]:
        """While this lasts, work in the background stands still. In a thread of that work it is part of it, and nobody waits."""
        if getattr(self._here, "is_background", False):
            yield
            return
        call = object()
        self._calls.add(call)
        try:
            yield
        finally:
            with self._changed:
                self._calls.discard(call)
                if not self._calls:
                    self._changed.notify_all()

    @contextmanager
    def background(self) -> Iterator[None]:
        """What this thread does meanwhile is work that gives way."""
        self._here.is_background = True
        try:
            yield
        finally:
            self._here.is_background = False

    @property
    def has_calls(self) -> bool:
        return bool(self._calls)

    def wait(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Returns once no call is being answered, or when what waits ``is_over``, which is asked now and then; where calls never cease, now and then for a spell."""
        if not self._calls:
            self._spell, self._is_starved = 0.0, False
            return
        begun = monotonic()
        if begun < self._spell:
            return
        most = AGAIN_SECONDS if self._is_starved else PATIENCE_SECONDS
        while not is_over():
            with self._changed:
                if self._changed.wait_for(lambda: not self._calls, min(LOOK_SECONDS, most)):
                    self._spell, self._is_starved = 0.0, False
                    return
            if monotonic() - begun >= most:
                self._is_starved, self._spell = True, monotonic() + SPELL_SECONDS
                return

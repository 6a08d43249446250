"""The porter brings pages for a coming turn, in a thread of its own: one errand at a time, and the last one asked for."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from loci.errors import Unavailable

Task = Callable[[Callable[[], bool]], str]
"""What an errand does; it is handed what tells whether it is still wanted, and answers what came of it."""


@dataclass(slots=True, eq=False)
class Errand:
    """Pages that are being brought, or why none are. ``ids`` are the activation memories. What goes wrong is raised by ``wait``, and told in
    the trace of the next search."""

    ids: tuple[str, ...]
    _told: str = field(default="", repr=False)
    _future: Future[str] | None = field(default=None, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def is_done(self) -> bool:
        return self._future is None or self._future.done()

    def wait(self, seconds: float | None = None) -> str:
        """What came of it, when it is over. Raises `Unavailable` where it is not after so many seconds, and what went wrong."""
        if self._future is None:
            return self._told
        try:
            return self._future.result(seconds)
        except TimeoutError as error:
            if self._future.done():  # the errand's own
                raise
            raise Unavailable("The pages are still being brought. Wait longer, or ask: what is not there yet is loaded then.") from error

    def cancel(self) -> None:
        """It ends after the page in hand; what was brought stays."""
        self._stop.set()


class Porter:
    """Does errands for all cubes of a vault. A new one ends the one before it: only the next turn is prepared for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._errands: list[tuple[object, Errand]] = []  # that are not over, oldest first: all but the last were cancelled
        self._faults: weakref.WeakKeyDictionary[object, dict[str, str]] = weakref.WeakKeyDictionary()

    def send(self, owner: object, tenant: str, ids: tuple[str, ...], job: Task) -> Errand:
        """Begins an errand and returns at once. ``owner`` is what it is for, and ``tenant`` who is told of what goes wrong, and nobody else."""
        errand = Errand(ids)
        with self._lock:
            for _, before in self._errands:
                before.cancel()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(1, "loci-porter")
            errand._future = self._threads.submit(job, lambda: not errand._stop.is_set())
            self._errands.append((owner, errand))
        errand._future.add_done_callback(lambda future: self._note(owner, tenant, errand, future))
        return errand

    def fault(self, owner: object, tenant: str) -> str:
        """What went wrong with an errand of this tenant's since it was last asked; empty when nothing."""
        with self._lock:
            return self._faults.get(owner, {}).pop(tenant, "")

    def stop(self, owner: object | None = None) -> None:
        """Ends the errands of an owner, or whosever they are, and waits for that: the page in hand at the most."""
        with self._lock:
            mine = [errand for whose, errand in self._errands if owner is None or whose is owner]
            threads = None
            if len(mine) == len(self._errands):  # nobody else has it do anything
                threads, self._threads = self._threads, None
        for errand in mine:
            errand.cancel()
        wait([errand._future for errand in mine if errand._future is not None])
        if threads is not None:
            threads.shutdown()

    def _note(self, owner: object, tenant: str, errand: Errand, future: Future[str]) -> None:
        error = future.exception()
        with self._lock:
            self._errands.remove((owner, errand))
            if error is not None:
                self._faults.setdefault(owner, {})[tenant] = f"what was to be prepared was not: {type(error).__name__}: {error}"

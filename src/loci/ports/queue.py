"""What the kernel asks of a store for work that waits: jobs, who holds them, and the vectors that most of them are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypedDict

from loci.types import Job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


OPEN = ("ready", "leased")  # jobs that somebody works on, or will
MOST_WAIT = timedelta(hours=3)
"""No job that failed waits longer for its next try, and none is held for longer: one that would was written down by a clock that was put back since, and is due."""


class Whose(TypedDict, total=False):
    """Who a job takes turns for, as `QueueWrites.enqueue` is told."""

    user: str | None
    agent: str | None
    session: str | None


class QueueWrites(Protocol):
    """What a transaction does with jobs and vectors."""

    def enqueue(
        self, verb: str, arguments: Mapping[str, object], *, user: str | None = None, agent: str | None = None, session: str | None = None,
        priority: int = 0, key: str | None = None,
    ) -> None:  # fmt: skip
        """Puts a job into the queue, in this very transaction. Users take turns within a priority, and so do the agents and sessions of each; what has a larger priority goes
        first. Of two jobs with one ``key`` that nobody has begun there is only one: the sooner, with the larger priority."""

    def lease(
        self, verb: str, worker: str, until: datetime, limit: int, generation: int | None = None, *, key: str | None = None
    ) -> list[Job]:
        """Due jobs of a verb (and of a generation of vectors, or the one of a ``key``, whosever turn it is) that nobody holds, now held by ``worker``: as many as it takes to
        have ``limit`` contents together; a job that names none counts as one. One that has failed twice is held alone. None while the
        queue is paused. What has never failed is due, whatever the clock says; what has is at its time, or where that is further ahead than `MOST_WAIT`."""

    def gone(self) -> list[Job]:
        """Jobs that were held until a time that is over, or further ahead than `MOST_WAIT`, the newest first: their workers are gone, or too slow."""

    def prolong(self, jobs: Sequence[int], worker: str, until: datetime) -> bool:
        """Holds jobs for longer, if nobody else has begun any of them since ``worker`` did."""

    def finish(self, jobs: Sequence[int], worker: str) -> bool:
        """Takes jobs out of the queue if nobody else has begun any of them since ``worker`` did: then, and only then, their effect may be committed."""

    def withdraw(self, key: str, states: Sequence[str] = (*OPEN, "dead")) -> None:
        """Takes the jobs of a key out of the queue, whoever holds them: what they were for is done, or asked for anew. What their workers make of them is not committed."""

    def retry(self, job: int, worker: str | None, due: datetime, error: str, *, is_failure: bool = True) -> None:
        """Gives back what ``worker`` holds, or None: what one that is ``gone`` held, for another try, and counts a failure. Where the same was enqueued anew meanwhile, that is the
        other try."""

    def bury(self, job: int, worker: str | None, error: str) -> bool:
        """Gives back the same, for no other try: it is dead until it is requeued. False where it was not held any more."""

    def requeue(self, job: int) -> Job:
        """Makes a job ready, as if it had never been tried. Returns it as it was. Raises ``Missing``, or ``Conflict`` while somebody holds it."""

    def cancel(self, job: int) -> Job:
        """Nobody will work on a job; it stays in the queue until it is requeued. Returns it as it was. Raises as ``requeue`` does."""

    def empty(self, job: int, error: str) -> None:
        """Takes away all that a job holds, and from whoever works on it: it is cancelled for good, for the reason in ``error``."""

    def pause(self, reason: str | None) -> None:
        """No job is leased any more; None: they are again."""

    @property
    def new_contents(self) -> list[int]:
        """Contents written so far, which want vectors."""

    def texts(self, contents: Sequence[int]) -> dict[int, str]:
        """The indexed words of contents that still exist."""

    def generation(self, embedder: str, dimensions: int) -> int:
        """The number of this embedder's generation; a new one starts with a job over everything there is."""

    def cover(self, generation: int) -> None:
        """Enqueues jobs for contents that lack a vector of the generation and are in no job yet."""

    def put_vectors(self, generation: int, contents: Sequence[int], vectors: NDArray[np.float32]) -> None: ...

    def promote(self, generation: int) -> bool:
        """Makes a generation the active one, and drops the others, if it covers every content."""


class QueueReads(Protocol):
    """What a store tells of them."""

    def is_covered(self, embedder: str) -> bool:
        """Whether ``cover`` would change nothing."""

    def vectors_of(self, memories: Sequence[str]) -> list[bytes]:
        """Of the last version of each of these its vector in the active generation, as bytes; none where it has none."""

    def jobs(self, limit: int = 1000, states: Sequence[str] = OPEN, *, key: str | None = None) -> list[Job]:
        """The first jobs in these states (ready, leased, dead, cancelled); of those with a key, if it is given."""

    def job(self, seq: int) -> Job:
        """One job of the queue. Raises ``Missing``."""

    def paused(self) -> str | None:
        """Why no job is leased; None while they are."""

    def due(self, verbs: Sequence[str], now: datetime) -> datetime | None:
        """When the first job of these verbs that is ready may be worked, or is held until, as `lease` and `gone` see it; None without any."""

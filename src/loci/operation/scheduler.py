"""MemScheduler: the durable queue of a cube, worked in the background. Each job is claimed, computed outside any transaction, and its effect
and its end are one commit. What fails is tried again, later and later; what has failed often enough is dead, and stays until somebody
retries or cancels it. Nothing leaves the queue but what is done."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from weakref import WeakSet

from loci.errors import EmbedderFailed, JobFailed, LociError, Locked, Unavailable
from loci.operation.noting import Noting, Write
from loci.operation.pace import Pace
from loci.operation.work import BATCH, Embedding, Reread, Rereading, Rest, Work, contents_of, turn_of
from loci.policy.retention import Recency, Retention
from loci.ports import Clock, Embedder, Store, Transaction
from loci.ports.queue import MOST_WAIT
from loci.types import Job, Scope

LEASE = timedelta(minutes=1)
HELD_SECONDS = 20.0  # after which a worker that is still at it says so, long before its lease is over
RETRY = timedelta(seconds=30)  # after the first failure; twice as long after each further one
MOST_DOUBLINGS = 8
MOST_ATTEMPTS = 14  # over some thirteen hours
PIECE_SECONDS = 0.025  # what a piece of work in the background may take: so long does a call wait for it at most
ALONE_SECONDS = 5.0  # where nobody waits
GATHER_SECONDS = 0.1
PAUSE_SECONDS = 0.5  # after a failure, before the worker looks again
QUIET_SECONDS = 5.0  # without anything new, before long work is begun in the background: no short command loads a model for it
IDLE_SECONDS = 5.0  # after which an idle worker looks whether another process has put something into the queue

SMALL = 64  # contents whose vectors an answer waits for; more are left to the background

SETTLE_SECONDS = 0.5  # how long an answer waits for the worker to finish what it has in hand

GONE = "its worker was gone"
TAKEN_OVER = "Another worker took over these jobs; what it made of them stands."


OPEN: WeakSet[Scheduler] = WeakSet()  # those of this process that nobody has closed
os.register_at_fork(after_in_child=OPEN.clear)  # a child closes nothing of its parent's, whose locks may be held for ever there


def wait_of(failures: int) -> timedelta:
    """How long after so many failures the next try is."""
    return RETRY * (1 << min(failures - 1, MOST_DOUBLINGS))


def _is_due(job: Job, now: datetime) -> bool:
    """Whether a job that is ready may be tried, as the store decides it."""
    return not job.attempts or job.due is None or not now < job.due <= now + MOST_WAIT


def _unforeseen(error: Exception) -> JobFailed:
    """What no driver should raise, as what befell the queue."""
    told = JobFailed(f"The queue met {type(error).__name__}: {error}. Nothing of it is lost; it goes on later.")
    told.__cause__ = error
    return told


@atexit.register
def _leave() -> None:
    """Closes, before the interpreter goes, what nobody closed: a thread that is inside a model's own code then would take the process down, and what
    was read would not be in the log."""
    for scheduler in list(OPEN):
        scheduler.close()


class _Closing(Exception):
    """The cube is being closed, and a long job is in hand."""


@dataclass(slots=True)
class _Breath:
    """Between two pieces: calls come first, then what is short, and the jobs are held for longer where that is due."""

    pace: Pace | None
    prolong: Callable[[], None]
    others: Callable[[], object]
    is_closing: Callable[[], bool]
    is_long: bool
    standing: threading.Event
    held: float = field(default_factory=monotonic)

    @property
    def seconds(self) -> float:
        return ALONE_SECONDS if self.pace is None else PIECE_SECONDS

    def __call__(self) -> None:
        self._rest()
        self.others()
        self._check_open()

    @property
    def rest(self) -> Rest | None:
        return None if self.pace is None else self._rest

    def _rest(self) -> None:
        if self.pace is not None and self.pace.has_calls:
            self.standing.set()
            try:
                self.pace.wait(self._tended)
            finally:
                self.standing.clear()
        self._check_open()
        self._hold()

    def _tended(self) -> bool:
        """Holds the jobs while others are waited for, which somebody who closes the cube does not."""
        self._hold()
        return self.is_closing()

    def _hold(self) -> None:
        if monotonic() - self.held > HELD_SECONDS:
            self.prolong()
            self.held = monotonic()

    def _check_open(self) -> None:
        if self.is_long and self.is_closing():
            raise _Closing


class Scheduler(Noting):
    """Works the jobs of one cube: in a thread of its own once ``wake`` was called, and on demand by ``drain``. ``more`` are kinds of work
    beside those of the kernel. Where it is not ``is_working``, nothing is worked and no use is counted: what was read is all that is written."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder | None,
        clock: Clock,
        reread: Reread,
        *,
        is_background: bool,
        is_auditing: bool = True,
        is_working: bool = True,
        pace: Pace | None = None,
        more: Sequence[Work] = (),
        retention: Retention | None = None,
    ) -> None:
        super().__init__(store, clock, retention or Recency(), is_auditing=is_auditing, is_counting=is_working)
        self._embedder, self._is_background = embedder if is_working else None, is_background
        self._pace = pace or Pace()
        self._embeddings: list[Work] = [Embedding(embedder)] if embedder is not None and is_working else []
        self._works: list[Work] = [*self._embeddings, Rereading(store, reread, self.enqueue_vectors), *more] if is_working else []
        self._short = [work for work in self._works if not work.is_long]
        self._worker = secrets.token_hex(6)
        self._working, self._waking = threading.Lock(), threading.Lock()
        self._wake, self._stop, self._standing = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._woken = 0.0
        self._owed: list[Callable[[Write], None]] = []  # jobs that could not be given back
        self.failure: LociError | None = None
        OPEN.add(self)

    # -- foreground ----------------------------------------------------------------------------------------------------

    def enqueue_vectors(self, tx: Transaction, scope: Scope | None = None) -> None:
        """In the writer's own transaction: jobs for the vectors of what it wrote, in whose scope."""
        if self._embedder is not None and tx.new_contents:
            generation = tx.generation(self._embedder.name, self._embedder.dimensions)
            for start in range(0, len(tx.new_contents), BATCH):
                tx.enqueue("embed", {"generation": generation, "contents": tx.new_contents[start : start + BATCH]}, **turn_of(scope))

    def wake(self) -> None:
        """Something is in the queue."""
        if not self._is_background:
            return
        self._woken = monotonic()
        with self._waking:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name=f"loci-{Path(self._store.cube).name}", daemon=True)
                self._thread.start()
        self._wake.set()

    def resume(self) -> None:
        """At opening: goes on with what is queued, and starts over if the embedder is another one than before. A cube that
        cannot be written just now opens all the same; the first words added start over then."""
        try:
            self._cover()
        except LociError as error:
            self.failure = error
        if self._store.jobs(1):
            self.wake()

    def _cover(self) -> None:
        store, embedder = self._store, self._embedder
        if embedder is None or store.is_empty() or store.is_covered(embedder.name):
            return
        with self._store.try_write(self._clock.now()) as tx:
            tx.cover(tx.generation(embedder.name, embedder.dimensions))

    def settle(self) -> None:
        """Works a small backlog before an answer; a large one goes on behind it, and the answer says what is missing. So it
        does when somebody else writes just now, or the embedder fails: an answer neither waits for that nor ends with it.
        ``failure`` keeps what failed; that others write is no failure of a job."""
        if self._embedder is None or self._store.is_within:  # nothing is computed while others wait
            return
        now = self._clock.now()
        backlog = [job for job in self._store.jobs(SMALL + 1) if job.state == "leased" or _is_due(job, now)]
        if not 0 < sum(len(contents_of(job)) for job in backlog if job.verb == "embed") <= SMALL:
            return  # what failed waits for its time, and no answer for it
        if not self._working.acquire(
            timeout=0 if self._standing.is_set() else SETTLE_SECONDS
        ):  # who stands still for a call does not finish meanwhile
            return
        try:
            self._step_alone(self._store.try_write, None, self._embeddings)
        except Locked:
            pass  # what is queued is worked by the next answer, or behind this one
        except LociError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001  (no answer ends with what its embedder meets)
            self.failure = _unforeseen(error)
        finally:
            self._working.release()

    def drain(self, is_over: Callable[[], bool] | None = None) -> int:
        """Works until nothing is due, or it is over after a step. Returns how many steps that took. Raises what a job raised, unless
        that was done after all."""
        done = self.work(is_over)
        failure, self.failure = self.failure, None
        if failure is not None and self._store.jobs(1, ("ready", "leased", "dead")):
            raise failure
        return done

    def step(self, work: Work) -> bool:
        """Works some jobs of one kind here and now, for somebody who waits. False when none is due."""
        with self._working:
            return self._step_alone(self._store.write, None, [work])

    def work(self, is_over: Callable[[], bool] | None = None) -> int:
        """The same, and what a job raised is in the queue and in ``failure`` alone. Raises what the store raises."""
        done = 0
        while not (is_over is not None and is_over()) and self._step(None, self._works):
            done += 1
        return done

    def close(self) -> None:
        """Ends the thread after the job in hand; what is still queued is worked at the next opening. What was read is
        written, and what could not be given back is, as soon as others let it be. Uses alone are noted if the cube can be written now. If not,
        ``failure`` says why."""
        OPEN.discard(self)
        with self._waking:
            self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        try:
            if self._owed:
                with self._working:
                    self._pay(self._store.write)
            self._note_uses(self._store.write if self._reads else self._store.try_write)
        except LociError as error:
            self.failure = error

    # -- work ----------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """The worker's loop, which outlives whatever goes wrong in it; ``failure`` keeps what it was."""
        with self._pace.background():
            self._loop()

    def _loop(self) -> None:
        seconds = 0.0
        while not self._stop.is_set():
            self._wake.wait(seconds)
            self._wake.clear()
            try:
                self._work_on()
                seconds = self._seconds_until_due()
            except LociError as error:
                self.failure, seconds = error, PAUSE_SECONDS
            except Exception as error:  # noqa: BLE001  (a bug between two jobs: it ends neither the worker nor what is queued)
                self.failure, seconds = _unforeseen(error), PAUSE_SECONDS

    def _work_on(self) -> None:
        """Works until nothing is due."""
        if self._has_many_reads():
            self.write_reads()
        is_more = True
        while is_more and not self._stop.is_set():
            if self._may_gather():
                self._stop.wait(GATHER_SECONDS)
            is_quiet = monotonic() - self._woken >= QUIET_SECONDS
            self._pace.wait(self._stop.is_set)
            is_more = self._step(self._pace, self._works if is_quiet else self._short)

    def _due(self, works: Sequence[Work]) -> datetime | None:
        """When there is something to do of these kinds; None where there is not, or the queue stands still."""
        return self._store.due([work.verb for work in works], self._clock.now()) if self._store.paused() is None else None

    def _seconds_until_due(self) -> float:
        """Until there is something to do, as far as is known now."""
        due = self._due(self._works)
        return IDLE_SECONDS if due is None else min(max((due - self._clock.now()).total_seconds(), PAUSE_SECONDS), IDLE_SECONDS)

    def _may_gather(self) -> bool:
        """Whether the next step had better wait for more. What is said in quick succession is embedded together, by two commits and not
        by two a message, which those who write would wait for."""
        waiting = self._store.jobs(BATCH)
        return all(job.verb == "embed" for job in waiting) and sum(len(contents_of(job)) for job in waiting) < BATCH

    def _step(self, pace: Pace | None, works: list[Work]) -> bool:
        """Some jobs of one kind, whole; one at a time in this process. False when none is due."""
        with self._working:
            return self._step_alone(self._store.write, pace, works)

    def _step_alone(self, write: Write, pace: Pace | None, works: list[Work], around: Sequence[Job] = ()) -> bool:
        """The same, with the lock in hand. ``around`` are the jobs that this is done between two pieces of: they are held for longer too."""
        self._pay(write)
        due = self._due(works) if works else None
        if due is None or due > self._clock.now():
            return False  # without taking the lock of those who write
        held = self._lease(write, works)
        if held is None:
            return False
        work, jobs, given, epoch = held
        give_back = partial(self._end, write, jobs, epoch)
        try:
            others = partial(self._step_alone, write, pace, self._short if work.is_long else [], jobs)
            breath = _Breath(pace, partial(self._prolong, [*around, *jobs]), others, self._stop.is_set, work.is_long, self._standing)
            computed = work.compute(given, breath)
            with write(self._clock.now()) as tx:
                if not tx.finish([job.seq for job in jobs], self._worker):
                    raise Unavailable(TAKEN_OVER)
                work.apply(tx, jobs, computed)
        except _Closing:
            give_back("closed", "", is_failure=False)
        except Locked:
            give_back("locked", "", is_failure=False)
        except LociError as error:
            self.failure = error
            give_back(error.code, str(error), is_final=isinstance(error, work.final))
        except Exception as error:  # noqa: BLE001  (a bug of a driver's: it ends its job, and not the worker nor an answer)
            kind = EmbedderFailed if work in self._embeddings else JobFailed
            self.failure = kind(f"A job ({work.verb}) met {type(error).__name__}: {error}. The words are safe; it is tried again later.")
            self.failure.__cause__ = error
            give_back(type(error).__name__, str(error))
        except BaseException:  # interrupted: nobody should wait for the lease to end
            with suppress(Locked):
                give_back("interrupted", "", is_failure=False)
            raise
        return True

    def _prolong(self, jobs: Sequence[Job]) -> None:
        now = self._clock.now()
        with self._store.write(now) as tx:
            if not tx.prolong([job.seq for job in jobs], self._worker, now + LEASE):
                raise Unavailable(TAKEN_OVER)

    def _lease(self, write: Write, works: list[Work]) -> tuple[Work, list[Job], Any, int] | None:
        """Jobs of the first kind that has some, what they are computed from, and the epoch of that; the next time the other kinds are asked
        first."""
        now = self._clock.now()
        with write(now) as tx:
            self._free(tx, now)
            for work in list(works):
                jobs, given = work.lease(tx, self._worker, now + LEASE)
                if jobs:
                    works.remove(work)
                    works.append(work)
                    return work, jobs, given, tx.epoch
        return None

    def _end(
        self, write: Write, jobs: Sequence[Job], epoch: int, code: str, told: str, *, is_failure: bool = True, is_final: bool = False
    ) -> None:
        """Gives jobs back. While others write, that is owed until the next step, and raises `Locked`."""
        self._owed.append(partial(self._give_back, jobs, epoch, code, told, is_failure, is_final))
        self._pay(write)

    def _pay(self, write: Write) -> None:
        while self._owed:
            debt = self._owed.pop(0)
            try:
                debt(write)
            except Locked:
                self._owed.insert(0, debt)
                raise

    def _give_back(self, jobs: Sequence[Job], epoch: int, code: str, told: str, is_failure: bool, is_final: bool, write: Write) -> None:
        """For another try, or none. What a driver says may quote a text: once something was erased meanwhile, only its code is kept."""
        now = self._clock.now()
        with write(now) as tx:
            error = f"{code}: {told}" if told and tx.epoch == epoch else code
            for job in jobs:
                failures = job.attempts + is_failure
                if is_failure and (is_final or failures >= MOST_ATTEMPTS):
                    self._bury(tx, job, self._worker, error)
                else:
                    wait = wait_of(failures) if is_failure else timedelta(0)
                    tx.retry(job.seq, self._worker, now + wait, error, is_failure=is_failure)

    def _free(self, tx: Transaction, now: datetime) -> None:
        """A worker that is gone counts as a failure: it may be its job that ended it."""
        for job in tx.gone():
            if job.attempts + 1 >= MOST_ATTEMPTS:
                self._bury(tx, job, None, GONE)
            else:
                tx.retry(job.seq, None, now + wait_of(job.attempts + 1), GONE)

    @staticmethod
    def _bury(tx: Transaction, job: Job, worker: str | None, error: str) -> None:
        if tx.bury(job.seq, worker, error):
            tx.audit("scheduler", "bury", str(job.seq), {"job": job.verb, "attempts": job.attempts + 1})

"""The verbs of a cube that look after its queue of jobs."""

from __future__ import annotations

from loci.interface import inputs
from loci.ports import Transaction
from loci.system.gated import Gated
from loci.types import Job, Scope

STATES = ("ready", "leased", "dead", "cancelled")
MOST_SHOWN = 10_000


class Queued(Gated):
    """What waits to be done, what failed, and whether anything is worked at all."""

    def jobs(self, *, state: str | None = None, limit: int = 100) -> list[Job]:
        """The queue, oldest first: what is ready, what somebody works on (leased), what failed too often (dead), what was cancelled.
        What is done is not in it any more."""
        self._allow("jobs", Scope(self.name))
        wanted = STATES if state is None else (inputs.one_of(state, STATES, "state"),)
        return self._store.jobs(inputs.number(limit, "limit", 1, MOST_SHOWN), wanted)

    def job(self, number: int) -> Job:
        """One job, with what its last attempt met. Raises `Missing` for one that is done, or never was."""
        self._allow("job", Scope(self.name))
        return self._store.job(inputs.number(number, "job", 1, 2**62))

    def retry(self, number: int) -> Job:
        """Makes a job ready as if it had never been tried: a dead or cancelled one, or one that waits to be tried again. Returns it as it
        was. Raises `Conflict` while it is being worked on."""
        number = inputs.number(number, "job", 1, 2**62)
        self._allow("retry", Scope(self.name))
        with self._store.write(self._parts.clock.now()) as tx:
            found = tx.requeue(number)
            self._told(tx, "retry", found)
        self._scheduler.wake()
        return found

    def cancel(self, number: int, *, reason: str = "") -> Job:
        """Nobody will work on a job; it stays in the queue until it is retried. Returns it as it was. Raises `Conflict` while it is being
        worked on."""
        number, why = inputs.number(number, "job", 1, 2**62), self._reason(reason)
        self._allow("cancel", Scope(self.name))
        with self._store.write(self._parts.clock.now()) as tx:
            found = tx.cancel(number)
            self._told(tx, "cancel", found, reason=why)
        return found

    def pause(self, *, reason: str = "") -> None:
        """Nothing of the queue is begun any more, by any process, until `resume`. What is being worked on is finished; what is added is queued."""
        why = self._reason(reason)
        self._allow("pause", Scope(self.name))
        with self._store.write(self._parts.clock.now()) as tx:
            tx.pause(why)
            tx.audit(self._parts.governance.principal, "pause", self.name, {"reason": why})

    def resume(self) -> None:
        """The queue goes on."""
        self._allow("resume", Scope(self.name))
        with self._store.write(self._parts.clock.now()) as tx:
            tx.pause(None)
            tx.audit(self._parts.governance.principal, "resume", self.name, {})
        self._scheduler.wake()

    def paused(self) -> str | None:
        """Why the queue stands still; None while it goes on."""
        self._allow("jobs", Scope(self.name))
        return self._store.paused()

    def _told(self, tx: Transaction, verb: str, job: Job, **detail: object) -> None:
        tx.audit(
            self._parts.governance.principal, verb, str(job.seq), {"job": job.verb, "was": job.state, "attempts": job.attempts, **detail}
        )

"""Jobs and vectors inside a transaction: claim, compute outside, apply the effect and mark done in one fenced commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import accumulate, islice, zip_longest
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.sqlite.codec import compact, time_of, to_micros
from loci.drivers.sqlite.connection import query, scalar
from loci.drivers.sqlite.reader import Reader
from loci.drivers.sqlite.rows import Rows
from loci.errors import Conflict, EmbedderFailed, Missing
from loci.ports.queue import MOST_WAIT, OPEN
from loci.types import Job

BLOCK = 256  # contents a job: what is computed between two commits


LACKING = """
SELECT c.seq FROM contents c WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.generation = ?1 AND v.content = c.seq) AND
  c.seq NOT IN (SELECT e.value FROM jobs j, json_each(j.arguments, '$.contents') e WHERE j.verb = 'embed' AND j.state != 'done'
  AND json_extract(j.arguments, '$.generation') = ?1)
"""

LONGEST = int(MOST_WAIT.total_seconds() * 1_000_000)
PLAIN = "INSERT INTO jobs (verb, arguments, state, due, user, turn, priority) VALUES (?1, ?2, 'ready', ?3, ?4, ?5, ?6)"
KEYED = """
INSERT INTO jobs (verb, arguments, state, due, user, turn, priority, key) VALUES (?1, ?2, 'ready', ?3, ?4, ?5, ?6, ?7)
  ON CONFLICT (key) WHERE state = 'ready' AND key IS NOT NULL DO UPDATE SET priority = max(priority, ?6), due = min(due, ?3), leased_by = NULL
"""

DUE = f"""
FROM jobs WHERE state = 'ready' AND verb = ?1 AND (attempts = 0 OR due <= ?2 OR due > ?2 + {LONGEST}) AND (?3 IS NULL OR json_extract(arguments, '$.generation') = ?3)
"""
FAILED = f"SELECT seq {DUE} AND attempts >= 2 AND priority = ?4 ORDER BY due, seq LIMIT 1"
"""One that has failed twice is tried alone: it may be what made the others fail."""
BELOW = f"SELECT priority {DUE} AND priority < ?4 ORDER BY priority DESC LIMIT 1"
USER = f"SELECT user {DUE} AND attempts < 2 AND priority = ?4 AND user > ?5 ORDER BY user LIMIT 1"
TURN = f"SELECT turn {DUE} AND attempts < 2 AND priority = ?4 AND user = ?5 AND turn > ?6 ORDER BY turn LIMIT 1"
NEXT = f"""
SELECT seq, user, turn, coalesce(json_array_length(arguments, '$.contents'), 1) {DUE} AND attempts < 2 AND priority = ?4 AND user = ?5 AND turn = ?6
  ORDER BY seq LIMIT ?7
"""
SERVED = "SELECT value FROM header WHERE key = ?"
KEEP_TURN = "INSERT OR REPLACE INTO header VALUES (?1, ?2)"
NO_TURN = "UPDATE header SET value = ?2 WHERE key = ?1"  # whose jobs all name no session has no turns to keep
KEPT = f"SELECT seq {DUE} AND key = ?4"
HOLD = "UPDATE jobs SET state = 'leased', leased_by = ?, leased_until = ? WHERE seq = ?"

UNHELD = "leased_by = NULL, leased_until = NULL"

JOB = "SELECT j.seq, j.verb, j.arguments, j.state, j.attempts, j.error, j.priority, n.name, coalesce(j.leased_until, j.due) FROM jobs j LEFT JOIN names n ON n.seq = j.user"

LEAVE_LAST = "DELETE FROM jobs INDEXED BY jobs_done WHERE state = 'done' AND seq < (SELECT max(seq) FROM jobs)"
"""What is done goes, but for the last row, so that no number is given twice."""

MOST_PRIORITY = MOST = 1 << 62
AGENT = 31  # bits by which an agent's number is before a session's in a turn
Wanted = tuple[str, int, int | None]  # a verb, now, and a generation of vectors


def read_jobs(db: apsw.Connection, states: Sequence[str], limit: int, key: str | None = None) -> list[Job]:
    """Jobs in these states, oldest first; of those with a key, if it is given."""
    where, values = f"j.state IN ({','.join('?' * len(states))})", tuple(states)
    if key is not None:
        where, values = f"{where} AND j.key = ?", (*values, key)
    return [_job(row) for row in query(db, f"{JOB} WHERE {where} ORDER BY j.seq LIMIT ?", *values, limit)]


def first_due(db: apsw.Connection, verbs: Sequence[str], now: datetime) -> datetime | None:
    """When the first of the jobs of these verbs that wait, or are held, is to be looked at."""
    sql = (
        "SELECT min(CASE WHEN state = 'ready' AND attempts = 0 THEN min(due, ?1) ELSE (SELECT iif(at > ?1 + ?2, ?1, at) FROM"
        " (SELECT iif(state = 'ready', due, leased_until) AS at)) END) FROM jobs WHERE state IN ('ready', 'leased') AND verb IN (SELECT value FROM json_each(?3))"
    )
    return time_of(query(db, sql, to_micros(now), LONGEST, json.dumps(list(verbs)))[0][0])


def read_paused(db: apsw.Connection) -> str | None:
    found = query(db, "SELECT value FROM header WHERE key = 'paused'")
    return str(found[0][0]) if found else None


def read_job(db: apsw.Connection, seq: int) -> Job:
    """One job. Raises ``Missing``."""
    found = query(db, f"{JOB} WHERE j.seq = ? AND j.state != 'done'", seq)
    if not found:
        raise Missing(f"There is no job {seq} in the queue: it is done, or never was. `loci jobs list` shows what there is.")
    return _job(found[0])


def _next(db: apsw.Connection, wanted: Wanted, limit: int) -> list[int]:
    """The due jobs whose turn it is: of the highest priority, one of each user's after the other, and of a user's one of each agent and session, until they take ``limit``
    together. Users come round, and so does what is theirs: what is after what was served last comes first."""
    priority = MOST_PRIORITY
    while found := query(db, BELOW, *wanted, priority):
        priority = int(found[0][0])
        failed = query(db, FAILED, *wanted, priority)
        if failed:
            return [int(failed[0][0])]
        users = _circle(db, "served", partial(_user_after, db, (*wanted, priority)), limit)
        queues = [_of_user(db, (*wanted, priority, user), -(-limit // len(users))) for user in users]
        jobs = _in_turn(queues)
        before = accumulate((int(size) for *_, size in jobs), initial=0)
        chosen = [job for job, total in zip(jobs, before, strict=False) if total < limit]
        db.execute("INSERT OR REPLACE INTO header VALUES ('served', ?)", (chosen[-1][1],))
        for user, turn in {user: turn for _, user, turn, _ in chosen}.items():
            db.execute(KEEP_TURN if turn else NO_TURN, (_served(user), turn))
        return [int(seq) for seq, *_ in chosen]
    return []


def _of_user(db: apsw.Connection, asked: tuple[Any, ...], limit: int) -> list[tuple[Any, ...]]:
    """The due jobs of a user's: one of each agent and session after the other."""
    turns = _circle(db, _served(asked[-1]), partial(_turn_after, db, asked), limit)
    return _in_turn([query(db, NEXT, *asked, turn, -(-limit // len(turns))) for turn in turns])


def _user_after(db: apsw.Connection, asked: tuple[Any, ...], user: int) -> list[tuple[Any, ...]]:
    return query(db, USER, *asked, user)


def _turn_after(db: apsw.Connection, asked: tuple[Any, ...], turn: int) -> list[tuple[Any, ...]]:
    return query(db, TURN, *asked, turn)


def _served(user: int) -> str:
    """Where the header keeps which of a user's was served last."""
    return f"served {user}"


def _in_turn(queues: Sequence[Sequence[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    return [job for turn in zip_longest(*queues) for job in turn if job is not None]


def _circle(db: apsw.Connection, served: str, after: Callable[[int], list[tuple[Any, ...]]], limit: int) -> list[int]:
    """Those who have due jobs, in a circle that begins after who was ``served`` last; each is looked up in an index, ``after`` the one before."""
    known = query(db, SERVED, served)
    last = int(known[0][0]) if known else 0

    def round_() -> Iterator[int]:
        for start, end in ((last, MOST), (-1, last)):
            one = start
            while (found := after(one)) and int(found[0][0]) <= end:
                one = int(found[0][0])
                yield one

    return list(dict.fromkeys(islice(round_(), limit)))


def _job(row: tuple[Any, ...]) -> Job:
    seq, verb, arguments, state, attempts, error, priority, user, due = row
    return Job(int(seq), str(verb), json.loads(str(arguments)), str(state), int(attempts), str(error), int(priority), user, time_of(due))


def covered(db: apsw.Connection, embedder: str) -> bool:
    """Whether there is nothing to do for this embedder but the jobs that are there."""
    found = query(db, "SELECT number FROM generations WHERE embedder = ? ORDER BY number DESC LIMIT 1", embedder)
    return bool(found) and not query(db, f"{LACKING} LIMIT 1", int(found[0][0]))


class JobRows(Rows):
    """The part of a transaction that deals with jobs, generations and vectors."""

    def enqueue(
        self, verb: str, arguments: Mapping[str, object], *, user: str | None = None, agent: str | None = None, session: str | None = None,
        priority: int = 0, key: str | None = None,
    ) -> None:  # fmt: skip
        turn = ((self._maybe(agent) or 0) << AGENT) | (self._maybe(session) or 0)
        values = (verb, compact(arguments), self._given, self._maybe(user) or 0, turn, priority)
        self._db.execute(KEYED, (*values, key)) if key is not None else self._db.execute(PLAIN, values)

    def lease(
        self, verb: str, worker: str, until: datetime, limit: int, generation: int | None = None, *, key: str | None = None
    ) -> list[Job]:
        if self.paused() is not None:
            return []
        wanted = (verb, self._given, generation)
        chosen = _next(self._db, wanted, limit) if key is None else [int(row[0]) for row in query(self._db, KEPT, *wanted, key)]
        self._db.executemany(HOLD, [(worker, to_micros(until), seq) for seq in chosen])
        held = {job.seq: job for job in map(_job, query(self._db, f"{JOB} WHERE j.seq IN ({','.join(map(str, chosen))})"))}
        return [held[seq] for seq in chosen]

    def gone(self) -> list[Job]:
        over = f"j.leased_until < ?1 OR j.leased_until > ?1 + {LONGEST}"
        return [_job(row) for row in query(self._db, f"{JOB} WHERE j.state = 'leased' AND ({over}) ORDER BY j.seq DESC", self._given)]

    def _holds(self, jobs: Sequence[int], worker: str) -> bool:
        """Whether nobody else has begun any of them since ``worker`` did."""
        those = f"seq IN ({','.join(map(str, jobs))}) AND leased_by = ? AND state IN ('leased', 'ready')"
        return int(scalar(self._db, f"SELECT count(*) FROM jobs WHERE {those}", worker)) == len(jobs)

    def prolong(self, jobs: Sequence[int], worker: str, until: datetime) -> bool:
        if not self._holds(jobs, worker):
            return False
        self._db.execute(
            f"UPDATE jobs SET state = 'leased', leased_until = ? WHERE seq IN ({','.join(map(str, jobs))})", (to_micros(until),)
        )
        return True

    def finish(self, jobs: Sequence[int], worker: str) -> bool:
        if not self._holds(jobs, worker):
            return False
        self._done(jobs)
        return True

    def withdraw(self, key: str, states: Sequence[str] = (*OPEN, "dead")) -> None:
        marks = ",".join("?" * len(states))
        self._done([int(row[0]) for row in query(self._db, f"SELECT seq FROM jobs WHERE key = ? AND state IN ({marks})", key, *states)])

    def _done(self, jobs: Sequence[int]) -> None:
        if not jobs:
            return
        done = f"UPDATE jobs SET state = 'done', key = NULL, arguments = '{{}}', error = '', {UNHELD} WHERE seq IN ({','.join(map(str, jobs))})"
        self._db.execute(done)
        self._db.execute(LEAVE_LAST)

    def retry(self, job: int, worker: str | None, due: datetime, error: str, *, is_failure: bool = True) -> None:
        self._give_back(job, worker, "ready", due, error, is_failure)

    def bury(self, job: int, worker: str | None, error: str) -> bool:
        return self._give_back(job, worker, "dead", None, error, True)

    def _give_back(self, job: int, worker: str | None, state: str, due: datetime | None, error: str, is_failure: bool) -> bool:
        """Whether ``worker`` held it, or for None somebody whose lease is over, and it is in that state now. Who is gone may come back."""
        held = f"seq = ?1 AND state = 'leased' AND coalesce(leased_by = ?2, leased_until < ?3 OR leased_until > ?3 + {LONGEST})"
        values = (job, worker, self._given)
        again = query(self._db, f"SELECT 1 FROM jobs WHERE state = 'ready' AND key = (SELECT key FROM jobs WHERE {held})", *values)
        if again:  # it was asked for anew meanwhile
            self._db.execute(f"DELETE FROM jobs WHERE {held}", values)
            return False
        self._db.execute(
            f"UPDATE jobs SET state = ?4, leased_by = iif(?2 IS NULL, leased_by, NULL), leased_until = NULL, due = coalesce(?5, due), error = ?6,"
            f" attempts = attempts + ?7 WHERE {held}",
            (*values, state, to_micros(due), error, is_failure),
        )
        return bool(self._db.changes())

    def requeue(self, job: int) -> Job:
        found = self._unheld(job)
        same = query(
            self._db, "SELECT seq FROM jobs WHERE state = 'ready' AND seq != ?1 AND key = (SELECT key FROM jobs WHERE seq = ?1)", job
        )
        if same:
            raise Conflict(f"Job {same[0][0]} does the same as job {job} and is in the queue already. Cancel one of them.")
        self._db.execute(
            f"UPDATE jobs SET state = 'ready', attempts = 0, due = ?2, error = '', {UNHELD} WHERE seq = ?1", (job, self._given)
        )
        return found

    def _unheld(self, job: int) -> Job:
        """A job that nobody works on. Raises ``Missing`` or ``Conflict``."""
        found = read_job(self._db, job)
        if found.state != "leased":
            return found
        if any(gone.seq == job for gone in self.gone()):
            return replace(found, state="ready")
        raise Conflict(f"Job {job} is being worked on. Wait for its end; if its worker is gone, it is free at {found.due}.")

    def cancel(self, job: int) -> Job:
        found = self._unheld(job)
        self._db.execute(f"UPDATE jobs SET state = 'cancelled', {UNHELD} WHERE seq = ?", (job,))
        return found

    def empty(self, job: int, error: str) -> None:
        self._db.execute(
            f"UPDATE jobs SET state = 'cancelled', arguments = '{{}}', key = NULL, user = 0, error = ?, {UNHELD} WHERE seq = ?",
            (error, job),
        )

    def paused(self) -> str | None:
        return read_paused(self._db)

    def pause(self, reason: str | None) -> None:
        self._db.execute("DELETE FROM header WHERE key = 'paused'")
        if reason is not None:
            self._db.execute("INSERT INTO header VALUES ('paused', ?)", (reason,))

    # -- vectors -------------------------------------------------------------------------------------------------------

    def texts(self, contents: Sequence[int]) -> dict[int, str]:
        return Reader(self._db, "").texts(contents)

    def generation(self, embedder: str, dimensions: int) -> int:
        rows = query(self._db, "SELECT number FROM generations WHERE embedder = ? ORDER BY number DESC LIMIT 1", embedder)
        if rows:
            return int(rows[0][0])
        number = int(scalar(self._db, "SELECT coalesce(max(number), 0) + 1 FROM generations"))
        self._db.execute("INSERT INTO generations VALUES (?, ?, ?, 'building')", (number, embedder, dimensions))
        self._db.execute("DELETE FROM generations WHERE state = 'building' AND number != ?", (number,))
        self.promote(number)
        self.cover(number)
        return number

    def cover(self, generation: int) -> None:
        lacking = [int(row[0]) for row in query(self._db, f"{LACKING} ORDER BY c.seq", generation)]
        for start in range(0, len(lacking), BLOCK):
            self.enqueue("embed", {"generation": generation, "contents": lacking[start : start + BLOCK]})

    def put_vectors(self, generation: int, contents: Sequence[int], vectors: NDArray[np.float32]) -> None:
        self._check_width(generation, vectors.shape[1])
        alive = {int(r[0]) for r in query(self._db, f"SELECT seq FROM contents WHERE seq IN ({','.join(map(str, contents))})")}
        self._db.executemany(
            "INSERT OR IGNORE INTO vectors (generation, content, data) VALUES (?, ?, ?)",
            [
                (generation, content, np.ascontiguousarray(vector, dtype=np.float32).tobytes())
                for content, vector in zip(contents, vectors, strict=True)
                if content in alive
            ],
        )

    def _check_width(self, generation: int, width: int) -> None:
        """All vectors of a generation have as many numbers; the first tell how many. Raises `EmbedderFailed`."""
        self._db.execute("UPDATE generations SET dimensions = ? WHERE number = ? AND dimensions = 0", (width, generation))
        embedder, known = query(self._db, "SELECT embedder, dimensions FROM generations WHERE number = ?", generation)[0]
        if known != width:
            raise EmbedderFailed(
                f"The embedder {embedder} answered vectors of {width} numbers, and those that are stored have {known}: it is another model under the "
                "same name. Give it another name, and all are computed anew."
            )

    def promote(self, generation: int) -> bool:
        active = self._db.execute("SELECT 1 FROM generations WHERE number = ? AND state = 'active'", (generation,)).fetchall()
        if active:
            return True
        first = not self._db.execute("SELECT 1 FROM generations WHERE state = 'active'").fetchall()
        lacking = self._db.execute(
            "SELECT 1 FROM contents c WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.generation = ? AND v.content = c.seq) LIMIT 1",
            (generation,),
        ).fetchall()
        if lacking and not first:
            return False
        self._db.execute("DELETE FROM generations WHERE number != ?", (generation,))
        self._db.execute("DELETE FROM jobs WHERE verb = 'embed' AND json_extract(arguments, '$.generation') != ?", (generation,))
        self._db.execute("DELETE FROM vectors WHERE generation != ?", (generation,))
        self._db.execute("UPDATE generations SET state = 'active' WHERE number = ?", (generation,))
        return True

"""Jobs and vectors inside a transaction: claim, compute outside, apply the effect and mark done in one fenced commit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.sqlite.codec import compact, to_micros
from loci.drivers.sqlite.connection import query, scalar
from loci.drivers.sqlite.reader import Reader
from loci.drivers.sqlite.rows import Rows
from loci.types import Job

BLOCK = 256  # contents a job: what is computed between two commits


LACKING = """
SELECT c.seq FROM contents c WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.generation = ?1 AND v.content = c.seq) AND
  c.seq NOT IN (SELECT e.value FROM jobs j, json_each(j.arguments, '$.contents') e WHERE j.verb = 'embed' AND j.state != 'done'
  AND json_extract(j.arguments, '$.generation') = ?1)
"""

LEASE = """
UPDATE jobs SET state = 'leased', leased_by = ?1, leased_until = ?2, attempts = attempts + 1 WHERE seq IN (
  SELECT seq FROM (
    SELECT seq, size, sum(size) OVER (ORDER BY seq) AS total FROM (
      SELECT seq, coalesce(json_array_length(arguments, '$.contents'), 1) AS size FROM jobs WHERE state != 'done' AND verb = ?3 AND due <= ?4
        AND (state = 'ready' OR leased_until < ?4) AND (?5 IS NULL OR json_extract(arguments, '$.generation') = ?5) ORDER BY seq LIMIT ?6))
  WHERE total - size < ?6)
RETURNING seq, verb, arguments, state, attempts, error
"""


def covered(db: apsw.Connection, embedder: str) -> bool:
    """Whether there is nothing to do for this embedder but the jobs that are there."""
    found = query(db, "SELECT number FROM generations WHERE embedder = ? ORDER BY number DESC LIMIT 1", embedder)
    return bool(found) and not query(db, f"{LACKING} LIMIT 1", int(found[0][0]))


class JobRows(Rows):
    """The part of a transaction that deals with jobs, generations and vectors."""

    def enqueue(self, verb: str, arguments: Mapping[str, object]) -> None:
        self._db.execute("INSERT INTO jobs (verb, arguments, state, due) VALUES (?, ?, 'ready', ?)", (verb, compact(arguments), self._now))

    def lease(self, verb: str, worker: str, until: datetime, limit: int, generation: int | None = None) -> list[Job]:
        rows = self._db.execute(LEASE, (worker, to_micros(until), verb, self._now, generation, limit)).fetchall()
        return [
            Job(int(seq), str(verb), json.loads(str(arguments)), str(state), int(attempts), str(error))  # type: ignore[arg-type]
            for seq, verb, arguments, state, attempts, error in sorted(rows)
        ]

    def finish(self, jobs: Sequence[int], worker: str) -> bool:
        those = f"seq IN ({','.join(map(str, jobs))}) AND leased_by = ? AND state = 'leased'"
        if int(scalar(self._db, f"SELECT count(*) FROM jobs WHERE {those}", worker)) != len(jobs):
            return False
        self._db.execute(f"DELETE FROM jobs WHERE {those}", (worker,))
        return True

    def retry(self, job: int, worker: str, due: datetime, error: str) -> None:
        self._db.execute(
            "UPDATE jobs SET state = 'ready', leased_by = NULL, due = ?, error = ? WHERE seq = ? AND leased_by = ?",
            (to_micros(due), error, job, worker),
        )

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
        alive = {int(r[0]) for r in query(self._db, f"SELECT seq FROM contents WHERE seq IN ({','.join(map(str, contents))})")}
        self._db.executemany(
            "INSERT OR IGNORE INTO vectors (generation, content, data) VALUES (?, ?, ?)",
            [
                (generation, content, np.ascontiguousarray(vector, dtype=np.float32).tobytes())
                for content, vector in zip(contents, vectors, strict=True)
                if content in alive
            ],
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

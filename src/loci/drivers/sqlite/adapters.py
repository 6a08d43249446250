"""Rows of parametric memory: the versions of adapters, what each was made of, and what a change to that does to them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import apsw

from loci.drivers.sqlite.codec import sure_time, time_of
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.jobs import JobRows
from loci.drivers.sqlite.seals import SEALED, sealed
from loci.errors import Missing, missing_adapter
from loci.ports.adapters import LEARN, AdapterRow, Kept, learn_key
from loci.ports.engine import Quoted
from loci.types import State

COLUMNS = (
    "SELECT a.id, a.number, a.created, a.manifest, a.state, a.reason, a.wanted, a.file, a.bytes, a.uses, a.last_used, n.name FROM adapters a"
    " LEFT JOIN names n ON n.seq = a.user"
)
HOLDS = (
    "EXISTS (SELECT 1 FROM versions v WHERE v.memory = q.memory AND v.content = q.content AND v.recorded_to IS NULL AND coalesce(v.valid_to > ?1, 1))"
    " AND NOT EXISTS (SELECT 1 FROM states t WHERE t.memory = q.memory AND t.state IN ('archived', 'expired'))"
    " AND NOT EXISTS (SELECT 1 FROM claims c WHERE c.memory = q.memory AND c.content = q.content AND c.closed_by IS NOT NULL)"
    " AND NOT EXISTS (SELECT 1 FROM quarantine h WHERE h.memory = q.memory AND h.until IS NULL)"
)
OUTDATED = (
    "SELECT a.seq, a.id, a.number, m.id, coalesce(n.name, ''), coalesce((SELECT CASE t.state WHEN 'archived' THEN 'was archived' WHEN 'expired' THEN 'was forgotten'"
    " END FROM states t WHERE t.memory = m.seq), 'changed') FROM adapters a JOIN adapter_memories q ON q.adapter = a.seq JOIN memories m ON m.seq = q.memory"
    " LEFT JOIN names n ON n.seq = a.user WHERE a.state = 'activated' AND q.memory IN (SELECT memory FROM touched WHERE change >= ?2)"
    f" AND NOT ({HOLDS}) GROUP BY a.seq"
)


class AdapterRows(JobRows):
    """What a transaction writes of parametric memory."""

    def put_adapter(
        self, id: str, number: int, manifest: str, quoted: Sequence[Quoted], state: State, file: Kept | None, user: str | None = None
    ) -> None:
        kept = query(self._db, "SELECT uses, last_used FROM adapters WHERE id = ? ORDER BY number DESC LIMIT 1", id) or [(0, None)]
        same = query(self._db, "SELECT seq, wanted FROM adapters WHERE id = ? AND number = ?", id, number)
        drop(self._db, [int(str(row[0])) for row in same])
        seq = int(query(self._db, "SELECT coalesce(max(seq), 0) + 1 FROM adapters")[0][0])
        whole = (seq, id, number, self._now, manifest)
        mark = sealed(self._secret, "adapters", [whole])[0][-1]
        columns = f"{', '.join(SEALED['adapters'])}, seal, user, state, reason, wanted, file, bytes, uses, last_used"
        self._db.execute(
            f"INSERT INTO adapters ({columns}) VALUES (?,?,?,?,?,?,?,?,'',?,?,?,?,?)",
            (*whole, mark, self._maybe(user), state.value, any(row[1] for row in same), file and file.hash, file and file.bytes, *kept[0]),
        )
        for memory in quoted:
            for source in memory.sources:
                if not query(self._db, "SELECT 1 FROM sources WHERE id = ?", source):
                    raise Missing(f"Source {source} was erased meanwhile, so nothing that was learned of it is kept.")
                self._db.execute("INSERT OR IGNORE INTO adapter_sources VALUES (?, ?)", (seq, self._source(source)))
            place = self.seq_of(memory.memory)
            content = self.rows("SELECT max(content) FROM versions WHERE memory = ? AND number = ?", place, memory.version)[0][0]
            self._db.execute("INSERT OR IGNORE INTO adapter_memories VALUES (?, ?, ?)", (seq, place, content))

    def amend_adapter(self, id: str, number: int, manifest: str) -> None:
        same = query(self._db, "SELECT seq, created FROM adapters WHERE id = ? AND number = ?", id, number)
        for seq, created in same:
            mark = sealed(self._secret, "adapters", [(seq, id, number, created, manifest)])[0][-1]
            self._db.execute("UPDATE adapters SET manifest = ?, seal = ? WHERE seq = ?", (manifest, mark, seq))
        if not same:
            raise missing_adapter(id, "this")

    def move_adapter(self, id: str, number: int, state: State, reason: str) -> None:
        self._db.execute("UPDATE adapters SET state = ?, reason = ? WHERE id = ? AND number = ?", (state.value, reason, id, number))
        self._check_changed(id)

    def mount_adapter(self, id: str, number: int | None) -> None:
        if number is not None:
            self._db.execute("UPDATE adapters SET wanted = 1 WHERE id = ? AND number = ?", (id, number))
            self._check_changed(id)
        self._db.execute("UPDATE adapters SET wanted = 0 WHERE id = ? AND number IS NOT ?", (id, number))

    def _check_changed(self, id: str) -> None:
        if not self._db.changes():
            raise missing_adapter(id, "this")

    def drop_adapters(self, ids: Collection[str], numbers: Collection[int] | None = None) -> int:
        listed, of = json.dumps(list(ids)), None if numbers is None else json.dumps(list(numbers))
        chosen = (
            "SELECT seq FROM adapters WHERE id IN (SELECT value FROM json_each(?1))"
            " AND (?2 IS NULL OR number IN (SELECT value FROM json_each(?2)))"
        )
        return drop(self._db, [int(row[0]) for row in query(self._db, chosen, listed, of)])

    def archive_outdated(self, first: int) -> list[tuple[str, int, str]]:
        """Archives the adapters that were made of what this transaction, whose changes count from ``first``, took back, and has them learned
        anew. Returns (adapter, version, memory)."""
        if not query(self._db, "SELECT 1 FROM adapters WHERE state = 'activated' LIMIT 1"):
            return []
        found = self.rows(OUTDATED, self._now, first)
        for seq, id, _, memory, user, what in found:
            reason = f"memory {memory} {what}"
            self._db.execute("UPDATE adapters SET state = 'archived', reason = ? WHERE seq = ?", (reason, seq))
            self.enqueue(LEARN, {"adapter": str(id)}, user=str(user) or None, key=learn_key(str(id)))
        return [(str(id), int(number), str(memory)) for _, id, number, memory, *_ in found]


def learned_of(db: apsw.Connection, sources: Sequence[int]) -> list[int]:
    """The versions of adapters that were made of any of these sources."""
    listed = json.dumps(list(sources))
    chosen = "SELECT DISTINCT adapter FROM adapter_sources WHERE source IN (SELECT value FROM json_each(?))"
    return [int(row[0]) for row in query(db, chosen, listed)]


def everything(db: apsw.Connection) -> list[int]:
    return [int(row[0]) for row in query(db, "SELECT seq FROM adapters")]


def drop(db: apsw.Connection, adapters: Sequence[int]) -> int:
    """Deletes versions of adapters with what is known of their making. Returns how many there were."""
    chosen = json.dumps(list(adapters))
    db.execute("DELETE FROM adapter_sources WHERE adapter IN (SELECT value FROM json_each(?))", (chosen,))
    db.execute("DELETE FROM adapter_memories WHERE adapter IN (SELECT value FROM json_each(?))", (chosen,))
    db.execute("DELETE FROM adapters WHERE seq IN (SELECT value FROM json_each(?))", (chosen,))
    return db.changes()


def adapters(db: apsw.Connection) -> list[AdapterRow]:
    return [_adapter(row) for row in query(db, f"{COLUMNS} ORDER BY a.seq")]


def adapter(db: apsw.Connection, id: str, number: int | None, cube: str) -> AdapterRow:
    found = query(db, f"{COLUMNS} WHERE a.id = ?1 AND (?2 IS NULL OR a.number = ?2) ORDER BY a.number DESC LIMIT 1", id, number)
    if not found:
        raise missing_adapter(id, cube)
    return _adapter(found[0])


def adapter_files(db: apsw.Connection) -> set[str]:
    return {str(row[0]) for row in query(db, "SELECT file FROM adapters WHERE file IS NOT NULL")}


def _adapter(row: tuple[object, ...]) -> AdapterRow:
    id, number, created, manifest, state, reason, wanted, file, size, uses, last_used, user = row
    kept = None if file is None else Kept(str(file), int(str(size)))
    return AdapterRow(
        str(id), int(str(number)), sure_time(created), str(manifest), State(str(state)), str(reason), bool(wanted), kept, int(str(uses)),
        time_of(last_used), None if user is None else str(user),
    )  # fmt: skip

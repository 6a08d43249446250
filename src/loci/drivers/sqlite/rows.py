"""What every part of a transaction stands on: rows gathered by table, the numbers of names, sources and memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import apsw

from loci.drivers.sqlite.codec import check_text, to_micros
from loci.drivers.sqlite.connection import query, scalar
from loci.drivers.sqlite.seals import INTO, SEALED, sealed
from loci.errors import Missing

Row = tuple[Any, ...]

INSERTS = {
    "memories": f"INSERT INTO {INTO['memories']}",
    "contents": f"INSERT INTO {INTO['contents']}",
    "spans": "INSERT INTO spans VALUES (?,?,?,?,?)",
    "versions": f"INSERT INTO {INTO['versions']}",
    "text_index": "INSERT INTO text_index (rowid, scope, words) VALUES (?,?,?)",
    "claims": f"INSERT INTO {INTO['claims']}",
    "links": f"INSERT OR REPLACE INTO {INTO['links']}",
    "touched": "INSERT OR IGNORE INTO touched VALUES (?,?)",
}


TOPS = """
SELECT (SELECT value FROM header WHERE key = 'epoch'), (SELECT max(seq) FROM memories), (SELECT max(seq) FROM contents),
  (SELECT max(seq) FROM versions), (SELECT max(seq) FROM audit), (SELECT at FROM audit ORDER BY seq DESC LIMIT 1),
  (SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), (SELECT max(seq) FROM sources), (SELECT value FROM header WHERE key = 'journal')
"""


@dataclass(slots=True)
class Names:
    """The numbers of names as of an epoch of the file: an erasure may take a name away, and begins a new one."""

    epoch: int = 0
    known: dict[str, int] = field(default_factory=dict)

    def learn(self, epoch: int, names: Mapping[str, int]) -> None:
        """Takes in names that a commit has made durable."""
        if epoch != self.epoch:
            self.epoch, self.known = epoch, {}
        self.known.update(names)


class Rows:
    """Rows of new memories are gathered and written by table, which is several times faster than row by row; every read
    first writes the tables it reads, so a transaction sees its own writes."""

    def __init__(self, db: apsw.Connection, secret: bytes, now: datetime, names: Names, joins: Rows | None = None) -> None:
        self._db, self._secret, self._names, self._joins = db, secret, names, joins
        self.new_names: dict[str, int] = {}
        self.new_contents: list[int] = []
        self.told: dict[str, object] = {} if joins is None else dict(joins.told)  # what every record of it says besides
        self.is_spoilt = False  # a block that had joined it failed
        self._begun: int = db.total_changes() if joins is None else joins._begun
        self._given = to_micros(now)  # by the clock, which may have been put back; the queue goes by it
        self._begin(self._given)
        self._first: int = self.change if joins is None else joins._first  # of the records of this commit

    def _begin(self, now: int) -> None:
        """Takes up what stands in the file."""
        self.epoch, memory, content, version, record, last, self._head, source, journal = query(self._db, TOPS)[0]
        self._now = now if last is None or now >= last else last + 1  # a clock set back does not change what was known
        self._known = self._names.known if self._names.epoch == self.epoch else {}
        self._pending: dict[str, list[Row]] = {table: [] for table in INSERTS}
        self._sources: dict[str, int] = {}
        self._memories: dict[str, int] = {}
        self._closed: dict[int, int] = {}  # memory: the version row this transaction ended last
        self._journal: bytes = journal or bytes(16)  # the sum of the seals of all sources: one that is gone is missed
        self._next = {"sources": source or 0, "memories": memory or 0, "contents": content or 0, "versions": version or 0}
        self.change = (record or 0) + 1

    @property
    def has_written(self) -> bool:
        """Whether there is anything that only this transaction sees."""
        return any(self._pending.values()) or self._db.total_changes() != self._begun

    def end_joined(self) -> None:
        """At the end of a block that has joined another: that one goes on after its rows."""
        if self._joins is not None:
            self._joins.new_names |= self.new_names
            self._joins._begin(self._now)

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """Rows of a query that sees everything written so far."""
        self.flush()
        return query(self._db, sql, *values)

    def seq_of(self, memory: str) -> int:
        """The row of a memory. Raises ``Missing``."""
        known = self._memories.get(memory)
        if known is not None:
            return known
        found = query(self._db, "SELECT seq FROM memories WHERE id = ?", memory)
        if not found:
            raise Missing(f"There is no memory {memory} in this cube. `list` shows the ids; it may have been erased.")
        self._memories[memory] = int(found[0][0])
        return self._memories[memory]

    def flush(self, *tables: str) -> None:
        """Writes the rows gathered for these tables, or for all."""
        assert not self.is_spoilt, "a block of this transaction failed, and what it raised was caught"
        for table in tables or INSERTS:
            rows = self._pending[table]
            if rows:
                self._db.executemany(INSERTS[table], sealed(self._secret, table, rows) if table in SEALED else rows)
                rows.clear()

    def _touch(self, memory: int) -> None:
        self._pending["touched"].append((self.change, memory))

    def _bump(self, table: str) -> int:
        self._next[table] += 1
        return self._next[table]

    def _source(self, source: str) -> int:
        seq = self._sources.get(source)
        if seq is None:
            seq = self._sources[source] = int(scalar(self._db, "SELECT seq FROM sources WHERE id = ?", source))
        return seq

    def _maybe(self, name: str | None) -> int | None:
        return None if name is None else self._name(name)

    def _name(self, name: str) -> int:
        seq = self._known.get(name) or self.new_names.get(name)
        if seq is None:
            check_text(name, "A name")
            self._db.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (name,))
            seq = self.new_names[name] = int(scalar(self._db, "SELECT seq FROM names WHERE name = ?", name))
        return seq

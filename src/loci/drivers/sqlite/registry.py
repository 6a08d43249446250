"""The registry of a vault: a small SQLite file beside the cubes."""

from __future__ import annotations

from pathlib import Path

import apsw

from loci.drivers.sqlite.codec import from_micros, to_micros
from loci.drivers.sqlite.connection import connect, translated
from loci.ports import Entry

TABLE = """
CREATE TABLE IF NOT EXISTS cubes (cube TEXT PRIMARY KEY, id TEXT NOT NULL, created INTEGER NOT NULL, parent TEXT, as_of INTEGER)
STRICT, WITHOUT ROWID
"""


class SqliteRegistry:
    """Opened at the first use, so that a vault in a read-only folder can still be searched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: apsw.Connection | None = None

    def note(self, entry: Entry) -> None:
        row = (entry.cube, entry.id, to_micros(entry.created), entry.parent, to_micros(entry.as_of))
        with translated(self._path):
            try:
                self._open().execute("INSERT OR REPLACE INTO cubes VALUES (?, ?, ?, ?, ?)", row)
            except apsw.IOError:
                self.close()  # see `connection.unsure`
                raise

    def entries(self) -> list[Entry]:
        if not self._path.exists():
            return []
        found = []
        with translated(self._path):
            for cube, id, created, parent, as_of in self._open().execute("SELECT * FROM cubes ORDER BY created"):
                born = from_micros(int(created))
                assert born is not None
                found.append(Entry(str(cube), str(id), born, parent, from_micros(as_of)))
        return found

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> apsw.Connection:
        if self._db is None:
            self._db = connect(self._path, create=True)
            self._db.execute(TABLE)
        return self._db

"""SQLite files of other programs, read from a copy in memory: nothing beside them is made or changed, and nothing in them is run."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from loci.errors import Locked, Malformed

MAGIC = b"SQLite format 3\x00"
APPLICATION = slice(68, 72)  # of the header: which program's file it is
MODES = slice(18, 20)  # of the header: 1 1 is a rollback journal, 2 2 a write-ahead log
READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
Row = tuple[object, ...]


def check_idle(path: Path) -> None:
    """Raises `Locked` while a change of the file is under way beside it, or was cut off: the file alone is not all of it."""
    for suffix in ("-wal", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists() and beside.stat().st_size:
            raise Locked(
                f"{path.name} is in use, or was not closed: {beside.name} holds changes of it. Close the program that it is of (opening and closing it "
                "there mends what was cut off), then import again. Nothing was imported."
            )


def check_unlocked(lock: Path) -> None:
    """Raises `Locked`, naming the process, while another program holds a lock on this file. On systems without such locks it says nothing."""
    if sys.platform == "win32" or not lock.exists():
        return
    import fcntl

    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked(
                f"{lock.parent} is open in {_holder(lock)}, and one process at a time may have it. Close that, then import again. Nothing was imported."
            ) from error


def _holder(lock: Path) -> str:
    """Which process holds the lock, where the system tells."""
    known = Path("/proc/locks")
    inode = str(lock.stat().st_ino)
    for line in known.read_text().splitlines() if known.exists() else ():
        fields = line.replace("->", "").split()
        if len(fields) > 5 and fields[5].rsplit(":", 1)[-1] == inode:
            return f"process {fields[4]}"
    return "another process"


class Tables:
    """The tables of a database that is open."""

    def __init__(self, name: str, db: sqlite3.Connection) -> None:
        self._name, self._cursor = name, db.cursor()

    def has(self, table: str) -> bool:
        return bool(self._select("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))

    def rows(self, table: str, columns: Sequence[str]) -> list[Row]:
        """The rows of a table in the order they were put in; NULL for a column that it does not have. A view is no table."""
        there = set(self._columns(table))
        picked = ", ".join(f'"{column}"' if column in there else "NULL" for column in columns)
        return self._select(f'SELECT {picked} FROM "{table}" ORDER BY rowid')  # names of this module's callers, never of the file

    def _columns(self, table: str) -> list[str]:
        self._select(f'SELECT * FROM "{table}" LIMIT 0')
        return [str(column[0]) for column in self._cursor.description]

    def _select(self, sql: str, *values: str) -> list[Row]:
        try:
            return self._cursor.execute(sql, values).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            raise Malformed(f"{self._name} is damaged, or no database of this kind ({error}). Nothing was imported.") from error


@contextmanager
def opened(name: str, raw: bytes) -> Iterator[Tables]:
    """The database that these bytes are."""
    image = bytearray(raw)
    image[MODES] = b"\x01\x01"  # its log is empty (`check_idle`), and a copy in memory can have none
    with closing(sqlite3.connect(":memory:")) as db:
        try:
            db.deserialize(bytes(image))
            db.execute("PRAGMA trusted_schema = OFF")
        except (sqlite3.Error, OverflowError) as error:
            raise Malformed(f"{name} is damaged, or no database ({error}). Nothing was imported.") from error
        db.set_authorizer(_may)
        yield Tables(name, db)


def _may(action: int, *_: str | None) -> int:
    """Whether a statement may do this: nothing but read. No function that the file names is called."""
    return sqlite3.SQLITE_OK if action in READS else sqlite3.SQLITE_DENY

"""Opening a cube's file, and translating what SQLite says into the one tree of errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from loci.errors import Corrupt, Invalid, LociError, Locked, Missing, ReadOnly, StorageFull, Unavailable

BUSY_TIMEOUT_MS = 15_000
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-32768",
    "PRAGMA mmap_size=268435456",
)


def connect(path: Path, *, create: bool = False, timeout_ms: int = BUSY_TIMEOUT_MS) -> apsw.Connection:
    """An open connection with Loci's pragmas. A file in a folder that cannot be written opens for reading only."""
    if not create and not path.exists():
        raise Missing(f"There is no cube file at {path}. Add something to it first, or check the name.")
    with translated(path):
        try:
            return _prepared(apsw.Connection(str(path), flags=_flags(create)), timeout_ms)
        except (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError):
            if create and not path.exists():
                raise
            return _read_only(path, timeout_ms)


def query(db: apsw.Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of a statement. A column's type is the schema's business, so rows are plain tuples."""
    return db.execute(sql, values).fetchall()


def scalar(db: apsw.Connection, sql: str, *values: Any) -> Any:
    """The first column of the first row."""
    return db.execute(sql, values).fetchall()[0][0]


def _flags(create: bool) -> int:
    return apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI | (apsw.SQLITE_OPEN_CREATE if create else 0)


def _prepared(db: apsw.Connection, timeout_ms: int) -> apsw.Connection:
    db.set_busy_timeout(timeout_ms)
    for pragma in PRAGMAS:
        db.execute(pragma).fetchall()
    db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    return db


def _read_only(path: Path, timeout_ms: int) -> apsw.Connection:
    has_wal = Path(f"{path}-wal").exists()
    uri = f"{path.resolve().as_uri()}?mode=ro" + ("" if has_wal else "&immutable=1")
    db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    db.set_busy_timeout(timeout_ms)
    db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    return db


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises Loci's errors for SQLite's. Every message names the file and what to do next."""
    try:
        yield
    except apsw.Error as error:
        raise translate(error, path) from error


def translate(error: apsw.Error, path: Path) -> LociError:
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return Locked(f"{path} is held by another process. Nothing was changed; try again when it has finished.")
        case apsw.FullError():
            return StorageFull(f"No room on the disk of {path}. The change was rolled back; free some space and retry.")
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.AuthError():
            return ReadOnly(f"{path} cannot be written: check the permissions of the file and its folder.")
        case apsw.CantOpenError():
            return ReadOnly(f"{path} cannot be opened: check that its folder exists and may be written.")
        case apsw.CorruptError() | apsw.NotADBError():
            return Corrupt(f"{path} is damaged ({error}). Leave it as it is, restore a copy, and run `loci verify`.")
        case apsw.TooBigError():
            return Invalid(f"Something in the request is larger than {path} can hold: {error}.")
        case apsw.IOError():
            return Unavailable(f"The disk did not do what was asked of {path} ({error}). The change was rolled back.")
        case _:
            return Corrupt(f"{path}: SQLite refused an operation of Loci's ({error}). Run `loci verify`.")

"""Opening a cube's file, and translating what SQLite says into the one tree of errors."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from loci.drivers.sqlite import cipher
from loci.errors import Corrupt, Invalid, LociError, Locked, Missing, NotDurable, ReadOnly, StorageFull, Unavailable

BUSY_TIMEOUT_MS = 15_000
TRY_MS = 20  # how long what need not be written now waits for whoever is writing
HEADER_BYTES = 100  # what the smallest SQLite file begins with
MAKING_SECONDS = 0.5  # how long another process may take from making a file to its first page
PAUSE_SECONDS = 0.005
BATCH = 4096  # rows
PRAGMAS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-32768",
    "PRAGMA mmap_size=268435456",
)
UNSYNCED = (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)  # errors after which nobody knows what is on the disk

Look = Callable[[apsw.Connection, Path], None]


def connect(
    path: Path, *, create: bool = False, timeout_ms: int = BUSY_TIMEOUT_MS, look: Look | None = None, key: bytes | None = None
) -> apsw.Connection:
    """An open connection with Loci's pragmas. A file in a folder that cannot be written opens for reading only. ``look`` is
    shown the file before anything of it is changed, and raises if it is none of ours. ``key`` is that of an encrypted file."""
    if not create:
        _expect(path)
    with translated(path):
        while True:
            try:
                return _opened(path, create, timeout_ms, look, key)
            except Exchanged:
                continue
            except apsw.NotADBError as error:
                raise cipher.denied(path, key) or error from error


class Exchanged(Exception):
    """Another file has taken the place of the one that was being opened."""


def _opened(path: Path, create: bool, timeout_ms: int, look: Look | None, key: bytes | None) -> apsw.Connection:
    try:
        return _prepared(apsw.Connection(str(path.absolute()), flags=_flags(create)), path, timeout_ms, look, key)
    except (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError):
        if create and not (path.exists() and path.stat().st_size):
            raise
        return _read_only(path, timeout_ms, look, key)


def _expect(path: Path) -> None:
    """Raises unless there is a file with something in it. One that another process is just making is waited for."""
    end = time.monotonic() + MAKING_SECONDS
    while True:
        if not path.exists():
            raise Missing(f"There is no cube file at {path}. Add something to it first, or check the name.")
        if path.is_dir() or path.stat().st_size >= HEADER_BYTES:
            return
        if time.monotonic() > end:
            held = f"holds {size} bytes, which no cube is" if (size := path.stat().st_size) else "is empty"
            raise Corrupt(f"{path} {held}: it was cut short, or never written. Restore a copy, or delete it to begin anew.")
        time.sleep(PAUSE_SECONDS)


def query(db: apsw.Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of a statement. A column's type is the schema's business, so rows are plain tuples."""
    return db.execute(sql, values).fetchall()


def batches(db: apsw.Connection, sql: str, *values: Any) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a statement, some thousands at a time: what all of them take at once as Python's objects is never given back whole."""
    found = db.execute(sql, values)
    while rows := list(islice(found, BATCH)):
        yield rows


def scalar(db: apsw.Connection, sql: str, *values: Any) -> Any:
    """The first column of the first row."""
    return db.execute(sql, values).fetchall()[0][0]


def _flags(create: bool) -> int:
    """Addresses ("file:...") serve for copies with a key of their own; a path is absolute here, and so never one."""
    return apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI | (apsw.SQLITE_OPEN_CREATE if create else 0)


def _prepared(db: apsw.Connection, path: Path, timeout_ms: int, look: Look | None, key: bytes | None) -> apsw.Connection:
    try:
        db.set_busy_timeout(timeout_ms)
        if key is not None:
            cipher.unlock(db, key)
        if look is not None:
            look(db, path)
        _log_ahead(db, timeout_ms)
        for pragma in PRAGMAS:
            db.execute(pragma).fetchall()
        db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        _expect_unmoved(db, path)
    except apsw.NotADBError:
        with contextlib.closing(db):
            _expect_unmoved(db, path)
        raise
    except BaseException:
        db.close()
        raise
    return db


def _expect_unmoved(db: apsw.Connection, path: Path) -> None:
    if path.exists() and cipher.is_moved(db):
        raise Exchanged


def _log_ahead(db: apsw.Connection, timeout_ms: int) -> None:
    """Switches a new file to a write-ahead log. SQLite does not wait for the lock there, so we do."""
    end = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL").fetchall()
            return
        except apsw.BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE_SECONDS)


def _read_only(path: Path, timeout_ms: int, look: Look | None, key: bytes | None) -> apsw.Connection:
    has_wal = Path(f"{path}-wal").exists()
    uri = f"{path.resolve().as_uri()}?mode=ro" + ("" if has_wal else "&immutable=1")
    db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    db.set_busy_timeout(timeout_ms)
    if key is not None:
        cipher.unlock(db, key)
    db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    if look is not None:
        look(db, path)
    return db


def roll_back(db: apsw.Connection) -> None:
    """Ends a transaction without effect, if SQLite has not done so by itself, on a broken disk say: what broke it is the error to tell."""
    with contextlib.suppress(apsw.SQLError, apsw.ConnectionClosedError):
        db.execute("ROLLBACK")


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises Loci's errors for SQLite's. Every message names the file and what to do next."""
    try:
        yield
    except apsw.Error as error:
        raise translate(error, path) from error
    except UnicodeDecodeError as error:
        raise Corrupt(f"{path} holds text that is none ({error}). Leave it as it is, restore a copy, and run `loci verify`.") from error


def unsure(error: apsw.Error, path: Path) -> LociError:
    """What a commit that failed on the disk says. The kernel may have dropped what it could not write and calls it written ever after, so
    no second sync is asked for: whoever gets this closes the connection, and whoever wants to know reads the file again."""
    return NotDurable(
        f"The disk failed while a change of {path} was being made durable ({error}). It is there as a whole or not at all: open it again "
        "and look, or do the same again. If this comes back, copy the file to another disk."
    )


def translate(error: apsw.Error, path: Path) -> LociError:
    if getattr(error, "extendedresult", 0) in UNSYNCED:
        return unsure(error, path)
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return Locked(f"{path} is held by another process. Nothing was changed; try again when it has finished.")
        case apsw.ProtocolError():
            return Locked(f"{path} is opened by so many at once that its lock could not be had. Nothing was changed; try again.")
        case apsw.ConnectionClosedError() | apsw.CursorClosedError() | apsw.ThreadingViolationError():
            return Unavailable(f"{path} was closed while it was in use. What was not finished was rolled back; open the vault again.")
        case apsw.FullError():
            return StorageFull(f"No room on the disk of {path}. The change was rolled back; free some space and retry.")
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.AuthError():
            return ReadOnly(f"{path} cannot be written: check the permissions of the file and its folder.")
        case apsw.CantOpenError():
            return ReadOnly(f"{path} cannot be opened: check that its folder exists, may be written and has room.")
        case apsw.CorruptError() | apsw.NotADBError():
            return Corrupt(f"{path} is damaged ({error}). Leave it as it is, restore a copy, and run `loci verify`.")
        case apsw.TooBigError():
            return Invalid(f"Something in the request is larger than {path} can hold: {error}.")
        case apsw.IOError():
            return Unavailable(f"The disk did not do what was asked of {path} ({error}). The change was rolled back.")
        case _:
            return Corrupt(f"{path}: SQLite refused an operation of Loci's ({error}). Run `loci verify`.")

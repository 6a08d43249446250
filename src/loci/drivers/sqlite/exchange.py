"""A cube's file under another key: written anew beside the old one, which it replaces in one step while nobody has it open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw

from loci.drivers.sqlite import connection
from loci.drivers.sqlite.cipher import address, unlock
from loci.drivers.sqlite.connection import connect, query, scalar, translated
from loci.drivers.sqlite.schema import recognise
from loci.errors import Conflict, Corrupt, Locked

UNFINISHED = ".exchanging-"
BLANK = bytes(1 << 20)


def check(path: Path, before: bytes | None) -> None:
    """See ``Files.check_exchange``."""
    with _held(path, before):
        pass


def exchange(path: Path, before: bytes | None, prepare: Callable[[], bytes | None], settle: Callable[[], None]) -> None:
    """See ``Files.exchange``. The renaming is the moment at which it is done."""
    made = unfinished(path)
    with _held(path, before) as db:
        tidy(path)
        after = prepare()
        db.execute("VACUUM INTO ?", (address(made, after),))
        _sure(db, made, after)
        _sync(made, path.stat().st_mode)
        with _overwriting(path) as blank:
            made.replace(path)
            try:
                _sync_folder(path.parent)
                settle()
            finally:
                blank()
                db.close()  # before the handle: closing that would end the lock


def unfinished(path: Path) -> Path:
    """Where the new file is written."""
    return path.with_name(f"{UNFINISHED}{path.name}")


def tidy(path: Path) -> None:
    """Removes what a process that died in an exchange has left. Only while the file is open or held: then nobody is at it."""
    for file in (unfinished(path), Path(f"{unfinished(path)}-journal"), Path(f"{unfinished(path)}-wal")):
        if file.exists() and os.access(path.parent, os.W_OK):
            with suppress(FileNotFoundError):
                file.unlink()


@contextmanager
def _held(path: Path, key: bytes | None) -> Iterator[apsw.Connection]:
    """The file, with everybody kept out until the connection is closed: its write-ahead log is emptied and ended, which only who is alone
    can."""
    if path.stat().st_nlink > 1:
        raise Conflict(
            f"{path} has another name as well (a hard link), where its words would stay. Remove that first. Nothing was changed."
        )
    with translated(path), closing(connect(path, look=recognise, key=key)) as db:
        end = time.monotonic() + connection.BUSY_TIMEOUT_MS / 1000
        while True:
            try:
                db.execute("PRAGMA journal_mode=DELETE").fetchall()
                break
            except apsw.BusyError as error:
                if time.monotonic() > end:
                    raise Locked(f"{path} is open elsewhere. Close it there, then try again. Nothing was changed.") from error
                time.sleep(connection.PAUSE_SECONDS)
        db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        db.execute("BEGIN EXCLUSIVE")
        db.execute("COMMIT")
        yield db


def _sure(db: apsw.Connection, made: Path, key: bytes | None) -> None:
    """Raises unless the new file, read with its key, is whole and holds as much as the old one."""
    with closing(apsw.Connection(str(made), flags=apsw.SQLITE_OPEN_READWRITE)) as new:
        if key is not None:
            unlock(new, key)
        is_whole = query(new, "PRAGMA integrity_check(1)") == [("ok",)]
        tables = [
            str(row[0]) for row in query(db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
        ]
        if not is_whole or any(_rows(db, table) != _rows(new, table) for table in tables):
            raise Corrupt(f"{made} is not what was to be written to it. The cube is as it was; check the disk and its memory.")


def _rows(db: apsw.Connection, table: str) -> int:
    return int(scalar(db, f'SELECT count(*) FROM "{table}"'))


def _sync(file: Path, mode: int) -> None:
    file.chmod(mode & 0o777)
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _overwriting(path: Path) -> Iterator[Callable[[], None]]:
    """Gives a function that blanks what is now at ``path``, also when it is there no more: so that no block of the disk keeps it that
    the file system would write over, and who had been about to open it finds nothing rather than an old cube to write to."""
    handle = os.open(path, os.O_RDWR)

    def blank() -> None:
        size, done = os.fstat(handle).st_size, 0
        while done < size:
            done += os.pwrite(handle, BLANK[: size - done], done)
        os.fsync(handle)

    try:
        yield blank
    finally:
        os.close(handle)

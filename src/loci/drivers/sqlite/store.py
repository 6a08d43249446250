"""SqliteStore: a cube in one file, safe to share between threads and processes."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import apsw

from loci.drivers.sqlite import adapters, counting, erasure, payloads
from loci.drivers.sqlite.check import check
from loci.drivers.sqlite.cipher import address
from loci.drivers.sqlite.codec import keyed_hash, to_micros
from loci.drivers.sqlite.connection import BUSY_TIMEOUT_MS, PAUSE_SECONDS, TRY_MS, connect, query, roll_back, scalar, translated, unsure
from loci.drivers.sqlite.looking import Looking
from loci.drivers.sqlite.picture import Picture
from loci.drivers.sqlite.reader import Reader
from loci.drivers.sqlite.rows import Names
from loci.drivers.sqlite.schema import check_current, migrate, recognise
from loci.drivers.sqlite.search import claimed, survey
from loci.drivers.sqlite.spot import Spot
from loci.drivers.sqlite.turns import Turns, begin, patience
from loci.drivers.sqlite.writer import SqliteTransaction
from loci.errors import Corrupt, Locked, Missing, ReadOnly, Unavailable, missing
from loci.ports import Earlier, Probe, RowFilter, Survey
from loci.ports.retaining import Strength
from loci.types import Counts, Fault, Head, Memory, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEADER = ("id", "created", "secret", "epoch")
TABLES = ("sources", "memories", "versions", "claims", "links", "vectors", "jobs", "audit")


class SqliteStore(Looking):
    """One cube's file. Each thread gets a connection of its own; writers wait for each other, readers never wait."""

    def __init__(self, path: Path, cube: str, now: datetime, *, create: bool = False, key: bytes | None = None) -> None:
        self.path, self.cube, self._key = path, cube, key
        self._process = os.getpid()
        if path.resolve() in _INHERITED:
            raise Unavailable(
                f"{path} was open when this process was forked from another, and SQLite cannot open it here again: "
                "fork before the vault is opened, or start the process anew (multiprocessing's 'spawn')."
            )
        self._local, self._is_closed = threading.local(), False
        self._opened: WeakSet[apsw.Connection] = WeakSet()  # a thread that ends takes its connection with it
        self._picture, self._view_lock = Picture(path), threading.RLock()  # of what is committed
        self._names, self._turns = Names(), Turns()  # for writing
        db = connect(path, create=create, look=recognise, key=key)
        self._spot = Spot(path)
        _STORES.add(self)
        self._keep(db)
        try:
            self._open(db, now)
        except BaseException:
            self.close()
            raise

    def _open(self, db: apsw.Connection, now: datetime) -> None:
        """Reads the header. Writes only what is not there yet, so that a cube opens while another process writes."""
        is_writable = not db.readonly("main")
        with translated(self.path):
            if is_writable:
                migrate(db)
            else:
                check_current(db, self.path)
            header = _header(db)
            if is_writable and not header.keys() >= set(HEADER):
                self._found(db, now)
                header = _header(db)
        if not header.keys() >= set(HEADER):
            raise Corrupt(f"{self.path} has no header: it was never finished, and cannot be written. Delete it, or restore a copy.")
        self.secret = bytes(header["secret"])
        self.id = str(header["id"])
        if "scrub" in header and is_writable:
            self._scrub_if_free(db)

    def _found(self, db: apsw.Connection, now: datetime) -> None:
        """The header of a new cube. The secret keys every hash in it: without the file, a hash tells nothing."""
        values = (secrets.token_hex(8), to_micros(now), secrets.token_bytes(32), 0)
        with db:
            db.executemany("INSERT OR IGNORE INTO header VALUES (?, ?)", zip(HEADER, values, strict=True))

    # -- transactions --------------------------------------------------------------------------------------------------

    def write(self, now: datetime) -> contextlib.AbstractContextManager[SqliteTransaction]:
        return self._write(now, None)

    def try_write(self, now: datetime) -> contextlib.AbstractContextManager[SqliteTransaction]:
        """As ``write``, for what need not be written now: raises ``Locked`` at once while another connection writes."""
        return self._write(now, TRY_MS)

    @contextlib.contextmanager
    def _write(self, now: datetime, wait_ms: int | None) -> Iterator[SqliteTransaction]:
        db = self._db()
        if db.readonly("main"):
            raise ReadOnly(f"{self.path} cannot be written: check the permissions of the file and its folder.")
        if (open_one := self._own) is not None:
            with self._joined(db, open_one, now) as joined:
                yield joined
            return
        usual = patience(db)
        with translated(self.path), self._turn((usual if wait_ms is None else min(usual, wait_ms)) / 1000) as left:
            begin(db, left, usual)
            try:
                self._spot.expect()
                transaction = self._local.transaction = SqliteTransaction(db, self.secret, now, self._names)
                yield transaction
                transaction.complete()
                self._commit(db)
            except BaseException:
                roll_back(db)
                raise
            finally:
                self._local.transaction = self._local.picture = None
            self._names.learn(transaction.epoch, transaction.new_names)

    @property
    def writes(self) -> int:
        return getattr(self._local, "writes", 0)

    @property
    def is_writing(self) -> bool:
        return self._own is not None

    @property
    def is_within(self) -> bool:
        return self._own is not None or getattr(self._local, "snapshot", None) is not None

    @property
    def _own(self) -> SqliteTransaction | None:
        """What this thread is writing."""
        found: SqliteTransaction | None = getattr(self._local, "transaction", None)
        return found

    @contextlib.contextmanager
    def _joined(self, db: apsw.Connection, open_one: SqliteTransaction, now: datetime) -> Iterator[SqliteTransaction]:
        """A block of the transaction that this thread has open, with a time of its own."""
        open_one.complete()
        joined = self._local.transaction = SqliteTransaction(db, self.secret, now, self._names, open_one)
        try:
            yield joined
            joined.complete()
            joined.end_joined()
        except BaseException:
            open_one.is_spoilt = True
            raise
        finally:
            self._local.transaction = open_one

    @contextlib.contextmanager
    def _turn(self, seconds: float) -> Iterator[float]:
        """This thread's turn among those of the process. Yields the seconds that are left to wait for other processes."""
        end = time.monotonic() + seconds
        if not self._turns.take(seconds):
            raise Locked(
                f"{self.path} is written by other threads of this process. Nothing was changed; try again when they have finished."
            )
        try:
            yield max(end - time.monotonic(), 0.0)
        finally:
            self._turns.give()

    def _commit(self, db: apsw.Connection) -> None:
        """Makes a transaction durable. If the disk fails here, the connection is not trusted any more: the next call opens another."""
        self._local.writes = self.writes + 1
        try:
            db.execute("COMMIT")
        except apsw.IOError as error:
            self._local.db = None
            self._opened.discard(db)
            with contextlib.suppress(apsw.Error):
                db.close(True)
            raise unsure(error, self.path) from error

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """What this thread reads inside is of one moment, and the picture is brought up to it once."""
        if self.is_within:
            yield
            return
        with self._view_lock, self._read() as db:
            self._picture.refresh(db)
            self._local.snapshot = db
            try:
                yield
            finally:
                self._local.snapshot = None

    @contextlib.contextmanager
    def _read(self) -> Iterator[apsw.Connection]:
        """One moment of the file; inside ``write`` of the same thread, what has been written so far."""
        db = self._db()
        if (own := self._own) is not None:
            own.flush()
            yield db
        elif getattr(self._local, "snapshot", None) is not None:
            yield db
        else:
            with translated(self.path):
                db.execute("BEGIN")
                try:
                    yield db
                finally:
                    roll_back(db)

    # -- reading -------------------------------------------------------------------------------------------------------

    def get(self, memory: str, at: RowFilter) -> Memory:
        with self._viewing(at) as (db, picture):
            found = query(db, "SELECT seq FROM memories WHERE id = ?", memory)
            if not found:
                raise missing(memory, self.cube)
            rows = picture.view.of_memories([int(found[0][0])], at, picture.numbers)
            if not rows and at.within is not None:
                raise missing(memory, self.cube)
            if not rows:
                raise Missing(f"Memory {memory} exists, but not for this user or at this time. `history {memory}` shows when it held.")
            return Reader(db, self.cube, picture.names_of).by_rows(rows[-1:])[0]

    def load(self, contents: Sequence[int], at: RowFilter) -> dict[int, Memory]:
        with self._viewing(at) as (db, picture):
            rows = picture.view.rows_of(contents, at, picture.numbers)
            return dict(zip(rows, Reader(db, self.cube, picture.names_of).by_rows(list(rows.values())), strict=True)) if rows else {}

    def present(self, memories: Sequence[str], at: RowFilter) -> dict[str, Memory]:
        with self._viewing(at) as (db, picture):
            sql = "SELECT seq FROM memories WHERE id IN (SELECT value FROM json_each(?))"  # of any number
            seqs = [int(r[0]) for r in query(db, sql, json.dumps(list(memories)))]
            rows = picture.view.of_memories(seqs, at, picture.numbers)
            return {m.id: m for m in Reader(db, self.cube, picture.names_of).by_rows(rows)} if rows else {}

    def most_used(self, at: RowFilter, limit: int) -> list[str]:
        with self._viewing(at) as (db, picture):
            seqs = picture.view.memories(at, picture.numbers)
            sql = "SELECT u.memory, m.id FROM usage u JOIN memories m ON m.seq = u.memory ORDER BY u.uses DESC, u.last_used DESC, u.memory"
            return [str(id) for seq, id in query(db, sql) if seq in seqs][:limit]

    def beside(self, memories: Sequence[str], at: RowFilter, before: int, after: int) -> dict[str, list[tuple[int, str]]]:
        with self._viewing(at) as (db, picture):
            marks = ",".join("?" * len(memories))
            known = {int(seq): str(id) for seq, id in query(db, f"SELECT seq, id FROM memories WHERE id IN ({marks})", *memories)}
            found = picture.view.beside(list(known), at, picture.numbers, before, after)
            ids = _ids(db, {seq for near in found.values() for _, seq in near})
            return {known[memory]: [(offset, ids[seq]) for offset, seq in near] for memory, near in found.items()}

    def latest(self, at: RowFilter, limit: int) -> list[str]:
        with self._viewing(at) as (db, picture):
            last = picture.view.turns(at, picture.numbers)[-limit:][::-1].tolist() if limit else []
            ids = _ids(db, set(last))
            return [ids[seq] for seq in last]

    def select(self, at: RowFilter, limit: int, offset: int = 0) -> list[Memory]:
        return self.page(at, limit, offset, 0)[0]

    def page(self, at: RowFilter, limit: int, offset: int, after: int) -> tuple[list[Memory], int]:
        with self._viewing(at) as (db, picture):
            rows, places = (column[offset : offset + limit].tolist() for column in picture.view.placed(at, picture.numbers, after))
            return (Reader(db, self.cube, picture.names_of).by_rows(rows), places[-1]) if rows else ([], after)

    def count(self, at: RowFilter) -> int:
        with self._viewing(at) as (_, picture):
            return len(picture.view.rows(at, picture.numbers))

    def counted(self, at: RowFilter) -> Counts:
        with self._viewing(at) as (db, picture):
            return counting.counted(db, picture, at)

    def warm(self, at: RowFilter) -> dict[str, Strength]:
        with self._viewing(at) as (db, picture):
            return counting.warm(db, picture, at)

    def is_empty(self) -> bool:
        with self._read() as db:
            return not db.execute("SELECT 1 FROM sources LIMIT 1").fetchall()

    def survey(self, probe: Probe, at: RowFilter) -> Survey:
        with self._viewing(at) as (db, picture):
            return survey(db, picture.view, picture.numbers, picture.speakers_called(db), probe, at)

    def values(self, keys: Sequence[tuple[str | None, str]], at: RowFilter) -> list[str]:
        with self._viewing(at) as (db, picture):
            found = claimed(db, keys, at, picture.numbers)
            is_there = picture.view.rows_of([content for content, _, _ in found], at, picture.numbers)
            return list(dict.fromkeys(value for content, value, is_affirmed in found if is_affirmed and content in is_there))

    def likeness(self, contents: Sequence[int], to: Sequence[int]) -> list[NDArray[np.float64]]:
        with self._viewing() as (_, picture):
            return picture.view.vectors.likeness(contents, to)

    def sizes(self) -> Mapping[str, int]:
        with self._read() as db:
            counts = {t: int(scalar(db, f"SELECT count(*) FROM {t}")) for t in TABLES}
            counts["jobs"] = int(scalar(db, "SELECT count(*) FROM jobs WHERE state != 'done'"))  # the last one that is done is a mark
        files = [f for f in (self.path, Path(f"{self.path}-wal")) if f.exists()]
        return {**counts, "bytes": sum(f.stat().st_size for f in files)}

    def people(self, at: RowFilter | None = None) -> list[str]:
        with self._viewing(at) as (_, picture):
            spoke = picture.view.speakers if at is None else picture.view.circle(at, picture.numbers).speakers
            return [picture.names_of[seq] for seq in sorted(spoke - {0})]

    # -- care ----------------------------------------------------------------------------------------------------------

    def faults(self, kept: Head | None = None) -> tuple[Mapping[str, int], list[Fault]]:
        with translated(self.path):
            counts, found = check(self._db(), self.secret, self.cube, kept)
        try:
            self._spot.expect()
        except Unavailable as error:
            found.append(Fault(self.cube, "file", str(error)))
        return counts, found

    def look(self) -> None:
        self._expect_open()
        self._spot.expect()
        with translated(self.path), contextlib.closing(connect(self.path, key=self._key)) as db:
            _header(db)
            query(db, "SELECT * FROM sources ORDER BY rowid DESC LIMIT 1")

    def scrub(self, erased: Sequence[Source] = (), metadata: Sequence[str] = ()) -> int:
        """Finishes an erasure on disk and looks for what was erased. Returns the bytes looked at."""
        db = self._db()
        wanted = erasure.pieces([s.message for s in erased], metadata)
        with erasure.finishing(self.path):
            erasure.scrub(db, self.path)
            return erasure.prove(db, self.path, wanted, self._key)

    def finish_erasure(self) -> None:
        db = self._db()
        with translated(self.path):
            is_due = bool(query(db, "SELECT 1 FROM header WHERE key = 'scrub'"))
        if is_due and not db.readonly("main"):
            self.scrub()

    def _scrub_if_free(self, db: apsw.Connection) -> None:
        """An erasure that another process's reading, or the disk, had held up is finished at the next opening that is alone. A disk that
        is still full or broken is no reason not to open: the erasure stays due, and `verify` says so."""
        with contextlib.suppress(Unavailable), erasure.finishing(self.path):
            if not query(db, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
                erasure.scrub(db, self.path)

    @property
    def is_encrypted(self) -> bool:
        return self._key is not None

    def copy(self, target: Path, key: bytes | None = None) -> None:
        """A consistent copy of the file as it is now, compact, without a log, encrypted with ``key``."""
        with translated(self.path):
            self._db().execute("VACUUM INTO ?", (address(target, key) if self.is_encrypted or key is not None else str(target.absolute()),))
        with translated(target):
            db = connect(target, key=key)
            db.execute("UPDATE header SET value = ? WHERE key = 'id'", (secrets.token_hex(8),))
            payloads.drop(db, payloads.everything(db))  # their files stay where they are
            adapters.drop(db, adapters.everything(db))
            db.execute("DELETE FROM lent")
            db.execute("DELETE FROM jobs WHERE verb NOT IN ('embed', 'read')")  # what was asked for here is done here, and once
            db.execute("DELETE FROM header WHERE key = 'paused'")
            db.close()

    def options(self) -> Mapping[str, str]:
        with translated(self.path):
            found = query(self._db(), "SELECT key, value FROM header WHERE key > 'option ' AND key < 'option!'")
        return {str(key).removeprefix("option "): str(value) for key, value in found}

    def answered(self, key: bytes) -> Earlier | None:
        with translated(self.path):
            found = query(self._db(), "SELECT asked, answer FROM requests WHERE key = ?", key)
        return Earlier(bytes(found[0][0]), None if found[0][1] is None else str(found[0][1])) if found else None

    def gather(self) -> None:
        """Brings the write-ahead log into the file. Closing does so too, but says nothing when the disk is full."""
        with translated(self.path):
            if not erasure.empty_log(self._db()):
                raise Locked(
                    f"Another process still reads an older state of {self.path}. What was written is safe; try again when it is done."
                )

    def close(self) -> None:
        if os.getpid() != self._process:  # closing here would take the log from under the process that opened it
            return
        self._is_closed = True
        end = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        for db in tuple(self._opened):
            self._end(db, end)
        self._opened.clear()
        self._local = threading.local()
        _STORES.discard(self)

    def _end(self, db: apsw.Connection, end: float) -> None:
        """Closes a connection, once the statement that another thread runs on it is over."""
        while True:
            try:
                db.close()
                return
            except apsw.ThreadingViolationError as error:
                if time.monotonic() > end:
                    raise Locked(f"{self.path} is in use by another thread of this process. Close it when that has finished.") from error
            time.sleep(PAUSE_SECONDS)

    # -- plumbing ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _viewing(self, at: RowFilter | None = None) -> Iterator[tuple[apsw.Connection, Picture]]:
        """One moment of the file with the in-memory picture brought up to it, and what a filter names looked up."""
        with self._view_lock, self._read() as db:
            picture = self._picture_of(db)
            for reach in (at.within or ()) if at is not None else ():
                if reach.memory is not None:
                    for (seq,) in query(db, "SELECT seq FROM memories WHERE id = ?", reach.memory):
                        picture.numbers.memories[reach.memory] = int(seq)
            yield db, picture

    def _picture_of(self, db: apsw.Connection) -> Picture:
        """The picture for this thread: what it has written and not committed is in one of its own, which goes with the transaction."""
        if self._own is not None and self._own.has_written:
            if getattr(self._local, "picture", None) is None:
                self._local.picture = self._picture.apart()
            self._local.picture.refresh(db, is_committed=False)
            own: Picture = self._local.picture
            return own
        if getattr(self._local, "snapshot", None) is None:
            self._picture.refresh(db)
        return self._picture

    def _db(self) -> apsw.Connection:
        """This thread's connection. SQLite's locks are the process's: one that came by a fork protects nothing."""
        if os.getpid() != self._process:
            raise Unavailable(f"{self.path} was opened by another process; open the vault after the fork.")
        db: apsw.Connection | None = getattr(self._local, "db", None)
        if db is None:
            self._expect_open()
            self._spot.expect()
            db = connect(self.path, key=self._key)
            self._keep(db)
            if self._is_closed:  # in the meantime
                db.close()
        self._expect_open()
        return db

    def _expect_open(self) -> None:
        if self._is_closed:
            raise Unavailable(f"{self.path} was closed; open the vault again.")

    def _keep(self, db: apsw.Connection) -> None:
        self._local.db = db
        self._opened.add(db)

    def hash(self, *parts: str | None) -> bytes:
        """The cube's keyed hash: equal words have equal hashes in this cube and in no other."""
        return keyed_hash(self.secret, *parts)


def _ids(db: apsw.Connection, memories: set[int]) -> dict[int, str]:
    """The ids of memories by their rows."""
    return {int(seq): str(id) for seq, id in query(db, f"SELECT seq, id FROM memories WHERE seq IN ({','.join(map(str, memories))})")}


def _header(db: apsw.Connection) -> dict[str, Any]:
    return {str(key): value for key, value in query(db, "SELECT key, value FROM header")}


def _inherit() -> None:
    """In a forked child: notes what the parent had open. SQLite believes that it holds the locks on it, which stayed with the parent."""
    _INHERITED.update(store.path.resolve() for store in _STORES)


_STORES: WeakSet[SqliteStore] = WeakSet()  # that are open
_INHERITED: set[Path] = set()
os.register_at_fork(after_in_child=_inherit)

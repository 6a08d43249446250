"""The registry of a vault: a small SQLite file beside the cubes, with the cubes there were, who may do what to them, and a log of that."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw

from loci.drivers.sqlite import audit
from loci.drivers.sqlite.codec import sure_time, time_of, to_micros
from loci.drivers.sqlite.connection import connect, query, roll_back, scalar, translated
from loci.drivers.sqlite.spot import Spot
from loci.errors import Missing, Unavailable
from loci.ports import Act, Entry, Stretched
from loci.types import Channel, Fault, Grant, Head, Key, Record, Role

NAME = "registry"
TABLES = (
    """
CREATE TABLE IF NOT EXISTS header (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cubes (cube TEXT PRIMARY KEY, id TEXT NOT NULL, created INTEGER NOT NULL, parent TEXT, as_of INTEGER)
STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS grants (
  id TEXT PRIMARY KEY, principal TEXT NOT NULL, role TEXT NOT NULL, cube TEXT NOT NULL, user TEXT, agent TEXT, session TEXT, memory TEXT,
  channel TEXT, expires INTEGER, uses INTEGER, granted_by TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS grants_by_principal ON grants (principal);
-- a key's secret is nowhere, only what scrypt makes of it
CREATE TABLE IF NOT EXISTS keys (
  id TEXT PRIMARY KEY, principal TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, revoked INTEGER, role TEXT, cube TEXT,
  user TEXT, salt BLOB NOT NULL, hash BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""
    + audit.TABLE
)
GRANTS = "SELECT id, principal, role, cube, user, agent, session, memory, channel, expires, uses, granted_by, at FROM grants"
SAME = (
    "WHERE principal = ? AND role = ? AND cube = ? AND user IS ? AND agent IS ? AND session IS ? AND memory IS ? AND channel IS ? AND expires IS ?"
    " AND uses IS NULL"
)
KEYS = "SELECT id, principal, created, expires, revoked, role, cube, user, salt, hash FROM keys"


class SqliteRegistry:
    """Opened at the first use, so that a vault in a read-only folder can still be searched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: apsw.Connection | None = None
        self._spot: Spot | None = None  # of what is open
        self._lock, self._is_closed = threading.RLock(), False  # one connection for all threads

    # -- cubes ---------------------------------------------------------------------------------------------------------

    def note(self, entry: Entry) -> None:
        row = (entry.cube, entry.id, to_micros(entry.created), entry.parent, to_micros(entry.as_of))
        self._change("INSERT OR REPLACE INTO cubes VALUES (?, ?, ?, ?, ?)", *row)

    def entries(self) -> list[Entry]:
        found = []
        for cube, id, created, parent, as_of in self._query("SELECT * FROM cubes ORDER BY created"):
            found.append(Entry(str(cube), str(id), sure_time(created), parent, time_of(as_of)))
        return found

    # -- grants and keys -----------------------------------------------------------------------------------------------

    def grants(self, *principals: str) -> list[Grant]:
        where = f" WHERE principal IN ({','.join('?' * len(principals))})" if principals else ""
        return [_grant(row) for row in self._query(f"{GRANTS}{where} ORDER BY at, id", *principals)]

    def add_grant(self, grant: Grant, act: Act) -> Grant:
        limits = (grant.user, grant.agent, grant.session, grant.memory, grant.channel, to_micros(grant.expires))
        with self._writing() as db:
            if grant.uses is None and (
                same := query(db, f"{GRANTS} {SAME} ORDER BY at, id", grant.principal, grant.role, grant.cube, *limits)
            ):
                return _grant(same[0])
            values = (grant.id, grant.principal, grant.role, grant.cube, *limits, grant.uses, grant.by, to_micros(grant.at))
            db.execute("INSERT INTO grants VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", values)
            self._append(db, act)
        return grant

    def end_grant(self, id: str, act: Act) -> None:
        if not self._change("DELETE FROM grants WHERE id = ?", id, act=act):
            raise Missing(f"There is no grant {id!r}. `loci grants` shows them.")

    def spend(self, id: str) -> bool:
        return self._change("UPDATE grants SET uses = uses - 1 WHERE id = ? AND uses > 0", id) == 1

    def give_back(self, id: str) -> None:
        self._change("UPDATE grants SET uses = uses + 1 WHERE id = ?", id)

    def issued(self) -> list[tuple[Key, Stretched]]:
        return [_key(row) for row in self._query(f"{KEYS} ORDER BY created, id")]

    def key(self, id: str) -> tuple[Key, Stretched] | None:
        rows = self._query(f"{KEYS} WHERE id = ?", id)
        return _key(rows[0]) if rows else None

    def add_key(self, key: Key, secret: Stretched, act: Act) -> None:
        values = (
            key.id, key.principal, to_micros(key.created), to_micros(key.expires), None, key.role, key.cube, key.user, secret.salt, secret.hash,
        )  # fmt: skip
        self._change("INSERT INTO keys VALUES (?,?,?,?,?,?,?,?,?,?)", *values, act=act)

    def end_key(self, id: str, act: Act) -> None:
        if not self._change("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", to_micros(act.at), id, act=act):
            raise Missing(f"There is no key {id!r} in use. `loci keys` shows them.")

    # -- what was done -------------------------------------------------------------------------------------------------

    def audit(self, act: Act) -> None:
        with self._writing() as db:
            self._append(db, act)

    def records(
        self, since: datetime | None, until: datetime | None, verb: str | None, object: str | None, limit: int, principal: str | None = None,
        before: int | None = None, changes: bool = False,
    ) -> list[Record]:  # fmt: skip
        if not self._is_there():
            return []
        with self._lock, translated(self._path):
            return audit.records(self._open(), since, until, verb, object, limit, principal, before, changes)

    def head(self) -> Head:
        if not self._is_there():
            return Head(NAME, "", 0, None, "")
        with self._lock, translated(self._path):
            db = self._open()
            return audit.head(db, NAME, str(scalar(db, "SELECT value FROM header WHERE key = 'id'")))

    def faults(self, kept: Head | None = None) -> list[Fault]:
        try:
            is_there = self._is_there()
        except Unavailable as error:
            return [Fault(NAME, "file", str(error))]
        if not is_there:
            return [] if kept is None or not kept.seq else [Fault(NAME, "audit log", "the registry is missing")]
        with self._lock, translated(self._path):
            db = self._open()
            found = [Fault(NAME, where, what) for where, what in audit.faults(db, self._secret())]
            told = audit.against(db, kept) if kept is not None else ""
            return [*found, Fault(NAME, "audit log", told)] if told else found

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._db is not None:
                self._db.close()
                self._db = self._spot = None

    # -- plumbing ------------------------------------------------------------------------------------------------------

    def _open(self) -> apsw.Connection:
        if self._is_closed:
            raise Unavailable(f"{self._path} was closed; open the vault again.")
        if self._db is None:
            db = connect(self._path, create=True)
            if not db.readonly("main"):
                db.execute(TABLES)
                header = (("id", secrets.token_hex(8)), ("secret", secrets.token_bytes(32)))
                db.executemany("INSERT OR IGNORE INTO header VALUES (?, ?)", header)
            self._db, self._spot = db, Spot(self._path)
        return self._db

    def _secret(self) -> bytes:
        return bytes(scalar(self._open(), "SELECT value FROM header WHERE key = 'secret'"))

    def _expect_in_place(self) -> None:
        if self._spot is not None:
            self._spot.expect()

    def _is_there(self) -> bool:
        """Whether there is one at all. Raises `Unavailable` when what is open is not in its place: that is no empty one."""
        self._expect_in_place()
        return self._path.exists()

    def _query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if not self._is_there():
            return []
        with self._lock, translated(self._path):
            return query(self._open(), sql, *values)

    def _change(self, sql: str, *values: Any, act: Act | None = None) -> int:
        """The rows that a statement changed. If it changed any, ``act`` is in the log with them."""
        with self._writing() as db:
            db.execute(sql, values)
            changed = db.changes()
            if changed and act is not None:
                self._append(db, act)
        return changed

    def _append(self, db: apsw.Connection, act: Act) -> None:
        seq, before, last = (query(db, "SELECT seq, hash, at FROM audit ORDER BY seq DESC LIMIT 1") or [(0, b"", 0)])[0]
        at = max(to_micros(act.at), int(last))
        audit.append(db, self._secret(), bytes(before), int(seq) + 1, at, act.principal, act.verb, act.object, act.detail)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        """The connection, in a transaction. After the disk failed one, it is not trusted any more (see `connection.unsure`)."""
        with self._lock, translated(self._path):
            db = self._open()
            self._expect_in_place()
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except apsw.IOError:
                self.close()
                raise
            except BaseException:
                roll_back(db)
                raise


def _grant(row: tuple[Any, ...]) -> Grant:
    id, principal, role, cube, user, agent, session, memory, channel, expires, uses, by, at = row
    came = None if channel is None else Channel(channel)
    return Grant(id, principal, Role(role), cube, user, agent, session, memory, came, time_of(expires), uses, by, time_of(at))


def _key(row: tuple[Any, ...]) -> tuple[Key, Stretched]:
    id, principal, created, expires, revoked, role, cube, user, salt, hash = row
    key = Key(id, principal, sure_time(created), time_of(expires), time_of(revoked), None if role is None else Role(role), cube, user)
    return key, Stretched(salt, hash)

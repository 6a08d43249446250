"""The audit log of a file: append-only and hash-chained. Each record's hash covers the record and the one before it, and the header
knows the last, so that none can be changed, left out or put in, and none is missing at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

import apsw

from loci.drivers.sqlite.codec import compact, keyed_hash, sure_time, time_of, to_micros
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.seals import as_text, raw
from loci.types import Head, Record

TABLE = """
CREATE TABLE IF NOT EXISTS audit (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, principal TEXT NOT NULL, verb TEXT NOT NULL, object TEXT NOT NULL,
  detail TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
"""
RECORDS = """
SELECT seq, at, principal, verb, object, detail, hash FROM audit WHERE coalesce(at >= ?1, 1) AND coalesce(at < ?2, 1)
  AND verb = coalesce(?3, verb) AND principal = coalesce(?5, principal) AND (?4 IS NULL OR object = ?4 OR (instr(detail, ?7)
  AND EXISTS (SELECT 1 FROM json_tree(detail) WHERE type = 'text' AND value = ?4)))
  AND seq < coalesce(?8, seq + 1) AND NOT (?9 AND verb = 'read' AND json_type(detail, '$.verb') IS NOT NULL) ORDER BY seq DESC LIMIT ?6
"""

TEXTS = ", ".join(raw(column) for column in ("principal", "verb", "object", "detail"))
EVERY = f"SELECT seq, iif(typeof(at) = 'integer', at, NULL), {TEXTS}, iif(typeof(hash) = 'blob', hash, NULL) FROM audit ORDER BY seq"
"""Every record, whatever may stand in its columns now."""


def append(
    db: apsw.Connection,
    secret: bytes,
    before: bytes,
    seq: int,
    at: int,
    principal: str,
    verb: str,
    object: str,
    detail: Mapping[str, object],
) -> bytes:
    """Writes the record of number ``seq`` behind the one whose hash is ``before``, inside the caller's transaction. Returns its hash."""
    text = compact(detail)
    hash = chain(secret, before, seq, at, principal, verb, object, text)
    db.execute("INSERT INTO audit VALUES (?,?,?,?,?,?,?)", (seq, at, principal, verb, object, text, hash))
    db.execute("INSERT OR REPLACE INTO header VALUES ('head', ?)", (hash,))
    return hash


def records(
    db: apsw.Connection,
    since: datetime | None,
    until: datetime | None,
    verb: str | None,
    object: str | None,
    limit: int,
    principal: str | None = None,
    before: int | None = None,
    changes: bool = False,
) -> list[Record]:
    """The newest ``limit`` records that match, of those before the number ``before``, oldest first; with ``changes`` none of who looked at what."""
    rows = query(
        db, RECORDS, to_micros(since), to_micros(until), verb, object, principal, limit, None if object is None else compact(object), before,
        changes,
    )  # fmt: skip
    return [
        Record(int(seq), sure_time(at), str(by), str(verb), str(object), json.loads(str(detail)), bytes(hash).hex())
        for seq, at, by, verb, object, detail, hash in reversed(rows)
    ]


def head(db: apsw.Connection, cube: str, id: str) -> Head:
    """The last record, for somebody else to keep."""
    rows = query(db, "SELECT seq, at, hash FROM audit ORDER BY seq DESC LIMIT 1")
    return Head(cube, id, int(rows[0][0]), time_of(rows[0][1]), bytes(rows[0][2]).hex()) if rows else Head(cube, id, 0, None, "")


def faults(db: apsw.Connection, secret: bytes) -> Iterator[tuple[str, str]]:
    """The first record that is not what was written, and why."""
    before, place = b"", 0
    try:
        rows = db.execute(EVERY)
        for place, (seq, at, *texts, hash) in enumerate(rows, 1):
            principal, verb, object, detail = (str(as_text(text)) for text in texts)
            if seq != place:
                yield f"audit record {place}", "it is missing from the log"
                return
            if not isinstance(hash, bytes) or chain(secret, before, place, at, principal, verb, object, detail) != hash:
                yield f"audit record {place}", "it was changed after it was written, or one before it was"
                return
            before = hash
    except apsw.CorruptError as error:
        yield f"audit record {place + 1}", f"it cannot be read ({error})"
        return
    known = query(db, "SELECT value FROM header WHERE key = 'head'")
    if (bytes(known[0][0]) if known else b"") != before:
        yield "audit log", "its last record is missing, or is not the one that was written last"


def against(db: apsw.Connection, kept: Head) -> str:
    """What is wrong with the log in the light of a head that somebody kept; empty when it goes on from there."""
    if not kept.seq:
        return ""
    rows = query(db, "SELECT hash FROM audit WHERE seq = ?", kept.seq)
    when = "" if kept.at is None else f" on {kept.at:%Y-%m-%d %H:%M}"
    if not rows:
        return f"record {kept.seq}, which was its head{when}, is missing: the log was cut off or replaced"
    if bytes(rows[0][0]).hex() != kept.hash:
        return f"record {kept.seq} is not the one that was its head{when}: the log was rewritten"
    return ""


def chain(secret: bytes, before: bytes, seq: int, at: object, principal: str, verb: str, object: str, detail: str) -> bytes:
    """The hash of one record: covers everything in it and the record before."""
    return keyed_hash(secret, before.hex(), str(seq), str(at), principal, verb, object, detail)

"""Erasure: from every table, then from every byte of the file, and a look to see that it is so."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path

import apsw

from loci.drivers.sqlite.connection import translate
from loci.errors import Corrupt, Locked
from loci.types import Message

PIECE = 24  # bytes; a run of erased words this long must not occur in the file any more


def remove(db: apsw.Connection, sources: Sequence[int], change: int) -> dict[str, int]:
    """Deletes sources and everything that quotes them, inside the caller's transaction. Returns rows removed by table.

    A version that quotes an erased source goes, and so does the closing of what it had replaced: the memory is again
    what it was before. A memory with no version left goes as a whole, and what it had superseded holds again.
    """
    listed = _list(sources)
    contents = _column(db, f"SELECT DISTINCT content FROM spans WHERE source IN ({listed})")
    touched = _column(db, f"SELECT DISTINCT memory FROM contents WHERE seq IN ({_list(contents)})")
    _undo(db, _column(db, f"SELECT seq FROM versions WHERE content IN ({_list(contents)}) AND follows IS NOT NULL"))
    db.execute(f"DELETE FROM versions WHERE content IN ({_list(contents)})")
    kept = set(_column(db, f"SELECT DISTINCT memory FROM versions WHERE memory IN ({_list(touched)})"))
    gone = [m for m in touched if m not in kept]
    dead = _list(gone)
    _undo(db, _column(db, f"SELECT seq FROM versions WHERE cause IN ({dead}) AND follows IS NOT NULL"))
    db.execute(f"UPDATE versions SET valid_to = NULL, cause = NULL, ending = '' WHERE cause IN ({dead})")
    db.execute(f"UPDATE claims SET closed_by = NULL, closed_at = NULL WHERE closed_by IN ({dead})")
    counts = {"sources": len(sources), "memories": len(gone), "contents": len(contents)}
    counts["links"] = _delete(db, f"links WHERE source IN ({dead}) OR target IN ({dead})")
    counts["claims"] = _delete(db, f"claims WHERE memory IN ({_list(touched)})")
    counts["vectors"] = _delete(db, f"vectors WHERE content IN ({_list(contents)})")
    for rows in (
        f"states WHERE memory IN ({dead})", f"usage WHERE memory IN ({dead})", f"touched WHERE memory IN ({dead})",
        f"spans WHERE content IN ({_list(contents)})", f"contents WHERE seq IN ({_list(contents)})",
        f"memories WHERE seq IN ({dead})", f"sources WHERE seq IN ({listed})",
        f"text_index WHERE rowid IN ({_list(contents)})", "jobs WHERE state = 'done'", "names WHERE seq NOT IN"
        " (SELECT principal FROM sources UNION SELECT user FROM sources WHERE user IS NOT NULL UNION SELECT agent FROM sources"
        " WHERE agent IS NOT NULL UNION SELECT session FROM sources WHERE session IS NOT NULL UNION SELECT speaker FROM sources"
        " WHERE speaker IS NOT NULL UNION SELECT speaker FROM contents WHERE speaker IS NOT NULL)",
    ):  # fmt: skip
        _delete(db, rows)
    db.execute("INSERT INTO text_index (text_index) VALUES ('optimize')")
    db.execute("UPDATE header SET value = value + 1 WHERE key = 'epoch'")
    db.execute("INSERT OR REPLACE INTO header VALUES ('scrub', ?)", (change,))
    return counts


def scrub(db: apsw.Connection, path: Path) -> None:
    """Empties the write-ahead log and the free pages of what was deleted. Raises ``Locked`` while another process reads
    an older state; the erasure is committed, and the next open, erase or verify finishes it."""
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
    if busy:
        raise Locked(
            f"The words are erased from {path}, but another process still reads an older state, so the write-ahead log keeps "
            "them until it closes. Close it, then run `loci verify` to finish."
        )
    try:
        db.execute("DELETE FROM header WHERE key = 'scrub'")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except apsw.Error as error:
        raise translate(error, path) from error


def pieces(texts: Iterable[Message]) -> list[bytes]:
    """Byte runs of the messages' words, long enough to be theirs alone; short messages give one run, the whole."""
    found: list[bytes] = []
    for message in texts:
        for text in (message.text, message.caption or ""):
            raw = text.encode()
            if len(raw) >= PIECE:
                found.extend(raw[i : i + PIECE] for i in range(0, len(raw) - PIECE + 1, PIECE))
    return list(dict.fromkeys(found))


def residue(path: Path, wanted: Sequence[bytes]) -> list[bytes]:
    """Those byte runs that still occur in the file or its write-ahead log."""
    found: list[bytes] = []
    for file in (path, Path(f"{path}-wal")):
        if not file.exists() or not file.stat().st_size:
            continue
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found.extend(piece for piece in wanted if data.find(piece) >= 0)
    return found


def prove(db: apsw.Connection, path: Path, wanted: Sequence[bytes]) -> int:
    """Bytes looked at, none of them erased words. What survives in other sources of the cube is not counted; anything
    else is vacuumed away, and looked for again. Raises ``Corrupt`` if words remain even then."""
    left = [p for p in residue(path, wanted) if not _said_elsewhere(db, p)]
    if left:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        left = [p for p in residue(path, left) if not _said_elsewhere(db, p)]
    if left:
        raise Corrupt(f"{path} still holds {len(left)} runs of erased words after a vacuum. Copy what you need and delete the file.")
    return path.stat().st_size


def _said_elsewhere(db: apsw.Connection, piece: bytes) -> bool:
    return bool(
        db.execute(
            "SELECT 1 FROM sources WHERE instr(CAST(text AS BLOB), ?1) OR instr(CAST(caption AS BLOB), ?1) LIMIT 1", (piece,)
        ).fetchall()
    )


def _undo(db: apsw.Connection, rows: Sequence[int]) -> None:
    """Takes back changes of versions, newest first: all rows of the change go, and the row it had ended is open again,
    unless a later change builds on it."""
    for row in sorted(rows, reverse=True):
        found = db.execute("SELECT follows FROM versions WHERE seq = ?", (row,)).fetchall()
        if not found:
            continue  # went with another row of its change
        before = found[0][0]
        same = _list(_column(db, f"SELECT seq FROM versions WHERE follows = {before}"))
        db.execute(f"UPDATE versions SET follows = ? WHERE follows IN ({same})", (before,))
        later = db.changes()
        db.execute(f"DELETE FROM versions WHERE seq IN ({same})")
        if not later:
            db.execute("UPDATE versions SET recorded_to = NULL WHERE seq = ?", (before,))


def _delete(db: apsw.Connection, rows: str) -> int:
    db.execute(f"DELETE FROM {rows}")
    return db.changes()


def _column(db: apsw.Connection, sql: str) -> list[int]:
    return [int(r[0]) for r in db.execute(sql)]


def _list(values: Iterable[int]) -> str:
    return ",".join(map(str, values))

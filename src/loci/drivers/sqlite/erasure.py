"""Erasure: from every table, then from every byte of the file, and a look to see that it is so."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import apsw

from loci.drivers.sqlite import adapters, connection
from loci.drivers.sqlite.connection import batches, query, roll_back, translate
from loci.drivers.sqlite.payloads import built_of, drop
from loci.drivers.sqlite.remains import occurring
from loci.errors import Corrupt, Locked, StorageFull, Unavailable
from loci.text import residue as residue_of
from loci.text.residue import PIECE
from loci.types import Message

RUN = 1 << 22  # bytes looked through at once


def remove(db: apsw.Connection, sources: Sequence[int], change: int, now: int) -> tuple[dict[str, int], list[int]]:
    """Deletes sources and everything that quotes them, inside the caller's transaction. Returns rows removed by table, and the
    claims of other memories that hold again.

    A version that quotes an erased source goes, and what it had replaced or superseded is again what it was before. A memory
    with no version left goes as a whole.
    """
    listed = _list(sources)
    quoting = _column(db, f"SELECT DISTINCT content FROM spans WHERE source IN ({listed})")
    contents = _list(quoting)
    touched = _column(db, f"SELECT DISTINCT memory FROM contents WHERE seq IN ({contents})")
    caused = _column(db, CAUSED.format(touched=_list(touched), contents=contents))
    overruled = _list(_column(db, f"SELECT DISTINCT memory FROM versions WHERE seq IN ({_list(caused)})"))
    reopened = _column(
        db,
        f"SELECT seq FROM claims WHERE closed_by IN ({_list(touched)}) AND closed_by != memory AND (memory IN ({overruled})"
        f" OR closed_by NOT IN (SELECT memory FROM versions WHERE content NOT IN ({contents})))",
    )
    built = drop(db, built_of(db, sources))
    learned = adapters.drop(db, adapters.learned_of(db, sources))
    told = _silence(db, _list(touched), contents)
    _unsay(db, quoting, caused)
    kept = set(_column(db, f"SELECT DISTINCT memory FROM versions WHERE memory IN ({_list(touched)})"))
    gone = [m for m in touched if m not in kept]
    dead = _list(gone)
    db.execute(f"UPDATE versions SET valid_to = NULL, cause = NULL, ending = '' WHERE cause IN ({dead})")
    db.execute(f"UPDATE claims SET closed_by = NULL, closed_at = NULL WHERE seq IN ({_list(reopened)})")
    counts = {"sources": len(sources), "memories": len(gone), "contents": len(quoting)}
    counts |= {"activations": built, "adapters": learned, **_sweep(db, quoting, gone)}
    counts["links"] += told
    own = _settle(db, _list(kept), now)
    reopened = [*_carried(db, reopened), *own]
    _delete(db, f"sources WHERE seq IN ({listed})")
    _delete(db, f"names WHERE seq NOT IN ({NAMED})")
    db.execute("UPDATE jobs SET user = 0, turn = 0 WHERE user NOT IN (SELECT seq FROM names)")
    _delete(db, "header WHERE key > 'served ' AND key < 'served!'")
    db.execute("INSERT INTO text_index (text_index) VALUES ('optimize')")
    db.execute("UPDATE header SET value = value + 1 WHERE key = 'epoch'")
    db.execute("INSERT OR REPLACE INTO header VALUES ('scrub', ?)", (change,))
    return counts, reopened


def _unsay(db: apsw.Connection, quoting: Sequence[int], caused: Sequence[int]) -> None:
    """Versions of these contents go, and with them what they had ``caused``: what they replaced or ended is again what it was before."""
    contents = _list(quoting)
    undo(db, caused)
    replacing = _column(
        db,
        "SELECT v.seq FROM versions v JOIN versions f ON f.seq = v.follows"
        f" WHERE v.content IN ({contents}) AND f.content NOT IN ({contents})",
    )
    cut = _column(
        db,
        "SELECT c.seq FROM versions c JOIN versions v ON v.memory = c.memory AND v.recorded_from = c.recorded_from JOIN versions f"
        f" ON f.seq = c.follows AND f.content = c.content WHERE v.seq IN ({_list(replacing)}) AND c.follows != v.follows AND c.seq < v.seq"
        " AND NOT EXISTS (SELECT 1 FROM versions w JOIN versions g ON g.seq = w.follows WHERE w.memory = c.memory AND w.number != g.number"
        " AND w.seq > c.seq AND w.seq < v.seq)",
    )  # former versions that were to hold longer than those in their place let them
    ends = query(db, ENDS.format(contents=contents))
    for row in sorted(set(_column(db, f"SELECT seq FROM versions WHERE content IN ({contents})")) - set(replacing), reverse=True):
        db.execute("UPDATE versions SET follows = (SELECT follows FROM versions WHERE seq = ?1) WHERE follows = ?1", (row,))
        db.execute("DELETE FROM versions WHERE seq = ?", (row,))
    undo(db, replacing)
    undo(db, cut)
    for end in ends:
        _hand_down(db, *end)


def _sweep(db: apsw.Connection, quoting: Sequence[int], gone: Sequence[int]) -> dict[str, int]:
    """The rows of these contents go, and those of memories that nothing is left of. Returns how many, of what is counted."""
    contents, dead = _list(quoting), _list(gone)
    counts = {
        "links": _delete(db, f"links WHERE source IN ({dead}) OR target IN ({dead})"),
        "claims": _delete(db, f"claims WHERE content IN ({contents})"),
        "vectors": _delete(db, f"vectors WHERE content IN ({contents})"),
    }
    for rows in (
        f"states WHERE memory IN ({dead})", f"moves WHERE memory IN ({dead})", f"usage WHERE memory IN ({dead})",
        f"touched WHERE memory IN ({dead})", f"quarantine WHERE memory IN ({dead})", f"spans WHERE content IN ({contents})", f"contents WHERE seq IN ({contents})",
        f"memories WHERE seq IN ({dead})", f"text_index WHERE rowid IN ({contents})",
    ):  # fmt: skip
        _delete(db, rows)
    return counts


def metadata_of(db: apsw.Connection, sources: Sequence[int]) -> tuple[str, ...]:
    """What programs keep with the versions that quote these sources."""
    quoting = f"SELECT content FROM spans WHERE source IN ({_list(sources)})"
    found = db.execute(f"SELECT DISTINCT metadata FROM contents WHERE metadata IS NOT NULL AND seq IN ({quoting})")
    return tuple(str(row[0]) for row in found)


def drop_untold(db: apsw.Connection) -> None:
    """Contents of which no version is left go, with what was made of them."""
    untold = _list(_column(db, "SELECT seq FROM contents WHERE seq NOT IN (SELECT content FROM versions)"))
    for rows in (
        f"claims WHERE content IN ({untold})", f"vectors WHERE content IN ({untold})", f"spans WHERE content IN ({untold})",
        f"text_index WHERE rowid IN ({untold})", f"contents WHERE seq IN ({untold})",
    ):  # fmt: skip
        _delete(db, rows)


def _silence(db: apsw.Connection, touched: str, contents: str) -> int:
    """Takes away the reasons that may quote these contents: of the links they made and ended, of others since, of the steps of their
    memories, and what an embedder said of a text that it could not take. Returns the links removed."""
    steps = f"SELECT memory, recorded_from FROM versions WHERE content IN ({contents})"
    told = _delete(db, f"links WHERE (source, at) IN ({steps}) OR (target, at) IN ({steps})")
    for end in ("source", "target"):
        born = f"SELECT min(recorded_from) FROM versions WHERE memory = links.{end} AND content IN ({contents})"
        db.execute(f"UPDATE links SET reason = '', seal = x'' WHERE {end} IN ({touched}) AND at >= ({born})")
    db.execute(f"UPDATE moves SET reason = '', seal = x'' WHERE (memory, at) IN ({steps})")
    db.execute("UPDATE jobs SET error = ''")
    db.execute("UPDATE requests SET answer = NULL")
    return told


CAUSED = """
SELECT c.seq FROM versions c JOIN versions f ON f.seq = c.follows AND f.content = c.content WHERE c.cause IN ({touched}) AND (
  EXISTS (SELECT 1 FROM versions v WHERE v.memory = c.cause AND v.recorded_from = c.recorded_from AND v.content IN ({contents}))
  OR (SELECT v.content FROM versions v WHERE v.memory = c.cause AND v.recorded_from <= c.recorded_from ORDER BY v.number DESC, v.seq DESC LIMIT 1)
    IN ({contents}))
"""
"""Rows that ended because of what goes: in the same change, or later, when an erasure judged anew and found it to hold."""

ENDS = """
SELECT x.seq, x.memory, x.number, x.valid_to, x.recorded_from, CASE WHEN EXISTS (SELECT 1 FROM versions w WHERE w.follows = x.follows
    AND w.recorded_from = x.recorded_from AND w.number != x.number) THEN x.ending ELSE '' END
FROM versions x JOIN versions f ON f.seq = x.follows AND f.number = x.number
WHERE x.content IN ({contents}) AND x.cause IS NULL AND NOT EXISTS (SELECT 1 FROM versions w WHERE w.follows = x.follows
  AND w.recorded_from = x.recorded_from AND w.number != x.number AND w.content IN ({contents})) ORDER BY x.seq
"""
"""When versions that go were ended by a change of their memory that stays: a forgetting, a further version."""


def _hand_down(db: apsw.Connection, seq: int, memory: int, number: int, at: int, known: int, ending: str) -> None:
    """The version before one that goes ends where that one had ended, and in its row: had it not been said, that is what would have
    been ended."""
    db.execute(
        "INSERT INTO versions SELECT ?1, memory, number, content, outcome, author, reason, NULL, valid_from, max(coalesce(valid_from, ?4), ?4),"
        " ?5, NULL, seq, ?6, x'' FROM versions t WHERE memory = ?2 AND number < ?3 AND recorded_from <= ?5 AND coalesce(valid_to > ?4, 1)"
        " AND NOT EXISTS (SELECT 1 FROM versions n WHERE n.follows = t.seq AND n.number = t.number) ORDER BY number DESC, seq DESC LIMIT 1",
        (seq, memory, number, at, known, ending),
    )
    db.execute("UPDATE versions SET recorded_to = ?2 WHERE seq = (SELECT follows FROM versions WHERE seq = ?1)", (seq, known))


NAMED = " UNION ".join(
    f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"
    for table, column in (
        ("sources", "principal"), ("sources", "user"), ("sources", "agent"), ("sources", "session"), ("sources", "speaker"), ("sources", "origin"),
        ("contents", "speaker"), ("claims", "speaker"), ("claims", "user"), ("claims", "session"),
    )
)  # fmt: skip


LATEST = """
SELECT v.content FROM versions v WHERE v.memory = claims.memory AND v.recorded_to IS NULL ORDER BY v.number DESC, v.seq DESC LIMIT 1
"""
KEPT = f"""
NOT EXISTS (SELECT 1 FROM spans p WHERE p.content = claims.content AND (p.source, p.start, p.stop) NOT IN
  (SELECT q.source, q.start, q.stop FROM spans q WHERE q.content = ({LATEST})))
"""


HELD = """
FROM versions v WHERE v.memory = claims.memory AND v.content = claims.content AND v.recorded_to IS NULL AND v.valid_to IS NOT NULL
  AND EXISTS (SELECT 1 FROM claims k WHERE k.memory = v.cause AND k.subject = claims.subject AND k.attribute = claims.attribute) LIMIT 1
"""
BY, AT = f"SELECT v.cause {HELD}", f"SELECT v.valid_to {HELD}"
"""Another memory that had ended the claim already, when what goes ended it earlier; and when it had."""


def _carried(db: apsw.Connection, reopened: Sequence[int]) -> list[int]:
    """Claims that hold again go with their memory's words as every claim does: to a version that kept the words, or out with them.
    Returns those that hold."""
    listed = _list(reopened)
    kept = _column(db, f"SELECT seq FROM claims WHERE seq IN ({listed}) AND {KEPT}")
    db.execute(f"UPDATE claims SET closed_by = memory, closed_at = valid_from WHERE seq IN ({listed}) AND seq NOT IN ({_list(kept)})")
    db.execute(f"UPDATE claims SET content = ({LATEST}) WHERE seq IN ({_list(kept)})")
    db.execute(f"UPDATE claims SET closed_by = ({BY}), closed_at = ({AT}) WHERE seq IN ({_list(kept)}) AND ({BY}) IS NOT NULL")
    kept = _column(db, f"SELECT seq FROM claims WHERE seq IN ({_list(kept)}) AND closed_by IS NULL")
    db.execute(  # a memory that claims something again holds again, whichever of its claims was closed last
        "UPDATE versions SET valid_to = NULL, cause = NULL, ending = '' WHERE recorded_to IS NULL AND cause IS NOT NULL AND valid_to IS NOT NULL"
        f" AND (memory, content) IN (SELECT memory, content FROM claims WHERE seq IN ({_list(kept)}))"
    )
    return kept


def _settle(db: apsw.Connection, kept: str, now: int) -> list[int]:
    """Memories that lost some of their versions stand on their remaining words, and claim what these claim; a forgotten one
    stays forgotten since it was. Returns the claims that hold again by that."""
    db.execute(
        "UPDATE versions SET valid_to = max(valid_from, coalesce((SELECT max(at) FROM moves WHERE memory = versions.memory AND"
        f" after = 'expired'), ?)) WHERE memory IN ({kept}) AND recorded_to IS NULL AND valid_to IS NULL"
        " AND memory IN (SELECT memory FROM states WHERE state = 'expired')",
        (now,),
    )
    db.execute(
        "UPDATE memories SET source = (SELECT p.source FROM contents c JOIN spans p ON p.content = c.seq WHERE c.memory = memories.seq"
        f" ORDER BY c.seq, p.ordinal LIMIT 1) WHERE seq IN ({kept})"
    )
    own = _column(
        db,
        f"SELECT seq FROM claims WHERE memory IN ({kept}) AND closed_by = memory AND content IN"
        " (SELECT content FROM versions WHERE memory = claims.memory AND recorded_to IS NULL AND valid_to IS NULL)",
    )
    db.execute(f"UPDATE claims SET closed_by = NULL, closed_at = NULL WHERE seq IN ({_list(own)})")
    return own


def scrub(db: apsw.Connection, path: Path) -> None:
    """Empties the write-ahead log and the free pages of what was deleted. Raises ``Locked`` while another process reads
    an older state; the erasure is committed, and the next open, erase or verify finishes it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        _write_jobs_anew(db)
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise
    _clear_log(db, path)
    db.execute("DELETE FROM header WHERE key = 'scrub'")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _write_jobs_anew(db: apsw.Connection) -> None:
    """Takes all jobs out and puts them back: what an embedder said of a text may be in one. What is deleted SQLite overwrites (``secure_delete``), but not the copy of a row that
    stays behind in its page where pages are split or joined; pages that are let go of as a whole are overwritten as a whole."""
    db.execute("CREATE TEMP TABLE held AS SELECT * FROM main.jobs")
    db.execute("DELETE FROM main.jobs")
    db.execute("INSERT INTO main.jobs SELECT * FROM temp.held")
    db.execute("DROP TABLE temp.held")


@contextlib.contextmanager
def finishing(path: Path) -> Iterator[None]:
    """Raises Loci's errors for SQLite's where an erasure is committed and its bytes are not cleared yet."""
    done = f"The words are erased from {path}, but what they left on the disk could not be cleared"
    try:
        yield
    except apsw.FullError as error:
        raise StorageFull(f"{done}: there is no room. Free some space, then run `loci verify` to finish.") from error
    except apsw.IOError as error:
        raise Unavailable(f"{done}: the disk failed ({error}). Run `loci verify` to finish; if that fails too, copy the file.") from error
    except apsw.BusyError as error:
        raise Locked(f"{done}: another process holds it. Run `loci verify` to finish.") from error
    except apsw.Error as error:
        raise translate(error, path) from error


def _clear_log(db: apsw.Connection, path: Path) -> None:
    if not empty_log(db):
        raise Locked(
            f"The words are erased from {path}, but another process still reads an older state, so the write-ahead log keeps "
            "them until it closes. Close it, then run `loci verify` to finish."
        )


def empty_log(db: apsw.Connection) -> bool:
    """Moves the write-ahead log into the file. SQLite waits for who reads an older state, but not for a checkpoint of somebody else. False
    where either takes longer than the busy timeout."""
    end = time.monotonic() + connection.BUSY_TIMEOUT_MS / 1000
    while query(db, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
        if time.monotonic() > end:
            return False
        time.sleep(connection.PAUSE_SECONDS)
    return True


def pieces(texts: Iterable[Message], metadata: Iterable[str] = ()) -> list[bytes]:
    """Byte runs of the messages' words, and of what was kept with them, long enough to be theirs alone. Shorter ones may be anybody's: they are left to what SQLite
    overwrites on deletion, which `tests/kernel/test_residue.py` looks through."""
    said = [text for message in texts for text in (message.text, message.caption or "")]
    found = [piece for text in (*said, *metadata) for piece in residue_of.pieces(text)]
    return list(dict.fromkeys(found))


def residue(path: Path, wanted: Sequence[bytes], key: bytes | None = None) -> list[bytes]:
    """Those byte runs that still occur in the file or its write-ahead log. Of an encrypted cube the pages are looked through as
    they read with its key, free ones too, and the log must be empty: its bytes as they lie would tell nothing."""
    found = set[bytes]().union(*(occurring(wanted, data) for data in _read_through(path, key)))
    return [piece for piece in wanted if piece in found]


def _read_through(path: Path, key: bytes | None) -> Iterator[bytes]:
    """The bytes of the cube's files, in runs that overlap by what is looked for. SQLite reads the file: were it read past it, closing
    it would end the locks of every connection this process has to it."""
    if key is not None:
        with closing(connection.connect(path, key=key)) as db:
            yield _pages(db, path)
        return
    file = apsw.VFSFile("", str(path), [apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB, 0])
    try:
        for start in range(0, file.xFileSize(), RUN):
            yield file.xRead(min(RUN + PIECE, file.xFileSize() - start), start)
    finally:
        file.xClose()
    log = Path(f"{path}-wal")
    if log.exists():
        yield log.read_bytes()


def _pages(db: apsw.Connection, path: Path) -> bytes:
    """Every page of an encrypted file as it reads with its key."""
    try:
        found = db.serialize("main")
    except MemoryError:
        found = None
    if found is None:
        raise Unavailable(
            f"The words are erased from {path} and what they left is overwritten, but it could not be looked through decrypted: it is "
            "too large for this machine's memory."
        )
    return found


def prove(db: apsw.Connection, path: Path, wanted: Sequence[bytes], key: bytes | None = None) -> int:
    """Bytes looked at, none of them erased words. What survives in other sources of the cube is not counted; anything
    else is vacuumed away, and looked for again. Raises ``Corrupt`` if words remain even then."""
    left = _only_there(db, residue(path, wanted, key))
    if left:
        db.execute("VACUUM")
        _clear_log(db, path)
        left = _only_there(db, residue(path, left, key))
    if left:
        raise Corrupt(f"{path} still holds {len(left)} runs of erased words after a vacuum. Copy what you need and delete the file.")
    return path.stat().st_size


BETWEEN = b"\xff"  # a byte that no text in UTF-8 has
ELSEWHERE = " UNION ALL ".join(
    f"SELECT CAST({column} AS BLOB) FROM {table} WHERE {column} IS NOT NULL"
    for table, column in (
        ("sources", "text"),
        ("sources", "caption"),
        ("sources", "role"),
        ("sources", "foreign_id"),
        ("names", "name"),
        ("contents", "metadata"),
    )
)


def _only_there(db: apsw.Connection, found: Sequence[bytes]) -> list[bytes]:
    """Those that nothing which is kept of other sources holds: no words of theirs, and nobody's or nothing's name."""
    said = set[bytes]()
    for rows in batches(db, ELSEWHERE) if found else ():
        said |= occurring(found, BETWEEN.join(row[0] for row in rows))
    return [piece for piece in found if piece not in said]


def _give_way(db: apsw.Connection, row: apsw.SQLiteValue) -> None:
    """A version that is open again gives way to the next of its memory, if one was made meanwhile, since that was known."""
    found = db.execute(
        "SELECT n.valid_from, n.recorded_from, n.reason FROM versions n JOIN versions v ON v.memory = n.memory AND n.number > v.number"
        " WHERE v.seq = ? AND v.recorded_to IS NULL AND v.valid_to IS NULL ORDER BY n.number, n.recorded_from LIMIT 1",
        (row,),
    ).fetchall()
    for start, known, reason in found:
        db.execute("UPDATE versions SET recorded_to = ? WHERE seq = ?", (known, row))
        db.execute(
            "INSERT INTO versions (memory, number, content, outcome, author, reason, cause, valid_from, valid_to, recorded_from, follows, ending,"
            " seal) SELECT memory, number, content, outcome, author, reason, NULL, valid_from, max(coalesce(valid_from, ?1), ?1), ?2, seq, ?3, x''"
            " FROM versions WHERE seq = ?4",
            (start, known, reason, row),
        )


def undo(db: apsw.Connection, rows: Sequence[int]) -> None:
    """Takes back changes of versions, newest first: all rows of the change go, and the row it had ended is what we know until a later
    change that builds on it, if there is one."""
    for row in sorted(rows, reverse=True):
        found = db.execute("SELECT follows, recorded_from FROM versions WHERE seq = ?", (row,)).fetchall()
        if not found:
            continue  # went with another row of its change
        before, at = found[0]
        same = _list(int(r[0]) for r in db.execute("SELECT seq FROM versions WHERE follows = ? AND recorded_from = ?", (before, at)))
        db.execute(
            "UPDATE versions AS r SET valid_to = max(coalesce(valid_from, -9e18), coalesce((SELECT w.valid_from FROM versions w WHERE"
            " w.memory = r.memory AND w.recorded_from = r.recorded_from AND w.number > r.number), recorded_from)) WHERE cause IS NULL AND"
            f" EXISTS (SELECT 1 FROM versions x WHERE x.seq = r.follows AND x.seq IN ({same}) AND x.number = r.number AND x.valid_to = r.valid_to)"
        )  # what ended once more, later than what is taken back had ended it, ends then
        db.execute(f"UPDATE versions SET follows = ? WHERE follows IN ({same})", (before,))
        db.execute(f"DELETE FROM versions WHERE seq IN ({same})")
        db.execute(
            "UPDATE versions SET recorded_to = (SELECT min(recorded_from) FROM versions WHERE follows = ?1) WHERE seq = ?1", (before,)
        )
        _give_way(db, before)


def _delete(db: apsw.Connection, rows: str) -> int:
    db.execute(f"DELETE FROM {rows}")
    return db.changes()


def _column(db: apsw.Connection, sql: str) -> list[int]:
    return [int(r[0]) for r in db.execute(sql)]


def _list(values: Iterable[int]) -> str:
    return ",".join(map(str, values))

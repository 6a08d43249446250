"""Taking back what was learnt from sources, without losing that it was known: the present becomes what it would be without them, and
the past, as it was known then, stays.

What the present would be is found by erasing them in earnest, looking, and rolling back: so that the two can never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from loci.drivers.sqlite import erasure
from loci.drivers.sqlite.connection import query

Row = tuple[Any, ...]
VERSION = "seq, memory, number, content, outcome, author, reason, cause, valid_from, valid_to, ending"


@dataclass(frozen=True, slots=True)
class Present:
    """What holds of some memories: their versions on record, the state of their claims, their links, and the source each is of."""

    versions: dict[int, Row]
    claims: dict[int, Row]
    links: set[Row]
    sources: dict[int, Row]


def revert(db: apsw.Connection, sources: Sequence[int], change: int, now: int) -> tuple[list[int], list[int]]:
    """Returns the memories of which nothing is left, and the claims of others that hold again. Inside the caller's transaction."""
    listed = _list(sources)
    contents = f"SELECT DISTINCT content FROM spans WHERE source IN ({listed})"
    quoting = f"SELECT memory FROM contents WHERE seq IN ({contents})"
    touched = [
        int(row[0])
        for row in query(
            db,
            f"{quoting} UNION SELECT memory FROM versions WHERE cause IN ({quoting}) UNION SELECT memory FROM claims WHERE closed_by IN ({quoting})",
        )
    ]
    before = _present(db, touched)
    db.execute("SAVEPOINT reverting")
    try:
        _, reopened = erasure.remove(db, sources, change, now)
        after = _present(db, touched)
    finally:
        db.execute("ROLLBACK TO reverting")
        db.execute("RELEASE reverting")
    gone = [memory for memory in touched if memory not in after.sources]
    _retell(db, before, after, set(gone), now)
    db.execute(f"DELETE FROM claims WHERE content IN ({contents})")
    for seq, row in after.claims.items():
        db.execute("UPDATE claims SET closed_by = ?, closed_at = ?, content = ? WHERE seq = ?", (*row, seq))
    for source, target, kind in before.links - after.links:
        db.execute("DELETE FROM links WHERE source = ? AND target = ? AND type = ?", (source, target, kind))
    for memory, (source,) in after.sources.items():
        db.execute("UPDATE memories SET source = ? WHERE seq = ?", (source, memory))
    db.executemany("INSERT OR IGNORE INTO touched VALUES (?, ?)", [(change, memory) for memory in touched])
    return gone, reopened


def _retell(db: apsw.Connection, before: Present, after: Present, gone: set[int], now: int) -> None:
    """Ends the versions that would not hold, and tells again those that would; of what is gone as a whole the versions stay."""
    ended: dict[int, int] = {}
    for seq, row in before.versions.items():
        if row[1] not in gone and after.versions.get(seq) != row:
            db.execute("UPDATE versions SET recorded_to = ? WHERE seq = ?", (now, seq))
            ended[row[1]] = seq
    for seq, row in sorted(after.versions.items()):
        if before.versions.get(seq) != row:
            _, memory, number, content, outcome, author, reason, cause, start, end, ending = row
            db.execute(
                "INSERT INTO versions (memory, number, content, outcome, author, reason, cause, valid_from, valid_to, recorded_from, follows,"
                " ending, seal) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,x'')",
                (memory, number, content, outcome, author, reason, cause, start, end, now, ended.get(memory), ending),
            )


def _present(db: apsw.Connection, memories: Sequence[int]) -> Present:
    listed = _list(memories)
    return Present(
        versions={
            int(row[0]): row for row in query(db, f"SELECT {VERSION} FROM versions WHERE recorded_to IS NULL AND memory IN ({listed})")
        },
        claims={
            int(row[0]): row[1:] for row in query(db, f"SELECT seq, closed_by, closed_at, content FROM claims WHERE memory IN ({listed})")
        },
        links=set(query(db, f"SELECT source, target, type FROM links WHERE source IN ({listed}) OR target IN ({listed})")),
        sources={int(row[0]): row[1:] for row in query(db, f"SELECT seq, source FROM memories WHERE seq IN ({listed})")},
    )


def _list(values: Iterable[int]) -> str:
    return ",".join(map(str, values))

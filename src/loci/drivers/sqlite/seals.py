"""Seals: a keyed hash of a row, taken when it is written, so that `verify` names a row that was changed by anybody but Loci.

Here is every column that a seal covers, in the order of its row. A column added to a table is named here, and is sealed with that. What
Loci itself changes later (`MOVING`) is left out: whether a version still holds, what closed a claim. Those columns are checked against
each other, not against a seal; nor are seals on what can be made again (spans are covered by the hash of the words they quote,
vectors, the text index) or says nothing about anybody (jobs, use counters). The key is in the file: a seal shows damage and tampering by
hand, not the work of somebody who computes seals anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any

import apsw

Row = Sequence[Any]

SEALED: dict[str, tuple[str, ...]] = {
    "sources": (
        "seq", "id", "identity", "user", "agent", "session", "principal", "channel", "role", "speaker", "at", "zone", "recorded",
        "foreign_id", "hash", "origin", "trust",
    ),
    "memories": ("seq", "id", "source", "part"),
    "contents": ("seq", "memory", "type", "speaker", "about", "attributes", "flags", "length", "checksum", "trust", "metadata"),
    "versions": (
        "seq", "memory", "number", "content", "outcome", "author", "reason", "cause", "valid_from", "valid_to", "recorded_from",
        "recorded_to", "follows", "ending",
    ),
    "claims": (
        "memory", "content", "user", "subject", "attribute", "value", "polarity", "tense", "cue", "arity", "sort", "serial", "speaker",
        "turn", "session", "said", "valid_from", "valid_to", "closed_by", "closed_at", "relation",
    ),
    "links": ("source", "target", "type", "reason", "at"),
    "states": ("memory", "state", "expires", "priority"),
    "moves": ("memory", "at", "before", "after", "author", "reason"),
    "quarantine": ("memory", "reason", "since", "until", "decision"),
    "payloads": ("seq", "id", "number", "created", "manifest"),
    "adapters": ("seq", "id", "number", "created", "manifest"),
}  # fmt: skip
MOVING = {
    "memories": {"source"}, "claims": {"content", "closed_by", "closed_at"},
    "versions": {"cause", "valid_to", "recorded_to", "follows", "ending"},
}  # fmt: skip
LATER = {"contents": 1, "claims": 1}
"""How many columns came with a later schema, at the end of the row: while they are empty the seal is that of the row without them."""
NAMED = {("sources", column) for column in ("user", "agent", "session", "principal", "speaker", "origin")}
"""Columns of a name's number that are sealed as the name is spelt, so that the table of names is sealed with them."""
KEYS = {
    "sources": "id",
    "memories": "id",
    "states": "memory",
    "quarantine": "memory",
    "payloads": "id",
    "adapters": "id",
    "links": "source || '-' || target",
}  # what a row is called; else its number
CALLED = {
    "sources": "source", "memories": "memory", "contents": "content", "versions": "version", "claims": "claim", "links": "link",
    "states": "state", "quarantine": "quarantine", "moves": "move", "payloads": "activation", "adapters": "adapter",
}  # fmt: skip


def _fixed(table: str) -> Callable[[Row], Row]:
    moving = MOVING.get(table, set())
    return itemgetter(*(place for place, column in enumerate(SEALED[table]) if column not in moving))


PLAIN = frozenset({int, str, bytes, type(None)})
FIXED = {table: _fixed(table) for table in SEALED}
PERSONS = {table: table.encode() for table in SEALED}
INTO = {table: f"{table} ({', '.join(columns)}, seal) VALUES ({'?,' * len(columns)}?)" for table, columns in SEALED.items()}
"""What follows INSERT: a row of ``SEALED``'s columns and its seal."""
SAME = {table: " AND ".join(f"{column} IS ?" for column in columns) for table, columns in SEALED.items()}
"""What follows WHERE: the row that has these values."""


def seal(secret: bytes, table: str, row: Row) -> bytes:
    """The seal of a row of ``SEALED``'s columns, names as they are spelt."""
    fixed = FIXED[table](row)
    if table in LATER and not any(value is not None for value in fixed[-LATER[table] :]):
        fixed = fixed[: -LATER[table]]
    if not PLAIN.issuperset(map(type, fixed)):  # an enum, say: SQLite gives back its value
        fixed = tuple(str(value) if isinstance(value, str) else int(value) if isinstance(value, int) else value for value in fixed)
    told = ascii(fixed)  # the fastest spelling that keeps values apart, and the same in every Python
    return blake2b(told.encode(), key=secret, digest_size=16, person=PERSONS[table]).digest()


def sealed(secret: bytes, table: str, rows: Iterable[Row]) -> list[Row]:
    """Rows with their seals, as they are inserted."""
    return [(*row, seal(secret, table, row)) for row in rows]


def broken(db: apsw.Connection, secret: bytes) -> Iterator[tuple[str, int]]:
    """What the rows are called whose seal is not theirs, and their numbers: what a row is called may be what was changed."""
    for table, columns in SEALED.items():
        texts = {str(name) for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})") if kind == "TEXT"}
        is_text = [column in texts or (table, column) in NAMED for column in columns]
        number = "0" if table == "links" else "t.rowid"
        told = [f"CAST({KEYS.get(table, number)} AS BLOB)", number, "t.seal", *(_expression(table, c, c in texts) for c in columns)]
        for key, place, found, *row in _readable(db, table, ", ".join(told)):
            values = [as_text(value) if text else value for value, text in zip(row, is_text, strict=False)]
            if not row or seal(secret, table, values) != found:
                yield f"{CALLED[table]} {as_text(key)}", int(place)


def _readable(db: apsw.Connection, table: str, columns: str) -> Iterator[Row]:
    """The rows of a table; of those that SQLite cannot read, if the tree still leads to them, only the numbers."""
    last = -(1 << 63)
    try:
        for row in db.execute(f"SELECT {columns} FROM {table} t {'' if table == 'links' else 'ORDER BY t.rowid'}"):
            last = int(row[1])
            yield row
        return
    except apsw.CorruptError:
        if table == "links":  # which has no numbers
            raise
    for (place,) in db.execute(f"SELECT rowid FROM {table} WHERE rowid > ? ORDER BY rowid", (last,)).fetchall():
        try:
            yield from db.execute(f"SELECT {columns} FROM {table} t WHERE rowid = ?", (place,)).fetchall()
        except apsw.CorruptError:
            yield f"of row {place}", place, None


def _expression(table: str, column: str, is_text: bool) -> str:
    if (table, column) in NAMED:
        return f"(SELECT {raw('name')} FROM names WHERE seq = t.{column})"
    return raw(f"t.{column}") if is_text else f"t.{column}"


def raw(column: str) -> str:
    """An expression for a column of text as bytes, for damaged text may be none; 0 where it is something else."""
    return f"iif(typeof({column}) IN ('text', 'null'), CAST({column} AS BLOB), 0)"


def as_text(value: object) -> object:
    """Bytes that should be text; what is none of it becomes marks, and so differs from what was written."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def sum_of(seals: Iterable[bytes], before: bytes = bytes(16)) -> bytes:
    """One hash of many seals, whatever their order; the same seals again take them out of it."""
    total = int.from_bytes(before, "big")
    for one in seals:
        total ^= int.from_bytes(one, "big")
    return total.to_bytes(16, "big")

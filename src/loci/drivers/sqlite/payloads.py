"""Rows of activation memory: what was built of which words, and the files that hold it. A manifest counts; the other tables index it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import apsw

from loci.drivers.sqlite.codec import sure_time, time_of
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.rows import Rows
from loci.drivers.sqlite.seals import SEALED, sealed
from loci.errors import Missing, missing_activation
from loci.ports import Lent, PayloadRow
from loci.ports.engine import Page

COLUMNS = "SELECT p.id, p.number, p.created, p.manifest, p.uses, p.last_used, p.clock FROM payloads p"
QUOTING = """SELECT p.payload FROM memories m JOIN contents c ON c.memory = m.seq JOIN spans s ON s.content = c.seq
    JOIN payload_sources p ON p.source = s.source WHERE m.id IN (SELECT value FROM json_each(?))"""
CLOCK = "coalesce((SELECT value FROM header WHERE key = 'payload clock'), 0.0)"


class PayloadRows(Rows):
    """What a transaction writes of activation memory."""

    def put_payload(self, id: str, number: int, manifest: str, sources: Sequence[str], pages: Sequence[Page]) -> None:
        """Keeps what was built under an id, in the place of what was kept under it before. Raises ``Missing`` when a source that it was
        built of is not there any more."""
        uses = query(self._db, "SELECT uses, last_used FROM payloads WHERE id = ?", id) or [(0, None)]
        self.drop_payloads([id])
        seq = int(query(self._db, "SELECT coalesce(max(seq), 0) + 1 FROM payloads")[0][0])
        rows = sealed(self._secret, "payloads", [(seq, id, number, self._now, manifest)])
        insert = f"INSERT INTO payloads ({', '.join(SEALED['payloads'])}, seal, uses, last_used, clock) VALUES (?,?,?,?,?,?,?,?,{CLOCK})"
        self._db.execute(insert, (*rows[0], *uses[0]))
        for source in dict.fromkeys(sources):
            if not query(self._db, "SELECT 1 FROM sources WHERE id = ?", source):
                raise Missing(f"Source {source} was erased meanwhile, so nothing that was built of it is kept.")
            self._db.execute("INSERT INTO payload_sources VALUES (?, ?)", (seq, self._source(source)))
        held = [(seq, place, page.chain, page.hash, page.bytes, page.tokens) for place, page in enumerate(pages)]
        self._db.executemany("INSERT INTO payload_pages VALUES (?,?,?,?,?,?)", held)

    def set_payload_clock(self, clock: float) -> None:
        """What is used or built from now on has this clock."""
        self._db.execute("INSERT OR REPLACE INTO header VALUES ('payload clock', ?)", (clock,))

    def drop_payloads(self, ids: Sequence[str]) -> int:
        """Forgets what was built under these ids. The words stay. Returns how many there were."""
        rows = query(self._db, "SELECT seq FROM payloads WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))
        return drop(self._db, [int(row[0]) for row in rows])

    def lend(self, lent: Lent) -> None:
        """Writes down what a server holds, or is about to."""
        self._db.execute("INSERT OR REPLACE INTO lent VALUES (?,?,?)", (lent.name, lent.server, lent.bytes))

    def take_back(self, names: Sequence[str]) -> None:
        """Forgets what no server holds any more."""
        self._db.execute("DELETE FROM lent WHERE name IN (SELECT value FROM json_each(?))", (json.dumps(list(names)),))


def built_of(db: apsw.Connection, sources: Sequence[int]) -> list[int]:
    """Payloads for which any of these sources was read."""
    rows = query(
        db, "SELECT DISTINCT payload FROM payload_sources WHERE source IN (SELECT value FROM json_each(?))", json.dumps(list(sources))
    )
    return [int(row[0]) for row in rows]


def everything(db: apsw.Connection) -> list[int]:
    return [int(row[0]) for row in query(db, "SELECT seq FROM payloads")]


def drop(db: apsw.Connection, payloads: Sequence[int]) -> int:
    """Deletes payloads with their sources and pages. Returns how many there were."""
    chosen = json.dumps(list(payloads))
    db.execute("DELETE FROM payload_sources WHERE payload IN (SELECT value FROM json_each(?))", (chosen,))
    db.execute("DELETE FROM payload_pages WHERE payload IN (SELECT value FROM json_each(?))", (chosen,))
    db.execute("DELETE FROM payloads WHERE seq IN (SELECT value FROM json_each(?))", (chosen,))
    return db.changes()


def payloads(db: apsw.Connection, memories: Sequence[str] | None = None) -> list[PayloadRow]:
    """All of them, or those built of what these memories quote or quoted, oldest first, without their manifests."""
    chosen = "SELECT id, number, created, '', uses, last_used, clock FROM payloads"
    if memories is None:
        return [_payload(*row) for row in query(db, f"{chosen} ORDER BY seq")]
    return [_payload(*row) for row in query(db, f"{chosen} WHERE seq IN ({QUOTING}) ORDER BY seq", json.dumps(list(memories)))]


def numbers(db: apsw.Connection) -> dict[str, int]:
    """The number of each, by id."""
    return dict(query(db, "SELECT id, number FROM payloads"))


def payload(db: apsw.Connection, id: str, cube: str) -> PayloadRow:
    found = query(db, f"{COLUMNS} WHERE p.id = ?", id)
    if not found:
        raise missing_activation(id, cube)
    return _payload(*found[0])


def holding(db: apsw.Connection, chains: Sequence[str]) -> PayloadRow | None:
    """The payload that holds the furthest of these pages."""
    furthest = "(SELECT payload FROM payload_pages WHERE chain IN (SELECT value FROM json_each(?)) ORDER BY ordinal DESC LIMIT 1)"
    found = query(db, f"{COLUMNS} WHERE p.seq = {furthest}", json.dumps(list(chains)))
    return _payload(*found[0]) if found else None


def page_bytes(db: apsw.Connection) -> int:
    """Of all files together, each counted once."""
    return int(query(db, "SELECT coalesce(sum(bytes), 0) FROM (SELECT DISTINCT hash, bytes FROM payload_pages)")[0][0])


def lent(db: apsw.Connection) -> list[Lent]:
    """What servers hold, by name."""
    return [
        Lent(str(name), str(server), int(size)) for name, server, size in query(db, "SELECT name, server, bytes FROM lent ORDER BY name")
    ]


def page_files(db: apsw.Connection) -> set[str]:
    """The hashes of every file that is of use."""
    return {str(row[0]) for row in query(db, "SELECT DISTINCT hash FROM payload_pages")}


def _payload(id: str, number: int, created: int, manifest: str, uses: int, last_used: int | None, clock: float) -> PayloadRow:
    return PayloadRow(str(id), int(number), sure_time(created), str(manifest), int(uses), time_of(last_used), float(clock))

"""``verify`` for one cube: everything that can be checked against everything else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import apsw
import numpy as np

from loci.drivers.sqlite import audit
from loci.drivers.sqlite.codec import keyed_hash
from loci.drivers.sqlite.connection import query, roll_back, scalar
from loci.drivers.sqlite.reader import Reader
from loci.drivers.sqlite.seals import as_text, broken, raw, sum_of
from loci.text.tokens import spaced
from loci.types import Fault, Head, Message, State

Told = tuple[str, str]  # where, what
BATCH = 1000  # contents whose words are in memory at once
NORM_SLACK = 0.01  # of a vector's length: what float32 and an embedder's own rounding may leave


def check(db: apsw.Connection, secret: bytes, cube: str, kept: Head | None = None) -> tuple[dict[str, int], list[Fault]]:
    """(how many of each were looked at, what is wrong), in one consistent snapshot."""
    db.execute("BEGIN")
    counts: dict[str, int] = {}
    try:
        faults = [Fault(cube, where, what) for part in PARTS for where, what in _as_far_as_it_can_be_read(part(db, secret))]
        told = audit.against(db, kept) if kept is not None else ""
        faults += [Fault(cube, "audit log", told)] if told else []
        with contextlib.suppress(apsw.CorruptError):  # told above
            for table in ("sources", "memories", "versions", "claims", "links", "audit"):
                counts[table] = int(scalar(db, f"SELECT count(*) FROM {table}"))
    finally:
        roll_back(db)
    return counts, faults


def _as_far_as_it_can_be_read(faults: Iterator[Told]) -> Iterator[Told]:
    """One part of the check. What cannot be read ends this part, and is a fault; the others go on."""
    try:
        yield from faults
    except apsw.CorruptError as error:
        yield "file", f"SQLite: {error}. Restore a copy of the file."
    except (UnicodeDecodeError, TypeError, ValueError) as error:
        yield "file", f"a column holds what Loci never wrote there ({error}). Restore a copy of the file."


def _file(db: apsw.Connection, secret: bytes) -> Iterator[Told]:
    query(db, "SELECT rowid FROM text_index WHERE text_index MATCH 'u' LIMIT 1")  # a check alone trusts the segments it saw last
    for (message,) in db.execute("PRAGMA integrity_check(20)"):
        if message != "ok":
            yield "file", f"SQLite: {message}. Restore a copy of the file."


def _sources(db: apsw.Connection, secret: bytes) -> Iterator[Told]:
    for id, *words, hash in db.execute(f"SELECT CAST(id AS BLOB), {raw('text')}, {raw('caption')}, hash FROM sources"):
        text, caption = (None if word is None else str(as_text(word)) for word in words)
        if keyed_hash(secret, text, caption) != hash:
            yield f"source {as_text(id)}", "its words are not those that were journaled"


def _seals(db: apsw.Connection, secret: bytes) -> Iterator[Told]:
    for called, place in broken(db, secret):
        yield called, f"it is not as it was written (row {place})"
    journal = query(db, "SELECT value FROM header WHERE key = 'journal'")
    seals = (bytes(seal) for (seal,) in db.execute("SELECT seal FROM sources") if isinstance(seal, bytes))
    if sum_of(seals) != (journal[0][0] if journal else bytes(16)):
        yield "journal", "it is not whole: a source was taken out of it, put into it or exchanged by somebody else"


def _orphans(db: apsw.Connection, secret: bytes) -> Iterator[Told]:
    for where, what, sql in ORPHANS:
        for (key,) in db.execute(sql):
            yield f"{where} {key}", what


def _numbers(db: apsw.Connection, secret: bytes) -> Iterator[Told]:
    """How many messages each user has: what a quota goes by, against the journal."""
    held, there = (dict(query(db, sql)) for sql in ("SELECT * FROM held", "SELECT coalesce(user, 0), count(*) FROM sources GROUP BY 1"))
    for user in sorted(held.keys() | there.keys()):
        if held.get(user) != there.get(user):
            yield f"user {user}", "the number of their messages, which a quota goes by, is not what is in the journal"


def _contents(db: apsw.Connection, secret: bytes) -> Iterator[Told]:
    current: tuple[int, str] | None = None
    quoted: list[str] = []
    expected = b""
    rows = query(
        db,
        "SELECT m.id, c.seq, c.checksum, s.text, s.caption, p.start, p.stop FROM contents c JOIN memories m ON m.seq = c.memory"
        " LEFT JOIN spans p ON p.content = c.seq LEFT JOIN sources s ON s.seq = p.source ORDER BY c.seq, p.ordinal",
    )
    for memory, content, checksum, text, caption, start, stop in rows:
        if current is not None and content != current[0] and keyed_hash(secret, "\n".join(quoted)) != expected:
            yield f"memory {current[1]}", "its text is not what was remembered"
        if current is None or content != current[0]:
            current, quoted, expected = (content, memory), [], bytes(checksum)
        if text is None:
            yield f"memory {memory}", "it quotes a source that is not there"
            continue
        words = Message("", str(text), caption=None if caption is None else str(caption)).words
        if not 0 <= start <= stop <= len(words):
            yield f"memory {memory}", f"its span {start}:{stop} lies outside its source"
        quoted.append(words[start:stop])
    if current is not None and keyed_hash(secret, "\n".join(quoted)) != expected:
        yield f"memory {current[1]}", "its text is not what was remembered"


STATES = ", ".join(f"'{state.value}'" for state in State)
ORPHANS: tuple[tuple[str, str, str], ...] = (
    ("erasure", "its words may still be on the disk; `loci verify` on a cube that can be written finishes it",
     "SELECT value FROM header WHERE key = 'scrub'"),
    ("memory", "it quotes a source that is not there", "SELECT id FROM memories WHERE source NOT IN (SELECT seq FROM sources)"),
    ("content", "its memory is missing", "SELECT seq FROM contents WHERE memory NOT IN (SELECT seq FROM memories)"),
    ("version", "its memory is missing", "SELECT seq FROM versions WHERE memory NOT IN (SELECT seq FROM memories)"),
    ("state", "its memory is missing", "SELECT memory FROM states WHERE memory NOT IN (SELECT seq FROM memories)"),
    ("quarantine", "its memory is missing", "SELECT memory FROM quarantine WHERE memory NOT IN (SELECT seq FROM memories)"),
    ("move", "its memory is missing", "SELECT seq FROM moves WHERE memory NOT IN (SELECT seq FROM memories)"),
    ("state", "it is none that there is", f"SELECT memory FROM states WHERE state NOT IN ({STATES})"),
    ("version", "what it replaced is missing", "SELECT seq FROM versions WHERE follows NOT IN (SELECT seq FROM versions)"),
    ("version", "what replaced it is missing", "SELECT seq FROM versions WHERE recorded_to IS NOT NULL AND seq NOT IN"
     " (SELECT follows FROM versions WHERE follows IS NOT NULL) AND recorded_to NOT IN (SELECT at FROM audit WHERE verb = 'revert')"),
    ("memory", "it has no version", "SELECT id FROM memories WHERE seq NOT IN (SELECT memory FROM versions)"),
    ("content", "it has no version", "SELECT seq FROM contents WHERE seq NOT IN (SELECT content FROM versions)"),
    ("version", "its content is missing", "SELECT seq FROM versions WHERE content NOT IN (SELECT seq FROM contents)"),
    ("content", "it is not in the text index", "SELECT seq FROM contents WHERE seq NOT IN (SELECT id FROM text_index_docsize)"),
    ("text index row", "its content is missing", "SELECT id FROM text_index_docsize WHERE id NOT IN (SELECT seq FROM contents)"),
    ("vector", "its content is missing", "SELECT seq FROM vectors WHERE content NOT IN (SELECT seq FROM contents)"),
    ("claim", "its memory is missing", "SELECT seq FROM claims WHERE memory NOT IN (SELECT seq FROM memories)"),
    ("link", "an end of it is missing", "SELECT source || '-' || target FROM links WHERE source NOT IN"
     " (SELECT seq FROM memories) OR target NOT IN (SELECT seq FROM memories)"),
    ("memory", "two of its versions hold at the same time", "SELECT m.id FROM versions a JOIN versions b ON a.memory = b.memory"
     " AND a.seq < b.seq AND a.recorded_to IS NULL AND b.recorded_to IS NULL JOIN memories m ON m.seq = a.memory"
     " WHERE coalesce(a.valid_from < a.valid_to, 1) AND coalesce(b.valid_from < b.valid_to, 1)"
     " AND coalesce(a.valid_from, -9e18) < coalesce(b.valid_to, 9e18)"
     " AND coalesce(b.valid_from, -9e18) < coalesce(a.valid_to, 9e18)"),
    ("activation", "its pages are not those that its manifest names", "SELECT p.id FROM payloads p WHERE json_valid(p.manifest) AND json_extract(p.manifest, '$.pages') IS NOT"
     " (SELECT json_group_array(json_object('bytes', g.bytes, 'chain', g.chain, 'hash', g.hash, 'tokens', g.tokens)) FROM"
     " (SELECT * FROM payload_pages WHERE payload = p.seq ORDER BY ordinal) g)"),
    ("activation page", "what it is of is missing", "SELECT DISTINCT payload FROM payload_pages WHERE payload NOT IN (SELECT seq FROM payloads)"),
    ("activation", "a source that it was built of is missing", "SELECT p.id FROM payloads p JOIN payload_sources s ON s.payload = p.seq"
     " WHERE s.source NOT IN (SELECT seq FROM sources)"),
    ("adapter", "a source that it was made of is missing", "SELECT a.id FROM adapters a JOIN adapter_sources s ON s.adapter = a.seq"
     " WHERE s.source NOT IN (SELECT seq FROM sources)"),
    ("adapter", "a memory that it was made of is missing", "SELECT a.id FROM adapters a JOIN adapter_memories m ON m.adapter = a.seq"
     " WHERE m.memory NOT IN (SELECT seq FROM memories)"),
    ("adapter", "two of its versions are mounted", "SELECT id FROM adapters WHERE wanted GROUP BY id HAVING count(*) > 1"),
    ("content", "it has no vector and no job will make one", "SELECT c.seq FROM contents c JOIN generations g ON g.state ="
     " 'active' WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.generation = g.number AND v.content = c.seq) AND NOT EXISTS"
     " (SELECT 1 FROM jobs WHERE verb = 'embed' AND state != 'done')"),
)  # fmt: skip


def _words(db: apsw.Connection, secret: bytes) -> Iterator[Told]:
    """The text index against the words, read again as it reads them: every term at its place, and whose words they are."""
    indexed: dict[int, int] = {}
    scopes: dict[int, str] = {}
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.text_instances USING fts5vocab(main, text_index, instance)")
    for term, content, column, offset in db.execute("SELECT term, doc, col, offset FROM temp.text_instances"):
        assert isinstance(content, int)
        if column == "scope":
            scopes[content] = str(term)
        else:
            indexed[content] = indexed.get(content, 0) + hash((term, offset))
    reader, tokenizer = Reader(db, ""), db.fts5_tokenizer("porter", ["unicode61"])
    rows = query(
        db,
        "SELECT c.seq, coalesce(s.user, 0), s.id, c.checksum FROM contents c JOIN memories m ON m.seq = c.memory JOIN sources s"
        " ON s.seq = m.source WHERE c.seq IN (SELECT id FROM text_index_docsize)",
    )
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        texts = reader.texts([int(row[0]) for row in batch])
        for content, user, source, checksum in batch:
            text = texts.get(content, "")
            if keyed_hash(secret, text) != checksum:
                continue  # its words are what is wrong, and are named already
            terms = tokenizer(spaced(text).encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=False)
            if indexed.get(content, 0) != sum(hash((str(token[0]), offset)) for offset, token in enumerate(terms)):
                yield f"content {content}", "the text index holds other words than it has"
            if scopes.get(content) != f"u{user}":
                yield f"source {source}", "the text index holds its words for another user"


def _vectors(db: apsw.Connection, secret: bytes) -> Iterator[Told]:
    rows = db.execute("SELECT v.seq, v.data, g.dimensions FROM vectors v LEFT JOIN generations g ON g.number = v.generation")
    for seq, data, dimensions in rows:
        if not isinstance(data, bytes):
            yield f"vector {seq}", "it is none"
        elif dimensions is None:
            yield f"vector {seq}", "no embedder is known that made it"
        elif len(data) != 4 * int(str(dimensions)):
            yield f"vector {seq}", f"it has {len(data)} bytes; {dimensions} dimensions take {4 * int(str(dimensions))}"
        elif not abs(float(np.linalg.norm(np.frombuffer(data, dtype=np.float32))) - 1) < NORM_SLACK:
            yield f"vector {seq}", "its length is not 1: its numbers are not those that were stored"


PARTS = (_file, _sources, _seals, _contents, _orphans, _numbers, _words, _vectors, audit.faults)

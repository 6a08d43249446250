"""The tables of a cube's file, as numbered steps. A step and its record are one transaction.

Times are microseconds since the epoch (UTC); NULL is "open". Words live once, in ``sources``: a memory's text is the
quotation of its spans, so erasing a source erases what was cut from it. What changes often (``states``, ``usage``) is
kept apart from what is long (``sources``, ``vectors``), and a missing row there means "as born". ``seal``: a keyed hash of the row
as it was written (`seals`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from loci.drivers.sqlite.connection import BATCH, query, roll_back, scalar
from loci.drivers.sqlite.reader import Reader
from loci.drivers.sqlite.seals import SEALED, seal
from loci.errors import Corrupt, NewerSchema, Unavailable
from loci.text.tokens import spaced

APPLICATION_ID = 0x4C4F4349  # "LOCI"

CUBE = """
CREATE TABLE header (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE names (seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- what was said: verbatim, immutable, with its origin
CREATE TABLE sources (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, identity BLOB NOT NULL UNIQUE,
  user INTEGER, agent INTEGER, session INTEGER, principal INTEGER NOT NULL, channel TEXT NOT NULL,
  role TEXT NOT NULL, speaker INTEGER, at INTEGER, zone INTEGER, recorded INTEGER NOT NULL,
  text TEXT NOT NULL, caption TEXT, foreign_id TEXT, hash BLOB NOT NULL, origin INTEGER, trust INTEGER NOT NULL,
  seal BLOB NOT NULL) STRICT;
CREATE INDEX sources_by_origin ON sources (origin) WHERE origin IS NOT NULL;
CREATE INDEX sources_by_session ON sources (session, speaker);

-- what is remembered: an identity, its contents, and the versions that say when each content held
CREATE TABLE memories (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source INTEGER NOT NULL, part TEXT NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE INDEX memories_by_source ON memories (source);
CREATE TABLE contents (
  seq INTEGER PRIMARY KEY, memory INTEGER NOT NULL, type TEXT NOT NULL, speaker INTEGER, about TEXT,
  attributes TEXT, flags INTEGER NOT NULL, length INTEGER NOT NULL, checksum BLOB NOT NULL,
  trust INTEGER NOT NULL,  -- the least of all the sources that it quotes
  seal BLOB NOT NULL) STRICT;
CREATE INDEX contents_by_memory ON contents (memory);
CREATE TABLE spans (
  content INTEGER NOT NULL, ordinal INTEGER NOT NULL, source INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
  PRIMARY KEY (content, ordinal)) STRICT, WITHOUT ROWID;
CREATE INDEX spans_by_source ON spans (source);
CREATE TABLE versions (
  seq INTEGER PRIMARY KEY, memory INTEGER NOT NULL, number INTEGER NOT NULL, content INTEGER NOT NULL,
  outcome TEXT NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL, cause INTEGER,
  valid_from INTEGER, valid_to INTEGER, recorded_from INTEGER NOT NULL, recorded_to INTEGER,
  follows INTEGER,  -- the row that ended in recorded time when this one began
  ending TEXT NOT NULL DEFAULT '',  -- why its validity ended
  seal BLOB NOT NULL) STRICT;
CREATE INDEX versions_by_memory ON versions (memory, number);  -- the latest of a memory without sorting
CREATE INDEX versions_by_cause ON versions (cause) WHERE cause IS NOT NULL;

-- header fields that move: absent means generated, priority 0, no end
CREATE TABLE states (
  memory INTEGER PRIMARY KEY, state TEXT NOT NULL, expires INTEGER, priority INTEGER NOT NULL, seal BLOB NOT NULL) STRICT;
-- every transition that somebody had a reason for, append-only
CREATE TABLE moves (
  seq INTEGER PRIMARY KEY, memory INTEGER NOT NULL, at INTEGER NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL,
  author TEXT NOT NULL, reason TEXT NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE INDEX moves_by_memory ON moves (memory);
-- kept out of every present answer, from when to when, and what was decided
CREATE TABLE quarantine (
  memory INTEGER PRIMARY KEY, reason TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, decision TEXT NOT NULL, seal BLOB NOT NULL) STRICT;
-- how often searches found it (uses), how often answers cited it, and what that left of its strength
CREATE TABLE usage (
  memory INTEGER PRIMARY KEY, uses INTEGER NOT NULL, last_used INTEGER NOT NULL,
  cited INTEGER NOT NULL DEFAULT 0, last_cited INTEGER, stability REAL NOT NULL DEFAULT 0, heat REAL NOT NULL DEFAULT 0) STRICT;

-- keyed statements, for conflict without a model
CREATE TABLE claims (
  seq INTEGER PRIMARY KEY, memory INTEGER NOT NULL, content INTEGER NOT NULL, user INTEGER,
  subject TEXT NOT NULL, attribute TEXT NOT NULL, value TEXT NOT NULL,
  polarity INTEGER NOT NULL, tense TEXT NOT NULL, cue TEXT NOT NULL, arity TEXT NOT NULL, sort TEXT NOT NULL, serial INTEGER,
  speaker INTEGER, turn INTEGER, session INTEGER, said INTEGER,
  valid_from INTEGER, valid_to INTEGER, closed_by INTEGER, closed_at INTEGER, seal BLOB NOT NULL) STRICT;
CREATE INDEX claims_by_key ON claims (subject, attribute);
CREATE INDEX claims_by_attribute ON claims (attribute);
CREATE INDEX claims_by_speaker ON claims (speaker);
CREATE INDEX claims_by_memory ON claims (memory);
CREATE INDEX claims_by_closer ON claims (closed_by) WHERE closed_by IS NOT NULL;
CREATE TABLE links (
  source INTEGER NOT NULL, target INTEGER NOT NULL, type TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL,
  seal BLOB NOT NULL, PRIMARY KEY (source, target, type)) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_target ON links (target);

-- what models made of memories that they read: the manifest of each, the sources it was made of, and the files that hold it
CREATE TABLE payloads (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, number INTEGER NOT NULL, created INTEGER NOT NULL, manifest TEXT NOT NULL,
  uses INTEGER NOT NULL DEFAULT 0, last_used INTEGER,
  clock REAL NOT NULL,  -- the rank of what had to leave last before it was last used
  seal BLOB NOT NULL) STRICT;
CREATE TABLE payload_sources (payload INTEGER NOT NULL, source INTEGER NOT NULL, PRIMARY KEY (payload, source)) STRICT, WITHOUT ROWID;
CREATE INDEX payload_sources_by_source ON payload_sources (source);
CREATE TABLE payload_pages (
  payload INTEGER NOT NULL, ordinal INTEGER NOT NULL, chain TEXT NOT NULL, hash TEXT NOT NULL, bytes INTEGER NOT NULL, tokens INTEGER NOT NULL,
  PRIMARY KEY (payload, ordinal)) STRICT, WITHOUT ROWID;
CREATE INDEX payload_pages_by_chain ON payload_pages (chain);
-- what models have learned: the versions of adapters, the words and the versions of memories that each was made of
CREATE TABLE adapters (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL, number INTEGER NOT NULL, created INTEGER NOT NULL, manifest TEXT NOT NULL,
  user INTEGER, state TEXT NOT NULL, reason TEXT NOT NULL,
  wanted INTEGER NOT NULL,  -- for answers, while its state lets it
  file TEXT, bytes INTEGER,  -- its weights, or how far learning them has come
  uses INTEGER NOT NULL DEFAULT 0, last_used INTEGER, seal BLOB NOT NULL, UNIQUE (id, number)) STRICT;
CREATE TABLE adapter_sources (adapter INTEGER NOT NULL, source INTEGER NOT NULL, PRIMARY KEY (adapter, source)) STRICT, WITHOUT ROWID;
CREATE INDEX adapter_sources_by_source ON adapter_sources (source);
CREATE TABLE adapter_memories (
  adapter INTEGER NOT NULL, memory INTEGER NOT NULL, content INTEGER NOT NULL, PRIMARY KEY (adapter, memory)) STRICT, WITHOUT ROWID;
CREATE INDEX adapter_memories_by_memory ON adapter_memories (memory);
-- what inference servers hold of what they read, from before they do until it is known to be gone
CREATE TABLE lent (name TEXT PRIMARY KEY, server TEXT NOT NULL, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- views of the words: both keyed by content, both rebuildable
CREATE VIRTUAL TABLE text_index USING fts5(scope, words, content='', contentless_delete=1, tokenize='porter unicode61');
CREATE TABLE generations (number INTEGER PRIMARY KEY, embedder TEXT NOT NULL, dimensions INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
CREATE TABLE vectors (
  seq INTEGER PRIMARY KEY, generation INTEGER NOT NULL, content INTEGER NOT NULL, data BLOB NOT NULL,
  UNIQUE (generation, content)) STRICT;

CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY, verb TEXT NOT NULL, arguments TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  due INTEGER NOT NULL, leased_by TEXT, leased_until INTEGER, error TEXT NOT NULL DEFAULT '', priority INTEGER NOT NULL DEFAULT 0,
  user INTEGER NOT NULL DEFAULT 0, key TEXT) STRICT;
CREATE INDEX jobs_next ON jobs (verb, priority DESC, user) WHERE state = 'ready';
CREATE INDEX jobs_failed ON jobs (verb, due) WHERE state = 'ready' AND attempts >= 2;
CREATE INDEX jobs_held ON jobs (leased_until) WHERE state = 'leased';
CREATE INDEX jobs_done ON jobs (seq) WHERE state = 'done';
CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE state = 'ready' AND key IS NOT NULL;

-- append-only, hash-chained; holds ids and keyed hashes, never words
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, principal TEXT NOT NULL, verb TEXT NOT NULL, object TEXT NOT NULL,
  detail TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
-- which memories a change touched after their birth, so that another process can refresh its picture
CREATE TABLE touched (change INTEGER NOT NULL, memory INTEGER NOT NULL, PRIMARY KEY (change, memory)) STRICT, WITHOUT ROWID;
"""

REQUESTS = """
-- writes that their caller may ask for again: whose and which (a keyed hash), what was asked (another), what was answered; that goes with any erasure
CREATE TABLE requests (key BLOB PRIMARY KEY, asked BLOB NOT NULL, at INTEGER NOT NULL, answer TEXT) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (at);
"""

METADATA = """
-- what a program keeps with a version: a JSON object
ALTER TABLE contents ADD COLUMN metadata TEXT;
CREATE INDEX contents_with_metadata ON contents (seq) WHERE metadata IS NOT NULL;
"""

FOLLOWING = """
-- what came after a version: an erasure asks it of each that goes
CREATE INDEX versions_by_former ON versions (follows) WHERE follows IS NOT NULL;
"""

RELATIONS = """
-- what a subject is called besides the name: two people may have one
ALTER TABLE claims ADD COLUMN relation TEXT;
CREATE INDEX claims_with_relation ON claims (subject) WHERE relation IS NOT NULL;
"""

HELD = """
-- how many messages of each user (0: nobody's) are in the journal: a quota asks it of every addition, and a count would look at each of them.
-- Triggers keep it, so that whatever puts in or takes out a source does, in the same transaction
CREATE TABLE held (user INTEGER PRIMARY KEY, messages INTEGER NOT NULL) STRICT;
INSERT INTO held SELECT coalesce(user, 0), count(*) FROM sources GROUP BY 1;
CREATE TRIGGER held_more AFTER INSERT ON sources BEGIN
  INSERT INTO held VALUES (coalesce(new.user, 0), 1) ON CONFLICT (user) DO UPDATE SET messages = messages + 1;
END;
CREATE TRIGGER held_less AFTER DELETE ON sources BEGIN
  UPDATE held SET messages = messages - 1 WHERE user = coalesce(old.user, 0);
  DELETE FROM held WHERE user = coalesce(old.user, 0) AND messages = 0;
END;
"""

TURNS = """
-- of a user's jobs those of one agent and session: a number of theirs, 0 where a job names neither
ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_next;
CREATE INDEX jobs_next ON jobs (verb, priority DESC, user, turn) WHERE state = 'ready';
"""

NOT_ASCII = """
SELECT c.seq, coalesce(s.user, 0) FROM contents c JOIN memories m ON m.seq = c.memory JOIN sources s ON s.seq = m.source
WHERE c.seq IN (SELECT p.content FROM spans p JOIN sources q ON q.seq = p.source WHERE octet_length(q.text || coalesce(q.caption, '')) > length(q.text || coalesce(q.caption, '')))
"""


def space(db: apsw.Connection) -> None:
    """Puts into the text index again what is in such a script: a run of it was one word, which no question holds."""
    users = dict(query(db, NOT_ASCII))
    contents, reader = sorted(users), Reader(db, "")
    for start in range(0, len(contents), BATCH):
        for content, text in reader.texts(contents[start : start + BATCH]).items():
            if (words := spaced(text)) != text:
                db.execute("DELETE FROM text_index WHERE rowid = ?", (content,))
                db.execute("INSERT INTO text_index (rowid, scope, words) VALUES (?,?,?)", (content, f"u{users[content]}", words))


ADDRESSES = f"SELECT seq, seal, {', '.join(SEALED['claims'])} FROM claims WHERE attribute = 'attr/address'"


def file_addresses(db: apsw.Connection) -> None:
    """Files an address under where somebody lives, for a move ends it. A claim whose seal was its own is sealed anew."""
    columns = SEALED["claims"]
    rows = query(db, ADDRESSES)
    secret = bytes(scalar(db, "SELECT value FROM header WHERE key = 'secret'")) if rows else b""
    for seq, mark, *row in rows:
        moved = ["residence/address" if column == "attribute" else value for column, value in zip(columns, row, strict=True)]
        new = seal(secret, "claims", moved) if seal(secret, "claims", row) == mark else mark
        db.execute("UPDATE claims SET attribute = 'residence/address', seal = ? WHERE seq = ?", (new, seq))


STEPS: tuple[str | Callable[[apsw.Connection], None], ...] = (
    CUBE, REQUESTS, METADATA, FOLLOWING, space, RELATIONS, HELD, TURNS, file_addresses,
)  # fmt: skip
VERSION = len(STEPS)


def recognise(db: apsw.Connection, path: Path) -> None:
    """Reads only. Raises for a file of something else, and for a newer one; an empty file may become a cube."""
    db.execute("BEGIN")  # one snapshot: another process may be making the cube
    try:
        found, application, has_tables = _pragma(db, "user_version"), _pragma(db, "application_id"), _has_tables(db)
    finally:
        roll_back(db)
    if application != APPLICATION_ID and (application or found or has_tables):
        raise Corrupt(f"{path} is an SQLite file, but not a cube of Loci's. It was not touched: choose another name.")
    if found > VERSION:
        raise NewerSchema(
            f"{path} has schema {found}; this Loci reads up to {VERSION}. It was not touched: upgrade with `pip install -U loci-memos`."
        )


def migrate(db: apsw.Connection) -> None:
    """Brings a file that was recognised to this schema."""
    if _pragma(db, "user_version") == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in range(_pragma(db, "user_version"), VERSION):  # read again: another process may have been faster
            if isinstance(made := STEPS[step], str):
                db.execute(made)
            else:
                made(db)
            db.execute(f"PRAGMA user_version={step + 1}")
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise


def check_current(db: apsw.Connection, path: Path) -> None:
    """Raises for an older file: what it lacks is read, and it cannot be given it where it is."""
    if 0 < (found := _pragma(db, "user_version")) < VERSION:
        raise Unavailable(
            f"{path} has schema {found}, of an older Loci, and cannot be written, so it cannot be brought to {VERSION}. Copy it to where it can be written, "
            "and open it there."
        )


def _pragma(db: apsw.Connection, name: str) -> int:
    return int(scalar(db, f"PRAGMA {name}"))


def _has_tables(db: apsw.Connection) -> bool:
    return bool(query(db, "SELECT 1 FROM sqlite_schema LIMIT 1"))

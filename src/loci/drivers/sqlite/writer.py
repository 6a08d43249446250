"""One write transaction on a cube: the rows of a change, its index, claims, links, jobs and audit record together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import apsw

from loci.drivers.sqlite import erasure
from loci.drivers.sqlite.codec import (
    FLAG_EVENT,
    FLAG_OWN,
    FLAG_QUESTION,
    FLAG_TIME,
    check_text,
    compact,
    dump_attributes,
    from_micros,
    keyed_hash,
    to_micros,
    zone_of,
)
from loci.drivers.sqlite.connection import query, scalar
from loci.drivers.sqlite.jobs import JobRows
from loci.errors import Missing
from loci.ports import ClaimRow, Draft, Removed
from loci.types import Interval, Outcome, Source, State

Row = tuple[Any, ...]

INSERTS = {
    "memories": "INSERT INTO memories VALUES (?,?,?,?)",
    "contents": "INSERT INTO contents VALUES (?,?,?,?,?,?,?,?,?)",
    "spans": "INSERT INTO spans VALUES (?,?,?,?,?)",
    "versions": "INSERT INTO versions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "text_index": "INSERT INTO text_index (rowid, scope, words) VALUES (?,?,?)",
    "claims": (
        "INSERT INTO claims (memory, content, user, subject, attribute, value, polarity, tense, cue, arity, sort, serial, speaker, turn,"
        " session, said, valid_from, valid_to, closed_by, closed_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    ),
    "links": "INSERT OR REPLACE INTO links VALUES (?,?,?,?,?)",
    "touched": "INSERT OR IGNORE INTO touched VALUES (?,?)",
}


TOPS = """
SELECT (SELECT value FROM header WHERE key = 'epoch'), (SELECT max(seq) FROM memories), (SELECT max(seq) FROM contents),
  (SELECT max(seq) FROM versions), (SELECT max(seq) FROM audit), (SELECT at FROM audit ORDER BY seq DESC LIMIT 1),
  (SELECT hash FROM audit ORDER BY seq DESC LIMIT 1)
"""


@dataclass(slots=True)
class Names:
    """The numbers of names as of an epoch of the file: an erasure may take a name away, and begins a new one."""

    epoch: int = 0
    known: dict[str, int] = field(default_factory=dict)

    def learn(self, epoch: int, names: Mapping[str, int]) -> None:
        """Takes in names that a commit has made durable."""
        if epoch != self.epoch:
            self.epoch, self.known = epoch, {}
        self.known.update(names)


class SqliteTransaction(JobRows):
    """What ``SqliteStore.write()`` yields. Rows of new memories are gathered and written by table, which is several
    times faster than row by row; every read first writes the tables it reads, so a transaction sees its own writes."""

    def __init__(self, db: apsw.Connection, secret: bytes, now: datetime, names: Names) -> None:
        self._db, self._secret = db, secret
        self.epoch, memory, content, version, record, last, self._head = query(db, TOPS)[0]
        self._now = max(to_micros(now) or 0, last or 0)  # a clock set back does not change what was known
        self._known = names.known if names.epoch == self.epoch else {}
        self.new_names: dict[str, int] = {}
        self._pending: dict[str, list[Row]] = {table: [] for table in INSERTS}
        self._sources: dict[str, int] = {}
        self._memories: dict[str, int] = {}
        self._closed: dict[int, int] = {}  # memory: the version row this transaction ended last
        self._next = {"memories": memory or 0, "contents": content or 0, "versions": version or 0}
        self.change = (record or 0) + 1
        self.new_contents: list[int] = []

    # -- reading inside the transaction ------------------------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """Rows of a query that sees everything written so far."""
        self.flush()
        return query(self._db, sql, *values)

    def seq_of(self, memory: str) -> int:
        """The row of a memory. Raises ``Missing``."""
        known = self._memories.get(memory)
        if known is not None:
            return known
        found = query(self._db, "SELECT seq FROM memories WHERE id = ?", memory)
        if not found:
            raise Missing(f"There is no memory {memory} in this cube. `list` shows the ids; it may have been erased.")
        self._memories[memory] = int(found[0][0])
        return self._memories[memory]

    def claims(self, keys: Iterable[tuple[str, str]], user: str | None) -> list[ClaimRow]:
        self.flush("memories", "claims")
        found: dict[int, ClaimRow] = {}
        owner = None if user is None else self._name(user)
        for subject, attribute in dict.fromkeys(keys):
            above, below = _met_by(attribute)
            marks = ",".join("?" * len(above))
            for row in self._db.execute(
                f"{CLAIMS} WHERE c.seq IN (SELECT seq FROM claims WHERE subject = ? AND attribute IN ({marks}) UNION ALL"
                " SELECT seq FROM claims WHERE subject = ? AND attribute BETWEEN ? AND ?) AND c.user IS ?"
                " AND c.closed_by IS NOT c.memory"
                " ORDER BY c.seq DESC LIMIT ?",
                (subject, *above, subject, *below, owner, CLAIMS_READ),
            ):
                claim = claim_of(row)
                found[claim.seq] = claim
        return [found[seq] for seq in sorted(found)]

    def spoken_claims(self, speaker: str, user: str | None, limit: int) -> list[ClaimRow]:
        self.flush("memories", "claims")
        rows = query(
            self._db,
            f"{CLAIMS} WHERE c.speaker = ? AND c.user IS ? AND c.closed_by IS NULL ORDER BY c.seq DESC LIMIT ?",
            self._name(speaker),
            None if user is None else self._name(user),
            limit,
        )
        return [claim_of(row) for row in reversed(rows)]

    def turn(self, session: str | None, speaker: str) -> int | None:
        if session is None:
            return None
        named = self._name(session), self._name(speaker)
        return int(scalar(self._db, "SELECT count(*) FROM sources WHERE session = ? AND speaker = ?", *named))

    # -- new rows ----------------------------------------------------------------------------------------------------

    def journal(self, source: Source, ordinal: int) -> bool:
        """Stores a message verbatim. False when the very same message is there already: then nothing is written."""
        message, scope = source.message, source.scope
        check_text(message.text, "The text")
        check_text(message.caption or "", "The caption")
        at = to_micros(message.at)
        identity = keyed_hash(
            self._secret, scope.user, scope.agent, scope.session, message.role, message.speaker, message.text, message.caption,
            message.id, str(at), str(ordinal),
        )  # fmt: skip
        found = query(
            self._db,
            "INSERT INTO sources (id, identity, user, agent, session, principal, channel, role, speaker, at, zone, recorded,"
            " text, caption, foreign_id, hash) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
            " ON CONFLICT (identity) DO NOTHING RETURNING seq",
                source.id, identity, self._maybe(scope.user), self._maybe(scope.agent), self._maybe(scope.session),
                self._name(source.principal), source.channel, message.role, self._maybe(message.speaker), at,
                zone_of(message.at), to_micros(source.recorded), message.text, message.caption, message.id,
                source.hash,
        )  # fmt: skip
        if not found:
            return False
        self._sources[source.id] = int(found[0][0])
        return True

    def add(self, draft: Draft, cause: str | None = None) -> int:
        memory = draft.memory
        seq = self._bump("memories")
        self._memories[memory.id] = seq
        self._pending["memories"].append((seq, memory.id, self._source(memory.spans[0].source), memory.part))
        if memory.priority or memory.expires is not None:
            self.set_state(memory.id, memory.state, memory.expires, memory.priority)
        return self._content(seq, draft, 1, memory.valid, Outcome.ADDED, cause)

    def revise(self, draft: Draft, number: int, outcome: Outcome, cause: str | None = None) -> int:
        """A further version of a memory, with new words. The row that held before must have been closed."""
        seq = self.seq_of(draft.memory.id)
        self._touch(seq)
        return self._content(seq, draft, number, draft.memory.valid, outcome, cause)

    def _content(self, seq: int, draft: Draft, number: int, valid: Interval, outcome: Outcome, cause: str | None) -> int:
        memory, content = draft.memory, self._bump("contents")
        flags = FLAG_QUESTION * draft.is_question | FLAG_TIME * draft.has_time | FLAG_EVENT * draft.is_event | FLAG_OWN * draft.is_own
        attributes = dump_attributes(memory.entities, memory.keywords, memory.times)
        pending = self._pending
        pending["contents"].append(
            (content, seq, memory.type, self._maybe(memory.speaker), memory.about, attributes, flags,
             len(memory.text.split()) + len((memory.speaker or "").split()), bytes.fromhex(memory.checksum))
        )  # fmt: skip
        for ordinal, span in enumerate(memory.spans):
            pending["spans"].append((content, ordinal, self._source(span.source), span.start, span.end))
        pending["text_index"].append((content, f"u{self._maybe(memory.scope.user) or 0}", memory.text))
        self.version(memory.id, number, content, valid, outcome, memory.author, memory.reason, cause, memory.ending)
        for claim in draft.claims:
            self._claim(claim, content)
        self.new_contents.append(content)
        return content

    def version(
        self,
        memory: str,
        number: int,
        content: int,
        valid: Interval,
        outcome: Outcome,
        author: str,
        reason: str,
        cause: str | None,
        ending: str = "",
    ) -> None:
        """A row that says: from now on we know that ``content`` held over ``valid``."""
        seq = self.seq_of(memory)
        self._pending["versions"].append(
            (self._bump("versions"), seq, number, content, outcome, author, reason,
             None if cause is None else self.seq_of(cause), to_micros(valid.start), to_micros(valid.end), self._now, None,
             self._closed.get(seq), ending)
        )  # fmt: skip

    def _claim(self, claim: ClaimRow, content: int) -> None:
        closer = None if claim.closed_by is None else self.seq_of(claim.closed_by)
        self._pending["claims"].append(
            (self.seq_of(claim.memory), content, self._maybe(claim.user), claim.subject, claim.attribute, claim.value, int(claim.polarity),
             claim.tense, claim.cue, claim.arity, claim.sort, claim.serial, self._maybe(claim.speaker), claim.turn, self._maybe(claim.session),
             to_micros(claim.said), to_micros(claim.valid.start), to_micros(claim.valid.end), closer,
             None if closer is None else to_micros(claim.valid.end))
        )  # fmt: skip

    def link(self, source: str, target: str, kind: str, reason: str) -> None:
        self._pending["links"].append((self.seq_of(source), self.seq_of(target), kind, reason, self._now))

    # -- changes to what is there ------------------------------------------------------------------------------------

    def current(self, memory: str) -> tuple[int, int, int, Interval]:
        """(version row, number, content, valid) of the latest version as we know it now. Raises ``Missing``."""
        seq = self.seq_of(memory)
        rows = self.rows(
            "SELECT seq, number, content, valid_from, valid_to FROM versions WHERE memory=? AND recorded_to IS NULL"
            " ORDER BY number DESC, coalesce(valid_from, -9e18) DESC LIMIT 1",
            seq,
        )
        if not rows:
            raise Missing(f"Memory {memory} has no version on record; run `loci verify`.")
        row, number, content, start, end = rows[0]
        assert isinstance(row, int) and isinstance(number, int) and isinstance(content, int)
        return row, number, content, Interval(_time(start), _time(end))

    def close(self, memory: str, at: datetime | None, reason: str, cause: str | None = None) -> int:
        at = at or _sure(self._now)
        row, number, content, valid = self.current(memory)
        seq = self.seq_of(memory)
        outcome, author, before = self.rows("SELECT outcome, author, reason FROM versions WHERE seq = ?", row)[0]
        self._db.execute("UPDATE versions SET recorded_to = ? WHERE seq = ?", (self._now, row))
        self._closed[seq] = row
        end = at if valid.end is None else min(at, valid.end)
        end = end if valid.start is None else max(end, valid.start)
        self.version(memory, number, content, Interval(valid.start, end), Outcome(outcome), author, before, cause, reason)
        self._touch(seq)
        return number

    def close_claims(self, memory: str, key: tuple[str, str], closer: str, at: datetime | None) -> None:
        self.flush("claims")
        above, below = _met_by(key[1])
        self._db.execute(
            "UPDATE claims SET closed_by = ?, closed_at = ? WHERE memory = ? AND closed_by IS NULL AND subject = ?"
            f" AND (attribute IN ({','.join('?' * len(above))}) OR attribute BETWEEN ? AND ?)",
            (self.seq_of(closer), to_micros(at), self.seq_of(memory), key[0], *above, *below),
        )

    def retire_claims(self, memory: str) -> None:
        """The memory no longer says what it said: its open claims end with it."""
        self.flush()
        self._db.execute(
            "UPDATE claims SET closed_by = ?1, closed_at = ?2 WHERE memory = ?1 AND closed_by IS NULL",
            (self.seq_of(memory), self._now),
        )

    def carry_claims(self, memory: str, content: int) -> None:
        """What the former version claimed, a further version that keeps its words claims as well."""
        self.flush()
        columns = (
            "user, subject, attribute, value, polarity, tense, cue, arity, sort, serial, speaker, turn, session, said, valid_from, valid_to"
        )
        self._db.execute(
            f"INSERT INTO claims (memory, content, {columns}) SELECT memory, ?, {columns} FROM claims"
            " WHERE memory = ? AND closed_by IS NULL AND content != ?",
            (content, self.seq_of(memory), content),
        )
        self._db.execute(
            "UPDATE claims SET closed_by = memory, closed_at = ? WHERE memory = ? AND content != ? AND closed_by IS NULL",
            (self._now, self.seq_of(memory), content),
        )

    def reopen_claims(self, memory: str, content: int) -> list[str]:
        """What a version claimed holds again, and only that. Returns the other memories that had superseded it."""
        self.flush()
        seq = self.seq_of(memory)
        closers = self.rows(
            "SELECT DISTINCT m.id FROM claims c JOIN memories m ON m.seq = c.closed_by"
            " WHERE c.memory = ?1 AND c.content = ?2 AND m.seq != ?1",
            seq,
            content,
        )
        self.retire_claims(memory)
        self._db.execute("UPDATE claims SET closed_by = NULL, closed_at = NULL WHERE memory = ? AND content = ?", (seq, content))
        return [str(r[0]) for r in closers]

    def open_claims(self, memory: str) -> int:
        """How many of the memory's claims still hold."""
        self.flush("claims")
        return int(scalar(self._db, "SELECT count(*) FROM claims WHERE memory = ? AND closed_by IS NULL", self.seq_of(memory)))

    def state(self, memory: str) -> tuple[State, datetime | None, int]:
        """(state, expires, priority) of a memory."""
        rows = query(self._db, "SELECT state, expires, priority FROM states WHERE memory = ?", self.seq_of(memory))
        if not rows:
            return State.GENERATED, None, 0
        state, expires, priority = rows[0]
        return State(str(state)), _time(expires), int(priority)

    def content_of(self, memory: str, number: int) -> int:
        return int(self.rows("SELECT max(content) FROM versions WHERE memory = ? AND number = ?", self.seq_of(memory), number)[0][0])

    def overdue(self, now: datetime) -> list[tuple[str, State, datetime, int]]:
        found = self.rows(
            "SELECT m.id, t.state, t.expires, t.priority FROM states t JOIN memories m ON m.seq = t.memory"
            " WHERE t.expires <= ? AND t.state != 'expired'",
            to_micros(now),
        )
        return [(str(id), State(str(state)), _sure(expires), int(priority)) for id, state, expires, priority in found]

    def set_state(self, memory: str, state: State, expires: datetime | None, priority: int) -> None:
        seq = self.seq_of(memory)
        self._db.execute("INSERT OR REPLACE INTO states VALUES (?,?,?,?)", (seq, state.value, to_micros(expires), priority))
        self._touch(seq)

    def use(self, memories: Mapping[str, int], at: datetime) -> list[str]:
        """Adds to the use counters of those memories that still exist, and returns these."""
        known = []
        for memory, times in memories.items():
            self._db.execute(
                "INSERT INTO usage SELECT seq, ?, ? FROM memories WHERE id=? ON CONFLICT (memory) DO UPDATE SET"
                " uses = uses + excluded.uses, last_used = max(last_used, excluded.last_used)",
                (times, to_micros(at), memory),
            )
            if self._db.changes():
                known.append(memory)
        return known

    # -- erasure and audit ----------------------------------------------------------------------------------------------

    def quoting(self, by: str, value: str) -> list[str]:
        if by == "memory":
            quoted = "SELECT p.source FROM spans p JOIN contents c ON c.seq = p.content JOIN memories m ON m.seq = c.memory WHERE m.id = ?"
            chosen = f"seq IN ({quoted})"
        elif by == "source":
            chosen = "id = ?"
        else:
            assert by in ("user", "session")
            chosen = f"{by} = (SELECT seq FROM names WHERE name = ?)"
        return [str(r[0]) for r in self.rows(f"SELECT id FROM sources WHERE {chosen} ORDER BY seq", value)]

    def remove(self, sources: Sequence[str]) -> Removed:
        self.flush()
        counts, reopened = erasure.remove(self._db, [self._source(s) for s in sources], self.change, self._now)
        self._memories.clear()
        return Removed(counts, tuple(claim_of(row) for row in self.rows(f"{CLAIMS} WHERE c.seq IN ({','.join(map(str, reopened))})")))

    def reopen(self, after: datetime) -> None:
        self.flush()
        at = to_micros(after)
        erasure.undo(self._db, [int(r[0]) for r in self.rows("SELECT seq FROM versions WHERE valid_from > ? AND follows IS NOT NULL", at)])
        self._db.execute("DELETE FROM versions WHERE valid_from > ? AND number > 1", (at,))
        self._db.execute(
            "UPDATE states SET state = 'generated' WHERE state = 'expired' AND memory IN (SELECT memory FROM versions"
            " WHERE recorded_to IS NULL AND valid_to > ?)",
            (at,),
        )
        self._db.execute("UPDATE versions SET valid_to = NULL, ending = '' WHERE recorded_to IS NULL AND valid_to > ?", (at,))
        self._db.execute("UPDATE claims SET closed_by = NULL, closed_at = NULL WHERE closed_at > ?", (at,))
        self._db.execute("UPDATE header SET value = value + 1 WHERE key = 'epoch'")

    def audit(self, principal: str, verb: str, object: str, detail: Mapping[str, object]) -> None:
        """Appends to the chain: each record's hash covers the record and the hash before it."""
        self.flush()
        text = compact(detail)
        hash = chain(self._secret, self._head or b"", self.change, self._now, principal, verb, object, text)
        self._db.execute(
            "INSERT INTO audit VALUES (?,?,?,?,?,?,?)",
            (self.change, self._now, principal, verb, object, text, hash),
        )  # fmt: skip
        self._db.execute("INSERT OR REPLACE INTO header VALUES ('head', ?)", (hash,))  # so that the last record is missed too
        self._head = hash
        self.change += 1

    # -- plumbing ----------------------------------------------------------------------------------------------------

    def flush(self, *tables: str) -> None:
        """Writes the rows gathered for these tables, or for all."""
        for table in tables or INSERTS:
            rows = self._pending[table]
            if rows:
                self._db.executemany(INSERTS[table], rows)
                rows.clear()

    def _touch(self, memory: int) -> None:
        self._pending["touched"].append((self.change, memory))

    def _bump(self, table: str) -> int:
        self._next[table] += 1
        return self._next[table]

    def _source(self, source: str) -> int:
        seq = self._sources.get(source)
        if seq is None:
            seq = self._sources[source] = int(scalar(self._db, "SELECT seq FROM sources WHERE id = ?", source))
        return seq

    def _maybe(self, name: str | None) -> int | None:
        return None if name is None else self._name(name)

    def _name(self, name: str) -> int:
        seq = self._known.get(name) or self.new_names.get(name)
        if seq is None:
            check_text(name, "A name")
            self._db.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (name,))
            seq = self.new_names[name] = int(scalar(self._db, "SELECT seq FROM names WHERE name = ?", name))
        return seq


CLAIMS_READ = 64  # of one key, newest first: what a new claim is held against
CLAIMS = """
SELECT c.seq, m.id, c.subject, c.attribute, c.value, c.polarity, c.tense, c.cue, c.arity, c.sort, c.serial, p.name, c.turn, u.name, s.name,
  c.said, c.valid_from, coalesce(c.closed_at, c.valid_to), k.id
FROM claims c JOIN memories m ON m.seq = c.memory LEFT JOIN memories k ON k.seq = c.closed_by
  LEFT JOIN names p ON p.seq = c.speaker LEFT JOIN names u ON u.seq = c.user LEFT JOIN names s ON s.seq = c.session
"""


def _met_by(attribute: str) -> tuple[list[str], tuple[str, str]]:
    """The attributes that begin this one, itself included, and the range of those that it begins."""
    words = attribute.split("/")
    return ["/".join(words[: i + 1]) for i in range(len(words))], (f"{attribute}/", f"{attribute}/\U0010ffff")


def claim_of(row: Sequence[Any]) -> ClaimRow:
    (seq, memory, subject, attribute, value, polarity, tense, cue, arity, sort, serial, speaker, turn, user, session, said, start, end,
     closer) = row  # fmt: skip
    assert isinstance(seq, int)
    return ClaimRow(
        memory=str(memory), subject=str(subject), attribute=str(attribute), value=str(value), polarity=bool(polarity),
        tense=str(tense), cue=str(cue), arity=str(arity), sort=str(sort), serial=serial if isinstance(serial, int) else None,
        speaker=_text(speaker), turn=turn if isinstance(turn, int) else None, user=_text(user), session=_text(session), said=_time(said),
        valid=Interval(_time(start), _time(end)), closed_by=_text(closer), seq=seq,
    )  # fmt: skip


def chain(secret: bytes, before: bytes, seq: int, at: int | None, principal: str, verb: str, object: str, detail: str) -> bytes:
    """The hash of one audit record: covers everything in it and the record before."""
    return keyed_hash(secret, before.hex(), str(seq), str(at), principal, verb, object, detail)


def _time(value: object) -> datetime | None:
    return from_micros(value) if isinstance(value, int) else None


def _sure(value: object) -> datetime:
    at = _time(value)
    assert at is not None
    return at


def _text(value: object) -> str | None:
    return None if value is None else str(value)

"""One write transaction on a cube: the rows of a change, its index, claims, links, jobs and audit record together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from loci.drivers.sqlite import erasure
from loci.drivers.sqlite.claims import ClaimRows
from loci.drivers.sqlite.codec import (
    FLAG_EVENT,
    FLAG_OWN,
    FLAG_QUESTION,
    FLAG_TIME,
    check_text,
    compact,
    dump_attributes,
    keyed_hash,
    to_micros,
    zone_of,
)
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.jobs import JobRows
from loci.drivers.sqlite.rows import sure_time, time_of
from loci.errors import Missing
from loci.ports import Draft, Removed
from loci.types import Interval, Outcome, Source, State


class SqliteTransaction(ClaimRows, JobRows):
    """What ``SqliteStore.write()`` yields."""

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
        return row, number, content, Interval(time_of(start), time_of(end))

    def close(self, memory: str, at: datetime | None, reason: str, cause: str | None = None) -> int:
        """Nothing that the memory says holds from ``at`` on: neither its latest version nor a former one that was to hold longer."""
        at = at or sure_time(self._now)
        row, number, _, _ = self.current(memory)
        seq = self.seq_of(memory)
        for other in self.rows(
            "SELECT seq FROM versions WHERE memory = ?1 AND recorded_to IS NULL AND seq != ?2 AND valid_to > max(coalesce(valid_from, ?3), ?3)",
            seq, row, to_micros(at),
        ):  # fmt: skip
            self._end(memory, int(other[0]), at, reason, cause)
        self._end(memory, row, at, reason, cause)
        self._touch(seq)
        return number

    def _end(self, memory: str, row: int, at: datetime, reason: str, cause: str | None) -> None:
        """What we know of one version from now on: the same, until ``at`` at the latest."""
        seq = self.seq_of(memory)
        number, content, start, until, outcome, author, before = self.rows(
            "SELECT number, content, valid_from, valid_to, outcome, author, reason FROM versions WHERE seq = ?", row
        )[0]
        self._db.execute("UPDATE versions SET recorded_to = ? WHERE seq = ?", (self._now, row))
        self._closed[seq] = row
        valid = Interval(time_of(start), time_of(until))
        end = at if valid.end is None else min(at, valid.end)
        end = end if valid.start is None else max(end, valid.start)
        self.version(memory, number, content, Interval(valid.start, end), Outcome(outcome), author, before, cause, reason)

    def state(self, memory: str) -> tuple[State, datetime | None, int]:
        """(state, expires, priority) of a memory."""
        rows = query(self._db, "SELECT state, expires, priority FROM states WHERE memory = ?", self.seq_of(memory))
        if not rows:
            return State.GENERATED, None, 0
        state, expires, priority = rows[0]
        return State(str(state)), time_of(expires), int(priority)

    def content_of(self, memory: str, number: int) -> int:
        return int(self.rows("SELECT max(content) FROM versions WHERE memory = ? AND number = ?", self.seq_of(memory), number)[0][0])

    def overdue(self, now: datetime) -> list[tuple[str, State, datetime, int]]:
        found = self.rows(
            "SELECT m.id, t.state, t.expires, t.priority FROM states t JOIN memories m ON m.seq = t.memory"
            " WHERE t.expires <= ? AND t.state != 'expired'",
            to_micros(now),
        )
        return [(str(id), State(str(state)), sure_time(expires), int(priority)) for id, state, expires, priority in found]

    def set_state(self, memory: str, state: State, expires: datetime | None, priority: int, author: str = "", reason: str = "") -> None:
        seq = self.seq_of(memory)
        before, over, _ = self.state(memory)
        if over is not None and expires is None:  # a time to live that is lifted still stands for the versions it was meant for
            self.flush("versions")
            self._db.execute(
                "UPDATE versions SET valid_to = max(coalesce(valid_from, ?2), ?2) WHERE memory = ?1 AND coalesce(valid_to > ?2, 1)",
                (seq, to_micros(over)),
            )
        if reason and before is not state:
            values = (seq, self._now, before.value, state.value, author, reason)
            self._db.execute("INSERT INTO moves (memory, at, before, after, author, reason) VALUES (?,?,?,?,?,?)", values)
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
        return Removed(counts, tuple(self.claims_of(reopened)))

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
        self._db.execute("DELETE FROM moves WHERE at > ?", (at,))
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


def chain(secret: bytes, before: bytes, seq: int, at: int | None, principal: str, verb: str, object: str, detail: str) -> bytes:
    """The hash of one audit record: covers everything in it and the record before."""
    return keyed_hash(secret, before.hex(), str(seq), str(at), principal, verb, object, detail)

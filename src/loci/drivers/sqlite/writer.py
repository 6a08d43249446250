"""One write transaction on a cube: the rows of a change, its index, claims, links, jobs and audit record together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from loci.drivers.sqlite import audit, erasure
from loci.drivers.sqlite.adapters import AdapterRows
from loci.drivers.sqlite.claims import ClaimRows
from loci.drivers.sqlite.codec import (
    FLAG_EVENT,
    FLAG_OWN,
    FLAG_QUESTION,
    FLAG_TIME,
    RANK,
    check_text,
    dump_attributes,
    keyed_hash,
    sure_time,
    time_of,
    to_micros,
    zone_of,
)
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.payloads import CLOCK, PayloadRows
from loci.drivers.sqlite.revert import revert
from loci.drivers.sqlite.rows import Row
from loci.drivers.sqlite.seals import INTO, NAMED, SAME, SEALED, seal, sealed, sum_of
from loci.errors import Conflict, Missing
from loci.ports import ClaimRow, Draft, Removed, Strength
from loci.text import metadata
from loci.text.tokens import length, spaced
from loci.types import Interval, Outcome, Scope, Source, State

UNSEALED = ("versions", "links", "moves")  # whose rows an erasure or a reversion writes, with an empty seal
IS_NAME = [("sources", column) in NAMED for column in SEALED["sources"]]
JOURNAL = (
    f"INSERT INTO sources ({', '.join(SEALED['sources'])}, seal, text, caption) VALUES ({'?,' * len(IS_NAME)}?,?,?)"
    " ON CONFLICT (identity) DO NOTHING"
)


class SqliteTransaction(ClaimRows, AdapterRows, PayloadRows):
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
        seq = self._next["sources"] + 1
        row = (
            seq, source.id, identity, scope.user, scope.agent, scope.session, source.principal, source.channel.value, message.role,
            message.speaker, at, zone_of(message.at), to_micros(source.recorded), message.id, source.hash, source.origin,
            RANK[source.trust],
        )  # fmt: skip
        mark = seal(self._secret, "sources", row)
        stored = [self._maybe(str(value)) if is_name and value is not None else value for value, is_name in zip(row, IS_NAME, strict=True)]
        self._db.execute(JOURNAL, (*stored, mark, message.text, message.caption))
        if not self._db.changes():  # asked of the connection: RETURNING makes a table of its own for every row
            return False
        self._sources[source.id] = self._bump("sources")
        self._journal = sum_of([mark], self._journal)
        return True

    def add(self, draft: Draft, cause: str | None = None) -> int:
        memory = draft.memory
        seq = self._bump("memories")
        self._memories[memory.id] = seq
        self._pending["memories"].append((seq, memory.id, self._source(memory.spans[0].source), memory.part.value))
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
            (content, seq, memory.type.value, self._maybe(memory.speaker), memory.about, attributes, flags,
             length(memory.text) + len((memory.speaker or "").split()), bytes.fromhex(memory.checksum), RANK[memory.origin.trust],
             metadata.written(memory.metadata))
        )  # fmt: skip
        for ordinal, span in enumerate(memory.spans):
            pending["spans"].append((content, ordinal, self._source(span.source), span.start, span.end))
        pending["text_index"].append((content, f"u{self._maybe(memory.scope.user) or 0}", spaced(memory.text)))
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
            (self._bump("versions"), seq, number, content, outcome.value, author, reason,
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
            moves = sealed(self._secret, "moves", [(seq, self._now, before.value, state.value, author, reason)])
            self._db.executemany(f"INSERT INTO {INTO['moves']}", moves)
        self._put_states([(seq, state.value, to_micros(expires), priority)])
        self._touch(seq)

    def _put_states(self, rows: Sequence[Row]) -> None:
        self._db.executemany(f"INSERT OR REPLACE INTO {INTO['states']}", sealed(self._secret, "states", rows))

    # -- quarantine ----------------------------------------------------------------------------------------------------

    def says(self, user: str | None, texts: Sequence[str]) -> bool:
        scope = f"u{self._maybe(user) or 0}"
        return all(self._says(scope, text) for text in texts if any(sign.isalnum() for sign in text))

    def _says(self, scope: str, text: str) -> bool:
        quoted = spaced(text).replace("\0", " ").replace('"', '""')
        return bool(self.rows("SELECT 1 FROM text_index WHERE text_index MATCH ? LIMIT 1", f'scope : {scope} AND words : "{quoted}"'))

    def is_tainted(self, user: str | None, session: str | None) -> bool:
        if session is None:
            return False
        found = query(
            self._db,
            "SELECT 1 FROM sources WHERE session = ? AND user IS ? AND trust = 0 LIMIT 1",
            self._name(session), self._maybe(user),
        )  # fmt: skip
        return bool(found)

    def hold(self, memory: str, reason: str, decision: str = "") -> None:
        self.flush("memories")
        seq = self.seq_of(memory)
        before, since, until = self._held(seq) or (reason, self._now, self._now)
        self._put_held((seq, reason or before, since if until is None else self._now, None, decision))

    def release(self, memory: str, decision: str) -> None:
        seq = self.seq_of(memory)
        held = self._held(seq)
        if held is not None and held[2] is None:
            self._put_held((seq, held[0], held[1], self._now, decision))

    def _held(self, seq: int) -> tuple[str, int, int | None] | None:
        """(reason, since, until) of a memory that is or was in quarantine."""
        found = query(self._db, "SELECT reason, since, until FROM quarantine WHERE memory = ?", seq)
        return found[0] if found else None

    def _put_held(self, row: Row) -> None:
        self._db.executemany(f"INSERT OR REPLACE INTO {INTO['quarantine']}", sealed(self._secret, "quarantine", [row]))
        self._touch(int(row[0]))

    def is_held(self, memory: str) -> bool:
        return bool(query(self._db, "SELECT 1 FROM quarantine WHERE memory = ? AND until IS NULL", self.seq_of(memory)))

    def use(self, memories: Mapping[str, int], at: datetime) -> list[str]:
        """Adds to the use counters of those memories that still exist, and returns these; activation memories and adapters are counted too."""
        known = []
        for memory, times in memories.items():
            self._db.execute(
                "INSERT INTO usage (memory, uses, last_used) SELECT seq, ?, ? FROM memories WHERE id=? ON CONFLICT (memory) DO UPDATE SET"
                " uses = uses + excluded.uses, last_used = max(last_used, excluded.last_used)",
                (times, to_micros(at), memory),
            )
            if self._db.changes():
                known.append(memory)
            else:
                count = f"UPDATE payloads SET uses = uses + ?, last_used = max(coalesce(last_used, 0), ?), clock = {CLOCK} WHERE id = ?"
                self._db.execute(count, (times, to_micros(at), memory))
                latest = "number = (SELECT max(number) FROM adapters WHERE id = ?3)"
                count = f"UPDATE adapters SET uses = uses + ?1, last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?3 AND {latest}"
                self._db.execute(count, (times, to_micros(at), memory))
        return known

    def strength(self, memory: str) -> Strength | None:
        born = "(SELECT min(recorded_from) FROM versions v WHERE v.memory = m.seq)"
        found = query(
            self._db,
            f"SELECT coalesce(u.last_cited, {born}), coalesce(u.stability, 0), coalesce(u.cited, 0), coalesce(u.heat, 0)"
            " FROM memories m LEFT JOIN usage u ON u.memory = m.seq WHERE m.id = ?",
            memory,
        )
        return Strength(sure_time(found[0][0]), float(found[0][1]), int(found[0][2]), float(found[0][3])) if found else None

    def cite(self, memory: str, strength: Strength) -> None:
        at = to_micros(strength.last_used)
        self._db.execute(
            "INSERT INTO usage SELECT seq, 0, ?1, ?2, ?1, ?3, ?4 FROM memories WHERE id = ?5 ON CONFLICT (memory) DO UPDATE SET"
            " cited = excluded.cited, last_cited = excluded.last_cited, stability = excluded.stability, heat = excluded.heat",
            (at, strength.uses, strength.stability_days, strength.heat, memory),
        )

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

    def said_in(self, scope: Scope) -> list[str]:
        wanted = [None if name is None else self._number_of(name) for name in (scope.user, scope.agent, scope.session)]
        found = self.rows(
            "SELECT id FROM sources WHERE (?1 IS NULL OR user = ?1) AND (?2 IS NULL OR agent = ?2) AND (?3 IS NULL OR session = ?3) ORDER BY seq",
            *wanted,
        )
        return [str(row[0]) for row in found]

    def coming_from(self, by: Mapping[str, str]) -> list[str]:
        wanted = [None if by.get(word) is None else self._number_of(by[word]) for word in ("origin", "session", "user", "principal")]
        found = self.rows(
            "SELECT id FROM sources WHERE (?1 IS NULL OR origin = ?1) AND (?2 IS NULL OR session = ?2) AND (?3 IS NULL OR user = ?3)"
            " AND (?4 IS NULL OR principal = ?4) ORDER BY seq",
            *wanted,
        )
        return [str(row[0]) for row in found]

    def _number_of(self, name: str) -> int:
        """The number of a name; of one that is nobody's, none that there is."""
        found = query(self._db, "SELECT seq FROM names WHERE name = ?", name)
        return int(found[0][0]) if found else -1

    def made_of(self, sources: Sequence[str]) -> list[str]:
        quoting = f"SELECT c.memory FROM spans p JOIN contents c ON c.seq = p.content WHERE p.source IN ({self._listed(sources)})"
        made = f"SELECT source FROM links WHERE type = 'derived' AND target IN ({quoting})"
        found = self.rows(
            "SELECT DISTINCT s.id FROM sources s JOIN spans p ON p.source = s.seq JOIN contents c ON c.seq = p.content"
            f" WHERE c.memory IN ({made}) ORDER BY s.seq"
        )
        return [str(row[0]) for row in found]

    def frozen(self, sources: Sequence[str]) -> list[str]:
        found = self.rows(
            "SELECT DISTINCT m.id FROM spans p JOIN contents c ON c.seq = p.content JOIN memories m ON m.seq = c.memory JOIN states t"
            f" ON t.memory = m.seq WHERE t.state = 'frozen' AND p.source IN ({self._listed(sources)}) ORDER BY m.seq"
        )
        return [str(row[0]) for row in found]

    def revert(self, sources: Sequence[str], reason: str) -> tuple[list[str], tuple[ClaimRow, ...]]:
        self.flush()
        gone, reopened = revert(self._db, [self._source(s) for s in sources], self.change, self._now)
        self._count_versions()
        names = self.rows(f"SELECT id FROM memories WHERE seq IN ({','.join(map(str, gone))}) ORDER BY seq")
        for (memory,) in names:
            self.hold(str(memory), reason, "reverted")
        return [str(row[0]) for row in names], tuple(self.claims_of(reopened))

    def _count_versions(self) -> None:
        """After rows were written past this transaction: seals them, and counts the versions."""
        for table in UNSEALED:
            for row in query(self._db, f"SELECT {', '.join(SEALED[table])} FROM {table} WHERE seal = x''"):
                self._db.execute(f"UPDATE {table} SET seal = ? WHERE {SAME[table]} AND seal = x''", (seal(self._secret, table, row), *row))
        self._next["versions"] = int(self.rows("SELECT coalesce(max(seq), 0) FROM versions")[0][0])
        self._closed.clear()

    def _listed(self, sources: Sequence[str]) -> str:
        return ",".join(str(self._source(source)) for source in sources)

    def remove(self, sources: Sequence[str]) -> Removed:
        self.flush()
        seqs = [self._source(s) for s in sources]
        seals = self._db.execute(f"SELECT seal FROM sources WHERE seq IN ({','.join(map(str, seqs))})")
        self._journal = sum_of([bytes(row[0]) for row in seals], self._journal)
        kept, quoting = erasure.metadata_of(self._db, seqs), self._quoting(seqs)
        counts, reopened = erasure.remove(self._db, seqs, self.change, self._now)
        self._memories.clear()
        self._count_versions()
        left = {row[0] for row in self.rows(f"SELECT seq FROM memories WHERE seq IN ({','.join(map(str, quoting.values()))})")}
        return Removed(counts, tuple(self.claims_of(reopened)), kept, tuple(id for id, seq in quoting.items() if seq not in left))

    def _quoting(self, sources: Sequence[int]) -> dict[str, int]:
        """The memories that quote these sources, by their ids."""
        listed = ",".join(map(str, sources))
        sql = f"SELECT DISTINCT m.id, m.seq FROM spans p JOIN contents c ON c.seq = p.content JOIN memories m ON m.seq = c.memory WHERE p.source IN ({listed})"
        return {str(id): int(seq) for id, seq in self.rows(sql)}

    def reopen(self, after: datetime) -> None:
        self.flush()
        at = to_micros(after)
        erasure.undo(self._db, [int(r[0]) for r in self.rows("SELECT seq FROM versions WHERE valid_from > ? AND follows IS NOT NULL", at)])
        self._db.execute("DELETE FROM versions WHERE valid_from > ? AND number > 1", (at,))
        erasure.drop_untold(self._db)
        alive = self.rows(
            "SELECT memory, 'generated', expires, priority FROM states WHERE state = 'expired' AND memory IN (SELECT memory FROM versions"
            " WHERE recorded_to IS NULL AND coalesce(valid_to > ?, 1))",
            at,
        )
        self._put_states(alive)
        self._db.execute("UPDATE versions SET valid_to = NULL, ending = '' WHERE recorded_to IS NULL AND valid_to > ?", (at,))
        self._db.execute("UPDATE claims SET closed_by = NULL, closed_at = NULL WHERE closed_at > ?", (at,))
        self._db.execute("DELETE FROM moves WHERE at > ?", (at,))
        self._db.execute("DELETE FROM quarantine WHERE since > ? AND decision = 'reverted'", (at,))
        self._count_versions()
        self._db.execute("UPDATE header SET value = value + 1 WHERE key = 'epoch'")

    def set_option(self, name: str, value: str | None) -> None:
        self._db.execute("DELETE FROM header WHERE key = ?", (f"option {name}",))
        if value is not None:
            self._db.execute("INSERT INTO header VALUES (?, ?)", (f"option {name}", value))

    def count_of(self, user: str | None) -> int:
        found = self.rows("SELECT messages FROM held WHERE user = iif(?1 IS NULL, 0, (SELECT seq FROM names WHERE name = ?1))", user)
        return int(found[0][0]) if found else 0

    def complete(self) -> None:
        """Writes what is still gathered, and what follows from it, before the commit."""
        self.flush()
        for id, number, memory in self.archive_outdated(self._first):
            self.audit("scheduler", "archive_adapter", id, {"version": number, "memory": memory})
        self._db.execute(
            "INSERT INTO header VALUES ('journal', ?1) ON CONFLICT DO UPDATE SET value = ?1 WHERE value != ?1", (self._journal,)
        )

    def tell(self, detail: Mapping[str, object]) -> None:
        self.told.update(detail)

    def answer(self, key: bytes, asked: bytes, answer: str, until: datetime) -> None:
        """Keeps the answer to a request with this write, and lets go of those that were kept before ``until``. Raises `Conflict` where one is kept."""
        self._db.execute("DELETE FROM requests WHERE at < ?", (to_micros(until),))
        self._db.execute("INSERT INTO requests VALUES (?,?,?,?) ON CONFLICT (key) DO NOTHING", (key, asked, self._now, answer))
        if not self._db.changes():
            raise Conflict("Another call with the same key was quicker. This one changed nothing: ask again.")

    def audit(self, principal: str, verb: str, object: str, detail: Mapping[str, object]) -> None:
        """Appends to the chain: each record's hash covers the record and the hash before it."""
        self.flush()
        told = {**detail, **self.told}
        self._head = audit.append(self._db, self._secret, self._head or b"", self.change, self._now, principal, verb, object, told)
        self.change += 1

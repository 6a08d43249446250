"""Rows to values: memories with their words quoted from the sources, history, links, claims, jobs and the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from loci.drivers.sqlite.codec import TRUSTS, load_attributes, sure_time, time_of
from loci.drivers.sqlite.connection import query
from loci.errors import Corrupt, Missing, missing
from loci.text import metadata
from loci.types import (
    Channel,
    Claim,
    Interval,
    Kind,
    Link,
    Memory,
    Message,
    Origin,
    Part,
    Scope,
    Source,
    Span,
    State,
    Suspect,
    Transition,
    Type,
)

Row = Sequence[Any]

VERSIONS = """
SELECT v.seq, m.id, v.number, m.part, c.type, c.speaker, c.about, c.attributes, c.checksum, c.seq,
  s.user, s.agent, s.session, s.principal, s.channel, s.origin, c.trust, s.at, s.zone,
  v.valid_from, v.valid_to, v.recorded_from, v.recorded_to, v.author, v.reason, v.ending,
  t.state, t.expires, t.priority, u.uses, u.last_used, u.cited, u.last_cited, u.stability, u.heat, s.role, c.metadata
FROM versions v JOIN contents c ON c.seq = v.content JOIN memories m ON m.seq = v.memory
  JOIN sources s ON s.seq = m.source
  LEFT JOIN states t ON t.memory = m.seq LEFT JOIN usage u ON u.memory = m.seq
"""
LINKS = """
SELECT a.id, b.id, l.type, l.reason, l.at FROM links l JOIN memories a ON a.seq = l.source JOIN memories b ON b.seq = l.target
"""
LISTED = "(SELECT value FROM json_each(?))"  # numbers as one value, so that the statement stays the same and is prepared once
PARTS, TYPES = {part.value: part for part in Part}, {type.value: type for type in Type}
STATES, CHANNELS = {state.value: state for state in State}, {channel.value: channel for channel in Channel}


class Reader:
    """Reads through one connection. Names are interned numbers in the file; ``names`` are those that are known already."""

    def __init__(self, db: apsw.Connection, cube: str, names: dict[int, str] | None = None) -> None:
        self._db, self._cube = db, cube
        self._names = {} if names is None else names

    def versions(self, where: str, *values: Any) -> list[Memory]:
        """Memories of a query over ``VERSIONS`` (aliases v, c, m, s, t, u), with words, claims and header."""
        rows = query(self._db, f"{VERSIONS} {where}", *values)
        if not rows:
            return []
        spans = self._spans({int(r[9]) for r in rows})
        claims = self._claims({int(r[9]) for r in rows})
        damaged = next((row[1] for row in rows if int(row[9]) not in spans), None)
        if damaged is not None:
            raise Corrupt(f"Memory {damaged} of cube {self._cube} quotes nothing that is there. Run `loci verify`, and restore a copy.")
        return [self._memory(row, spans[int(row[9])], claims.get(int(row[9]), ())) for row in rows]

    def by_rows(self, rows: Sequence[int]) -> list[Memory]:
        """Memories of these version rows, in this order."""
        found = self.versions(f"WHERE v.seq IN {LISTED} ORDER BY v.seq", _list(rows))
        order = {row: place for place, row in enumerate(sorted(rows))}
        return [found[order[row]] for row in rows]

    def texts(self, contents: Sequence[int]) -> dict[int, str]:
        """The words of contents that exist."""
        return {content: text for content, (text, _) in self._spans(set(contents)).items()}

    def history(self, memory: str) -> list[Memory]:
        found = self.versions("WHERE m.id = ? AND v.recorded_to IS NULL ORDER BY v.number, v.valid_from", memory)
        if not found:
            raise missing(memory, self._cube)
        return found

    def scope_of(self, memory: str) -> Scope:
        """Whose a memory is. Raises ``Missing``."""
        rows = query(
            self._db, "SELECT s.user, s.agent, s.session FROM memories m JOIN sources s ON s.seq = m.source WHERE m.id = ?", memory
        )
        if not rows:
            raise missing(memory, self._cube)
        user, agent, session = rows[0]
        return Scope(self._cube, self._name(user), self._name(agent), self._name(session))

    def vectors_of(self, memories: Sequence[str]) -> list[bytes]:
        """Of the last version of each of these its vector in the active generation."""
        sql = (
            "SELECT x.data FROM generations g CROSS JOIN vectors x ON x.generation = g.number AND x.content = (SELECT v.content"
            " FROM versions v JOIN memories m ON m.seq = v.memory WHERE m.id = ? AND v.recorded_to IS NULL ORDER BY v.number DESC, v.seq DESC LIMIT 1)"
            " WHERE g.state = 'active'"
        )
        found = (query(self._db, sql, memory) for memory in memories)
        return [bytes(rows[0][0]) if rows else b"" for rows in found]

    def claimants(self, subject: str, attribute: str, value: str, user: str | None) -> set[str]:
        """The principals in whose words this is claimed."""
        rows = query(
            self._db,
            "SELECT DISTINCT s.principal FROM claims c JOIN memories m ON m.seq = c.memory JOIN sources s ON s.seq = m.source"
            " WHERE c.subject = ? AND c.attribute = ? AND c.value = ? AND c.polarity AND s.user IS (SELECT seq FROM names WHERE name = ?)",
            subject, attribute, value, user,
        )  # fmt: skip
        return {self._name(row[0]) or "" for row in rows}

    def suspects(self, decision: str, source: str | None = None) -> list[Suspect]:
        """What is in quarantine by this decision, oldest first; of a source, that alone which quotes it."""
        rows = query(
            self._db,
            "SELECT m.id, q.reason, q.since FROM quarantine q JOIN memories m ON m.seq = q.memory WHERE q.decision = ?1 AND (?2 IS NULL OR m.seq IN"
            " (SELECT c.memory FROM sources s JOIN spans p ON p.source = s.seq JOIN contents c ON c.seq = p.content WHERE s.id = ?2))"
            " ORDER BY q.since, m.seq",
            decision, source,
        )  # fmt: skip
        return [Suspect(self.history(str(id))[-1], str(reason), sure_time(since), decision) for id, reason, since in rows]

    def source(self, source: str) -> Source:
        rows = self._db.execute(
            "SELECT id, role, text, at, zone, speaker, caption, foreign_id, user, agent, session, principal, channel, recorded,"
            " hash, origin, trust FROM sources WHERE id = ?",
            (source,),
        ).fetchall()
        if not rows:
            raise Missing(f"There is no source {source} in cube {self._cube}; it may have been erased.")
        return self._source(rows[0])

    def sources(self) -> Iterable[Source]:
        """Every journaled message in the order it came."""
        for row in self._db.execute(
            "SELECT id, role, text, at, zone, speaker, caption, foreign_id, user, agent, session, principal, channel, recorded,"
            " hash, origin, trust FROM sources ORDER BY seq"
        ):
            yield self._source(row)

    def called(self, ids: Sequence[str], channel: Channel) -> dict[str, list[str]]:
        """The memories of the whole messages of a channel that have these ids of elsewhere, oldest first."""
        found: dict[str, list[str]] = {}
        sql = (
            "SELECT s.foreign_id, m.id FROM sources s JOIN memories m ON m.source = s.seq WHERE m.part = 'turn' AND s.channel = ?"
            f" AND s.foreign_id IN {LISTED} ORDER BY s.seq, m.seq"
        )
        for foreign, memory in query(self._db, sql, channel.value, json.dumps(list(ids))):
            found.setdefault(str(foreign), []).append(str(memory))
        return found

    def links(self, memory: str | None = None) -> list[Link]:
        one = "JOIN memories x ON x.id = ?1 WHERE"
        sql = f"{LINKS} ORDER BY 5" if memory is None else f"{LINKS} {one} l.source = x.seq UNION {LINKS} {one} l.target = x.seq ORDER BY 5"
        rows = query(self._db, sql, *([] if memory is None else [memory]))
        return [Link(str(a), str(b), str(kind), str(reason), sure_time(at)) for a, b, kind, reason, at in rows]

    def transitions(self, memory: str) -> list[Transition]:
        return [
            Transition(sure_time(at), STATES[before], STATES[after], str(author), str(reason))
            for at, before, after, author, reason in query(
                self._db,
                "SELECT v.at, v.before, v.after, v.author, v.reason FROM moves v JOIN memories m ON m.seq = v.memory WHERE m.id = ?"
                " ORDER BY v.seq",
                memory,
            )
        ]

    def names(self, column: str) -> list[str]:
        """Distinct names in a column of ``sources`` (user, agent, session, speaker), in order of appearance."""
        assert column in ("user", "agent", "session", "speaker")
        rows = self._db.execute(f"SELECT {column}, min(seq) FROM sources WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 2")
        return [name for row in rows if (name := self._name(row[0])) is not None]

    def _source(self, row: Row) -> Source:
        (id, role, text, at, zone, speaker, caption, foreign, user, agent, session, principal, channel, recorded, hash, origin,
         trust) = row  # fmt: skip
        named = self._name(session)
        message = Message(str(role), str(text), time_of(at, zone), self._name(speaker), _str(caption), _str(foreign), named)
        scope = Scope(self._cube, self._name(user), self._name(agent), named)
        assert isinstance(hash, bytes)
        return Source(
            str(id),
            message,
            scope,
            self._name(principal) or "",
            Channel(str(channel)),
            sure_time(recorded),
            hash,
            self._name(origin),
            TRUSTS[trust],
        )

    def _memory(self, row: Row, quoted: tuple[str, tuple[Span, ...]], claims: tuple[Claim, ...]) -> Memory:
        (_, id, number, part, type, speaker, about, attributes, checksum, _, user, agent, session, principal, channel, origin, trust, at, zone,
         valid_from, valid_to, recorded_from, recorded_to, author, reason, ending, state, expires, priority, uses,
         last_used, cited, last_cited, stability, heat, role, kept) = row  # fmt: skip
        entities, keywords, times = load_attributes(attributes)
        named = self._name(session)
        return Memory(
            id=id, version=number, kind=Kind.PLAINTEXT, part=PARTS[part], type=TYPES[type], text=quoted[0],
            scope=Scope(self._cube, self._name(user), self._name(agent), named),
            state=STATES[state] if state else State.GENERATED, speaker=self._name(speaker), about=about, at=time_of(at, zone),
            valid=Interval(time_of(valid_from, zone), time_of(valid_to, zone)),
            recorded=Interval(time_of(recorded_from), time_of(recorded_to)),
            spans=quoted[1], origin=Origin(self._name(principal) or "", CHANNELS[channel], named, self._name(origin), TRUSTS[trust]),
            checksum=checksum.hex(), author=author, reason=reason, ending=ending, entities=entities, keywords=keywords, times=times,
            claims=claims, priority=priority or 0, expires=time_of(expires), uses=uses or 0, last_used=time_of(last_used),
            cited=cited or 0, last_cited=time_of(last_cited), stability_days=stability or 0.0, heat=heat or 0.0, role=role,
            metadata=metadata.read(kept),
        )  # fmt: skip

    def _spans(self, contents: set[int]) -> dict[int, tuple[str, tuple[Span, ...]]]:
        parts: dict[int, list[tuple[str, Span]]] = {}
        for content, start, stop, source, text, caption in self._db.execute(
            "SELECT p.content, p.start, p.stop, s.id, s.text, s.caption FROM spans p JOIN sources s ON s.seq = p.source"
            f" WHERE p.content IN {LISTED} ORDER BY p.content, p.ordinal",
            (_list(contents),),
        ):
            words = Message("", str(text), caption=str(caption)).words if caption is not None else str(text)
            assert isinstance(start, int) and isinstance(stop, int) and isinstance(content, int)
            parts.setdefault(content, []).append((words[start:stop], Span(str(source), start, stop)))
        return {content: ("\n".join(t for t, _ in quoted), tuple(s for _, s in quoted)) for content, quoted in parts.items()}

    def _claims(self, contents: set[int]) -> dict[int, tuple[Claim, ...]]:
        """Claims by content; a turn shows what is claimed in its sentences as well."""
        found: dict[int, list[Claim]] = {}
        for content, subject, attribute, value, polarity, closer, closed in self._db.execute(
            "SELECT w.seq, c.subject, c.attribute, c.value, c.polarity, k.id, c.closed_at FROM contents w JOIN memories m ON m.seq ="
            " w.memory JOIN memories o ON o.source = m.source AND (o.seq = m.seq OR m.part = 'turn') JOIN claims c ON c.memory = o.seq"
            f" AND (o.seq != m.seq OR c.content = w.seq) LEFT JOIN memories k ON k.seq = c.closed_by WHERE w.seq IN {LISTED}"
            " ORDER BY c.seq",
            (_list(contents),),
        ):
            claim = Claim(str(subject), str(attribute), str(value) if polarity else f"not {value}", _str(closer), time_of(closed))
            found.setdefault(int(content), []).append(claim)
        return {content: tuple(claims) for content, claims in found.items()}

    def _name(self, seq: object) -> str | None:
        if seq is None:
            return None
        assert isinstance(seq, int)
        name = self._names.get(seq)
        if name is None:
            name = self._names[seq] = str(self._db.execute("SELECT name FROM names WHERE seq = ?", (seq,)).fetchall()[0][0])
        return name


def _str(value: object) -> str | None:
    return None if value is None else str(value)


def _list(values: Iterable[int]) -> str:
    return f"[{','.join(map(str, values))}]"

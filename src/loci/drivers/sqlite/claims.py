"""Claims inside a transaction: found by key, judged elsewhere, closed, carried over and opened again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from loci.drivers.sqlite.codec import TRUSTS, time_of, to_micros
from loci.drivers.sqlite.connection import query, scalar
from loci.drivers.sqlite.rows import Rows
from loci.drivers.sqlite.seals import SEALED
from loci.ports import ClaimRow
from loci.text.wording.relations import NAMING
from loci.types import Interval

CARRIED = ", ".join(
    "NULL" if c in ("closed_by", "closed_at") else c for c in SEALED["claims"][2:]
)  # all but whose it is, and what closed it
NAMESAKES = 64  # claims that tell who is called by one name, the newest
TELL_A_NAME = ",".join(f"'{attribute}'" for attribute in NAMING)
CLAIMS_READ = 64  # of one key, newest first: what a new claim is held against
CLAIMS = """
SELECT c.seq, m.id, c.subject, c.attribute, c.value, c.polarity, c.tense, c.cue, c.arity, c.sort, c.serial, p.name, c.turn, u.name, s.name,
  c.said, c.valid_from, coalesce(c.closed_at, c.valid_to), k.id, w.trust, c.relation
FROM claims c JOIN memories m ON m.seq = c.memory JOIN contents w ON w.seq = c.content LEFT JOIN memories k ON k.seq = c.closed_by
  LEFT JOIN names p ON p.seq = c.speaker LEFT JOIN names u ON u.seq = c.user LEFT JOIN names s ON s.seq = c.session
"""
LATEST_OF = "SELECT v.content FROM versions v WHERE v.memory = {} AND v.recorded_to IS NULL ORDER BY v.number DESC, v.seq DESC LIMIT 1"
LATEST = LATEST_OF.format("?")
KNOWN = f"c.closed_by IS NOT c.memory AND (c.closed_by IS NULL OR c.content = ({LATEST_OF.format('c.memory')}))"
SAYING = (
    "SELECT 1 FROM claims k WHERE k.memory = c.closed_by AND k.subject = c.subject"
    " AND (instr(k.attribute || '/', c.attribute || '/') = 1 OR instr(c.attribute || '/', k.attribute || '/') = 1)"
)
FREED = f"""
c.closed_by IS NOT NULL AND c.closed_by != c.memory AND c.content = ({LATEST_OF.format("c.memory")}) AND CASE
  WHEN EXISTS ({SAYING} AND k.content = ({LATEST_OF.format("c.closed_by")}))
  THEN c.closed_by IN (SELECT memory FROM states WHERE state = 'expired') AND NOT EXISTS ({SAYING} AND k.closed_by IS NULL)
  ELSE EXISTS ({SAYING} AND k.content > ({LATEST_OF.format("c.closed_by")})) END
"""
"""What superseded the claim was forgotten while it said so, or is restored to words from before it did."""


class ClaimRows(Rows):
    """The part of a transaction that deals with claims."""

    def claims(self, keys: Iterable[tuple[str, str]], user: str | None) -> list[ClaimRow]:
        return self._of_keys(keys, user, is_freed=False)

    def freed_claims(self, keys: Iterable[tuple[str, str]], user: str | None) -> list[ClaimRow]:
        if user is not None and not query(self._db, "SELECT 1 FROM names WHERE name = ?", user):
            return []  # erased: to look is not to name
        return self._of_keys(keys, user, is_freed=True)

    def _of_keys(self, keys: Iterable[tuple[str, str]], user: str | None, *, is_freed: bool) -> list[ClaimRow]:
        """The latest claims that meet a key: those that are known, or those that are freed."""
        self.flush("memories", "contents", "claims", "versions")
        found: dict[int, ClaimRow] = {}
        owner = None if user is None else self._name(user)
        for subject, attribute in dict.fromkeys(keys):
            above, below = _met_by(attribute)
            marks = ",".join("?" * len(above))
            for row in self._db.execute(
                f"{CLAIMS} WHERE c.seq IN (SELECT seq FROM claims WHERE subject = ? AND attribute IN ({marks}) UNION ALL"
                " SELECT seq FROM claims WHERE subject = ? AND attribute BETWEEN ? AND ?) AND c.user IS ?"
                f" AND {FREED if is_freed else KNOWN} ORDER BY c.seq DESC LIMIT ?",
                (subject, *above, subject, *below, owner, CLAIMS_READ),
            ):
                claim = claim_of(row)
                found[claim.seq] = claim
        return [found[seq] for seq in sorted(found)]

    def claims_of(self, seqs: Sequence[int]) -> list[ClaimRow]:
        """The claims of these rows."""
        return [claim_of(row) for row in self.rows(f"{CLAIMS} WHERE c.seq IN ({','.join(map(str, seqs))})")]

    def spoken_claims(self, speaker: str, user: str | None, limit: int) -> list[ClaimRow]:
        self.flush("memories", "contents", "claims")
        rows = query(
            self._db,
            f"{CLAIMS} WHERE c.speaker = ? AND c.user IS ? AND c.closed_by IS NULL ORDER BY c.seq DESC LIMIT ?",
            self._name(speaker),
            None if user is None else self._name(user),
            limit,
        )
        return [claim_of(row) for row in reversed(rows)]

    def namesakes(self, name: str, speaker: str, user: str | None) -> list[ClaimRow]:
        self.flush("memories", "contents", "claims", "versions")
        rows = query(
            self._db,
            f"{CLAIMS} WHERE c.seq IN (SELECT seq FROM claims WHERE subject = ?1 AND relation IS NOT NULL UNION ALL"
            f" SELECT seq FROM claims WHERE subject = ?2 AND attribute IN ({TELL_A_NAME}) AND value IN (?1, ?3))"
            f" AND c.user IS ?4 AND {KNOWN} ORDER BY c.seq DESC LIMIT {NAMESAKES}",
            name,
            speaker,
            name.split(" ")[0],
            None if user is None else self._name(user),
        )
        return [claim_of(row) for row in reversed(rows)]

    def turn(self, session: str | None, speaker: str) -> int | None:
        if session is None:
            return None
        named = self._name(session), self._name(speaker)
        return int(scalar(self._db, "SELECT count(*) FROM sources WHERE session = ? AND speaker = ?", *named))

    def open_claims(self, memory: str) -> int:
        """How many of the memory's claims still hold."""
        self.flush("claims")
        return int(scalar(self._db, "SELECT count(*) FROM claims WHERE memory = ? AND closed_by IS NULL", self.seq_of(memory)))

    def _claim(self, claim: ClaimRow, content: int) -> None:
        closer = None if claim.closed_by is None else self.seq_of(claim.closed_by)
        self._pending["claims"].append(
            (self.seq_of(claim.memory), content, self._maybe(claim.user), claim.subject, claim.attribute, claim.value, int(claim.polarity),
             claim.tense, claim.cue, claim.arity, claim.sort, claim.serial, self._maybe(claim.speaker), claim.turn, self._maybe(claim.session),
             to_micros(claim.said), to_micros(claim.valid.start), to_micros(claim.valid.end), closer,
             None if closer is None else to_micros(claim.closed_at or claim.valid.end), claim.relation)
        )  # fmt: skip

    def close_claims(self, memory: str, key: tuple[str, str], closer: str, at: datetime | None, value: str | None = None) -> bool:
        """Closes what the memory claims of a key, or of one value of it, or earlier what somebody had closed later. False when it claims nothing of the kind any
        more: what it says now is not touched by that."""
        seq, content = self.seq_of(memory), self.rows(LATEST, self.seq_of(memory))[0][0]
        above, below = _met_by(key[1])
        self._db.execute(
            "UPDATE claims SET closed_by = ?, closed_at = ? WHERE memory = ? AND subject = ?"
            f" AND (attribute IN ({','.join('?' * len(above))}) OR attribute BETWEEN ? AND ?)"
            " AND (? IS NULL OR value = ?) AND (closed_by IS NULL OR closed_by != memory AND closed_at > ? AND content = ?)",
            (self.seq_of(closer), to_micros(at), seq, key[0], *above, *below, value, value, to_micros(at), content),
        )
        is_closed = self._db.changes() > 0
        if is_closed:
            self._touch(seq)
        return is_closed

    def said_by(self, memory: str) -> list[ClaimRow]:
        """The memory's open claims."""
        return [
            claim_of(row) for row in self.rows(f"{CLAIMS} WHERE c.memory = ? AND c.closed_by IS NULL ORDER BY c.seq", self.seq_of(memory))
        ]

    def keys_of(self, sources: Sequence[str]) -> list[tuple[str, str, str | None]]:
        found = self.rows(
            "SELECT DISTINCT c.subject, c.attribute, u.name FROM claims c LEFT JOIN names u ON u.seq = c.user"
            f" WHERE c.content IN (SELECT content FROM spans WHERE source IN ({','.join(map(str, map(self._source, sources)))})) ORDER BY c.seq"
        )
        return [(str(subject), str(attribute), _text(user)) for subject, attribute, user in found]

    def open_claim(self, claim: ClaimRow) -> None:
        self.flush()
        self._db.execute("UPDATE claims SET closed_by = NULL, closed_at = NULL WHERE seq = ?", (claim.seq,))
        self._touch(self.seq_of(claim.memory))

    def retire_claims(self, memory: str) -> list[tuple[str, str]]:
        """The memory no longer says what it said: its open claims end with it."""
        seq = self.seq_of(memory)
        keys = self.rows("SELECT DISTINCT subject, attribute FROM claims WHERE memory = ? AND closed_by IS NULL ORDER BY seq", seq)
        self._db.execute("UPDATE claims SET closed_by = ?1, closed_at = ?2 WHERE memory = ?1 AND closed_by IS NULL", (seq, self._now))
        return [(str(subject), str(attribute)) for subject, attribute in keys]

    def carry_claims(self, memory: str, content: int) -> None:
        """What the former version claimed, a further version that keeps its words claims as well."""
        seq = self.seq_of(memory)
        kept = self.rows(f"SELECT {CARRIED} FROM claims WHERE memory = ? AND closed_by IS NULL AND content != ?", seq, content)
        self._pending["claims"] += [(seq, content, *row) for row in kept]
        self.flush("claims")
        self._db.execute(
            "UPDATE claims SET closed_by = memory, closed_at = ? WHERE memory = ? AND content != ? AND closed_by IS NULL",
            (self._now, seq, content),
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


def _met_by(attribute: str) -> tuple[list[str], tuple[str, str]]:
    """The attributes that begin this one, itself included, and the range of those that it begins."""
    words = attribute.split("/")
    return ["/".join(words[: i + 1]) for i in range(len(words))], (f"{attribute}/", f"{attribute}/\U0010ffff")


def claim_of(row: Sequence[Any]) -> ClaimRow:
    (seq, memory, subject, attribute, value, polarity, tense, cue, arity, sort, serial, speaker, turn, user, session, said, start, end,
     closer, trust, relation) = row  # fmt: skip
    assert isinstance(seq, int)
    return ClaimRow(
        memory=str(memory), subject=str(subject), attribute=str(attribute), value=str(value), polarity=bool(polarity),
        tense=str(tense), cue=str(cue), arity=str(arity), sort=str(sort), serial=serial if isinstance(serial, int) else None,
        speaker=_text(speaker), turn=turn if isinstance(turn, int) else None, user=_text(user), session=_text(session), said=time_of(said),
        valid=Interval(time_of(start), time_of(end)), closed_by=_text(closer), seq=seq, trust=TRUSTS[trust],
        relation=_text(relation),
    )  # fmt: skip


def _text(value: object) -> str | None:
    return None if value is None else str(value)

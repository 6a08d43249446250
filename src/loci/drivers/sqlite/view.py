"""The picture of a cube that search works on: columns of every version and the vectors of every content, in memory.

It holds no truth: it is read from the file, follows it change by change, and is thrown away with the process. Reading it
costs about 2 microseconds a memory once; after that a search filters and scores with array operations only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.sqlite.codec import EPOCH, FLAG_EVENT, to_micros
from loci.drivers.sqlite.connection import batches, query
from loci.drivers.sqlite.vectors import Vectors, look_up, slots
from loci.errors import Corrupt
from loci.ports import Reach, RowFilter
from loci.ports.where import HEADER, NAMES, Where
from loci.text import metadata
from loci.types import NOBODY, TOLD_OF_THE_PAST, Part, State, Type

FOREVER, NEVER = np.iinfo(np.int64).max, np.iinfo(np.int64).min
STATES = {state.value: number for number, state in enumerate(State)}
TYPES = {type.value: number for number, type in enumerate(Type)}
PARTS = {part.value: number for number, part in enumerate(Part)}
PART_NAMES = tuple(PARTS)

COLUMNS = (
    "row", "memory", "content", "valid_from", "valid_to", "recorded_from", "recorded_to", "type", "part", "speaker",
    "user", "agent", "session", "source", "at", "flags", "state", "expires", "length", "trust", "held_since", "held_until", "number", "metadata",
)  # fmt: skip
FLAGS = f"c.flags | {FLAG_EVENT} * (v.ending = '{TOLD_OF_THE_PAST}')"  # which older cubes do not have among the events


def _numbered(column: str, numbers: Mapping[str, int]) -> str:
    """The number of a column's word, in SQL; NULL for any other."""
    told = " ".join(f"WHEN '{word}' THEN {number}" for word, number in numbers.items())
    return f"CASE {column} {told} END"


SELECT = f"""
SELECT v.seq, v.memory, v.content, coalesce(v.valid_from, {NEVER}), coalesce(v.valid_to, {FOREVER}), v.recorded_from,
  coalesce(v.recorded_to, {FOREVER}), {_numbered("c.type", TYPES)}, {_numbered("m.part", PARTS)}, coalesce(c.speaker, 0), coalesce(s.user, 0), coalesce(s.agent, 0),
  coalesce(s.session, 0), m.source, coalesce(s.at, {NEVER}), {FLAGS}, {_numbered("coalesce(t.state, 'generated')", STATES)},
  coalesce(t.expires, {FOREVER}), c.length, c.trust, coalesce(q.since, {FOREVER}), coalesce(q.until, {FOREVER}), v.number, c.metadata
FROM versions v JOIN contents c ON c.seq = v.content JOIN memories m ON m.seq = v.memory JOIN sources s ON s.seq = m.source
  LEFT JOIN states t ON t.memory = m.seq LEFT JOIN quarantine q ON q.memory = m.seq
"""
LOOK = """
SELECT (SELECT coalesce(max(seq), 0) FROM audit), (SELECT value FROM header WHERE key = 'epoch'),
  (SELECT coalesce(max(seq), 0) FROM names), (SELECT coalesce(max(seq), -1) FROM vectors),
  (SELECT coalesce(max(number), 0) FROM generations WHERE state = 'active'),
  coalesce((SELECT embedder FROM generations WHERE state = 'active' ORDER BY number DESC LIMIT 1), '')
"""
REACH = 3  # turns to either side that count as near
COLUMN = {"$recorded": "recorded_from"}  # of a field that is called otherwise here
KEPT = 4  # selections: a search asks for its own several times, and the next one often for the same
Column = NDArray[np.int64]
Positions = NDArray[np.int64]


class Numbers(dict[str, int]):
    """The numbers of names in the file, and the rows of those memories that a filter names."""

    def __init__(self, names: Iterable[tuple[str, int]] = ()) -> None:
        super().__init__(names)
        self.memories: dict[str, int] = {}

    def wanted(self, name: str) -> int:
        """What stands in the rows that a filter is for: 0 where they have no name, and what no row has for a name that is not in the file."""
        return 0 if name == NOBODY else self.get(name, -1)


class View:
    """Follows one cube file. Call ``refresh`` before each use; it costs two index look-ups when nothing has changed."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._table = np.zeros((len(COLUMNS), 0), dtype=np.int64)
        self._length = 0
        self._change = -1
        self.epoch = -1
        self.vectors = Vectors()
        self._last_vector = -1
        self.generation, self.embedder = 0, ""
        self.speakers: set[int] = set()
        self._kept: dict[str | None, int] = {None: 0}  # what is kept with versions, as it is stored, by the number it has here
        self.last_name = 0
        self._selections: dict[RowFilter, Selection] = {}
        self._circles: dict[RowFilter, Circle] = {}

    def __len__(self) -> int:
        """How many version rows there are."""
        return self._length

    def column(self, name: str) -> Column:
        return self._table[COLUMNS.index(name), : self._length]

    def apart(self) -> View:
        """A copy that can go another way."""
        other = copy(self)
        other._table, other.vectors, other.speakers = self._table.copy(), self.vectors.apart(), set(self.speakers)
        other._selections, other._circles, other._kept = {}, {}, dict(self._kept)
        return other

    def refresh(self, db: apsw.Connection, *, is_committed: bool = True) -> None:
        """Brings the picture up to what this connection's transaction sees. What is not committed yet is read anew each time: no record tells
        where it ends."""
        change, epoch, self.last_name, last_vector, generation, self.embedder = query(db, LOOK)[0]
        if epoch != self.epoch:
            last_name, embedder = self.last_name, self.embedder
            self._reset()
            self.epoch, self.last_name, self.embedder = epoch, last_name, embedder
        if change != self._change or not is_committed:
            self._selections, self._circles = {}, {}
            self._read_rows(db)
            self._change = change if is_committed else self._change
        if generation != self.generation:
            self.vectors, self._last_vector, self.generation = Vectors(), -1, generation
            self._selections = {}
        if generation and last_vector != self._last_vector:
            self._read_vectors(db)
            self._last_vector = last_vector

    def _read_rows(self, db: apsw.Connection) -> None:
        rows = self.column("row")
        last = int(rows[-1]) if len(rows) else 0
        if self._change >= 0:
            touched = [r[0] for r in query(db, "SELECT DISTINCT memory FROM touched WHERE change > ?", self._change)]
            if touched:
                marks = ",".join(map(str, touched))
                stale = query(db, f"{SELECT} WHERE v.memory IN ({marks}) AND v.seq <= {last} ORDER BY v.seq")
                if stale:
                    self._table[:, np.searchsorted(rows, [r[0] for r in stale])] = _columns(stale, self._kept)
        read = [_columns(rows, self._kept) for rows in batches(db, f"{SELECT} WHERE v.seq > ? ORDER BY v.seq", last)]
        if read:
            fresh = np.concatenate(read, axis=1)
            self._table = _room(self._table, self._length + fresh.shape[1])
            self._table[:, self._length : self._length + fresh.shape[1]] = fresh
            self._length += fresh.shape[1]
            self.speakers.update(np.unique(fresh[COLUMNS.index("speaker")]).tolist())

    def _read_vectors(self, db: apsw.Connection) -> None:
        sql = "SELECT content, data, seq FROM vectors WHERE seq > ? AND +generation = ? ORDER BY seq"  # + : by seq alone
        for fresh in batches(db, sql, self._last_vector, self.generation):
            self._selections = {}
            self.vectors.append([r[0] for r in fresh], [r[1] for r in fresh])
            self._last_vector = fresh[-1][2]  # what follows fails by itself

    def rows(self, at: RowFilter, names: Numbers) -> Column:
        """Version rows that the filter lets through, in the order they were remembered."""
        return self.placed(at, names, 0)[0]

    def placed(self, at: RowFilter, names: Numbers, after: int) -> tuple[Column, Column]:
        """The same of memories behind the place ``after``, and the places: a memory's own number."""
        rows = self.select(at, names).rows
        memories = self.column("memory")[rows]
        order = np.argsort(memories, kind="stable")
        order = order[np.searchsorted(memories, after, "right", sorter=order) :] if after else order
        return self.column("row")[rows][order], memories[order]

    def memories(self, at: RowFilter, names: Numbers) -> set[int]:
        """The memories that have a row which the filter lets through."""
        return set(self.column("memory")[self.select(at, names).rows].tolist())

    def turns(self, at: RowFilter, names: Numbers) -> Column:
        """The memories of whole messages that have a row which the filter lets through, in the order they were remembered."""
        selection = self.select(at, names)
        return np.unique(self.column("memory")[selection.rows[selection.turns]])

    def beside(self, memories: Sequence[int], at: RowFilter, names: Numbers, before: int, after: int) -> dict[int, list[tuple[int, int]]]:
        """For each of these memories whose message is among them, those of ``turns`` from so many before to so many after, by how many later."""
        turns, selection = self.turns(at, names), self.select(at, names)
        found = {}
        for place in np.flatnonzero(np.isin(self.column("memory")[selection.rows], memories)).tolist():
            turn = int(selection.turn[place])
            if turn >= 0:
                own = int(np.searchsorted(turns, self.column("memory")[selection.rows[selection.turns[turn]]]))
                first = max(own - before, 0)
                near = turns[first : own + after + 1].tolist()
                found[int(self.column("memory")[selection.rows[place]])] = [(first + n - own, seq) for n, seq in enumerate(near)]
        return found

    def of_memories(self, memories: Sequence[int], at: RowFilter, names: Numbers) -> list[int]:
        """Version rows of these memories that the filter lets through."""
        rows = self.select(at, names).rows
        return [int(row) for row in self.column("row")[rows[np.isin(self.column("memory")[rows], memories)]]]

    def rows_of(self, contents: Sequence[int], at: RowFilter, names: Numbers) -> dict[int, int]:
        """Of each content the version row that the filter lets through; contents without one are left out."""
        selection = self.select(at, names)
        places = selection.places(contents)
        return dict(zip(selection.content[places].tolist(), self.column("row")[selection.rows[places]].tolist(), strict=True))

    def select(self, at: RowFilter, names: Numbers) -> Selection:
        """What this filter lets through. The last few are kept for as long as nothing was written and nothing ran out."""
        now, timeless = to_micros(at.now), replace(at, now=EPOCH)
        known = self._selections.get(timeless)
        if known is None or not known.since <= now < known.until:
            if len(self._selections) >= KEPT:
                del self._selections[next(iter(self._selections))]
            mask = self._allow(at, names)
            held = mask & self._held(at)
            known = self._selections[timeless] = Selection(
                self, self._last(mask & ~held, at.is_past), int(held.sum()), self.circle(at, names).places, *self._unchanged(now)
            )
        return known

    def circle(self, at: RowFilter, names: Numbers) -> Circle:
        """Whose words the filter speaks of, whatever became of them, but for those in quarantine. Kept as selections are."""
        asked = RowFilter(now=EPOCH, user=at.user, agent=at.agent, session=at.session, known_at=at.known_at, within=at.within)
        known = self._circles.get(asked)
        if known is None:
            if len(self._circles) >= KEPT:
                del self._circles[next(iter(self._circles))]
            known = self._circles[asked] = self._circle(asked, names)
        return known

    def _circle(self, at: RowFilter, names: Numbers) -> Circle:
        mask = self._of(at, names)
        held = self._held(at)
        for narrower in (None if at.within is None else self._within(at.within, names), ~held if held.any() else None):
            if narrower is not None:
                mask = narrower if mask is None else mask & narrower
        if mask is None and at.known_at is None:
            return Circle(self.speakers, None)
        rows = np.ones(self._length, dtype=bool) if mask is None else mask
        if at.known_at is not None:
            rows = rows & (self.column("recorded_from") <= to_micros(at.known_at))
        speakers = set(np.flatnonzero(np.bincount(self.column("speaker")[rows])).tolist())
        if mask is None:
            return Circle(speakers, None)
        sources = self.column("source")[mask]
        is_there = np.zeros(int(sources.max(initial=0)) + 1, dtype=bool)
        is_there[sources] = True
        return Circle(speakers, np.cumsum(is_there))

    def _of(self, at: RowFilter, names: Numbers) -> NDArray[np.bool_] | None:
        """The rows of this user, agent and session; None: of anybody."""
        mask = None
        for name, value in (("user", at.user), ("agent", at.agent), ("session", at.session)):
            if value is not None:
                is_theirs = self.column(name) == names.get(value, -1)
                mask = is_theirs if mask is None else mask & is_theirs
        return mask

    def _unchanged(self, now: int) -> tuple[int, int]:
        """The time around ``now`` in which nothing expires and no validity ends."""
        since, until = NEVER, FOREVER
        for ends in (self.column("expires"), self.column("valid_to")):
            passed = ends <= now
            since = max(since, int(ends.max(initial=NEVER, where=passed)))
            until = min(until, int(ends.min(initial=FOREVER, where=~passed)))
        return since, until

    def _allow(self, at: RowFilter, names: Numbers) -> NDArray[np.bool_]:
        column = self.column
        known = FOREVER - 1 if at.known_at is None else to_micros(at.known_at)
        mask = (column("recorded_from") <= known) & (column("recorded_to") > known)
        now = to_micros(at.now)
        if at.as_of is not None:
            moment = to_micros(at.as_of)
            mask &= (column("valid_from") <= moment) & (column("valid_to") > moment)
            mask &= (column("expires") > moment) | (column("state") == STATES["frozen"])
        else:
            mask &= (column("expires") > now) | (column("state") == STATES["frozen"]) | at.has_expired
            if not at.is_past:
                holds = (column("valid_to") > now) | ((column("flags") & FLAG_EVENT) > 0)
                mask &= holds | (at.has_expired & (column("valid_to") >= column("expires")))
        wanted = np.zeros(len(STATES), dtype=bool)
        wanted[[STATES[s.value] for s in at.states]] = True
        wanted[STATES["expired"]] |= at.as_of is not None or at.known_at is not None or at.has_expired
        mask &= wanted[column("state")]
        theirs = self._of(at, names)
        if theirs is not None:
            mask &= theirs
        if at.types:
            mask &= np.isin(column("type"), [TYPES[t.value] for t in at.types])
        if at.since is not None:
            mask &= column("at") >= to_micros(at.since)
        if at.until is not None:
            mask &= (column("at") < to_micros(at.until)) & (column("at") != NEVER)
        if at.within is not None:
            mask &= self._within(at.within, names)
        if at.where is not None:
            mask[mask] = self._holds(at.where, np.flatnonzero(mask), names)
        return mask

    def _holds(self, where: Where, rows: NDArray[np.int64], names: Numbers) -> NDArray[np.bool_]:
        """Of which of these rows a filter holds. It is asked once of rows that are alike in what it asks about."""
        asked = sorted(set(where.fields()))
        header = [field for field in asked if field in HEADER]
        columns = [self.column("metadata"), *(self.column(COLUMN.get(field, field[1:])) for field in header)]
        unlike, alike = np.unique(np.stack([column[rows] for column in columns]), axis=1, return_inverse=True)
        kept = {number: text for text, number in self._kept.items()}
        called = {number: name for name, number in names.items()} if set(header) & set(NAMES) else {}
        found = np.zeros(unlike.shape[1], dtype=bool)
        for place, (number, *told) in enumerate(unlike.T.tolist()):
            fields: dict[str, object] = metadata.read(kept[number])
            for field, value in zip(header, told, strict=True):
                if field == "$part":
                    fields[field] = PART_NAMES[value]
                elif value != (0 if field in NAMES else NEVER):
                    fields[field] = called[value] if field in NAMES else value
            found[place] = where.holds(fields)
        return found[alike.ravel()]

    def _held(self, at: RowFilter) -> NDArray[np.bool_]:
        """Which rows were in quarantine, as far as was known."""
        known = FOREVER - 1 if at.known_at is None else to_micros(at.known_at)
        return (self.column("held_since") <= known) & (self.column("held_until") > known)

    def _within(self, reaches: Sequence[Reach], names: Numbers) -> NDArray[np.bool_]:
        """Which rows any of these opens."""
        found = np.zeros(self._length, dtype=bool)
        for reach in reaches:
            opened = np.ones(self._length, dtype=bool)
            for name, value in (("user", reach.user), ("agent", reach.agent), ("session", reach.session)):
                if value is not None:
                    opened &= self.column(name) == names.wanted(value)
            if reach.memory is not None:
                opened &= self.column("memory") == names.memories.get(reach.memory, -1)
            found |= opened
        return found

    def _last(self, mask: NDArray[np.bool_], is_past: bool) -> NDArray[np.bool_]:
        """Of each memory (or content) only the last version that the mask holds: a closed event gives way to its newer version. A
        former version can have a later row, where an erasure took back what had ended it."""
        key, rows = self.column("content" if is_past else "memory"), np.flatnonzero(mask)
        if not len(rows):
            return mask
        last = np.zeros(int(key.max()) + 1, dtype=np.int64)
        last[key[rows]] = rows
        others = rows[last[key[rows]] != rows]
        if len(others):
            several = rows[np.isin(key[rows], key[others])]
            several = several[np.argsort(self.column("number")[several], kind="stable")]
            last[key[several]] = several
            mask[several[last[key[several]] != several]] = False
        return mask


@dataclass(frozen=True, slots=True)
class Circle:
    """Those among whom a question is asked: who has spoken there, and for each message which one of theirs it is, so that what
    others say in between sets nothing apart. None: all messages are theirs."""

    speakers: set[int]
    places: NDArray[np.int64] | None


class Selection:
    """The rows that one filter lets through, how many more but for quarantine (``held``), ``since`` and ``until`` when it does, and where
    a search finds things in them."""

    def __init__(self, view: View, mask: NDArray[np.bool_], held: int, places: NDArray[np.int64] | None, since: int, until: int) -> None:
        self.held, self.since, self.until = held, since, until
        self.rows = np.flatnonzero(mask)
        self.content, self.source = view.column("content")[self.rows], view.column("source")[self.rows]
        self.session, self.speaker = view.column("session")[self.rows], view.column("speaker")[self.rows]
        self.flags, self.at = view.column("flags")[self.rows], view.column("at")[self.rows]
        self.length, self.trust = view.column("length")[self.rows], view.column("trust")[self.rows]
        self.type = view.column("type")[self.rows]
        self.mean_length = max(float(self.length.mean()), 1.0) if len(self.rows) else 1.0
        self._slot = slots(self.content)
        turns = np.flatnonzero(view.column("part")[self.rows] == PARTS["turn"])
        self.turns = turns[np.argsort(self.source[turns], kind="stable")]
        """Places of the whole turns, in the order they were said."""
        self.said = self.source if places is None else places[self.source]
        """For each row the number of its message among those of the scope."""
        self._turn_slot = slots(self.said[self.turns])
        self.turn = look_up(self._turn_slot, self.said)
        """For each row the position of its turn in ``turns``; -1 where that is not among the rows."""
        self.run = np.cumsum(np.diff(self.session[self.turns], prepend=-1) != 0) - 1
        """For each of ``turns`` the number of the unbroken run of its session."""
        self.runs = int(self.run[-1]) + 1 if len(turns) else 0
        self._same_run = [self.run[distance:] == self.run[:-distance] for distance in range(1, REACH + 1)]
        place = look_up(self._slot, view.vectors.contents)
        has = place >= 0
        self.vector_rows = None if has.all() else np.flatnonzero(has)
        self.with_vector = place[has]
        """Places of the rows that have a vector, in the order of ``vector_rows``; that is None where all vectors are theirs."""

    def places(self, contents: Sequence[int] | NDArray[np.int64]) -> Positions:
        """Places of those contents that are among the rows."""
        place = look_up(self._slot, np.asarray(contents, dtype=np.int64))
        return place[place >= 0]

    def turn_of(self, said: Column) -> Positions:
        """For each message, by its number, the place of its turn; -1 where it is not among the rows."""
        found = look_up(self._turn_slot, said)
        return np.where(found >= 0, self.turns[found], -1) if len(self.turns) else found

    def near(self, is_there: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """For each of ``turns`` whether the mark is on one at most `REACH` turns away in its run, itself included."""
        is_near = is_there.copy()
        for distance, is_same_run in enumerate(self._same_run, 1):
            is_near[distance:] |= is_there[:-distance] & is_same_run
            is_near[:-distance] |= is_there[distance:] & is_same_run
        return is_near


def _columns(rows: list[tuple[Any, ...]], kept: dict[str | None, int]) -> NDArray[np.int64]:
    try:
        numbers = np.fromiter(chain.from_iterable(row[:-1] for row in rows), np.int64, len(rows) * (len(COLUMNS) - 1))
    except TypeError as error:
        raise Corrupt("A row holds a type, part or state which Loci never wrote there. Run `loci verify`, and restore a copy.") from error
    texts = [kept.setdefault(row[-1], len(kept)) for row in rows]
    return np.vstack([numbers.reshape(len(rows), -1).T, np.array(texts, dtype=np.int64)])


def _room(table: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    if length <= table.shape[1]:
        return table
    grown = np.zeros((table.shape[0], max(length, 2 * table.shape[1], 1024)), dtype=np.int64)
    grown[:, : table.shape[1]] = table
    return grown

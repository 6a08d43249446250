"""Raw signals of a search over one cube: words, vectors, neighbours and what the header says. Fusion is not done here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.sqlite.codec import FLAG_OWN, FLAG_QUESTION, FLAG_TIME, RANK, to_micros
from loci.drivers.sqlite.vectors import Nearness, best
from loci.drivers.sqlite.view import NEVER, TYPES, Numbers, Positions, Selection, View
from loci.drivers.sqlite.words import Called, Words
from loci.ports import Probe, RowFilter, Survey
from loci.text.wording.relations import is_one_person
from loci.types import Interval, Trust, Type

TOP = 70  # of each signal: the candidates
SEEDS = 20  # of each signal: those whose neighbours are candidates too
INSIDE = 40  # of those said in the time that is asked about, by words and by meaning
MOST_INSIDE = 4096  # more than that were not said at a time, but in an age: nothing is gained, and each would be compared
AFTER = 7 * 86_400_000_000  # microseconds: what happened then is told until then
SHORT = 90  # words: a message no longer than that is shown whole
CLAIMS = 1000  # of a key: what a search looks at
LATER = """OR (closed_by = memory AND closed_at > :known)
  OR NOT EXISTS (SELECT 1 FROM versions v WHERE v.memory = claims.closed_by AND v.recorded_from <= :known)
  OR EXISTS (SELECT 1 FROM links l WHERE l.source = closed_by AND l.target = memory AND l.type = 'supersedes' AND l.at > :known)"""
"""A claim was still open if what closed it was not known yet, or did not close it yet."""
HOLDS = "tense = 'now' OR attribute LIKE 'plan/%' OR (tense = 'future' AND cue = 'change' AND valid_from <= :at)"
"""A claim tells of the present, or was announced for a day that has come."""
BEGAN = "(valid_from IS NULL OR valid_from < :end)"
HELD = """(tense = 'past' AND valid_to > :at OR tense = 'now' AND (valid_to IS NULL OR valid_to > :at) OR tense = 'future' AND cue = 'change')
  AND coalesce(valid_from, CASE tense WHEN 'past' THEN :at WHEN 'now' THEN coalesce(said, :at) END) < :end"""
"""A claim held in a time: it had begun, or been said, before its end, and had not ended before its beginning."""
TELL_NOTHING = [TYPES[kind] for kind in (Type.QUESTION, Type.INSTRUCTION, Type.SMALLTALK)]
APART = (1, 2, 3)  # messages between neighbours: sessions of several people may be interleaved in one file


def survey(db: apsw.Connection, view: View, names: Numbers, called: Called, probe: Probe, at: RowFilter) -> Survey:
    """Every row the filter lets through is scored by every signal; the best of each, what answers the key asked for, and the
    turns beside them are candidates. The filter is applied before anything is ranked. ``called`` has the speakers by the stems
    of their names: a text is found by who said it, too."""
    among = view.select(at, names)
    is_most = 2 * len(among.rows) > len(view)  # then to leave out the rest afterwards costs less than to look up whose each text is
    words = Words(
        db, among, probe.terms, None if at.user is None or is_most else names.get(at.user, 0), called, view.circle(at, names).speakers
    )
    meaning, missing = _compared(view, among, probe)
    claiming = [content for content, _, _ in claimed(db, probe.keys, at, names, probe.relation, probe.then)]
    answering = among.places(claiming) if claiming else np.zeros(0, dtype=np.int64)
    candidates = Candidates(among, words, meaning, answering, _inside(among, probe.window))
    chosen = candidates.chosen
    return Survey(
        contents=among.content[chosen].tolist(),
        wholes=candidates.wholes().tolist(),
        sources=among.source[chosen].tolist(),
        sessions=among.session[chosen].tolist(),
        signals=candidates.describe([names.get(p, -1) for p in probe.people]),
        documents=len(among.rows),
        attainable=words.attainable,
        best_surprise=float(words.surprise.max(initial=0.0)),
        best_nearby=float(words.nearby.max(initial=0.0)),
        cosine_best=meaning.closest,
        cosine_mean=meaning.mean,
        cosine_deviation=meaning.deviation,
        missing={**probe.missing, **missing},
        counts={"words": len(words.found), "dense": meaning.count},
        untrusted=(among.trust[chosen] == RANK[Trust.UNTRUSTED]).tolist(),
        held=among.held,
    )


def _compared(view: View, among: Selection, probe: Probe) -> tuple[Nearness, Mapping[str, str]]:
    """Cosines with every row that has a vector, and why some or all could not be compared."""
    vector = np.zeros(0, dtype=np.float32) if probe.vector is None else np.asarray(probe.vector, dtype=np.float32)
    other = ""
    if view.embedder not in (probe.embedder, ""):
        other = f"vectors are still of {view.embedder}; they are being rebuilt for {probe.embedder}"
    elif len(view.vectors) and len(vector) != view.vectors.width:
        other = f"the question's vector has {len(vector)} numbers, and those that are stored have {view.vectors.width}"
    if probe.vector is None or other:
        nothing = Nearness(view.vectors, vector, among.content, among.with_vector[:0], None, TOP)
        return nothing, {} if probe.vector is None else {"dense": other}
    lacking = len(among.rows) - len(among.with_vector)
    missing = {"dense": f"{lacking} of {len(among.rows)} memories have no vector yet"} if lacking else {}
    return Nearness(view.vectors, vector, among.content, among.with_vector, among.vector_rows, TOP), missing


def _inside(among: Selection, window: Interval | None) -> Positions:
    """Places of what was said in a time, or shortly after; none where that is nearly everything, or no time is asked about."""
    if window is None:
        return np.zeros(0, dtype=np.int64)
    start, end = to_micros(window.start), to_micros(window.end)
    is_inside = (among.at > NEVER) if start is None else (among.at >= start)
    found = np.flatnonzero(is_inside if end is None else is_inside & (among.at < end + AFTER))
    return found if len(found) <= MOST_INSIDE else found[:0]


class Candidates:
    """The best rows by each signal, the turns beside the very best, and those that answer: their places (``chosen``), and what is known
    of them. Where a question is nothing but the name of somebody, the latest that they said or that names them. Of what was said in the time
    that is asked about (``inside``) the best, though elsewhere there be better."""

    def __init__(self, among: Selection, words: Words, meaning: Nearness, answering: Positions, inside: Positions) -> None:
        self._among, self._words, self._meaning, self._answering = among, words, meaning, answering
        is_chosen, is_seed = np.zeros(len(among.rows), dtype=bool), np.zeros(len(among.rows), dtype=bool)
        is_chosen[answering] = True
        if not words.attainable:
            is_chosen[words.named()[-TOP:]] = True
        if len(inside):
            is_chosen[inside[best(words.surprise[inside], INSIDE)]] = True
            is_chosen[inside[best(np.nan_to_num(meaning.of(inside), nan=-1.0), INSIDE)]] = True
        for places in (words.best(TOP), meaning.best, words.best_nearby(TOP)):
            is_chosen[places] = True
            is_seed[places[:SEEDS]] = True
        for beside in self._neighbours(np.flatnonzero(is_seed)):
            is_chosen[beside[beside >= 0]] = True
        self.chosen = np.flatnonzero(is_chosen)

    def describe(self, people: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        """Their raw signals. Neighbours are turns of the same session just before and after."""
        among, words, meaning, chosen = self._among, self._words, self._meaning, self.chosen
        if not len(chosen):
            return {}
        flags, at, turn = among.flags[chosen], among.at[chosen], among.turn[chosen]
        before, after = self._neighbours(chosen)
        has_before, has_after, has_turn = before >= 0, after >= 0, turn >= 0
        surprise, cosine = words.surprise[chosen], meaning.of(chosen)
        columns: dict[str, NDArray[Any]] = {
            "words": surprise,
            "covered": words.covered[chosen],
            "nearby": np.where(has_turn, words.nearby[turn], 0.0) if len(among.turns) else np.zeros(len(chosen)),
            "session": np.where(has_turn, words.in_run[among.run[turn]], 0.0) if len(among.turns) else np.zeros(len(chosen)),
            "cosine": cosine,
            "time": (flags & FLAG_TIME) > 0,
            "own": (flags & FLAG_OWN) > 0,
            "question": (flags & FLAG_QUESTION) > 0,
            "tells_nothing": np.isin(among.type[chosen], TELL_NOTHING),
            "named": words.is_named[chosen],
            "length": among.length[chosen],
            "at": np.where(at == NEVER, np.nan, at),
            "words_before": np.where(has_before, words.surprise[before], 0.0),
            "words_after": np.where(has_after, words.surprise[after], 0.0),
            "cosine_before": np.where(has_before, meaning.of(before), np.nan),
            "cosine_after": np.where(has_after, meaning.of(after), np.nan),
            "question_before": has_before & ((among.flags[before] & FLAG_QUESTION) > 0),
            "words_session": _best_of_group(among.session[chosen], surprise),
            "cosine_session": _best_of_group(among.session[chosen], np.nan_to_num(cosine, nan=-1.0).astype(float)),
            "spoke_before": has_before & (among.speaker[before] == among.speaker[chosen]),
        }
        if people:
            columns["speaker"] = np.isin(among.speaker[chosen], people)
        if len(self._answering):
            columns["claim"] = np.isin(chosen, self._answering)
        return {name: column.astype(np.float64) for name, column in columns.items()}

    def wholes(self) -> NDArray[np.int64]:
        """For each the content of its whole message, where that is short and among the rows; else its own."""
        among, chosen = self._among, self.chosen
        turn = among.turn_of(among.said[chosen])
        is_short = (turn >= 0) & (among.length[turn] <= SHORT) if len(chosen) else turn >= 0
        return np.where(is_short, among.content[turn], among.content[chosen]) if len(chosen) else turn

    def _neighbours(self, chosen: Positions) -> NDArray[np.int64]:
        """For each chosen row, the turns just before and just after its message in the same session; -1 where there is none.
        Shape (2, chosen)."""
        among = self._among
        said, session = np.tile(among.said[chosen], 2), np.tile(among.session[chosen], 2)
        step = np.repeat((-1, 1), len(chosen))
        found = np.full(len(step), -1, dtype=np.int64)
        left = np.arange(len(step))
        for distance in APART:
            turn = among.turn_of(said[left] + step[left] * distance)
            fits = (turn >= 0) & (among.session[turn] == session[left])
            found[left[fits]] = turn[fits]
            left = left[~fits]
        return found.reshape(2, -1)


def claimed(
    db: apsw.Connection,
    keys: Sequence[tuple[str | None, str]],
    at: RowFilter,
    names: Mapping[str, int],
    relation: str | None = None,
    then: Interval | None = None,
) -> list[tuple[int, str, bool]]:
    """Contents that claim one of these keys for this user and had not been superseded in it by then, as far as was known, with the
    value and whether it is affirmed; the newest first. Of people of one name those whose ``relation`` it is, if there are any. With a time that is over
    (``then``), what held in it or, if it is not known that anything did, what holds and is not known to have begun later."""
    whose = "" if at.user is None else "AND user = :user"
    later = "" if at.known_at is None else LATER
    values = {"user": names.get(at.user or "", 0), "at": to_micros(at.as_of or at.now), "known": to_micros(at.known_at)}
    left = f"{whose} AND (closed_by IS NULL OR closed_at > :at {later})"
    if then is None:
        return _claiming(db, keys, f"{left} AND ({HOLDS})", values, relation)
    values["end"] = to_micros(then.end)
    held = _claiming(db, keys, f"{left} AND {HELD}", {**values, "at": to_micros(then.start)}, relation)
    return held or _claiming(db, keys, f"{left} AND ({HOLDS}) AND {BEGAN}", values, relation)


def _claiming(
    db: apsw.Connection, keys: Sequence[tuple[str | None, str]], condition: str, values: Mapping[str, object], relation: str | None
) -> list[tuple[int, str, bool]]:
    found: list[tuple[int, str, bool]] = []
    for subject, attribute in keys:
        about = "attribute" if subject is None else "subject = :subject AND attribute"
        attribute, _, part = attribute.partition("/*")
        rows: list[tuple[Any, ...]] = db.execute(
            f"SELECT content, value, polarity, relation FROM claims WHERE seq IN (SELECT seq FROM claims WHERE {about} = :attribute UNION ALL"
            f" SELECT seq FROM claims WHERE {about} BETWEEN :attribute || '/' AND :attribute || '0')"
            f" AND (:part = '' OR instr(attribute, :part)) {condition} ORDER BY seq DESC LIMIT {CLAIMS}",
            {**values, "subject": subject, "attribute": attribute, "part": part},
        ).fetchall()
        meant = [row for row in rows if relation is None or row[3] is None or is_one_person(relation, str(row[3]))]
        found.extend((int(content), str(value), bool(polarity)) for content, value, polarity, _ in meant or rows)
    return found


def _best_of_group(groups: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each element the largest value in its group."""
    order = np.lexsort((-values, groups))
    ordered = groups[order]
    is_first = np.empty(len(order), dtype=bool)
    is_first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    best = np.empty_like(values)
    best[order] = values[order][is_first][np.cumsum(is_first) - 1]
    return best

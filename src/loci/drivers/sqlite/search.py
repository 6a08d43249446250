"""Raw signals of a search over one cube: words, vectors, neighbours and what the header says. Fusion is not done here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.sqlite.codec import FLAG_OWN, FLAG_QUESTION, FLAG_TIME, to_micros
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.view import NEVER, PARTS, View
from loci.ports import Found, Probe, RowFilter, Survey

TOP = 70  # of each signal: the candidates
SEEDS = 20  # of each signal: those whose neighbours are candidates too
LENGTH_EXPONENT = 0.5  # how much a longer text is expected to hold any word by chance
SHORT = 90  # words: a message no longer than that is shown whole
SHORTEST = 0.05  # of the mean length: no text counts as shorter

Positions = NDArray[np.intp]


def survey(db: apsw.Connection, view: View, names: Mapping[str, int], probe: Probe, at: RowFilter) -> Survey:
    """Every row the filter lets through is scored by every signal; the best of each, what answers the key asked for, and the
    turns beside them are candidates. The filter is applied before anything is ranked."""
    scores = Scores(view, np.flatnonzero(view.allowed(at, names)))
    missing = dict(probe.missing)
    attainable = scores.read_words(db, probe.terms, None if at.user is None else names.get(at.user, 0))
    if probe.vector is not None and view.embedder in (probe.embedder, ""):
        missing.update(scores.read_vectors(np.asarray(probe.vector, dtype=np.float32)))
    elif probe.vector is not None:
        missing["dense"] = f"vectors are still of {view.embedder}; they are being rebuilt for {probe.embedder}"
    answering = scores.places(_claimed(db, probe.keys, at))
    chosen = np.union1d(scores.candidates(), answering)
    return Survey(
        candidates=tuple(scores.describe(chosen, [names.get(p, -1) for p in probe.people], answering)),
        documents=len(scores.rows),
        attainable=attainable,
        best_surprise=float(scores.words.max(initial=0.0)),
        cosine_mean=scores.cosine_mean,
        cosine_deviation=scores.cosine_deviation,
        missing=missing,
        withheld={},
        counts={"words": int(np.count_nonzero(scores.words)), "dense": int(np.count_nonzero(~np.isnan(scores.cosine)))},
    )


class Scores:
    """Scores of the rows of one search by words and by meaning, and what each row's neighbours have."""

    def __init__(self, view: View, rows: Positions) -> None:
        self._view, self.rows = view, rows
        self.content, self.source = view.column("content")[rows], view.column("source")[rows]
        self.session = view.column("session")[rows]
        self.words = np.zeros(len(rows))
        self.cosine = np.full(len(rows), np.nan, dtype=np.float32)
        self.cosine_mean, self.cosine_deviation = 0.0, 0.0
        self._slot = _slots(self.content)
        turns = np.flatnonzero(view.column("part")[rows] == PARTS["turn"])
        self._turns = turns, _slots(self.source[turns])

    def read_words(self, db: apsw.Connection, terms: Sequence[str], user: int | None) -> float:
        """For each row the surprise, in nats, of finding so many of the terms in a text of its length by chance: rare terms
        count for more, long texts for less. Returns what a text of mean length with every term would have."""
        count = len(self.rows)
        if not count:
            return 0.0
        length = self._view.column("length")[self.rows]
        relative = np.maximum(length / max(float(length.mean()), 1.0), SHORTEST) ** LENGTH_EXPONENT
        attainable = 0.0
        for term in stems(db, terms):
            place = self.places(_postings(db, term, user))
            share = min((len(place) + 0.5) / (count + 1), 0.999)
            attainable -= float(np.log(share))
            self.words[place] -= np.log1p(-((1 - share) ** relative[place]))
        return attainable

    def read_vectors(self, vector: NDArray[np.float32]) -> dict[str, str]:
        """Cosine with every row that has a vector. Returns why some or all could not be compared."""
        count = len(self.rows)
        if not count:
            return {}
        place = _look_up(self._slot, self._view.vector_contents)
        has = place >= 0
        if has.any():
            # not BLAS: its threads spin while another process has the cores, and the scan is bound by memory, not by arithmetic
            known = np.einsum("ij,j->i", self._view.vectors, vector)[has]
            self.cosine[place[has]] = known
            self.cosine_mean, self.cosine_deviation = float(known.mean()), float(known.std())
        lacking = count - int(has.sum())
        return {"dense": f"{lacking} of {count} memories have no vector yet"} if lacking else {}

    def candidates(self) -> Positions:
        """The union of the best by each signal and the turns beside them."""
        cosine = np.nan_to_num(self.cosine, nan=-2.0)
        best = np.union1d(_top(self.words, TOP, 0.0), _top(cosine, TOP, -1.5)).astype(np.intp)
        seeds = np.union1d(_top(self.words, SEEDS, 0.0), _top(cosine, SEEDS, -1.5)).astype(np.intp)
        beside = np.concatenate([self._beside(seeds, -1), self._beside(seeds, +1)])
        return np.union1d(best, beside[beside >= 0]).astype(np.intp)

    def places(self, contents: Sequence[int] | NDArray[np.int64]) -> Positions:
        """Positions of those contents that are among the rows."""
        place = _look_up(self._slot, np.asarray(contents, dtype=np.int64))
        return place[place >= 0]

    def describe(self, chosen: Positions, people: Sequence[int], answering: Positions) -> list[Found]:
        """The chosen rows with their raw signals. Neighbours are turns of the same session just before and after."""
        if not len(chosen):
            return []
        column = self._view.column
        rows = self.rows[chosen]
        flags, stamp = column("flags")[rows], column("at")[rows]
        before, after = self._beside(chosen, -1), self._beside(chosen, +1)
        columns: dict[str, NDArray[Any]] = {
            "cosine": self.cosine[chosen],
            "time": (flags & FLAG_TIME) > 0,
            "own": (flags & FLAG_OWN) > 0,
            "speaker": np.isin(column("speaker")[rows], people),
            "claim": np.isin(chosen, answering),
            "length": column("length")[rows],
            "at": np.where(stamp == NEVER, np.nan, stamp.astype(np.float64)),
            "words_before": np.where(before >= 0, self.words[before], 0.0),
            "words_after": np.where(after >= 0, self.words[after], 0.0),
            "cosine_before": np.where(before >= 0, self.cosine[before], np.nan),
            "question_before": np.where(before >= 0, (column("flags")[self.rows[before]] & FLAG_QUESTION) > 0, False),
            "words_session": _best_of_group(self.session[chosen], self.words[chosen]),
        }
        names = tuple(columns)
        table = np.column_stack([c.astype(np.float64) for c in columns.values()]).tolist()
        rest = zip(
            self.content[chosen].tolist(), self._whole(chosen).tolist(), self.source[chosen].tolist(), self.words[chosen].tolist(), table,
            strict=True,
        )  # fmt: skip
        return [
            Found(content, whole, source, words, {name: value for name, value in zip(names, row, strict=True) if value == value})
            for content, whole, source, words, row in rest
        ]

    def _whole(self, chosen: Positions) -> NDArray[np.int64]:
        """For each chosen row the content of its whole message, where that is short and among the rows; else its own."""
        turns, slot = self._turns
        found = _look_up(slot, self.source[chosen])
        turn = turns[found] if len(turns) else found
        is_short = (found >= 0) & (self._view.column("length")[self.rows[turn]] <= SHORT)
        return np.where(is_short, self.content[turn], self.content[chosen])

    def _beside(self, chosen: Positions, step: int) -> Positions:
        """For each chosen row, the turn next to its message in the same session; -1 where there is none."""
        turns, slot = self._turns
        beside = np.full(len(chosen), -1, dtype=np.intp)
        if not len(turns):
            return beside
        for distance in (1, 2, 3):  # sessions of several people may be interleaved in one file
            found = _look_up(slot, self.source[chosen] + step * distance)
            row = np.where(found >= 0, turns[found], -1)
            fits = (row >= 0) & (self.session[row] == self.session[chosen]) & (beside < 0)
            beside[fits] = row[fits]
        return beside


def stems(db: apsw.Connection, words: Sequence[str]) -> dict[str, str]:
    """The words that differ once folded and stemmed as the text index does it; each stem with the first word that has it."""
    tokenizer = db.fts5_tokenizer("porter", ["unicode61"])
    found: dict[str, str] = {}
    for word in words:
        for token in tokenizer(word.encode(), apsw.FTS5_TOKENIZE_QUERY, None):
            found.setdefault(str(token[-1]), word)
    return {word: stem for stem, word in found.items()}


def _postings(db: apsw.Connection, term: str, user: int | None) -> list[int]:
    """Contents that hold the term; nothing in a quoted term can be syntax."""
    quoted = '"' + term.replace('"', '""') + '"'
    scope = "" if user is None else f"scope : u{user} AND "
    return [row[0] for row in query(db, "SELECT rowid FROM text_index WHERE text_index MATCH ?", f"{scope}words : {quoted}")]


def _claimed(db: apsw.Connection, keys: Sequence[tuple[str | None, str]], at: RowFilter) -> list[int]:
    """Contents that claim one of these keys and had not been superseded in it by then."""
    found: list[int] = []
    for subject, attribute in keys:
        rows = query(
            db,
            "SELECT content FROM claims WHERE subject = coalesce(?1, subject) AND (attribute = ?2 OR attribute BETWEEN ?2 || '/'"
            " AND ?2 || '0') AND (closed_by IS NULL OR closed_at > ?3) AND (tense = 'now' OR attribute LIKE 'plan/%')"
            " ORDER BY seq DESC LIMIT 100",
            subject,
            attribute,
            to_micros(at.as_of or at.now),
        )
        found.extend(int(row[0]) for row in rows)
    return found


def _slots(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """A table from key to position; -1 where a key does not occur."""
    slots = np.full(int(keys.max()) + 2 if len(keys) else 1, -1, dtype=np.int64)
    slots[keys] = np.arange(len(keys))
    return slots


def _look_up(slots: NDArray[np.int64], keys: NDArray[np.int64]) -> Positions:
    inside = (keys >= 0) & (keys < len(slots))
    return np.where(inside, slots[np.where(inside, keys, 0)], -1).astype(np.intp)


def _best_of_group(groups: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each element the largest value in its group."""
    _, member = np.unique(groups, return_inverse=True)
    best = np.full(member.max(initial=0) + 1, -np.inf)
    np.maximum.at(best, member, values)
    return best[member]


def _top(scores: NDArray[Any], count: int, floor: float) -> Positions:
    """Positions of the ``count`` best scores above ``floor``."""
    best = np.argpartition(scores, -count)[-count:] if len(scores) > count else np.arange(len(scores))
    return best[scores[best] > floor]

"""Raw signals of a search over one cube: text, vectors, neighbours and what the header says. Fusion is not done here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.sqlite.codec import FLAG_QUESTION, FLAG_TIME, to_micros
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.view import NEVER, PARTS, View
from loci.ports import Found, Probe, RowFilter, Survey

TOP_TEXT, TOP_DENSE, TEXT_ROWS = 100, 100, 2000


def stem(db: apsw.Connection, words: Sequence[str]) -> list[str]:
    """The words as the text index holds them: folded, stemmed, in order, once each."""
    tokenizer = db.fts5_tokenizer("porter", ["unicode61"])
    raw = " ".join(words).encode()
    found = tokenizer(raw, apsw.FTS5_TOKENIZE_QUERY, None)
    return list(dict.fromkeys(str(piece) for token in found for piece in token[2:]))


def expression(terms: Sequence[str], user: int | None) -> str:
    """A full-text query of literal terms; nothing in them can be syntax."""
    quoted = " OR ".join('"' + term.replace('"', '""') + '"' for term in terms)
    words = f"words : ({quoted})"
    return words if user is None else f"scope : u{user} AND {words}"


def survey(db: apsw.Connection, view: View, names: Mapping[str, int], probe: Probe, at: RowFilter) -> Survey:
    """Every row the filter lets through is scored by every signal; the best of each, and what stands beside them, are
    candidates. The filter is applied before anything is ranked."""
    rows = np.flatnonzero(view.allowed(at, names))
    scores = Scores(view, rows)
    missing = dict(probe.missing)
    user = None if at.user is None else names.get(at.user, 0)
    frequencies = _frequencies(db, probe.terms)
    scores.read_text(db, list(probe.terms), user, len(view.column("row")))
    if probe.vector is not None and view.embedder in (probe.embedder, ""):
        missing.update(scores.read_vectors(np.asarray(probe.vector, dtype=np.float32)))
    elif probe.vector is not None:
        missing["dense"] = f"vectors are still of {view.embedder}; they are being rebuilt for {probe.embedder}"
    answering = scores.places(_claimed(db, probe.keys, at))
    chosen = np.union1d(scores.candidates(), answering).astype(np.intp)
    return Survey(
        candidates=tuple(scores.describe(chosen, [names.get(p, -1) for p in probe.people], answering)),
        documents=len(rows),
        frequencies=frequencies,
        cosine_mean=scores.cosine_mean,
        cosine_deviation=scores.cosine_deviation,
        cosine_best=scores.cosine_best,
        missing=missing,
        withheld={},
        counts={"text": int(np.count_nonzero(scores.text)), "dense": int(np.count_nonzero(~np.isnan(scores.cosine)))},
    )


class Scores:
    """Text and cosine scores over the rows of one search, and what each row's neighbours have."""

    def __init__(self, view: View, rows: NDArray[np.intp]) -> None:
        self._view, self.rows = view, rows
        self.content = view.column("content")[rows]
        self.source = view.column("source")[rows]
        self.text = np.zeros(len(rows))
        self.cosine = np.full(len(rows), np.nan, dtype=np.float32)
        self.cosine_mean, self.cosine_deviation, self.cosine_best = 0.0, 0.0, 0.0
        self._slot = _slots(self.content)

    def read_text(self, db: apsw.Connection, terms: Sequence[str], user: int | None, total: int) -> None:
        """BM25, higher is better, 0 where no term occurs. Without a limit when the filter leaves out much of the cube."""
        if not terms or not len(self.rows):
            return
        is_most = len(self.rows) >= 0.9 * total
        scope = None if is_most else user  # confined inside the index where that spares more than it costs
        limit = f" ORDER BY rank LIMIT {TEXT_ROWS}" if is_most else ""
        found = db.execute(f"SELECT rowid, rank FROM text_index WHERE text_index MATCH ?{limit}", (expression(terms, scope),))
        table = np.array(found.fetchall(), dtype=np.float64).reshape(-1, 2)
        place = _look_up(self._slot, table[:, 0].astype(np.int64))
        self.text[place[place >= 0]] = -table[place >= 0, 1]

    def read_vectors(self, vector: NDArray[np.float32]) -> dict[str, str]:
        """Cosine with every row that has a vector. Returns why some or all could not be compared."""
        if not len(self.rows):
            return {}
        place = _look_up(self._slot, self._view.vector_contents)
        has = place >= 0
        if has.any():
            # not BLAS: its threads spin while another process has the cores, and the scan is bound by memory, not by arithmetic
            every = np.einsum("ij,j->i", self._view.vectors, vector)
            self.cosine[place[has]] = every[has]
            known = every[has]
            self.cosine_mean, self.cosine_deviation = float(known.mean()), float(known.std())
            self.cosine_best = float(known.max())
        lacking = len(self.rows) - int(has.sum())
        return {"dense": f"{lacking} of {len(self.rows)} memories have no vector yet"} if lacking else {}

    def candidates(self) -> NDArray[np.intp]:
        """The union of the best by each signal and the turns beside them."""
        best = [_top(self.text, TOP_TEXT), _top(np.nan_to_num(self.cosine, nan=-2.0), TOP_DENSE, floor=-1.5)]
        return np.unique(np.concatenate(best))

    def places(self, contents: Sequence[int]) -> NDArray[np.int64]:
        """Positions of those contents that are among the rows."""
        place = _look_up(self._slot, np.array(contents, dtype=np.int64))
        return place[place >= 0]

    def describe(self, chosen: NDArray[np.intp], people: Sequence[int], answering: NDArray[np.int64]) -> list[Found]:
        """The chosen rows with their raw signals. Neighbours are turns of the same session just before and after."""
        column = self._view.column
        rows = self.rows[chosen]
        flags, speaker, part, stamp = (column(name)[rows] for name in ("flags", "speaker", "part", "at"))
        before, after = self._beside(chosen, -1), self._beside(chosen, +1)
        spoken = np.isin(speaker, people) if people else np.zeros(len(rows), dtype=bool)
        columns: dict[str, NDArray[Any]] = {
            "question": (flags & FLAG_QUESTION) > 0,
            "time": (flags & FLAG_TIME) > 0,
            "speaker": spoken,
            "claim": np.isin(chosen, answering),
            "is_part": part != PARTS["turn"],
            "at": np.where(stamp == NEVER, np.nan, stamp.astype(np.float64)),
            "text_before": np.where(before >= 0, self.text[before], 0.0),
            "text_after": np.where(after >= 0, self.text[after], 0.0),
            "cosine_before": np.where(before >= 0, self.cosine[before], np.nan),
            "cosine_after": np.where(after >= 0, self.cosine[after], np.nan),
            "question_before": np.where(before >= 0, (column("flags")[self.rows[before]] & FLAG_QUESTION) > 0, False),
        }
        table = np.column_stack([c.astype(np.float64) for c in columns.values()]).tolist()
        text, cosine = self.text[chosen].tolist(), self.cosine[chosen].tolist()
        content, source = self.content[chosen].tolist(), self.source[chosen].tolist()
        keys = tuple(columns)
        return [
            Found(content[i], source[i], text[i], None if cosine[i] != cosine[i] else cosine[i],
                  {k: v for k, v in zip(keys, table[i], strict=True) if v == v})
            for i in range(len(content))
        ]  # fmt: skip

    def _beside(self, chosen: NDArray[np.intp], step: int) -> NDArray[np.intp]:
        """For each chosen row, the row of the turn next to its source in the same session; -1 where there is none."""
        column = self._view.column
        turns = np.flatnonzero(column("part")[self.rows] == PARTS["turn"])
        slot = _slots(self.source[turns])
        session = column("session")[self.rows]
        beside = np.full(len(chosen), -1, dtype=np.intp)
        for distance in (1, 2, 3):  # sessions of several people may be interleaved in one file
            found = _look_up(slot, self.source[chosen] + step * distance)
            row = np.where(found >= 0, turns[found], -1)
            fits = (row >= 0) & (session[row] == session[chosen]) & (beside < 0)
            beside[fits] = row[fits]
        return beside


def _claimed(db: apsw.Connection, keys: Sequence[tuple[str | None, str]], at: RowFilter) -> list[int]:
    """Contents that claim one of these keys and had not been superseded in it by then."""
    found: list[int] = []
    for subject, attribute in keys:
        rows = query(
            db,
            "SELECT content FROM claims WHERE subject = coalesce(?1, subject) AND (attribute = ?2 OR attribute BETWEEN ?2 || '/' AND"
            " ?2 || '0') AND (closed_by IS NULL OR closed_at > ?3) AND (tense = 'now' OR attribute LIKE 'plan/%') ORDER BY seq DESC LIMIT 100",
            subject,
            attribute,
            to_micros(at.as_of or at.now),
        )
        found.extend(int(row[0]) for row in rows)
    return found


def _frequencies(db: apsw.Connection, terms: Sequence[str]) -> dict[str, int]:
    stems = stem(db, terms)
    return {term: sum(r[0] for r in db.execute("SELECT doc FROM text_terms WHERE term = ? AND col = 'words'", (term,))) for term in stems}


def _slots(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """A table from key to position; -1 where a key does not occur."""
    slots = np.full(int(keys.max()) + 2 if len(keys) else 1, -1, dtype=np.int64)
    slots[keys] = np.arange(len(keys))
    return slots


def _look_up(slots: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    inside = (keys >= 0) & (keys < len(slots))
    return np.where(inside, slots[np.where(inside, keys, 0)], -1)


def _top(scores: NDArray[Any], count: int, floor: float = 0.0) -> NDArray[np.intp]:
    """Positions of the ``count`` best scores above ``floor``."""
    if len(scores) > count:
        best = np.argpartition(scores, -count)[-count:]
    else:
        best = np.arange(len(scores))
    return best[scores[best] > floor]
